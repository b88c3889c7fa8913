"""A node's socket: bytes to the connection, and the ways in which it ends."""

import socket
import ssl
import time

import pytest

from kidoproxy.net.flush import MAX_JOIN_BYTES
from kidoproxy.net.node_io import LONG_READ_BYTES, MAX_EARLY_BYTES, WRITE_BUFFER_BYTES, describe_os_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.states import CONNECTING, DOWN, READY
from tests.greet import HANDSHAKE
from tests.net.fakes import Net
from tests.session.stage import key_on, ring


def test_requests_of_one_turn_leave_in_one_write() -> None:
    """Two clients, one buffer to the node; the replies go back to whoever asked."""
    net = Net(ring("a"))
    node, node_socket = net.node("a")
    clients = [net.client() for _ in range(2)]
    for client, _ in clients:
        client.data_received(encode_request([b"GET", b"k"]))
    net.turn()
    assert node_socket.written == [encode_request([b"GET", b"k"]) * 2]
    node.data_received(b"$1\r\na\r\n$1\r\nb\r\n")
    net.turn()
    assert [client_socket.take() for _, client_socket in clients] == [b"$1\r\na\r\n", b"$1\r\nb\r\n"]
    assert node_socket.high == WRITE_BUFFER_BYTES


def test_large_requests_are_not_joined() -> None:
    """Many bytes are handed to the kernel as they are."""
    net = Net(ring("a"))
    _, node_socket = net.node("a")
    client, _ = net.client()
    text = b"x" * (MAX_JOIN_BYTES // 2)
    client.data_received(encode_request([b"SET", b"k", text]) * 2)
    net.turn()
    assert len(node_socket.written) > 1
    assert node_socket.take() == encode_request([b"SET", b"k", text]) * 2


def test_a_node_that_does_not_read_is_not_written_to() -> None:
    """What comes meanwhile is kept in the connection, and leaves when the node reads again."""
    net = Net(ring("a"))
    node, node_socket = net.node("a")
    client, _ = net.client()
    node.pause_writing()
    net.say(client, "GET", "k")
    assert node_socket.take() == b""
    node.resume_writing()
    assert node_socket.take() == encode_request([b"GET", b"k"])


def test_a_node_that_sends_as_fast_as_it_can_leaves_the_others_their_turn() -> None:
    """After a read that has filled the loop's buffer it is not read on before the next turn."""
    net = Net(ring("a"))
    node, node_socket = net.node("a")
    client, client_socket = net.client()
    net.say(client, "GET", "k")
    node.data_received(b"$%d\r\n" % (2 * LONG_READ_BYTES))
    assert node_socket.is_reading()
    node.data_received(b"x" * LONG_READ_BYTES)
    assert not node_socket.is_reading()
    net.turn()
    assert node_socket.is_reading()
    node.data_received(b"x" * LONG_READ_BYTES)
    node_socket.close()
    net.turn()
    assert not node_socket.is_reading()
    node.data_received(b"\r\n")
    net.turn()
    assert len(client_socket.take()) == 2 * LONG_READ_BYTES + 11


def test_a_lost_connection_is_made_again_at_once() -> None:
    """A connection that was ready asks for a new socket; its loss is logged once, however often it is reported."""
    net = Net(ring("a"))
    node, _ = net.node("a")
    assert node.eof_received() is False
    node.connection_lost(None)
    node.connection_lost(None)
    assert node.connection.state == CONNECTING
    assert node.connection.cause == "it closed the connection"
    assert node.connection.reconnects == 1


def test_a_node_that_hangs_up_before_the_handshake_is_down() -> None:
    """No attempt after attempt: the connection waits before the next attempt, and nobody waits for it."""
    net = Net(ring("a"))
    node, _ = net.connecting("a")
    node.attach(net.bridge.update_clock(), 1.0)
    node.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    assert node.connection.state == DOWN
    assert node.connection.cause == "connection reset by peer"
    assert node.connection.reconnects == 0


def test_what_arrives_before_attach_is_kept() -> None:
    """A node that answers and hangs up at once, as Redis does at its own maxclients, is quoted."""
    net = Net(ring("a"))
    node, _ = net.connecting("a")
    node.data_received(b"-ERR max number of ")
    node.data_received(b"clients reached\r\n")
    node.connection_lost(None)
    node.attach(net.bridge.update_clock(), 1.0)
    assert node.connection.state == DOWN
    assert node.connection.cause == "it is full, and nothing was sent to it: ERR max number of clients reached"


def test_a_socket_that_ended_before_attach() -> None:
    """It is noticed when the connection is given the socket, not when the time for a handshake is over."""
    net = Net(ring("a"))
    node, _ = net.connecting("a")
    node.connection_lost(None)
    node.attach(net.bridge.update_clock(), 1.0)
    assert node.connection.state == DOWN
    assert node.connection.cause == "it closed the connection"


def test_a_connection_that_was_given_up_says_nothing_more() -> None:
    """Late bytes of an old socket never reach the connection: they would be somebody else's answer."""
    net = Net(ring("a"))
    old, old_wire = net.node("a")
    old.connection.on_connection_lost("no reply for 1000 ms", net.bridge.update_clock(), False)
    old.connection.must_close = False
    new, node_socket = net.connecting("a")
    new.attach(net.bridge.update_clock(), 1.0)
    old.data_received(b"+stale\r\n")
    old.pause_writing()
    old.resume_writing()
    old.connection_lost(None)
    net.bridge.schedule_flush()
    net.turn()
    assert new.connection.transport is new
    assert old_wire.take() == b""
    assert node_socket.take() == b"".join(
        [encode_request([word.encode() for word in row.split()]) for row in HANDSHAKE]
    )
    old.abort()
    assert old_wire.ended() == "aborted"
    assert new.connection.state != READY


def test_abort_without_a_socket_and_resume_without_a_session() -> None:
    """A socket that was never opened is given up without harm; only sessions wait for a reply queue."""
    net = Net(ring("a"))
    node, _ = net.connecting("a")
    node.transport = None
    node.abort()
    node.resume()
    node.attach(net.bridge.update_clock(), 1.0)
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


def test_what_sends_too_much_before_the_handshake_is_no_node() -> None:
    """What arrives before the connection has the socket is kept up to a bound; then the socket is closed."""
    net = Net(ring("a"))
    node, socket = net.connecting("a")
    node.data_received(b"x" * MAX_EARLY_BYTES)
    assert socket.ended() == ""
    node.data_received(b"x")
    assert socket.ended() == "aborted"


def test_how_soon_a_node_answers() -> None:
    """One request of a write is timed, and the next one when that is answered; nothing is where nobody asks for it."""
    net = Net(ring("a"))
    node, _ = net.node("a")
    health = node.connection.node
    client, _ = net.client()

    net.say(client, "GET", "k")
    node.data_received(b"$1\r\na\r\n")
    assert (node.timed_since, health.reply_seconds) == (0.0, 0.0)
    health.is_timed = True
    net.say(client, "GET", "k")
    since = node.timed_since
    net.say(client, "GET", "k")
    assert node.timed_since == since
    node.data_received(b"$1\r\na")
    assert node.timed_since == since
    node.data_received(b"\r\n")
    assert node.timed_since == 0.0
    assert 0.0 < health.reply_seconds <= time.monotonic() - since
    node.data_received(b"$1\r\na\r\n")
    assert node.timed_since == 0.0
    net.say(client, "GET", "k")
    assert node.timed_since > since


def test_a_reply_that_was_asked_for_before_is_not_timed() -> None:
    """What the node owed already, when timing began, says nothing about the request that is timed."""
    net = Net(ring("a"))
    node, _ = net.node("a")
    client, _ = net.client()
    net.say(client, "GET", "k")
    node.connection.node.is_timed = True
    net.say(client, "GET", "k")
    node.data_received(b"$1\r\na\r\n")
    assert node.timed_since > 0.0
    node.data_received(b"$1\r\na\r\n")
    assert node.timed_since == 0.0


def test_a_sample_of_writes() -> None:
    """One write in a while: the time of its first request, and a key; bytes of all, and none of it twice."""
    net = Net(ring("a"))
    node, socket = net.node("a")
    traffic = node.connection.node.traffic
    client, _ = net.client()
    net.wait(1.0)
    sent, received = traffic.bytes_sent, traffic.bytes_received
    timed = sum(traffic.reply_durations.bucket_counts)
    for _ in range(5):
        net.say(client, "GET", "k")
        node.data_received(b"$1\r\na\r\n")
    assert traffic.hot_keys.samples == 1
    assert sum(traffic.reply_durations.bucket_counts) == timed + 1
    assert sum(traffic.queue_durations.bucket_counts) == 1
    assert (traffic.bytes_sent - sent, traffic.bytes_received - received) == (len(socket.take()), 35)
    net.wait(0.02)
    net.say(client, "GET", "k")
    assert list(traffic.hot_keys.counts()) == [(b"k", 2)]


def test_a_slow_request_is_noted() -> None:
    """With whom it came from, and what it was, a write too."""
    net = Net(ring("a", "b"))
    net.stage.proxy.slow_log.set_threshold(0.2)
    node, _ = net.node("a")
    client, _ = net.client()
    net.wait(5.0)
    key = key_on(net.stage, "a")
    net.say(client, "SET", key, "v")
    net.wait(0.3)
    node.data_received(b"+OK\r\n")
    (found,) = net.stage.proxy.slow_log.requests
    assert (found.words, found.client, round(found.node_seconds, 3)) == (
        [b"SET", key.encode(), b"v"],
        "10.9.9.9:5000",
        0.3,
    )
    net.node("b")
    net.say(client, "MGET", *[f"k{number}" for number in range(20)])
    net.wait(0.3)
    node.data_received(b"*0\r\n")
    assert [found.client for found in net.stage.proxy.slow_log.requests] == ["10.9.9.9:5000"] * 2
    client.connection_lost(None)
    assert client.client_address() == ""
