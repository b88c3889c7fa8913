"""How a connection ends: what fails, what is asked once more, and who speaks too early."""

import pytest

from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.disconnect import follow_node
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.states import CONNECTING, DOWN, NEW
from tests.story import (
    Story,
    client,
    given,
    greeted,
    lost,
    node,
    refused,
    ring,
    silence,
    story,
    then,
    to,
    to_client,
)
from tests.upstream.handshakes import UNKNOWN, handshaking
from tests.upstream.rig import CUT, REFUSED


def test_refused() -> None:
    """A connection that is refused fails what waits, and what comes afterwards fails at once."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> refused("a") << to_client(REFUSED)
        << then(lambda play: repr(play.connection("a")) == "<connection a resp2 db0 down, 0 waiting>")
        << then(lambda play: repr(play.node("a")) == "<node a a:6379 down>")
        >> client("SET {a}1 x") << to_client(REFUSED) << silence()
    )  # fmt: skip


def test_read_is_asked_once_more() -> None:
    """A read in flight when the connection is lost is sent again on the next one, once; a write never is."""
    (
        story(ring("a"))
        >> client("GET {a}1", "SET {a}1 x", "GET {a}2") << to("a", "GET {a}1", "SET {a}1 x", "GET {a}2")
        >> lost("a") << to("a", "GET {a}1", "GET {a}2") << silence()
        >> node("a", "$1 x") << to_client("$1 x", CUT + "; the write may have run, its outcome is unknown")
        >> lost("a") << to_client(CUT) << silence()
        << then(lambda play: "down" in repr(play.connection("a")))
    )  # fmt: skip


def test_lost_before_written() -> None:
    """What was never written did not run, and the error does not claim that it may have."""
    play = story(ring("a")) >> client("GET {a}1") << to("a", "GET {a}1") >> node("a", "$-1") << to_client("$-1")

    def in_one_turn(play: Story) -> None:
        client("SET {a}1 x")(play)
        lost("a")(play)

    assert play >> given(in_one_turn) << to_client(CUT) << silence()


def test_waits_for_the_next_attempt() -> None:
    """After a loss the next attempt is made at once, and what waited or comes meanwhile waits for it."""
    (
        story(ring("a"), shy=True)
        >> client("SET {a}1 x") >> greeted("a") << to("a", "SET {a}1 x")
        >> node("a", "+OK") << to_client("+OK")
        >> lost("a") >> client("SET {a}2 x") << silence()
        >> greeted("a") << to("a", "SET {a}2 x")
        >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_reads_wait_before_what_came_later() -> None:
    """A read that is asked again goes first; if the next attempt fails too, it fails with the others."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> greeted("a") << to("a", "GET {a}1")
        >> lost("a") >> client("GET {a}2") >> greeted("a") << to("a", "GET {a}1", "GET {a}2")
        >> lost("a") << to_client(CUT, CUT) << silence()
    )  # fmt: skip


@pytest.mark.parametrize(("proto", "db", "live"), [(2, 0, False), (3, 0, True), (2, 7, True)])
def test_refusal_of_a_mode_is_not_the_nodes(proto: int, db: int, live: bool) -> None:
    """A node that refuses RESP3, or a database, is down for those who want that, and for nobody else."""
    node = Node(0, "a", "10.0.0.1:6379", 1)
    conn = NodeConnection(node, ConnectionOptions(), proto, db, [])
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    conn.feed(b"-ERR no\r\n" * len(conn.reply_handlers), 0.0)

    assert node.live is live
    assert not conn.is_ready()


# -- a node that is full, or no Redis ---------------------------------------------------------------


NO_PLACE = b"-ERR max number of clients reached\r\n"


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("dedicated", [True, False])
def test_a_full_node(early: bool, dedicated: bool) -> None:
    """It says so and hangs up, before our handshake or behind it: that is the cause, and nothing was sent."""
    conn = handshaking("dedicated") if dedicated else handshaking()
    conn.shared = True
    if early:
        conn.on_early_data(NO_PLACE, 0.0)
    else:
        conn.feed(NO_PLACE, 0.0)
        conn.on_connection_lost("connection reset by peer", 0.0, True)
    assert conn.cause == "it is full, and nothing was sent to it: ERR max number of clients reached"


def test_a_node_without_hello_that_hangs_up() -> None:
    """Its error is none that says why it hangs up."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
    conn.start_connecting()
    conn.on_connected(0.0, 1.0)
    conn.feed(UNKNOWN % b"HELLO", 0.0)
    conn.on_connection_lost("it closed the connection", 0.0, True)
    assert conn.cause == "it closed the connection"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"220 mail.example.com ESMTP\r\n", "it does not speak the Redis protocol: expected a reply, got '2'"),
        (b"+hello\r\n", "it sends what nobody asked for"),
        (b"+hel", "it sends what nobody asked for"),
        (b"-ERR go away\r\n", "ERR go away"),
    ],
)
def test_who_speaks_first(data: bytes, cause: str) -> None:
    """A server that speaks before it is asked is no Redis, or will not have us."""
    conn = handshaking()
    conn.on_early_data(data, 0.0)
    assert (conn.state, conn.cause) == (DOWN, cause)


def moved(play: Story) -> None:
    """The node is another server from now on."""
    for conn in play.executor.all_connections():
        follow_node(conn, "its master has moved to b:6379", play.executor.now)


def test_the_node_moves_under_a_connection_that_is_ready() -> None:
    """A read that was under way is asked of the new server, a write is not; what comes meanwhile waits for it."""
    cause = "-NODEDOWN a a:6379 (its master has moved to b:6379)"
    (
        story(ring("a"))
        >> client("GET {a}1", "SET {a}1 x") << to("a", "GET {a}1", "SET {a}1 x")
        >> given(moved) << to("a", "GET {a}1") << silence()
        >> client("SET {a}2 x", name="other") << to("a", "SET {a}2 x")
        >> node("a", "$1 y", "+OK")
        << to_client("$1 y", cause + "; the write may have run, its outcome is unknown")
        << to_client("+OK", name="other")
        << silence()
    )  # fmt: skip


def test_the_node_moves_away_from_a_server_that_is_down() -> None:
    """Nobody waits for the next attempt, and whoever asks from now on waits for the new server."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> refused("a") << to_client(REFUSED)
        >> given(moved)
        << then(lambda play: play.connection("a").state == CONNECTING)
        >> client("SET {a}1 x") << silence()
        >> greeted("a") << to("a", "SET {a}1 x") >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_the_node_moves_and_nobody_is_connected() -> None:
    """A connection that nobody has needed yet stays so, and a dedicated one that is gone is not made again."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
    follow_node(conn, "moved", 1.0)
    assert conn.state == NEW
    conn.dedicated = True
    conn.start_connecting()
    follow_node(conn, "moved", 1.0)
    assert conn.state == CONNECTING
    conn.on_connection_lost("refused", 1.0, True)
    follow_node(conn, "moved", 1.0)
    assert conn.state == DOWN
