"""Sending: the bounds of a connection, holding it, and the time that large requests have."""

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp import limits
from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.upstream.rig import FULL, LATE, Rig


def test_overloaded() -> None:
    """A connection takes a bounded number of requests, ready or not, and a bounded number of bytes."""
    rig = Rig()
    for _ in range(limits.CONNECTION_QUEUE_REPLIES + 1):
        rig.submit()
    assert rig.conn.pending_count() == limits.CONNECTION_QUEUE_REPLIES
    assert rig.replies.open_requests[-1].reply == FULL.encode() + b"\r\n"

    rig = Rig()
    rig.conn.hold(0.0, 0.0)
    for _ in range(limits.CONNECTION_QUEUE_REPLIES + 1):
        rig.submit()
    assert rig.conn.pending_count() == limits.CONNECTION_QUEUE_REPLIES
    assert rig.replies.open_requests[-1].reply == FULL.encode() + b"\r\n"

    rig = Rig()
    rig.conn.out_bytes = limits.CONNECTION_QUEUE_BYTES + 1
    rig.submit()
    assert rig.received() == [FULL]


def test_large_request_to_a_full_connection() -> None:
    """The later pieces of a request follow its first one, or nothing does."""
    rig = Rig()
    pending = rig.replies.open_pending(COMMANDS[b"set"])
    rig.conn.out_bytes = limits.CONNECTION_QUEUE_BYTES + 1
    rig.conn.submit(pending, b"*1\r\n$4\r\n", 2, 0, 0.0)
    rig.conn.send_tail(pending, [b"PING", b"\r\n"], 0.0)
    assert rig.received() == [FULL]
    assert rig.conn.take_output() == []


def test_hold() -> None:
    """While a connection is held what is submitted waits, and what is sent passes; then it goes on in order."""
    rig = Rig()
    rig.conn.hold(0.0, 0.0)
    rig.submit()
    assert repr(rig.conn) == "<connection a resp2 db0 ready held, 1 waiting>"
    passing = rig.replies.open_pending(None)
    passing.due = 30.0
    rig.conn.send(passing, encode_request([b"ECHO"]), 2, 0, 1)
    rig.conn.tick(0.6)
    rig.submit()
    rig.conn.unhold(0.6)
    assert b"".join(rig.conn.take_output()) == encode_request([b"ECHO"]) + encode_request([b"PING"])
    rig.conn.feed(b":1\r\n:2\r\n", 0.7)
    assert rig.received() == [LATE, ":1", ":2"]


def test_time_is_given_back_once() -> None:
    """Whoever lets go what was not held, hours later, gives nothing more: what waits has the deadline that it had."""
    rig = Rig()
    rig.conn.hold(1.0, 0.0)
    rig.conn.unhold(2.0)
    assert rig.conn.held_since == 0.0


def test_hold_of_a_connection_that_is_down() -> None:
    """Held and down: it waits for the hold's end, and then fails at once."""
    rig = Rig()
    rig.conn.hold(0.0, 0.0)
    rig.conn.on_connection_lost("gone", 0.0, True)
    rig.submit()
    assert rig.received() == []
    rig.conn.unhold(0.0)
    assert rig.received() == ["-NODEDOWN a a:6379 (gone)"]


def test_many_arguments_have_time_of_their_own() -> None:
    """A DEL of very many keys is small for its work; what is no large request has the usual time, whatever it says."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
    for payload, extra in (
        (encode_request([b"DEL", *[b"k%d" % number for number in range(49_999)]]), 1.0),
        (encode_request([b"SET", b"k", b"x" * 100_000]), 0.0),
        (b"+" + b"x" * 100_000, 0.0),
        (encode_request([b"DEL", *[b"k%d" % number for number in range(1000)]]), 0.0),
    ):
        handler = ReplyQueue(TurnWork()).open_pending(COMMANDS[b"set"])
        conn.submit(handler, payload, 2, 0, 100.0)
        assert extra <= handler.due - 100.5 <= extra + 0.05
