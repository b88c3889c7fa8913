"""`kidoproxy.replies.key_order`: values in the order of their keys, in one step or in many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replies.key_order import KeyOrderMerge, in_key_order
from kidoproxy.resp.encode import array, bulk, null

ERROR = b"-ERR no\r\n"


def split(keys: list[tuple[int, bytes]], count: int) -> tuple[list[list[int]], list[bytes]]:
    """For each of ``count`` nodes the positions of its keys, and its reply; a key is its node and its value."""
    key_positions = [[index for index, (node, _) in enumerate(keys) if node == owner] for owner in range(count)]
    return key_positions, [array([bulk(keys[index][1]) for index in indexes]) for indexes in key_positions]


def test_the_first_error_is_the_answer() -> None:
    """No value stands for one that could not be read."""
    assert in_key_order([array([bulk(b"a")]), ERROR], [[0], [1]], 2) == ERROR


def test_in_key_order() -> None:
    """Values go to the positions of their keys, raw as they came."""
    replies = [array([bulk(b"a"), null(2)]), array([b"*1\r\n:1\r\n"]), array([])]

    assert in_key_order(replies, [[2, 0], [1], []], 3) == b"*3\r\n$-1\r\n*1\r\n:1\r\n$1\r\na\r\n"


@pytest.mark.parametrize("reply", [b"*2\r\n:1\r\n:2\r\n", b"*0\r\n", b"*-1\r\n", b":1\r\n", b"%1\r\n:1\r\n:1\r\n"])
def test_in_key_order_mismatch(reply: bytes) -> None:
    """A reply that is no array of as many values as keys is an error: no value gets a wrong position."""
    assert in_key_order([reply], [[0]], 1).startswith(b"-ERR the nodes' replies do not fit together")


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=5)), max_size=12))
def test_split_and_merged(keys: list[tuple[int, bytes]]) -> None:
    """However keys are spread over nodes, the values come back as from one server."""
    key_positions, replies = split(keys, 4)

    assert in_key_order(replies, key_positions, len(keys)) == array([bulk(value) for _, value in keys])


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=3)), min_size=1, max_size=12), st.integers(1, 5))
def test_small_steps(keys: list[tuple[int, bytes]], max_items: int) -> None:
    """In steps of any size the reply is the same, and no step does more than it may."""
    key_positions, replies = split(keys, 3)
    merge = KeyOrderMerge(replies, key_positions, len(keys))
    steps = 1
    while merge.step(max_items):
        steps += 1

    assert merge.result == in_key_order(replies, key_positions, len(keys))
    assert steps >= 2 * len(keys) // max_items


@pytest.mark.parametrize("second", [b":1\r\n", b"*1\r\n:2\r\n", b"*3\r\n:1\r\n:2\r\n:3\r\n", b"*-1\r\n"])
def test_a_mismatch_that_is_found_late(second: bytes) -> None:
    """A reply that does not fit is an error even if others have been split already."""
    merge = KeyOrderMerge([b"*2\r\n:1\r\n:2\r\n", second], [[0, 2], [1, 3]], 4)
    while merge.step(1):
        assert not merge.result
    assert merge.result.startswith(b"-ERR the nodes' replies do not fit together")
    assert not merge.step(1)
