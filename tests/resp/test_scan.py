"""`kidoproxy.resp.scan`: numbers, pieces of frames, and the end of a reply."""

import pytest

from kidoproxy.resp.scan import MAX_ITEMS, MAX_PAYLOAD_BYTES, FramePieces, ReplyScanner, parse_int64, parse_length
from tests.resp.feeding import chunkings, read_replies

WHOLE = [
    b"+OK\r\n",
    b"+\r\n",
    b"+" + b"long " * 100 + b"\r\n",
    b"-ERR no\r\n",
    b":0\r\n",
    b":-1\r\n",
    b":9223372036854775807\r\n",
    b":-9223372036854775808\r\n",
    b"$0\r\n\r\n",
    b"$1\r\na\r\n",
    b"$4\r\n\r\n\r\n\r\n",
    b"$-1\r\n",
    b"$100\r\n" + b"x" * 100 + b"\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*2\r\n$1\r\na\r\n:1\r\n",
    b"*1\r\n" * 500 + b"*0\r\n",
    b"*3\r\n*0\r\n*-1\r\n*1\r\n$-1\r\n",
    b"_\r\n",
    b"#t\r\n",
    b"#f\r\n",
    b",1.5\r\n",
    b",-inf\r\n",
    b"(" + b"9" * 100 + b"\r\n",
    b"!5\r\nERR x\r\n",
    b"=8\r\ntxt:four\r\n",
    b"=4\r\ntxt:\r\n",
    b"%0\r\n",
    b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n",
    b"~2\r\n+a\r\n~0\r\n",
    b">2\r\n+pubsub\r\n+hello\r\n",
    b"|0\r\n+OK\r\n",
    *[b"*2\r\n-" + b"x" * length + b"\r\n+OK\r\n" for length in (63, 64, 65, 66, 200)],
    b"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
    b"|1\r\n+ttl\r\n:3\r\n|1\r\n+a\r\n|0\r\n+b\r\n*1\r\n|1\r\n_\r\n_\r\n$1\r\nx\r\n",
]

BROKEN = [
    (b"x\r\n", "expected a reply, got 'x'"),
    (b"\r\n", "expected a reply, got ' '"),
    (b"OK\r\n", "expected a reply, got 'O'"),
    (b"*1\r\n\0", "expected a reply, got '\0'"),
    (b"*1\r\n.1\r\n", "expected a reply, got '.'"),
    (b"+a\nb\r\n", "a line feed inside a line"),
    (b"+a\rb\r\n", "a carriage return inside a line"),
    (b"-" + b"x" * 100 + b"\r\r\n", "a carriage return inside a line"),
    (b"-" + b"x" * 100 + b"\n" + b"x" * 100 + b"\r\n", "a line feed inside a line"),
    (b"-" + b"x" * 100 + b"\n", "a line feed inside a line"),
    (b"$3\r\nabcd\r\n", "a bulk is longer than it said"),
    (b"$3\r\nabc\r\r", "a bulk is longer than it said"),
    (b"$3\r\nabc\n\n", "a bulk is longer than it said"),
    (b"$3\r\nabcx\n", "a bulk is longer than it said"),
    (b"!3\r\nabcx\n", "a bulk is longer than it said"),
    (b"=5\r\ntxt:ab\r\n", "a bulk is longer than it said"),
    (b"$3\rxabc\r\n", "invalid header line '$3'"),
    (b"*1\rx", "invalid header line '*1'"),
    (b":1\rx", "invalid header line ':1'"),
    (b"$\r\n", "invalid header line '$'"),
    (b"$-2\r\n", "invalid header line '$-2'"),
    (b"$03\r\nabc\r\n", "invalid header line '$03'"),
    (b"$+3\r\nabc\r\n", "invalid header line '$+3'"),
    (b"$3 \r\nabc\r\n", "invalid header line '$3 '"),
    (b"$?\r\n;0\r\n", "invalid header line '$?'"),
    (b"*?\r\n.\r\n", "invalid header line '*?'"),
    (b"%?\r\n.\r\n", "invalid header line '%?'"),
    (b"*-2\r\n", "invalid header line '*-2'"),
    (b"%-1\r\n", "invalid header line '%-1'"),
    (b"~-1\r\n", "invalid header line '~-1'"),
    (b">-1\r\n", "invalid header line '>-1'"),
    (b"|-1\r\n+a\r\n", "invalid header line '|-1'"),
    (b"!-1\r\n", "invalid header line '!-1'"),
    (b"=-1\r\n", "invalid header line '=-1'"),
    (b"=3\r\ntxt\r\n", "invalid header line '=3'"),
    (b"*4294967296\r\n", "invalid header line '*4294967296'"),
    (b"%4294967296\r\n", "invalid header line '%4294967296'"),
    (b"$4611686018427387905\r\n", "invalid header line '$4611686018427387905'"),
    (b"$99999999999999999999\r\n", "invalid header line '$99999999999999999999'"),
    (b":9223372036854775808\r\n", "invalid header line ':9223372036854775808'"),
    (b":-9223372036854775809\r\n", "invalid header line ':-9223372036854775809'"),
    (b":\r\n", "invalid header line ':'"),
    (b":-\r\n", "invalid header line ':-'"),
    (b":-0\r\n", "invalid header line ':-0'"),
    (b":01\r\n", "invalid header line ':01'"),
    (b":1.5\r\n", "invalid header line ':1.5'"),
    (b"_x\r\n", "invalid header line '_x'"),
    (b"#\r\n", "invalid header line '#'"),
    (b"#T\r\n", "invalid header line '#T'"),
    (b":" + b"1" * 100 + b"\r\n", "invalid header line ':" + "1" * 31 + "'"),
]


