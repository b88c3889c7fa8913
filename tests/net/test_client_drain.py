"""How clients are closed while the proxy drains: all that has arrived is answered, and what comes later is not run."""

from socket import socketpair

from kidoproxy.resp.limits import DRAIN_LINGER_SECONDS, DRAIN_QUIET_MS
from tests.net.fakes import Net, Socket
from tests.session.stage import ring


def draining() -> Net:
    """A proxy that drains, and has one node."""
    net = Net(ring("a"))
    net.stage.proxy.draining = True
    return net


def test_draining_closes_who_waits_for_nothing() -> None:
    """Idle clients go at once; one that is owed a reply, is in a transaction or in the middle of a request does not."""
    net = draining()
    idle, idle_socket = net.client()
    busy, busy_socket = net.client()
    node, _ = net.node("a")
    net.say(busy, "GET", "k")
    others = [net.client() for _ in range(2)]
    net.say(others[0][0], "MULTI")
    others[1][0].data_received(b"*1\r\n")
    net.wait(DRAIN_QUIET_MS / 1000)
    for client in (idle, busy, *[each[0] for each in others], idle):
        client.close_if_drained(hurry=False)
    net.turn()
    assert idle_socket.sent_eof
    assert not any(each.sent_eof for each in (busy_socket, *[each[1] for each in others]))
    node.data_received(b"$-1\r\n")
    net.turn()
    assert (busy_socket.take(), busy_socket.sent_eof) == (b"$-1\r\n", True)
    others[1][0].data_received(b"$4\r\nPING\r\n")
    net.turn()
    assert others[1][1].sent_eof


def test_who_has_just_asked_is_closed_behind_its_next_reply() -> None:
    """It is about to ask again, and would not hear of the end before; for a while, then it is idle too."""
    net = draining()
    net.stage.proxy.draining = False
    (client, socket), (silent, silent_socket) = net.client(), net.client()
    net.say(client, "PING")
    net.say(silent, "PING")
    net.stage.proxy.draining = True
    for each in (client, silent):
        each.close_if_drained(hurry=False)
    net.turn()
    assert not socket.sent_eof
    net.say(client, "PING")
    assert (socket.take(), socket.sent_eof) == (b"+PONG\r\n+PONG\r\n", True)
    assert not silent_socket.sent_eof
    silent.close_if_drained()
    net.turn()
    assert silent_socket.sent_eof


def test_what_the_kernel_has_is_answered_first() -> None:
    """Bytes that the loop has not read yet are waited for: they may be a request."""
    net = draining()
    far, near = socketpair()
    with far, near:
        client, socket = net.client(Socket(sock=near))
        far.send(b"PING\r\n")
        client.close_if_drained()
        net.turn()
        assert not socket.sent_eof
        client.data_received(near.recv(100))
        net.turn()
        assert (socket.take(), socket.sent_eof) == (b"+PONG\r\n", True)


def test_who_is_always_owed_something_is_not_read_from_any_more() -> None:
    """With many requests open at all times there is no moment between two: what has been read is answered."""
    net = draining()
    node, _ = net.node("a")
    client, socket = net.client()
    net.say(client, "GET", "k")
    client.close_if_drained(hurry=False)
    assert socket.is_reading()
    for _ in range(2):
        client.close_if_drained()
        assert not socket.is_reading()
    node.data_received(b"$-1\r\n")
    net.turn()
    assert (socket.take(), socket.sent_eof, socket.is_reading()) == (b"$-1\r\n", True, True)


def test_what_comes_behind_the_end_is_not_run() -> None:
    """The client has a moment to close its side, and is closed then."""
    for closes in (False, True):
        net = draining()
        _, node_socket = net.node("a")
        client, socket = net.client()
        client.close_if_drained()
        net.turn()
        net.say(client, "SET", "k", "v")
        client.close_own_side()
        assert (socket.take(), node_socket.take(), socket.ended()) == (b"", b"", "")
        if closes:
            assert not client.eof_received()
            client.connection_lost(None)
        net.wait(DRAIN_LINGER_SECONDS)
        assert socket.ended() == ("" if closes else "closed")
