"""A client's socket: what it reads, when it stops, and how it ends."""

import logging

import pytest

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.net.client_io import format_address
from kidoproxy.net.flush import MAX_JOIN_BYTES
from kidoproxy.resp import errors
from kidoproxy.resp.encode import bulk, encode_request
from kidoproxy.resp.limits import MAX_OPEN_REQUESTS, PUBSUB_OUTPUT_BYTES, READ_STOP_BYTES, READ_STOP_GRACE_SECONDS
from kidoproxy.routes.route import Route
from kidoproxy.session.pool_context import PoolContext
from tests.net.fakes import Net, Socket, monitoring
from tests.session.stage import listening, ring

PING = encode_request([b"PING"])


def test_a_client_is_answered_in_one_write() -> None:
    """What a client sends in one turn is answered with one buffer, and both directions are counted."""
    net = Net(ring("a"))
    client, socket = net.client()
    client.data_received(PING * 3)
    assert socket.written == []
    net.turn()
    assert socket.written == [b"+PONG\r\n" * 3]
    assert socket.high == READ_STOP_BYTES
    assert net.stage.proxy.bytes_received() == 3 * len(PING)
    assert net.stage.proxy.bytes_sent() == 3 * len(b"+PONG\r\n")
    assert net.stage.proxy.connections_received == net.stage.pool.client_count == 1