@pytest.mark.parametrize("raw", WHOLE)
def test_a_frame_ends_where_it_ends(raw: bytes) -> None:
    """Every type of RESP2 and RESP3 is one frame, in any chunks and whatever is behind it."""
    for chunks in chunkings(raw):
        assert read_replies(chunks) == ([raw], "", [])
        assert read_replies([*chunks, b"*1\r\n$5\r\nab"]) == ([raw], "", [])
    assert read_replies([b"+before\r\n" + raw + raw]).frames == [b"+before\r\n", raw, raw]


@pytest.mark.parametrize("raw", WHOLE)
def test_a_part_of_a_frame_is_no_frame(raw: bytes) -> None:
    """The beginning of a frame is neither a frame nor an error."""
    for end in range(0, len(raw), max(1, len(raw) // 200)):
        assert read_replies([raw[:end]]) == ([], "", [])


@pytest.mark.parametrize(("raw", "error"), BROKEN)
def test_a_broken_frame_is_an_error(raw: bytes, error: str) -> None:
    """What is not RESP is refused with the same error in any chunks, after the frames before it."""
    for chunks in chunkings(b":1\r\n" + raw):
        assert read_replies(chunks) == ([b":1\r\n"], error, [])
        assert read_replies([*chunks, b"+OK\r\n"]) == ([b":1\r\n"], error, [])


def test_announced_lengths_allocate_nothing() -> None:
    """Huge lengths are counted down, whatever is announced."""
    for announced in (
        b"$%d\r\n" % MAX_PAYLOAD_BYTES,
        b"*%d\r\n" % MAX_ITEMS,
        b"%%%d\r\n" % MAX_ITEMS,
        b"*1000000\r\n" * 1000,
    ):
        scanner = ReplyScanner()
        assert scanner.advance(announced, 0) == -1
        assert scanner.bulk_bytes_left >= MAX_PAYLOAD_BYTES or scanner.items_left > 1_000_000
        assert not scanner.partial_header


def test_only_a_partial_header_is_kept() -> None:
    """Between two buffers a scanner keeps two counters and at most one incomplete header line."""
    scanner = ReplyScanner()
    assert scanner.advance(b"*2\r\n$3\r\nabc\r\n$12", 0) == -1
    assert (scanner.items_left, scanner.bulk_bytes_left, scanner.partial_header) == (1, 0, b"$12")
    assert scanner.advance(b"", 0) == -1
    assert scanner.advance(b"8", 0) == -1
    assert scanner.partial_header == b"$128"
    assert scanner.advance(b"\r\nxx", 0) == -1
    assert (scanner.items_left, scanner.bulk_bytes_left, scanner.partial_header) == (0, 128, b"")
    assert scanner.advance(b"x" * 126 + b"\r\n+next", 0) == 128
    assert (scanner.items_left, scanner.bulk_bytes_left, scanner.partial_header) == (1, 0, b"")


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
