"""Values come back in the order of their keys, whether they are put there at one go or a few at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replies.weave import Weaver, in_key_order
from kidoproxy.resp.encode import array, bulk, null

DENIAL = b"-ERR no\r\n"


def test_the_first_error_wins_in_key_order() -> None:
    """There as well: no value in place of one that could not be read."""
    assert in_key_order([array([bulk(b"a")]), DENIAL], [[0], [1]], 2) == DENIAL


def test_in_key_order() -> None:
    """Values go back to the places of their keys, raw as they came."""
    replies = [array([bulk(b"a"), null(2)]), array([b"*1\r\n:1\r\n"]), array([])]

    assert in_key_order(replies, [[2, 0], [1], []], 3) == b"*3\r\n$-1\r\n*1\r\n:1\r\n$1\r\na\r\n"


@pytest.mark.parametrize("reply", [b"*2\r\n:1\r\n:2\r\n", b"*0\r\n", b"*-1\r\n", b":1\r\n", b"%1\r\n:1\r\n:1\r\n"])
def test_in_key_order_misfits(reply: bytes) -> None:
    """As many values as keys, in an array, or an error: never a value in a wrong place."""
    assert in_key_order([reply], [[0]], 1).startswith(b"-ERR the nodes' replies do not fit together")


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=5)), max_size=12))
def test_split_and_woven(keys: list[tuple[int, bytes]]) -> None:
    """However keys are spread over nodes, the values come back as from one server."""
    places = [[at for at, (owner, _) in enumerate(keys) if owner == node] for node in range(4)]
    replies = [array([bulk(keys[at][1]) for at in where]) for where in places]

    assert in_key_order(replies, places, len(keys)) == array([bulk(value) for _, value in keys])


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=3)), min_size=1, max_size=12), st.integers(1, 5))
def test_a_few_at_a_time(keys: list[tuple[int, bytes]], most: int) -> None:
    """However small the steps: the same reply, and no step does more than it was told."""
    places = [[at for at, (owner, _) in enumerate(keys) if owner == node] for node in range(3)]
    replies = [array([bulk(keys[at][1]) for at in where]) for where in places]
    weaver = Weaver(replies, places, len(keys))
    steps = 1
    while weaver.step(most):
        steps += 1

    assert weaver.result == in_key_order(replies, places, len(keys))
    assert steps >= 2 * len(keys) // most


@pytest.mark.parametrize("second", [b":1\r\n", b"*1\r\n:2\r\n", b"*3\r\n:1\r\n:2\r\n:3\r\n", b"*-1\r\n"])
def test_a_misfit_that_is_found_late(second: bytes) -> None:
    """A reply that does not fit is the end, however much of the others has been taken apart."""
    weaver = Weaver([b"*2\r\n:1\r\n:2\r\n", second], [[0, 2], [1, 3]], 4)
    while weaver.step(1):
        assert not weaver.result
    assert weaver.result.startswith(b"-ERR the nodes' replies do not fit together")
    assert not weaver.step(1)
