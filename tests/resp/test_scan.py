"""`kidoproxy.resp.scan`: numbers, and the pieces of an unfinished frame."""

import pytest

from kidoproxy.resp.scan import FramePieces, parse_int64, parse_length


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"0\r\n", 0),
        (b"7\r\n", 7),
        (b"123456789012345678\r\n", 123456789012345678),
        (b"1234567890123456789\r\n", -1),
        (b"12\rx", 12),
        (b"12\r", -1),
        (b"12", -1),
        (b"12\n", -1),
        (b"", -1),
        (b"\r\n", -1),
        (b"00\r\n", -1),
        (b"01\r\n", -1),
        (b"-1\r\n", -1),
        (b"1 \r\n", -1),
        (b"1:\r\n", -1),
        (b"1/\r\n", -1),
    ],
)
def test_parse_length(line: bytes, value: int) -> None:
    """Plain numbers are parsed; any other is -1, for `parse_int64` to decide."""
    found, end = parse_length(line, 0, len(line))
    assert found == value
    assert value < 0 or end == len(line)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"-1", -1),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"9223372036854775808", None),
        (b"-9223372036854775809", None),
        (b"99999999999999999999", None),
        (b"", None),
        (b"-", None),
        (b"--1", None),
        (b"-0", None),
        (b"00", None),
        (b"+1", None),
        (b" 1", None),
        (b"1_0", None),
        (b"1a", None),
        ("\u0661".encode(), None),
    ],
)
def test_parse_int64(text: bytes, value: int | None) -> None:
    """A number is what ``string2ll`` of Redis takes for one, not what Python does."""
    assert parse_int64(text) == value


def test_pieces_are_joined_once() -> None:
    """Large pieces are not copied before all are there."""
    pieces = FramePieces()
    large = b"x" * 65536
    for _ in range(1000):
        pieces.add(large)
    assert all(part is large for part in pieces.parts)
    assert pieces.size == 65_536_000
    assert pieces.take_joined() == large * 1000
    assert (pieces.parts, pieces.size) == ([], 0)


def test_a_single_piece_is_not_copied() -> None:
    """It is returned itself."""
    pieces = FramePieces()
    data = b"x" * 100
    pieces.add(data)
    assert pieces.take_joined() is data


def test_runs_of_small_pieces_are_joined() -> None:
    """A peer that sends byte by byte does not cost an object for each byte."""
    pieces = FramePieces()
    for _ in range(10_000):
        pieces.add(b"ab")
    assert len(pieces.parts) < 300
    assert pieces.take_joined() == b"ab" * 10_000
