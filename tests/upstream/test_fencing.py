"""A new connection to a copy serves when the one before is closed at the node, so that nothing of that runs late."""

import pytest

from kidoproxy.replies.handler import IgnoreReply
from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.states import DOWN
from tests.greet import greet
from tests.upstream.handshakes import INFO, NOPERM, good_replies, handshaking

OTHER_RUN = INFO.replace(b"run_id:1", b"run_id:2")
NAMELESS = INFO.replace(b"run_id", b"no_run_id")


def kill(number: int) -> bytes:
    return encode_request([b"CLIENT", b"KILL", b"ID", b"%d" % number])


def reconnected(conn: NodeConnection, number: int, info: bytes = INFO) -> bytes:
    """What a connection says first after its handshake, having been lost; the node gives it this id."""
    conn.on_connection_lost("it closed the connection", 1.0, True)
    conn.start_connecting()
    conn.on_connected(1.0, 1.0)
    conn.feed(greet(conn, info, number), 1.0)
    return b"".join(conn.take_output())


def connected(number: int, info: bytes = INFO) -> NodeConnection:
    """The first connection to a copy."""
    conn = handshaking("copy")
    conn.feed(greet(conn, info, number), 0.0)
    assert conn.is_ready()
    assert conn.take_output() == []
    return conn


def test_the_connection_before_is_closed() -> None:
    """Nothing is sent, and nothing that waits is let go, before the node has replied; 0 is as good as 1."""
    conn = connected(9)
    for before, number, raw in ((9, 12, b":1\r\n"), (12, 15, b":0\r\n")):
        assert reconnected(conn, number) == kill(before)
        conn.submit(IgnoreReply(), b"write", 2, 0, 1.0)
        assert (conn.is_ready(), conn.take_output()) == (False, [])
        conn.feed(raw, 1.0)
        assert (conn.is_ready(), conn.take_output(), conn.node.unfenced) == (True, [b"write"], "")


def test_a_lost_reply() -> None:
    """One that is lost before the reply has carried nothing: the next one has the same connection closed."""
    conn = connected(9)
    assert reconnected(conn, 12) == kill(9)
    assert reconnected(conn, 15) == kill(9)
    conn.feed(b":1\r\n", 1.0)
    assert reconnected(conn, 18) == kill(15)


def test_a_node_that_does_not_reply() -> None:
    """It has as long as for the handshake, of which this is a part."""
    conn = connected(9)
    reconnected(conn, 12)
    conn.tick(1.9)
    assert conn.state != DOWN
    conn.tick(2.1)
    assert (conn.state, conn.cause) == (DOWN, "it accepts connections and does not answer")


def test_a_busy_node() -> None:
    """A script runs there, perhaps one that the connection before has sent: nothing is served before it is over."""
    conn = connected(9)
    reconnected(conn, 12)
    conn.feed(b"-BUSY Redis is busy running a script.\r\n", 1.0)
    assert (conn.state, conn.cause) == (DOWN, "BUSY Redis is busy running a script.")
    assert reconnected(conn, 15) == kill(9)


@pytest.mark.parametrize("refusal", [NOPERM % b"client|kill", b"-ERR syntax error\r\n"])
def test_who_may_not_close_it(refusal: bytes) -> None:
    """The copy is served, and it is told that late writes may reach it, until one connection could be closed."""
    conn = connected(9)
    reconnected(conn, 12)
    conn.feed(refusal, 1.0)
    assert conn.is_ready()
    assert conn.node.unfenced.startswith("a late write may reach it, for it does not close the connection before: ")
    assert conn.node.unfenced.endswith(refusal[1:-2].decode())
    assert reconnected(conn, 15) == kill(12)
    conn.feed(b":1\r\n", 1.0)
    assert conn.node.unfenced == ""


def test_who_does_not_tell_an_id() -> None:
    """Without CLIENT ID, or without a run id, nobody knows which connection to close; that is told at once."""
    conn = handshaking("copy")
    replies = good_replies(conn)
    replies[-1] = NOPERM % b"client|id"
    conn.feed(b"".join(replies), 0.0)
    assert conn.is_ready()
    assert conn.node.unfenced.endswith("CLIENT ID is refused")
    assert reconnected(conn, 9) == b""
    assert conn.node.unfenced == ""
    nameless = connected(9, NAMELESS)
    assert reconnected(nameless, 12, NAMELESS) == b""
    assert nameless.node.unfenced.endswith("it does not tell its run id")


def test_nobody_elses_connection_is_closed() -> None:
    """A server that was restarted counts its connections anew: the old id is another's now."""
    conn = connected(9)
    assert reconnected(conn, 12, OTHER_RUN) == b""
    assert conn.is_ready()
    assert reconnected(conn, 15, OTHER_RUN) == kill(12)
