"""A node that is at another address by now: who goes there, when, and who stays to the end of what was begun."""

from kidoproxy.upstream.moved_node import move_connections
from kidoproxy.upstream.states import CONNECTING, DOWN, READY
from tests.greet import HANDSHAKE
from tests.session.handlers.leases import free
from tests.story import (
    LEASED,
    LEASED2,
    Story,
    accepted,
    client,
    given,
    greeted,
    node,
    refused,
    ring,
    silence,
    story,
    then,
    to,
    to_client,
)
from tests.upstream.rig import REFUSED

POPPED = b"*2\r\n$1\r\nq\r\n$1\r\nx\r\n"


def moved(play: Story) -> None:
    move_connections(play.executor, play.node("a"), play.executor.now)


def test_what_was_sent_is_answered_where_it_went() -> None:
    """What comes meanwhile waits for that, and goes to the new address; other nodes are not concerned."""
    (
        story(ring("a", "b"), shy=True)
        >> client("SET {a}1 x", "GET {b}1") >> greeted("a") << to("a", "SET {a}1 x")
        >> greeted("b") << to("b", "GET {b}1")
        >> given(moved)
        >> client("SET {a}1 y", "GET {b}2") << to("b", "GET {b}2") << silence()
        >> node("b", "$1 1", "$1 2")
        >> node("a", "+OK") << to_client("+OK", "$1 1") << silence()
        << then(lambda play: not play.connection("a").in_flight_count())
    )  # fmt: skip


def test_who_has_nothing_under_way_goes_at_once() -> None:
    """The first request from then on is for the new address, and so is one to a server that was down."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> greeted("a") << to("a", "GET {a}1") >> node("a", "$1 1") << to_client("$1 1")
        >> given(moved) << then(lambda play: play.connection("a").state == CONNECTING)
        >> client("GET {a}2") << silence()
        >> greeted("a") << to("a", "GET {a}2") >> node("a", "$1 2") << to_client("$1 2")
    )  # fmt: skip
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> refused("a") << to_client(REFUSED)
        >> given(moved) << then(lambda play: play.connection("a").state == CONNECTING)
        >> client("GET {a}1") >> greeted("a") << to("a", "GET {a}1") >> node("a", "$1 1") << to_client("$1 1")
    )  # fmt: skip


def test_a_handshake_under_way() -> None:
    """The former server may never answer it: what waits is sent to the new one."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> accepted("a") << to("a", *HANDSHAKE)
        >> given(moved) << then(lambda play: play.connection("a").state == CONNECTING)
        >> greeted("a") << to("a", "GET {a}1") >> node("a", "$1 1") << to_client("$1 1")
    )  # fmt: skip


def test_an_attempt_under_way() -> None:
    """Whoever opens the socket begins it anew: it goes on as it was."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> given(moved) << then(lambda play: play.connection("a").state == CONNECTING)
        >> greeted("a") << to("a", "GET {a}1") >> node("a", "$1 1") << to_client("$1 1")
    )  # fmt: skip


def test_watched_keys() -> None:
    """What the former server watched is of no use at the new one: EXEC is answered with null."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> given(moved)
        << then(lambda play: [conn.state for conn in play.executor.unshared_connections] == [DOWN])
        >> client("MULTI", "SET {a}1 2", "EXEC") << to_client("+OK", "+QUEUED", "*-1") << free(0)
    )  # fmt: skip
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> given(moved)
        >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "SET {a}1 2", "EXEC") << to_client("+OK", "+QUEUED", "*-1") << to("a", "UNWATCH", on=LEASED)
    )  # fmt: skip


def test_what_blocks() -> None:
    """It goes on to its end, and its connection is nobody's after that."""
    (
        story(ring("a"))
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
        >> given(moved)
        >> node("a", POPPED, on=LEASED) << to_client(POPPED)
        << then(lambda play: [conn.state for conn in play.executor.unshared_connections] == [READY])
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED2)
        << then(lambda play: [conn.role_changes_seen for conn in play.executor.unshared_connections] == [1])
    )  # fmt: skip
