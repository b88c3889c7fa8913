"""How a client may end, and what it has sent before."""

from collections.abc import Callable
from functools import partial
from socket import SHUT_WR, socketpair

import pytest

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.hangup import has_hung_up
from kidoproxy.net.node_io import NodeIO
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.limits import (
    UNREAD_CLOSE_SECONDS,
)
from kidoproxy.routes.route import Route
from kidoproxy.session.pool_context import PoolContext
from tests.net.fakes import Net, Socket
from tests.session.stage import ring

PING = encode_request([b"PING"])


UNBLOCK = encode_request([b"CLIENT", b"UNBLOCK", b"7", b"ERROR"])


RPUSH = encode_request([b"RPUSH", b"q", b"x"])


def waiting(net: Net) -> tuple[ClientIO, Socket, Socket, Socket]:
    """A client that waits at a node; its socket, and those of the node: the shared one and the dedicated one."""
    _, shared = net.node("a")
    client, socket = net.client()
    net.say(client, "BLPOP", "q", "0")
    conn = net.stage.executor.unshared_connections[0]
    dedicated, node_socket = NodeIO(net.bridge, conn), Socket()
    dedicated.connection_made(node_socket)
    dedicated.attach(net.bridge.update_clock(), 1.0)
    net.bridge.schedule_flush()
    net.turn()
    dedicated.data_received(b"$9\r\nkidoproxy\r\n:7\r\n")
    net.turn()
    assert node_socket.take().endswith(encode_request([b"BLPOP", b"q", b"0"]))
    return client, socket, shared, node_socket


def half_close(net: Net, client: ClientIO) -> None:
    """EOF."""
    assert client.eof_received()


def reset(net: Net, client: ClientIO) -> None:
    """The loop tells of a reset by a call that it queues when it sees it."""
    net.loop.call_soon(partial(client.connection_lost, ConnectionResetError()))


def disconnect(net: Net, client: ClientIO) -> None:
    """By us, for whatever reason."""
    client.disconnect("output limit")


@pytest.mark.parametrize("end", [half_close, reset, disconnect])
def test_nothing_overtakes_the_end_of_a_waiting(end: Callable[[Net, ClientIO], None]) -> None:
    """What other clients send after it, in the same turn of the loop, is written behind it, whatever came before."""
    net = Net(ring("a"))
    client, _, shared, _ = waiting(net)
    first, _ = net.client()
    other, _ = net.client()
    first.data_received(PING)
    end(net, client)
    other.data_received(RPUSH)
    net.turn()
    assert shared.take() == UNBLOCK + RPUSH
    assert not net.loop.soon


def test_the_end_is_seen_with_the_request() -> None:
    """Who hangs up right behind a request that may wait is noticed before others are read from."""
    net = Net(ring("a"))
    _, shared = net.node("a")
    far, near = socketpair()
    with far, near:
        client, socket = net.client(Socket(sock=near))
        client.data_received(encode_request([b"BLPOP", b"q", b"0"]))
        assert not net.stage.executor.unshared_connections[0].queue[0].handler.is_answered
        client, socket = net.client(Socket(sock=near))
        far.send(b"more")
        far.shutdown(SHUT_WR)
        client.data_received(encode_request([b"BLPOP", b"q", b"0"]))
        assert socket.is_reading()
        assert not has_hung_up(socket)
        near.recv(4)
        client, socket = net.client(Socket(sock=near))
        client.data_received(encode_request([b"BLPOP", b"q", b"0"]))
    other, _ = net.client()
    other.data_received(RPUSH)
    net.turn()
    at_once = encode_request([b"MULTI"]) + encode_request([b"BLPOP", b"q", b"0"]) + encode_request([b"EXEC"])
    assert shared.take() == at_once + RPUSH


@pytest.mark.parametrize("gone", [False, True])
def test_what_came_whole_is_run(gone: bool) -> None:
    """After the client's end, requests that had to wait still run; one that still reads gets the replies first."""
    net = Net(ring("a"))
    client, socket = net.client()
    node, node_socket = net.node("a")
    client.data_received(encode_request([b"GET", b"k"]) + encode_request([b"SELECT", b"0"]) + RPUSH + b"*1\r\n$4\r\nPI")
    net.turn()
    assert node_socket.take() == encode_request([b"GET", b"k"])
    assert client.eof_received()
    if gone:
        client.connection_lost(BrokenPipeError())
        assert (net.stage.pool.client_count, len(net.stage.proxy.sessions), net.clients) == (0, 1, set())
    net.turn()
    assert socket.ended() == ""
    node.data_received(b"$-1\r\n")
    net.turn()
    assert node_socket.take() == RPUSH
    client.resume_writing()
    node.data_received(b":1\r\n")
    net.turn()
    assert socket.take() == (b"" if gone else b"$-1\r\n+OK\r\n:1\r\n")
    assert socket.ended() == ("" if gone else "closed")
    client.connection_lost(None)
    assert net.stage.proxy.sessions == {}
    client.resume()
    client.flush()


def test_a_bug_after_the_end_costs_only_that_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be run any more is given up."""
    net = Net(ring("a"))
    client, _ = net.client()
    node, _ = net.node("a")
    # SELECT waits for the reply of GET; behind it stands what a bare route cannot plan.
    client.data_received(
        encode_request([b"GET", b"k"]) + encode_request([b"SELECT", b"0"]) + encode_request([b"GET", b"k"])
    )
    client.connection_lost(None)
    session = client.orphan_session
    assert session is not None
    session.context = PoolContext("broken", "ring", Route("broken"), CommandSet(frozenset(), frozenset(), {}))
    net.turn()
    node.data_received(b"$-1\r\n")
    net.turn()
    assert "session failed" in caplog.text
    assert net.stage.proxy.sessions == {}


def test_a_client_that_does_not_read_its_replies_is_disconnected(caplog: pytest.LogCaptureFixture) -> None:
    """A client that has hung up may take its time, but not all of it: it has to read something now and then."""
    for reads in (False, True):
        net = Net(ring("a"))
        client, socket = net.client()
        socket.unwritten = 1000
        assert client.eof_received()
        net.turn()
        assert socket.ended() == "closed"
        client.flush()
        net.wait(UNREAD_CLOSE_SECONDS / 2)
        assert socket.ended() == "closed"
        socket.unwritten = 500
        net.wait(UNREAD_CLOSE_SECONDS)
        assert socket.ended() == "closed"
        if reads:
            client.connection_lost(None)
        net.wait(UNREAD_CLOSE_SECONDS)
        assert socket.ended() == ("closed" if reads else "aborted")
        assert not net.loop.later
    assert caplog.text.count("reason=it hung up and does not read") == 1
