"""A node's socket: bytes to the link, and the ways in which it ends."""

import socket
import ssl

import pytest

from kidoproxy.net.flush import MAX_JOIN_BYTES
from kidoproxy.net.node_io import LONG_READ_BYTES, MAX_EARLY_BYTES, WRITE_BUFFER_BYTES, describe_os_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.states import CONNECTING, DOWN, READY
from tests.greet import GREETING
from tests.net.fakes import Net
from tests.session.stage import ring


def test_requests_of_one_turn_leave_in_one_write() -> None:
    """Two clients, one buffer to the node; the replies go back to whoever asked."""
    net = Net(ring("a"))
    node, wire = net.node("a")
    clients = [net.client() for _ in range(2)]
    for client, _ in clients:
        client.data_received(encode_request([b"GET", b"k"]))
    net.turn()
    assert wire.written == [encode_request([b"GET", b"k"]) * 2]
    node.data_received(b"$1\r\na\r\n$1\r\nb\r\n")
    net.turn()
    assert [heard.take() for _, heard in clients] == [b"$1\r\na\r\n", b"$1\r\nb\r\n"]
    assert wire.high == WRITE_BUFFER_BYTES


def test_large_requests_are_not_joined() -> None:
    """Many bytes are handed to the kernel as they are."""
    net = Net(ring("a"))
    _, wire = net.node("a")
    client, _ = net.client()
    text = b"x" * (MAX_JOIN_BYTES // 2)
    client.data_received(encode_request([b"SET", b"k", text]) * 2)
    net.turn()
    assert len(wire.written) > 1
    assert wire.take() == encode_request([b"SET", b"k", text]) * 2


def test_a_node_that_does_not_read_is_not_written_to() -> None:
    """What comes meanwhile is kept in the link, and leaves when the node reads again."""
    net = Net(ring("a"))
    node, wire = net.node("a")
    client, _ = net.client()
    node.pause_writing()
    net.say(client, "GET", "k")
    assert wire.take() == b""
    node.resume_writing()
    assert wire.take() == encode_request([b"GET", b"k"])


def test_a_node_that_sends_as_fast_as_it_can_leaves_the_others_their_turn() -> None:
    """After a read that has filled the loop's buffer it is not read on before the next turn."""
    net = Net(ring("a"))
    node, wire = net.node("a")
    client, heard = net.client()
    net.say(client, "GET", "k")
    node.data_received(b"$%d\r\n" % (2 * LONG_READ_BYTES))
    assert wire.is_reading()
    node.data_received(b"x" * LONG_READ_BYTES)
    assert not wire.is_reading()
    net.turn()
    assert wire.is_reading()
    node.data_received(b"x" * LONG_READ_BYTES)
    wire.close()
    net.turn()
    assert not wire.is_reading()
    node.data_received(b"\r\n")
    net.turn()
    assert len(heard.take()) == 2 * LONG_READ_BYTES + 11


def test_a_lost_connection_is_made_again_at_once() -> None:
    """A link that was ready asks for a new socket; its news come once, however often the end is told."""
    net = Net(ring("a"))
    node, _ = net.node("a")
    assert node.eof_received() is False
    node.connection_lost(None)
    node.connection_lost(None)
    assert node.connection.state == CONNECTING
    assert node.connection.cause == "it closed the connection"
    assert node.connection.reconnects == 1


def test_a_node_that_hangs_up_before_it_greets_is_down() -> None:
    """No connection after connection: the link waits before the next attempt, and nobody waits for it."""
    net = Net(ring("a"))
    node, _ = net.connecting("a")
    node.attach(net.hub.update_clock(), 1.0)
    node.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    assert node.connection.state == DOWN
    assert node.connection.cause == "connection reset by peer"
    assert node.connection.reconnects == 0


def test_what_comes_before_the_link_knows_is_kept() -> None:
    """A node that answers and hangs up at once, as Redis does at its own maxclients, is quoted."""
    net = Net(ring("a"))
    node, _ = net.connecting("a")
    node.data_received(b"-ERR max number of ")
    node.data_received(b"clients reached\r\n")
    node.connection_lost(None)
    node.attach(net.hub.update_clock(), 1.0)
    assert node.connection.state == DOWN
    assert node.connection.cause == "it is full, and nothing was sent to it: ERR max number of clients reached"


def test_a_connection_that_ended_before_the_link_knew() -> None:
    """It is noticed when the link is given the connection, not when the greeting's time is over."""
    net = Net(ring("a"))
    node, _ = net.connecting("a")
    node.connection_lost(None)
    node.attach(net.hub.update_clock(), 1.0)
    assert node.connection.state == DOWN
    assert node.connection.cause == "it closed the connection"


def test_a_connection_that_was_given_up_says_nothing_more() -> None:
    """Late bytes of an old connection never reach the link: they would be somebody else's answer."""
    net = Net(ring("a"))
    old, old_wire = net.node("a")
    old.connection.on_connection_lost("no reply for 1000 ms", net.hub.update_clock(), False)
    old.connection.must_close = False
    new, wire = net.connecting("a")
    new.attach(net.hub.update_clock(), 1.0)
    old.data_received(b"+stale\r\n")
    old.pause_writing()
    old.resume_writing()
    old.connection_lost(None)
    net.hub.schedule_flush()
    net.turn()
    assert new.connection.transport is new
    assert old_wire.take() == b""
    assert wire.take() == b"".join([encode_request([word.encode() for word in row.split()]) for row in GREETING])
    old.abort()
    assert old_wire.ended() == "aborted"
    assert new.connection.state != READY


def test_abort_without_a_socket_and_the_ledger_of_nobody() -> None:
    """A connection that never came to be is given up without harm; only clients wait for a ledger."""
    net = Net(ring("a"))
    node, _ = net.connecting("a")
    node.transport = None
    node.abort()
    node.resume()
    node.attach(net.hub.update_clock(), 1.0)
    node.flush()


def untrusted() -> ssl.SSLCertVerificationError:
    problem = ssl.SSLCertVerificationError(1, "certificate verify failed")
    problem.verify_message = "self-signed certificate."
    return problem


def handshake(why: str | None) -> ssl.SSLError:
    problem = ssl.SSLError(1, "[SSL] (_ssl.c:1006)")
    if why is not None:
        problem.reason = why
    return problem


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (TimeoutError(), "no connection in time"),
        (ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 6379)"), "connection refused"),
        (FileNotFoundError(2, "No such file or directory"), "no such file or directory"),
        (socket.gaierror(-2, "Name or service not known"), "name or service not known"),
        (untrusted(), "its certificate is not trusted: self-signed certificate"),
        (handshake("WRONG_VERSION_NUMBER"), "tls: wrong version number"),
        (handshake(None), "tls: handshake failed"),
        (OSError("Multiple exceptions"), "multiple exceptions"),
        (ValueError(), "ValueError"),
    ],
)
def test_reasons_are_short_and_without_addresses(problem: Exception, text: str) -> None:
    """Errors and logs name the node themselves; the cause is a few words."""
    assert describe_os_error(problem) == text


def test_who_speaks_too_much_before_the_greeting_is_no_node() -> None:
    """What comes before the link knows of the connection is kept up to a bound; then the connection is closed."""
    net = Net(ring("a"))
    node, socket = net.connecting("a")
    node.data_received(b"x" * MAX_EARLY_BYTES)
    assert socket.ended() == ""
    node.data_received(b"x")
    assert socket.ended() == "aborted"
