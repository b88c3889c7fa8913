"""Clients that are silent: who counts as idle, and who does not."""

from kidoproxy.resp.encode import encode_request
from tests.net.fakes import Net, monitoring
from tests.session.stage import listening, ring

PING = encode_request([b"PING"])


def test_silence_is_allowed_unless_it_is_not() -> None:
    """``idle_seconds`` 0 means never; otherwise only a longer silence ends a client, also inside MULTI."""
    net = Net(ring("a"))
    client, socket = net.client()
    net.say(client, "MULTI")
    net.wait(1e6)
    assert not client.close_if_idle()
    net.stage.pool.idle_seconds = 10
    net.say(client, "PING")
    net.wait(10)
    assert not client.close_if_idle()
    net.wait(1)
    assert client.close_if_idle()
    net.turn()
    assert socket.ended() == "closed"
    client.connection_lost(None)
    assert not client.close_if_idle()


def test_who_waits_for_a_reply_is_not_idle() -> None:
    """The node's time is not the client's."""
    net = Net(ring("a"))
    net.stage.pool.idle_seconds = 1
    client, _ = net.client()
    net.node("a")
    net.say(client, "GET", "k")
    net.wait(5)
    assert not client.close_if_idle()


def test_who_has_subscribed_is_not_idle() -> None:
    """It waits for messages, as long as it takes."""
    net = Net(ring("a"))
    net.stage.pool.idle_seconds = 1
    client, _ = net.client()
    assert client.session is not None
    listening(net.stage, client.session, "news")
    net.wait(5)
    assert not client.close_if_idle()
    net.say(client, "RESET")
    net.wait(5)
    assert client.close_if_idle()


def test_who_monitors_or_is_held_is_not_idle() -> None:
    """The one waits for lines, the other for the end of a pause; its request would be lost with it."""
    net = Net(ring("a"))
    net.stage.pool.idle_seconds = 1
    client, _ = net.client()
    monitoring(net, client)
    net.wait(5)
    assert not client.close_if_idle()
    net.say(client, "RESET")
    net.say(client, "CLIENT", "PAUSE", "60000")
    net.say(client, "PING")
    net.wait(5)
    assert not client.close_if_idle()
    net.say(net.client()[0], "CLIENT", "UNPAUSE")
    net.wait(5)
    assert client.close_if_idle()


def test_who_reads_is_not_idle() -> None:
    """A client that takes a large reply slowly lives; one that takes nothing more is disconnected."""
    net = Net(ring("a"))
    net.stage.pool.idle_seconds = 10
    client, socket = net.client()
    for left in (3000, 2000, 1000):
        socket.unwritten = left
        net.wait(11)
        assert not client.close_if_idle()
    net.wait(11)
    assert client.close_if_idle()
    assert socket.ended() == "aborted"


def test_a_client_that_has_quit_and_does_not_read_is_disconnected() -> None:
    """A closing socket that never drains does not stay for ever either."""
    net = Net(ring("a"))
    net.stage.pool.idle_seconds = 10
    client, socket = net.client()
    net.say(client, "QUIT")
    net.wait(11)
    assert client.close_if_idle()
    assert socket.ended() == "aborted"
