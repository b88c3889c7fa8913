"""`kidoproxy.resp.reply_reader`: raw frames come out whole, or large ones in pieces."""

import pytest

from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.reply_reader import ReplyReader

PIECE = 64 * 1024


def test_nothing_in_nothing_out() -> None:
    """Without bytes there is no reply, and nothing is held."""
    reader = ReplyReader()
    assert reader.next() is None
    reader.feed(b"")
    assert reader.next() is None
    assert (reader.held_bytes(), reader.partial_type(), reader.take_partial(), reader.is_tail) == (0, 0, b"", False)


def test_a_chunk_that_is_one_frame_is_not_copied() -> None:
    """The commonest case returns the chunk itself."""
    reader = ReplyReader()
    chunk = b"$300\r\n" + b"x" * 300 + b"\r\n"
    reader.feed(chunk)
    assert reader.next() is chunk


def test_chunks_may_be_fed_before_replies_are_asked_for() -> None:
    """However many chunks wait, empty ones included, replies come out in order."""
    reader = ReplyReader()
    for chunk in (b"+a\r\n$2", b"\r\n", b"", b"bc\r", b"\n+d\r\n", b""):
        reader.feed(chunk)
    assert [reader.next(), reader.next(), reader.next(), reader.next()] == [b"+a\r\n", b"$2\r\nbc\r\n", b"+d\r\n", None]
    assert reader.held_bytes() == 0


def test_a_push_is_a_frame_of_its_own() -> None:
    """A push between two replies comes out raw, and is recognised by its first byte."""
    reader = ReplyReader()
    reader.feed(b"+a\r\n>1\r\n+invalidate\r\n+b\r\n")
    assert [reader.next(), reader.next(), reader.next()] == [b"+a\r\n", b">1\r\n+invalidate\r\n", b"+b\r\n"]


def test_a_broken_reader_stays_broken() -> None:
    """After an error no further reply comes out, only the same error."""
    reader = ReplyReader()
    reader.feed(b"+a\r\n?")
    assert reader.next() == b"+a\r\n"
    for _ in range(2):
        with pytest.raises(ProtocolError, match=r"expected a reply, got '\?'"):
            reader.next()
        reader.feed(b"+b\r\n")


def test_a_reply_taken_in_parts() -> None:
    """The parts that were taken and the tail are the whole reply; the next reply is no tail."""
    reader = ReplyReader()
    raw = b"$1000\r\n" + b"x" * 1000 + b"\r\n"
    reader.feed(b"+before\r\n" + raw[:100])
    assert reader.next() == b"+before\r\n"
    assert reader.next() is None
    assert (reader.held_bytes(), reader.partial_type()) == (100, ord("$"))
    parts = [reader.take_partial()]
    assert (reader.held_bytes(), reader.partial_type(), reader.take_partial()) == (0, ord("$"), b"")
    reader.feed(raw[100:400])
    assert reader.next() is None
    parts.append(reader.take_partial())
    reader.feed(raw[400:500])
    assert reader.next() is None
    reader.feed(raw[500:] + b"+after\r\n+last\r\n")
    rest = reader.next()
    assert rest is not None
    assert reader.is_tail
    assert parts == [raw[:100], raw[100:400]]
    assert b"".join([*parts, rest]) == raw
    assert (reader.held_bytes(), reader.partial_type()) == (0, 0)
    assert (reader.next(), reader.is_tail) == (b"+after\r\n", False)
    assert (reader.next(), reader.is_tail) == (b"+last\r\n", False)


def test_a_tail_without_pieces_is_still_a_tail() -> None:
    """Also when the rest of the reply comes in a chunk of its own."""
    reader = ReplyReader()
    reader.feed(b"$5\r\nab")
    assert reader.next() is None
    assert reader.take_partial() == b"$5\r\nab"
    reader.feed(b"cde\r\n")
    assert (reader.next(), reader.is_tail) == (b"cde\r\n", True)


def test_a_reply_not_taken_is_no_tail() -> None:
    """Only after `take_partial` is the rest a tail."""
    reader = ReplyReader()
    reader.feed(b"$5\r\nab")
    assert reader.next() is None
    reader.feed(b"cde\r\n")
    assert (reader.next(), reader.is_tail) == (b"$5\r\nabcde\r\n", False)


def test_a_large_value_is_linear() -> None:
    """100 MB in pieces: none is copied, scanned or joined before the last one has come."""
    reader = ReplyReader()
    count = 1600
    reader.feed(b"$%d\r\n" % (count * PIECE))
    assert reader.next() is None
    piece = b"x" * PIECE
    for number in range(1, count + 1):
        reader.feed(piece)
        assert reader.next() is None
        assert (len(reader.pieces.parts), reader.chunk) == (number + 1, b"")
        assert reader.scanner.bulk_bytes_left == (count - number) * PIECE + 2
    assert all(part is piece for part in reader.pieces.parts[1:])
    reader.feed(b"\r\n+OK\r\n")
    raw = reader.next()
    assert raw is not None
    assert len(raw) == count * PIECE + 14
    assert reader.next() == b"+OK\r\n"


def test_a_long_array_is_linear() -> None:
    """Many items in pieces: of what was scanned only counters remain, so nothing can be scanned again."""
    reader = ReplyReader()
    items, left = 500, 100_000
    piece = b"$3\r\nabc\r\n:1\r\n" * (items // 2)
    reader.feed(b"*%d\r\n" % left)
    assert reader.next() is None
    while left > items:
        reader.feed(piece)
        assert reader.next() is None
        left -= items
        assert (reader.scanner.items_left, reader.scanner.partial_header, reader.chunk) == (left, b"", b"")
    assert all(part is piece for part in reader.pieces.parts[1:])
    reader.feed(piece)
    raw = reader.next()
    assert raw == b"*100000\r\n" + piece * (100_000 // items)


def test_a_discarded_reply_is_not_joined() -> None:
    """Its size is returned; the rest is a tail, as if the beginning had been taken."""
    reader = ReplyReader()
    assert reader.discard_partial() == 0
    for piece in (b"$10\r\n", b"abc", b"def"):
        reader.feed(piece)
        assert reader.next() is None
    assert reader.discard_partial() == 11
    assert reader.held_bytes() == 0
    reader.feed(b"ghij\r\n+next\r\n")
    assert reader.next() == b"ghij\r\n"
    assert reader.is_tail
    assert reader.next() == b"+next\r\n"
    assert not reader.is_tail
