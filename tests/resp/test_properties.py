"""Properties of the readers of requests and replies: any bytes, in any chunks."""

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.resp import decode
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.resp.request_scanner import RequestLimits
from tests import strategies
from tests.resp.feeding import Outcome, read_replies, read_requests

REPLIES = st.lists(strategies.replies() | strategies.pushes(), max_size=5)
REQUESTS = st.lists(strategies.requests(), max_size=5)


@given(st.data(), REPLIES)
def test_any_chunking_gives_the_same_replies(data: st.DataObject, replies: list[bytes]) -> None:
    """In whatever chunks replies arrive, each comes out as it was sent."""
    chunks = data.draw(strategies.chunked(b"".join(replies)))
    assert read_replies(chunks) == (replies, "", [])


@given(st.data(), REQUESTS)
def test_any_chunking_gives_the_same_requests(data: st.DataObject, requests: list[tuple[list[bytes], bytes]]) -> None:
    """In whatever chunks requests arrive, the same arguments come out, with canonical frames of them."""
    chunks = data.draw(strategies.chunked(b"".join(raw for _, raw in requests)))
    argvs = [argv for argv, _ in requests]
    assert read_requests(chunks) == ([encode_request(argv) for argv in argvs], "", argvs)


@given(st.data(), st.lists(strategies.commands(), max_size=5))
def test_multibulk_frames_joined_are_the_input(data: st.DataObject, argvs: list[list[bytes]]) -> None:
    """Not a byte of a canonical request is changed."""
    wire = b"".join(encode_request(argv) for argv in argvs)
    assert b"".join(read_requests(data.draw(strategies.chunked(wire))).frames) == wire


@given(st.data(), REPLIES.flatmap(lambda raws: strategies.bent(b"".join(raws))))
def test_any_chunking_of_broken_replies_ends_the_same(data: st.DataObject, wire: bytes) -> None:
    """If the bytes are not RESP, the same replies come out before the same error."""
    assert read_replies(data.draw(strategies.chunked(wire))) == read_replies([wire])


@given(st.data(), REQUESTS.flatmap(lambda pairs: strategies.bent(b"".join(raw for _, raw in pairs))))
def test_any_chunking_of_broken_requests_ends_the_same(data: st.DataObject, wire: bytes) -> None:
    """If the bytes are not RESP, the same requests come out before the same error."""
    assert read_requests(data.draw(strategies.chunked(wire))) == read_requests([wire])


@given(st.data(), st.binary(max_size=200))
def test_any_bytes_give_requests_or_an_error(data: st.DataObject, wire: bytes) -> None:
    """Random bytes give a protocol error or requests, which have arguments and the frame of these."""
    outcome = read_requests(data.draw(strategies.chunked(wire)))
    assert outcome == read_requests([wire])
    assert all(outcome.argvs)
    assert outcome.frames == [encode_request(argv) for argv in outcome.argvs]


@given(st.data(), REQUESTS, st.integers(1, 60))
def test_small_limits_are_kept_in_any_chunks(
    data: st.DataObject, requests: list[tuple[list[bytes], bytes]], bound: int
) -> None:
    """A request that is too big is refused in any chunks, and the same requests come out before it."""
    wire = b"".join(raw for _, raw in requests)
    limits = RequestLimits(arguments=3, bulk_bytes=30, inline_bytes=40, query_bytes=bound)
    whole = read_requests([wire], limits)
    pieces = read_requests(data.draw(strategies.chunked(wire)), limits)
    assert (pieces.argvs, pieces.error == "") == (whole.argvs, whole.error == "")


@given(st.data(), strategies.replies())
def test_parts_and_tail_are_the_reply(data: st.DataObject, raw: bytes) -> None:
    """Taken at any moments, the parts of a reply are its bytes; the next reply is whole."""
    reader = ReplyReader()
    out: list[bytes] = []
    taken = False
    for chunk in data.draw(strategies.chunked(raw)):
        reader.feed(chunk)
        reply = reader.next()
        if reply is not None:
            out.append(reply)
            assert (reader.is_tail, reader.partial_type()) == (taken, 0)
        elif data.draw(st.booleans()):
            part = reader.take_partial()
            taken = taken or part != b""
            out.append(part)
            assert reader.held_bytes() == 0
    assert b"".join(out) == raw
    reader.feed(b"+next\r\n")
    assert (reader.next(), reader.is_tail) == (b"+next\r\n", False)


@given(st.lists(strategies.replies(), max_size=4))
def test_items_joined_are_the_aggregate(replies: list[bytes]) -> None:
    """The items of an array are those of which it was built."""
    assert decode.items(b"*%d\r\n" % len(replies) + b"".join(replies)) == replies


def by_hiredis(wire: bytes) -> tuple[int, bool]:
    """How many replies hiredis finds, and whether it ended with an error."""
    reader = hiredis.Reader(notEnoughData=Ellipsis)
    reader.feed(wire)
    count = 0
    try:
        while reader.gets() is not Ellipsis:
            count += 1
    except hiredis.ProtocolError:
        return count, True
    return count, False


def count_and_error(outcome: Outcome) -> tuple[int, bool]:
    return len(outcome.frames), outcome.error != ""


@given(st.lists(strategies.replies(2), max_size=5))
def test_hiredis_agrees_on_resp2(replies: list[bytes]) -> None:
    """Of RESP2 the reader finds as many replies as hiredis does."""
    wire = b"".join(replies)
    assert by_hiredis(wire) == count_and_error(read_replies([wire])) == (len(replies), False)


@given(st.lists(strategies.replies(2), max_size=5).flatmap(lambda raws: strategies.bent(b"".join(raws))))
def test_hiredis_agrees_on_broken_resp2(wire: bytes) -> None:
    """What hiredis refuses is refused behind the same reply, and what is accepted hiredis accepts.

    The reader refuses earlier than hiredis, which waits for the end of a bad line, and it alone checks the end of a
    bulk string.
    """
    outcome = read_replies([wire])
    found, refused = by_hiredis(wire)
    if any(byte in wire for byte in b"_#,(!=%~>|"):  # may have become RESP3
        return
    assert outcome.error or not refused
    assert found == len(outcome.frames) or (
        found > len(outcome.frames) and outcome.error == "a bulk is longer than it said"
    )