def test_large_replies_are_not_joined() -> None:
    """Many bytes are handed to the kernel as they are."""
    net = Net(ring("a"))
    client, socket = net.client()
    text = "x" * (MAX_JOIN_BYTES // 2 + 1)
    client.data_received(encode_request([b"ECHO", text.encode()]) * 2)
    net.turn()
    assert socket.written == [bulk(text.encode())] * 2


@pytest.mark.parametrize("of_the_process", [False, True])
def test_too_many_clients(of_the_process: bool) -> None:
    """One client too many gets an error and is closed; it does not count, and nobody else notices."""
    net = Net(ring("a"))
    if of_the_process:
        net.stage.proxy.max_clients = 1
    else:
        net.stage.pool.max_clients = 1
    first, first_socket = net.client()
    second, socket = net.client()
    assert socket.take() == errors.MAX_CLIENTS
    assert socket.ended() == "closed"
    second.data_received(PING)
    for callback in (second.flush, second.resume, second.close_if_drained, second.update_reading):
        callback()
    second.connection_lost(None)
    net.turn()
    assert socket.take() == b""
    assert (net.stage.pool.client_count, net.stage.proxy.connections_rejected, net.clients) == (1, 1, {first})
    net.say(first, "PING")
    assert first_socket.take() == b"+PONG\r\n"


def test_a_file_is_kept_for_the_nodes() -> None:
    """Clients and dedicated connections share the files; whoever would take the last of the nodes' is rejected."""
    net = Net(ring("a"))
    net.stage.proxy.limit_sockets(3)
    assert net.stage.proxy.max_clients == 3
    client, _ = net.client()
    net.say(client, "WATCH", "k")
    other, other_socket = net.client()
    _, full = net.client()
    assert full.take() == errors.MAX_CLIENTS
    net.say(other, "BLPOP", "k", "0")
    assert other_socket.take().startswith(b"-OVERLOADED a 10.0.0.1:6379 (no file is left for another connection")
    dedicated = net.stage.proxy.dedicated_pool
    next(iter(dedicated.leases.values())).release()
    assert dedicated.unavailable_failure(net.stage.node("a")) is None


def test_a_client_that_goes_is_forgotten_once() -> None:
    """The end of a connection may be reported twice; the second time nothing happens."""
    net = Net(ring("a"))
    client, socket = net.client()
    assert client.eof_received() is True
    net.turn()
    assert socket.ended() == "closed"
    client.connection_lost(None)
    assert client.eof_received() is False
    client.connection_lost(ConnectionResetError())
    assert net.stage.pool.client_count == 0
    assert net.stage.proxy.sessions == {}
    assert net.clients == set()
    client.data_received(PING)
    net.turn()
    assert socket.take() == b""


def test_a_client_that_does_not_read_is_not_read_from() -> None:
    """Back-pressure: while the socket is full nothing is read, and it goes on when the client has caught up."""
    net = Net(ring("a"))
    client, socket = net.client()
    client.pause_writing()
    assert not socket.is_reading()
    client.pause_writing()
    client.resume_writing()
    assert socket.is_reading()
    net.say(client, "PING")
    assert socket.take() == b"+PONG\r\n"


def test_a_client_that_reads_nothing_is_read_on() -> None:
    """It may write all before it reads: after a while without progress it is read again, until it makes some."""
    net = Net(ring("a"))
    client, socket = net.client()
    net.say(client, "ECHO", "x" * 1000)
    socket.unwritten = 800
    client.pause_writing()
    for unwritten, reading in ((800, True), (800, True), (700, False), (700, True), (100, False)):
        socket.unwritten = unwritten
        net.wait(READ_STOP_GRACE_SECONDS)
        net.bridge.check_slow_clients()
        assert socket.is_reading() == reading
    net.bridge.check_slow_clients()
    client.resume_writing()
    assert socket.is_reading()
    assert net.bridge.slow_clients == set()
    client.pause_writing()
    client.connection_lost(None)
    assert net.bridge.slow_clients == set()
    assert client.unsent_bytes() == 0


def test_more_is_read_while_nothing_is_taken() -> None:
    """What is served meanwhile is no progress; past the limit the client is disconnected, and looked at no more."""
    net = Net(ring("a"))
    net.stage.pool.max_output_bytes = 5000
    client, socket = net.client()
    client.pause_writing()
    for _ in range(4):
        net.wait(READ_STOP_GRACE_SECONDS)
        net.bridge.check_slow_clients()
        assert (socket.is_reading(), socket.ended()) == (True, "")
        socket.unwritten += 1207
        assert client.unsent_bytes() == socket.unwritten
        net.say(client, "ECHO", "x" * 1198)
    socket.unwritten += 1207
    net.say(client, "ECHO", "x" * 1198)
    assert socket.ended() == "aborted"


def test_replies_that_wait_count_as_unread() -> None:
    """Behind a node that is silent replies of others gather: past the output limit the client is disconnected."""
    net = Net(ring("a", "b"))
    net.stage.pool.max_output_bytes = 2 * READ_STOP_BYTES
    client, socket = net.client()
    net.node("a")
    node, _ = net.node("b")
    client.data_received(encode_request([b"GET", b"{a}"]) + encode_request([b"GET", b"{b}"]) * 5)
    net.turn()
    for _ in range(3):
        assert socket.ended() == ""
        node.data_received(bulk(b"x" * (READ_STOP_BYTES - 100)))
        net.turn()
    assert socket.ended() == "aborted"
    assert net.stage.proxy.forced_disconnects["output limit"] == 1


def test_a_client_with_too_many_calls_waits() -> None:
    """A pipeline without end stops being read at a number of calls, and is read on when half have been answered."""
    net = Net(ring("a"))
    client, socket = net.client()
    node, node_socket = net.node("a")
    client.data_received(encode_request([b"GET", b"k"]) * (MAX_OPEN_REQUESTS + 5))
    assert not socket.is_reading()
    net.turn()
    assert node_socket.take().count(b"GET") == MAX_OPEN_REQUESTS
    node.data_received(b"$-1\r\n" * MAX_OPEN_REQUESTS)
    net.turn()
    assert socket.is_reading()
    assert node_socket.take().count(b"GET") == 5
    assert socket.take() == b"$-1\r\n" * MAX_OPEN_REQUESTS


def test_the_output_limit_disconnects(caplog: pytest.LogCaptureFixture) -> None:
    """A client whose unread replies exceed its limit is disconnected, counted and logged."""
    net = Net(ring("a"))
    net.stage.pool.max_output_bytes = 1000
    client, socket = net.client()
    client.pause_writing()
    socket.unwritten = 1000
    client.data_received(PING)
    net.turn()
    assert socket.ended() == ""
    socket.unwritten = 1001
    client.data_received(PING)
    net.turn()
    assert socket.ended() == "aborted"
    assert net.stage.proxy.forced_disconnects["output limit"] == 1
    assert "client cut: addr=10.9.9.9:5000 reason=output limit" in caplog.text


def test_who_has_subscribed_has_a_limit_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Messages come unasked, so less of them may be unread."""
    net = Net(ring("a"))
    net.stage.pool.max_pubsub_output_bytes = 100
    client, socket = net.client()
    assert client.session is not None
    listening(net.stage, client.session, "news")
    client.pause_writing()
    for unwritten, ended in ((100, ""), (101, "aborted")):
        socket.unwritten = unwritten
        net.stage.executor.unshared_connections[0].feed(b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nm\r\n", 0.0)
        net.bridge.schedule_flush()
        net.turn()
        assert socket.ended() == ended
    assert "reason=output limit" in caplog.text


def test_who_monitors_has_the_same_limit() -> None:
    """Lines come unasked too."""
    net = Net(ring("a"))
    net.stage.pool.max_pubsub_output_bytes = 100
    client, socket = net.client()
    dedicated = monitoring(net, client)
    client.pause_writing()
    for unwritten, ended in ((100, ""), (101, "aborted")):
        socket.unwritten = unwritten
        dedicated.feed(b"+a line\r\n", 0.0)
        net.bridge.schedule_flush()
        net.turn()
        assert socket.ended() == ended


def test_messages_behind_half_a_reply_disconnect(caplog: pytest.LogCaptureFixture) -> None:
    """If too many wait for the end of a reply the client is disconnected, for they cannot leave before."""
    net = Net(ring("a"))
    client, socket = net.client()
    node, _ = net.node("a")
    net.say(client, "GET", "k")
    node.data_received(b"$100000\r\n" + b"x" * 50_000)
    assert client.session is not None
    client.session.replies.push(b"x" * PUBSUB_OUTPUT_BYTES)
    client.session.replies.push(b"x")
    net.turn()
    assert socket.ended() == "aborted"
    assert "reason=output limit" in caplog.text


def test_half_a_reply_disconnects(caplog: pytest.LogCaptureFixture) -> None:
    """A node that dies in the middle of a large reply that has begun to leave: the client must not take the rest."""
    net = Net(ring("a"))
    client, socket = net.client()
    node, _ = net.node("a")
    net.say(client, "GET", "k")
    node.data_received(b"$100000\r\n" + b"x" * 50_000)
    net.turn()
    assert len(socket.take()) > 40_000
    assert socket.ended() == ""
    node.connection_lost(None)
    net.turn()
    assert socket.ended() == "aborted"
    assert "reason=a node died in the middle of its reply" in caplog.text


def test_quit_closes_when_all_is_answered() -> None:
    """What was asked before QUIT is answered first; what comes behind it is not read."""
    net = Net(ring("a"))
    client, socket = net.client()
    node, _ = net.node("a")
    client.data_received(encode_request([b"GET", b"k"]) + encode_request([b"QUIT"]) + PING)
    net.turn()
    assert not socket.is_reading()
    assert socket.ended() == ""
    node.data_received(b"$1\r\nv\r\n")
    net.turn()
    assert socket.take() == b"$1\r\nv\r\n+OK\r\n"
    assert socket.ended() == "closed"


def test_a_broken_frame_is_answered_and_closed() -> None:
    """Redis's own words, and only then the end."""
    net = Net(ring("a"))
    client, socket = net.client()
    client.data_received(b"*1\r\n+PING\r\n")
    net.turn()
    assert socket.take().startswith(b"-ERR Protocol error: ")
    assert socket.ended() == "closed"


# -- bugs --------------------------------------------------------------------------------------------


def test_a_bug_behind_a_pause_costs_one_client(caplog: pytest.LogCaptureFixture) -> None:
    """An exception while a client goes on is logged, and ends this client alone."""
    net = Net(ring("a"))
    client, socket = net.client()
    node, _ = net.node("a")
    other, other_socket = net.client()
    # SELECT waits for the reply of GET; behind it stands what a bare route cannot plan.
    net.say(client, "GET", "k")
    client.data_received(encode_request([b"SELECT", b"1"]) + encode_request([b"GET", b"k"]))
    session = client.session
    assert session is not None
    session.context = PoolContext("broken", "ring", Route("broken"), CommandSet(frozenset(), frozenset(), {}))
    with caplog.at_level(logging.ERROR):
        node.data_received(b"$-1\r\n")
        net.say(other, "PING")
    assert socket.ended() == "aborted"
    assert "session failed: addr=10.9.9.9:5000" in caplog.text
    assert other_socket.take() == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("name", "other", "text"),
    [
        (("10.0.0.1", 5000), None, "10.0.0.1:5000"),
        (("::1", 5000, 0, 0), None, "[::1]:5000"),
        ("", "/run/kido.sock", "/run/kido.sock:0"),
        ("/run/kido.sock", "", "/run/kido.sock:0"),
        (b"", None, ":0"),
    ],
)
def test_addresses_look_as_in_redis(name: object, other: object, text: str) -> None:
    """Host and port, or the path of the unix socket on both sides."""
    assert format_address(name, other) == text


