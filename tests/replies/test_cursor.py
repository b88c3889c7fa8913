"""`kidoproxy.replies.cursor`: stateless unsigned 64-bit decimals, the same after a reload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replies.cursor import CURSOR_ID_BITS, NODE_CURSOR_LIMIT, cursor_id_of, pack, rewrite_cursor, unpack
from kidoproxy.resp.encode import array, bulk

PINNED = 6080031


@given(st.integers(0, NODE_CURSOR_LIMIT - 1), st.integers(0, (1 << CURSOR_ID_BITS) - 1))
def test_round_trip(node_cursor: int, cursor_id: int) -> None:
    """What is packed is unpacked again, and is a cursor that Redis's clients accept."""
    assert unpack(pack(node_cursor, cursor_id)) == (node_cursor, cursor_id)
    assert 0 <= int(pack(node_cursor, cursor_id)) < 1 << 64


@pytest.mark.parametrize("cursor", [b"", b"0", b"+0", b"-0", b"000", b"0" * 21, b"+00000000000000000000000", b"-0000"])
def test_zero(cursor: bytes) -> None:
    """Whatever ``strtoull``, which servers use, reads as 0 begins a scan."""
    assert unpack(cursor) == (0, 0)


@pytest.mark.parametrize("cursor", [b"7", b"+7", b"0007", b"0" * 100 + b"7"])
def test_leading_zeros(cursor: bytes) -> None:
    """They are ignored, as is a plus sign."""
    assert unpack(cursor) == (0, 7)


@pytest.mark.parametrize(
    "cursor",
    [
        *[b"x", b"abc", b"-1", b"1.0", b" 1", b"1 ", b"0x10", b"1e1", b"+", b"-", b"--1", b"+-1", b"\xb2", b"1_0"],
        *[b"18446744073709551616", b"9" * 21, b"9" * 4300, b"9" * 5000, b"-" + b"9" * 5000, b"\n0"],
    ],
)
def test_invalid(cursor: bytes) -> None:
    """Anything but an unsigned 64-bit decimal."""
    assert unpack(cursor) is None


@pytest.mark.parametrize(
    ("node_cursor", "next_cursor_id", "cursor"),
    [(b"7", 5, b"%d" % (7 << CURSOR_ID_BITS | 3)), (b"0", 5, b"5"), (b"0", 0, b"0")],
)
def test_rewritten_cursors(node_cursor: bytes, next_cursor_id: int, cursor: bytes) -> None:
    """The scan goes on at the node, or begins at the next one, or ends; the keys are unchanged."""
    keys = array([bulk(b"x"), bulk(b"y")])

    assert rewrite_cursor([array([bulk(node_cursor), keys])], 3, next_cursor_id) == array([bulk(cursor), keys])


def test_errors() -> None:
    """An error is unchanged; a node's cursor that leaves no room for the id is one."""
    assert rewrite_cursor([b"-ERR no\r\n"], 3, 5) == b"-ERR no\r\n"
    large = array([bulk(b"%d" % NODE_CURSOR_LIMIT), array([])])
    assert rewrite_cursor([large], 3, 5).startswith(b"-ERR cursor overflow")


@pytest.mark.parametrize("node_cursor", [b"-1", b"x", b"", b"1.5", b"9" * 5000, b"01", b"\xff\n"])
def test_a_node_without_a_cursor(node_cursor: bytes) -> None:
    """A reply without a valid cursor is an error."""
    frame = rewrite_cursor([array([bulk(node_cursor), array([])])], 3, 5)
    assert frame.startswith(b"-ERR cursor overflow")
    assert len(frame) < 204


@given(st.text(max_size=20), st.text(max_size=20))
def test_cursor_ids(pool: str, node: str) -> None:
    """Never 0, which begins a scan, and within their bits."""
    assert 0 < cursor_id_of(pool, node) < 1 << CURSOR_ID_BITS


def test_cursor_ids_are_pinned() -> None:
    """Clients keep cursors over a restart, another version and another proxy."""
    assert cursor_id_of("cache", "cache-a") == PINNED
    assert cursor_id_of("cache", "cache-b") != PINNED
    assert cursor_id_of("other", "cache-a") != PINNED
    assert cursor_id_of("cachecache", "-a") != PINNED
