"""Changes of protocol and database on the ordered connections of copies, and databases that a node has not."""

import pytest

from kidoproxy.resp.encode import bulk
from tests.story import (
    accepted,
    client,
    copies,
    given,
    lost,
    node,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)
from tests.upstream.rig import CUT, LATE_WRITE

BEYOND = "-ERR DB index is out of range"


def test_switching() -> None:
    """A copy has one connection for all clients; it changes protocol and database when the next request needs it."""
    (
        story(copies("a"))
        >> client("SELECT 3") << to_client("+OK")
        >> client("SET k x") << to("a", "SELECT 3") >> node("a", "+OK") << to("a", "SET k x")
        >> client("SET k y", "SET k z", name="you") << to("a", "SELECT 0", "SET k y", "SET k z")
        >> client("HELLO 3", name="third") << given(unheard)
        >> client("GET k", name="third") << to("a", "HELLO 3", "GET k")
        >> node("a", "+OK", "+OK", "+OK", "+OK", "%0", "_")
        << to_client("+OK") << to_client("+OK", "+OK", name="you") << to_client("_", name="third")
        >> client("SET k x") << to("a", "HELLO 2", "SELECT 3", "SET k x")
        >> node("a", "*0", "+OK", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_switch_refused() -> None:
    """A node that refuses to switch would answer in the wrong way: it is given up, however late it says so."""
    problem = "-NODEDOWN a a:6379 (refused to switch: ERR no HELLO here)"
    (
        story(copies("a"))
        >> client("HELLO 3") << given(unheard)
        >> client("SET k x") << to("a", "HELLO 3", "SET k x")
        >> tick(0.2) >> node("a", "-ERR no HELLO here", "+OK")
        << to_client(problem + "; the write may have run, its outcome is unknown") << silence()
    )  # fmt: skip


def test_a_database_that_there_is_not() -> None:
    """Nothing is sent before the node has it; who asked gets the node's error, and nobody else notices."""
    (
        story(copies("a"))
        >> client("GET k", name="you") << to("a", "GET k")
        >> client("SELECT 9") << to_client("+OK")
        >> client("SET k x", "SET k y") << to("a", "SELECT 9")
        >> client("SET k z", name="you") << silence()
        >> node("a", "$1 v", BEYOND) << to_client("$1 v", name="you")
        << to_client(BEYOND, BEYOND) << to("a", "SET k z") >> node("a", "+OK") << to_client("+OK", name="you")
        >> client("SET k x") << to("a", "SELECT 9") >> node("a", BEYOND) << to_client(BEYOND)
        >> client("SELECT 1") << to_client("+OK")
        >> client("GET k") << to("a", "SELECT 1") >> node("a", "+OK") << to("a", "GET k") >> node("a", "$-1")
        << to_client("$-1") << then(lambda play: play.node("a").live) << silence()
    )  # fmt: skip


def test_a_transaction_in_a_database_that_there_is_not() -> None:
    """Each of its replies is that error, so it ends; nothing is run."""
    (
        story(copies("a"))
        >> client("SELECT 9", "MULTI", "SET k x", "EXEC") << to_client("+OK", "+OK", "+QUEUED")
        << to("a", "SELECT 9") >> node("a", BEYOND)
        << then(lambda play: b"DB index is out of range" in play.client("me").received) << given(unheard)
        >> client("PING") << to_client("+PONG") << silence()
    )  # fmt: skip


@pytest.mark.parametrize("reply", [BEYOND, "-ERR invalid DB index"])
def test_a_database_that_a_node_of_a_ring_has_not(reply: str) -> None:
    """Its connection for that database is refused, with the node's own error; the node is well."""
    there = (2, 9)
    (
        story(ring("a"), shy=True)
        >> client("SELECT 9", "GET {a}1") << to_client("+OK")
        >> accepted("a", on=there) << to("a", "SELECT 9", "PING kidoproxy", "INFO server", on=there)
        >> node("a", reply, "$9 kidoproxy", bulk(b"run_id:1"), on=there) << to_client(reply)
        << then(lambda play: play.node("a").live and not play.node("a").cause)
        >> client("GET {a}1", "SET {a}1 x") << to_client(reply, reply)
        >> tick(0.1) >> accepted("a", on=there) << to("a", "SELECT 9", "PING kidoproxy", "INFO server", on=there)
        >> client("GET {a}1") << to_client(reply)
        >> node("a", "+OK", "$9 kidoproxy", bulk(b"run_id:2"), on=there)
        >> client("GET {a}1") << to("a", "GET {a}1", on=there) >> node("a", "$-1", on=there) << to_client("$-1")
        << silence()
    )  # fmt: skip


def test_a_database_that_is_tried_without_an_answer() -> None:
    """A node that says nothing is given up as ever; what waits has its own deadline."""
    (
        story(copies("a"))
        >> client("SELECT 9", "SET k x") << to_client("+OK") << to("a", "SELECT 9")
        >> tick(0.6) << to_client(LATE_WRITE.partition(";")[0])
        >> tick(0.6) << then(lambda play: play.dropped == 1) << silence()
    )  # fmt: skip


def test_lost_while_it_switches() -> None:
    """A connection lost while it switches fails what was behind; the next one begins in its own mode."""
    (
        story(copies("a"))
        >> client("SELECT 3") << to_client("+OK")
        >> client("SET k x") << to("a", "SELECT 3") >> node("a", "+OK")
        << to("a", "SET k x") >> lost("a") << to_client(CUT + "; the write may have run, its outcome is unknown")
        >> client("SET k x") << to("a", "SELECT 3", "SET k x") >> node("a", "+OK", "+OK") << to_client("+OK")
        << silence()
    )  # fmt: skip


def test_lost_while_it_tries_a_database() -> None:
    """What waits for the answer was not sent, so it waits for the next connection."""
    (
        story(copies("a"))
        >> client("SELECT 3") << to_client("+OK")
        >> client("SET k x") << to("a", "SELECT 3") >> lost("a") << to("a", "SELECT 3") >> node("a", "+OK")
        << to("a", "SET k x") >> node("a", "+OK") << to_client("+OK") << silence()
    )  # fmt: skip


def test_ordered_reads_are_not_sent_again() -> None:
    """Nobody remembers in which database a request was sent, so a read of one copy is not sent again."""
    (
        story(copies("a"))
        >> client("SELECT 3") << to_client("+OK")
        >> client("PROXY NODE a GET k") << to("a", "SELECT 3") >> node("a", "+OK") << to("a", "GET k")
        >> lost("a") << to_client(CUT) << silence()
    )  # fmt: skip