def test_a_client_of_a_unix_socket() -> None:
    """Both of its addresses are the socket's path."""
    net = Net(ring("a"))
    client, _ = net.client(Socket("", "/run/kido.sock"))
    assert client.session is not None
    assert (client.session.address, client.session.local_address) == ("/run/kido.sock:0", "/run/kido.sock:0")


def test_a_sample_of_requests_is_timed() -> None:
    """One of a pool in a while, until its reply leaves; not those that block, nor half a request; bytes of all."""
    net = Net(ring("a"))
    node, _ = net.node("a")
    client, socket = net.client()
    pool = net.stage.pool
    net.wait(1.0)
    counts = pool.request_durations.bucket_counts
    for _ in range(3):
        net.say(client, "GET", "k")
        node.data_received(b"$1\r\na\r\n")
        net.turn()
    assert (sum(counts), client.sampled_since) == (1, 0.0)
    assert (pool.bytes_received, pool.bytes_sent) == (3 * len(encode_request([b"GET", b"k"])), len(socket.take()))
    net.wait(0.02)
    client.data_received(b"*1\r\n$4\r\nPI")
    assert client.sampled_since == 0.0
    client.data_received(b"NG\r\n")
    net.turn()
    assert sum(counts) == 1
    net.wait(0.02)
    net.say(client, "PING")
    assert sum(counts) == 2
    net.wait(0.02)
    net.say(client, "GET", "k")
    net.say(client, "PING")
    assert client.sampled_since > 0.0
    net.wait(0.02)
    net.say(client, "BLPOP", "q", "0")
    node.data_received(b"$1\r\na\r\n")
    net.turn()
    assert sum(counts) == 3
    net.wait(0.02)
    blocked, _ = net.client()
    net.say(blocked, "BLPOP", "q", "0")
    assert blocked.sampled_since == 0.0
    assert sum(counts) == 3


def test_no_sample_of_what_gets_no_reply() -> None:
    """The next output may be an hour later, and another request's."""
    net = Net(ring("a"))
    node, _ = net.node("a")
    client, _ = net.client()
    counts = net.stage.pool.request_durations.bucket_counts
    net.wait(1.0)
    net.say(client, "CLIENT", "REPLY", "OFF")
    net.wait(0.02)
    net.say(client, "GET", "k")
    assert client.sampled_since == 0.0
    node.data_received(b"$1\r\na\r\n")
    net.say(client, "CLIENT", "REPLY", "ON")
    net.say(client, "CLIENT", "REPLY", "SKIP")
    net.wait(0.02)
    net.say(client, "GET", "k")
    assert client.sampled_since > 0.0
    node.data_received(b"$1\r\na\r\n")
    net.turn()
    net.say(client, "PING")
    assert (sum(counts), client.sampled_since) == (0, 0.0)
