"""A connection and its node: the n-th reply is for the n-th request, and frames that are no replies are nobody's."""

from kidoproxy.resp.encode import bulk
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handlers import WatchConnectionGuard
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.greet import HANDSHAKE, greet
from tests.story import (
    accepted,
    client,
    given,
    node,
    ring,
    silence,
    story,
    then,
    to,
    to_client,
    unheard,
)


def test_first_request() -> None:
    """The first request opens the connection and waits for it; it is sent behind the handshake."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") << silence()
        >> accepted("a") << to("a", *HANDSHAKE)
        >> node("a", "+OK", "$9 kidoproxy")
        >> node("a", bulk(b"run_id:1\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\nuptime_in_seconds:5\r\nx\r\n"))
        << then(lambda play: play.node("a").version == b"8.0.1" and play.node("a").uptime == 5)
        << to("a", "GET {a}1")
        >> node("a", "$-1") << to_client("$-1") << silence()
    )  # fmt: skip


def test_pushes() -> None:
    """Pushes are nobody's reply, large ones neither."""
    push = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$40000\r\n" + b"x" * 40000 + b"\r\n"
    (
        story(ring("a"))
        >> client("HELLO 3") << given(unheard)
        >> client("GET {a}1") << to("a", "GET {a}1", on=(3, 0))
        >> node("a", push[:39000], on=(3, 0)) >> node("a", push[39000:], "$1 x", on=(3, 0)) << to_client("$1 x")
        << silence()
    )  # fmt: skip


def test_no_redis() -> None:
    """Bytes that are not RESP: nobody is made to wait for another attempt."""
    (
        story(ring("a"))
        >> client("GET {a}1", "SET {a}1 x") << to("a", "GET {a}1", "SET {a}1 x")
        >> node("a", b"HTTP/1.1 400 Bad Request\r\n")
        << then(lambda play: play.client("me").received.count(b"it does not speak the Redis protocol") == 2)
    )  # fmt: skip


def test_unasked_reply() -> None:
    """A reply that nobody asked for: replies and requests are out of step, so the connection is given up."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> node("a", "$-1", "$1 x") << to_client("$-1") << then(lambda play: play.dropped == 1)
        << then(lambda play: play.node("a").cause == "" and play.connection("a").reconnects == 1) << silence()
    )  # fmt: skip


def test_what_nobody_asked_for() -> None:
    """A push without a handler is dropped; any other frame that nobody asked for is a fault then."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    conn.feed(greet(conn, b""), 0.0)
    conn.feed(b">1\r\n+x\r\n", 0.0)
    assert conn.is_ready()
    conn.push_handler = handler = WatchConnectionGuard()
    conn.feed(b">1\r\n+x\r\n+line\r\n", 0.0)
    assert handler.lost
    assert conn.is_ready()
    conn.push_handler = None
    conn.feed(b"+line\r\n", 0.0)
    assert not conn.is_ready()


def test_one_flush_is_scheduled() -> None:
    """A connection asks to be looked after once, whatever happens to it in one turn."""
    dirty: list[NodeConnection] = []
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, dirty)
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    conn.on_connection_lost("gone", 0.0, False)
    conn.on_connection_lost("gone", 0.0, True)
    conn.tick(1.0)
    assert dirty == [conn]
    assert repr(conn) == "<connection a resp2 db0 connecting, 0 waiting>"
