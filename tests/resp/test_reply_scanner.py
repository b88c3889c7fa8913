"""`kidoproxy.resp.reply_scanner`: where a reply ends, and what is none."""

import pytest

from kidoproxy.resp.reply_scanner import MAX_ITEMS, MAX_PAYLOAD_BYTES, ReplyScanner
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
