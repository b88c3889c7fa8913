"""`kidoproxy.replies.randomkey`: RANDOMKEY is as fair as on one server, also when most nodes are empty."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replies.randomkey import RANDOM_RANGE, choose_weighted
from kidoproxy.resp.encode import bulk, integer
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.transaction import Transaction
from tests.story import client, node, ring, silence, story, to, to_client
from tests.strategies import replies

NIL = b"$-1\r\n"


def offers(*sizes: int) -> list[bytes]:
    """Replies to RANDOMKEY and DBSIZE of nodes a, b, … with so many keys."""
    pairs = [[bulk(b"%c" % (97 + index)) if size else NIL, integer(size)] for index, size in enumerate(sizes)]
    return [reply for pair in pairs for reply in pair]


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 0, 0), (0, 0, 1), (100, 1, 0, 0, 0, 0), (3, 5, 0, 7), (10**9, 10**9)])
def test_by_the_number_of_keys(sizes: tuple[int, ...]) -> None:
    """Each node is chosen as often as its share of the keys says, an empty one never."""
    replies = offers(*sizes)
    count = 4000
    executor = Executor([])
    found = Counter(choose_weighted(replies, executor.next_random()) for _ in range(count))
    for index, size in enumerate(sizes):
        expected = count * size / sum(sizes)
        assert abs(found[bulk(b"%c" % (97 + index))] - expected) <= 4 * (expected**0.5) + (expected > 0)


@given(st.lists(st.integers(0, 1 << 62), min_size=1, max_size=8), st.integers(0, RANDOM_RANGE - 1))
def test_null_only_if_all_are_empty(sizes: list[int], random_number: int) -> None:
    """Whatever the random number."""
    assert (choose_weighted(offers(*sizes), random_number) == NIL) == (not any(sizes))


@given(st.lists(st.tuples(replies(), replies()), min_size=1, max_size=5), st.integers(0, RANDOM_RANGE - 1))
def test_any_replies(pairs: list[tuple[bytes, bytes]], random_number: int) -> None:
    """Whatever nodes reply, the answer is one of the offers, or an error among them."""
    assert choose_weighted([reply for pair in pairs for reply in pair], random_number) in [offer for offer, _ in pairs]


def test_invalid_counts() -> None:
    """A node that does not say how many keys it has counts as one with one key."""
    for count in (b"-NOPERM no\r\n", b"_\r\n", b":x\r\n", b":-5\r\n", b":0\r\n", b":" + b"9" * 5000 + b"\r\n"):
        assert choose_weighted([NIL, integer(0), bulk(b"k"), count], RANDOM_RANGE - 1) == bulk(b"k")
    assert choose_weighted([b"-ERR no\r\n", integer(5), bulk(b"k"), integer(5)], 0) == b"-ERR no\r\n"


def test_random_keys_of_a_ring() -> None:
    """Each node gets both commands; the only node with keys provides the key; PROXY EACH shows each node's own."""
    (
        story(ring("a", "b"))
        >> client("RANDOMKEY") << to("a", "RANDOMKEY", "DBSIZE") << to("b", "RANDOMKEY", "DBSIZE")
        >> node("a", "$-1", ":0") >> node("b", "$1 k", ":9") << to_client("$1 k")
        >> client("RANDOMKEY") << to("a", "RANDOMKEY", "DBSIZE") << to("b", "RANDOMKEY", "DBSIZE")
        >> node("a", "$-1", ":0") >> node("b", "$-1", ":0") << to_client("$-1")
        >> client("PROXY EACH RANDOMKEY") << to("a", "RANDOMKEY") << to("b", "RANDOMKEY")
        >> node("a", "$-1") >> node("b", "$1 k") << to_client("*2 $-1 $1 k")
        >> client("MULTI", "RANDOMKEY", "EXEC") << to_client("+OK", "+QUEUED")
        << to("a", "MULTI", "RANDOMKEY", "DBSIZE", "EXEC") << to("b", "MULTI", "RANDOMKEY", "DBSIZE", "EXEC")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 $1 j :1") >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 $-1 :0")
        << to_client("*1 $1 j") << silence()
    )  # fmt: skip


def test_random_numbers_are_the_executors() -> None:
    """A transaction draws from the same sequence, which depends on the seed."""
    executor, other = Executor([]), Executor([])
    other.seed = 2
    assert executor.next_random() != Transaction(executor, None).next_random()
    assert executor.next_random() != other.next_random()
    assert 0 <= executor.next_random() < RANDOM_RANGE
