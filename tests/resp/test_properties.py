"""Properties of the readers: any bytes, in any chunks."""

import hiredis
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.resp import decode as look
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.resp.requests import RequestLimits
from tests import strategies
from tests.resp.feeding import Cut, cut_replies, cut_requests

REPLIES = st.lists(strategies.replies() | strategies.pushes(), max_size=5)
REQUESTS = st.lists(strategies.requests(), max_size=5)


@given(st.data(), REPLIES)
def test_any_chunking_cuts_the_same_replies(data: st.DataObject, replies: list[bytes]) -> None:
    """However replies arrive, each comes out as it went in; joined they are the input."""
    chunks = data.draw(strategies.chunked(b"".join(replies)))
    assert cut_replies(chunks) == (replies, "", [])


@given(st.data(), REQUESTS)
def test_any_chunking_cuts_the_same_requests(data: st.DataObject, requests: list[tuple[list[bytes], bytes]]) -> None:
    """However requests arrive, the same arguments come out, and frames that mean just them."""
    chunks = data.draw(strategies.chunked(b"".join(raw for _, raw in requests)))
    argvs = [argv for argv, _ in requests]
    assert cut_requests(chunks) == ([encode_request(argv) for argv in argvs], "", argvs)


@given(st.data(), st.lists(strategies.commands(), max_size=5))
def test_multibulk_frames_joined_are_the_input(data: st.DataObject, argvs: list[list[bytes]]) -> None:
    """Not a byte of a well-formed request is changed on the way to a node."""
    wire = b"".join(encode_request(argv) for argv in argvs)
    assert b"".join(cut_requests(data.draw(strategies.chunked(wire))).frames) == wire


@given(st.data(), REPLIES.flatmap(lambda raws: strategies.bent(b"".join(raws))))
def test_any_chunking_of_bent_replies_ends_the_same(data: st.DataObject, wire: bytes) -> None:
    """Also of what is not RESP the same frames are cut, and the same error ends it."""
    assert cut_replies(data.draw(strategies.chunked(wire))) == cut_replies([wire])


@given(st.data(), REQUESTS.flatmap(lambda pairs: strategies.bent(b"".join(raw for _, raw in pairs))))
def test_any_chunking_of_bent_requests_ends_the_same(data: st.DataObject, wire: bytes) -> None:
    """Any bytes of a client give requests or a protocol error, the same ones in any chunks, and nothing else."""
    assert cut_requests(data.draw(strategies.chunked(wire))) == cut_requests([wire])


@given(st.data(), st.binary(max_size=200))
def test_any_bytes_give_requests_or_an_error(data: st.DataObject, wire: bytes) -> None:
    """Noise does no more harm than an error; what comes out has arguments and is a frame of them."""
    cut = cut_requests(data.draw(strategies.chunked(wire)))
    assert cut == cut_requests([wire])
    assert all(cut.argvs)
    assert cut.frames == [encode_request(argv) for argv in cut.argvs]


@given(st.data(), REQUESTS, st.integers(1, 60))
def test_small_limits_are_kept_in_any_chunks(
    data: st.DataObject, requests: list[tuple[list[bytes], bytes]], bound: int
) -> None:
    """What is too big is too big however it arrives: the same requests come out before it."""
    wire = b"".join(raw for _, raw in requests)
    limits = RequestLimits(arguments=3, bulk_bytes=30, inline_bytes=40, query_bytes=bound)
    whole = cut_requests([wire], limits)
    pieces = cut_requests(data.draw(strategies.chunked(wire)), limits)
    assert (pieces.argvs, pieces.error == "") == (whole.argvs, whole.error == "")


@given(st.data(), strategies.replies())
def test_heads_and_tail_are_the_reply(data: st.DataObject, raw: bytes) -> None:
    """Cut through at any moments, a reply is the same bytes; the one behind it is whole."""
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
            head = reader.take_partial()
            taken = taken or head != b""
            out.append(head)
            assert reader.held_bytes() == 0
    assert b"".join(out) == raw
    reader.feed(b"+next\r\n")
    assert (reader.next(), reader.is_tail) == (b"+next\r\n", False)


@given(st.lists(strategies.replies(), max_size=4))
def test_items_joined_are_the_aggregate(replies: list[bytes]) -> None:
    """An aggregate taken apart gives the very items of which it was made."""
    assert look.items(b"*%d\r\n" % len(replies) + b"".join(replies)) == replies


def by_hiredis(wire: bytes) -> tuple[int, bool]:
    """How many replies hiredis finds, and whether an error ended it."""
    reader = hiredis.Reader(notEnoughData=Ellipsis)
    reader.feed(wire)
    count = 0
    try:
        while reader.gets() is not Ellipsis:
            count += 1
    except hiredis.ProtocolError:
        return count, True
    return count, False


def outcome(cut: Cut) -> tuple[int, bool]:
    return len(cut.frames), cut.error != ""


@given(st.lists(strategies.replies(2), max_size=5))
def test_hiredis_agrees_on_resp2(replies: list[bytes]) -> None:
    """On RESP2 we find as many replies as hiredis does."""
    wire = b"".join(replies)
    assert by_hiredis(wire) == outcome(cut_replies([wire])) == (len(replies), False)


@given(st.lists(strategies.replies(2), max_size=5).flatmap(lambda raws: strategies.bent(b"".join(raws))))
def test_hiredis_agrees_on_what_is_no_resp2(wire: bytes) -> None:
    """What hiredis refuses we refuse at the same place, and what we accept it accepts.

    We refuse earlier than hiredis, which waits for the end of a bad line; and we alone look at the end of a bulk.
    """
    cut = cut_replies([wire])
    found, refused = by_hiredis(wire)
    if any(byte in wire for byte in b"_#,(!=%~>|"):  # may have become RESP3
        return
    assert cut.error or not refused
    assert found == len(cut.frames) or (found > len(cut.frames) and cut.error == "a bulk is longer than it said")
