"""Cursors over several nodes: stateless, unsigned 64-bit decimals, the same after a reload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replies.cursor import CURSOR_ID_BITS, NODE_CURSOR_LIMIT, cursor_id_of, pack, rewrite_cursor, unpack
from kidoproxy.resp.encode import array, bulk

PINNED = 6080031


@given(st.integers(0, NODE_CURSOR_LIMIT - 1), st.integers(0, (1 << CURSOR_ID_BITS) - 1))
def test_round_trip(own: int, number: int) -> None:
    """What is packed comes out, and is what Redis's clients accept as a cursor."""
    assert unpack(pack(own, number)) == (own, number)
    assert 0 <= int(pack(own, number)) < 1 << 64


@pytest.mark.parametrize("cursor", [b"", b"0", b"+0", b"-0", b"000", b"0" * 21, b"+00000000000000000000000", b"-0000"])
def test_begins_anew(cursor: bytes) -> None:
    """As servers have it, who read with ``strtoull``."""
    assert unpack(cursor) == (0, 0)


@pytest.mark.parametrize("cursor", [b"7", b"+7", b"0007", b"0" * 100 + b"7"])
def test_zeros_in_front(cursor: bytes) -> None:
    """They count for nothing."""
    assert unpack(cursor) == (0, 7)


@pytest.mark.parametrize(
    "cursor",
    [
        *[b"x", b"abc", b"-1", b"1.0", b" 1", b"1 ", b"0x10", b"1e1", b"+", b"-", b"--1", b"+-1", b"\xb2", b"1_0"],
        *[b"18446744073709551616", b"9" * 21, b"9" * 4300, b"9" * 5000, b"-" + b"9" * 5000, b"\n0"],
    ],
)
def test_invalid(cursor: bytes) -> None:
    """Not an unsigned 64-bit decimal."""
    assert unpack(cursor) is None


@pytest.mark.parametrize(
    ("own", "following", "cursor"), [(b"7", 5, b"%d" % (7 << CURSOR_ID_BITS | 3)), (b"0", 5, b"5"), (b"0", 0, b"0")]
)
def test_advance(own: bytes, following: int, cursor: bytes) -> None:
    """The node goes on, or the next one begins, or it is over; the keys are untouched."""
    keys = array([bulk(b"x"), bulk(b"y")])

    assert rewrite_cursor([array([bulk(own), keys])], 3, following) == array([bulk(cursor), keys])


def test_errors() -> None:
    """An error stays what it is; a cursor that leaves no room for the node is one."""
    assert rewrite_cursor([b"-ERR no\r\n"], 3, 5) == b"-ERR no\r\n"
    large = array([bulk(b"%d" % NODE_CURSOR_LIMIT), array([])])
    assert rewrite_cursor([large], 3, 5).startswith(b"-ERR cursor overflow")


@pytest.mark.parametrize("own", [b"-1", b"x", b"", b"1.5", b"9" * 5000, b"01", b"\xff\n"])
def test_a_node_that_gives_no_cursor(own: bytes) -> None:
    """It is told, not taken for something else."""
    frame = rewrite_cursor([array([bulk(own), array([])])], 3, 5)
    assert frame.startswith(b"-ERR cursor overflow")
    assert len(frame) < 204


@given(st.text(max_size=20), st.text(max_size=20))
def test_numbers(pool: str, node: str) -> None:
    """Never 0, which begins a scan; they fit beside a node's own cursor."""
    assert 0 < cursor_id_of(pool, node) < 1 << CURSOR_ID_BITS


def test_numbers_are_pinned() -> None:
    """Clients hold them across a restart, another version and another proxy."""
    assert cursor_id_of("cache", "cache-a") == PINNED
    assert cursor_id_of("cache", "cache-b") != PINNED
    assert cursor_id_of("other", "cache-a") != PINNED
    assert cursor_id_of("cachecache", "-a") != PINNED
