"""SCRIPT KILL and FUNCTION KILL overtake the script that they end, and are spoken past a node that is busy."""

import pytest

from kidoproxy.replication.group import IN_SYNC
from tests.greet import HANDSHAKE, LEASED_HANDSHAKE
from tests.story import (
    LEASED,
    LEASED2,
    Event,
    accepted,
    client,
    copies,
    lost,
    node,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
)

BUSY = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."


NOTBUSY = "-NOTBUSY No scripts in execution right now."


UNKNOWN_END = "-NODEDOWN a a:6379 (it closed the connection); the write may have run, its outcome is unknown"


EACH_KILLED = b"*2\r\n" + NOTBUSY.encode() + b"\r\n+OK\r\n"


def no_links_past() -> Event:
    """The connections past all others are closed."""
    return then(
        lambda play: (
            not any(connection_set.out_of_band for connection_set in play.executor.connection_sets)
            and not play.executor.unshared_connections
        )
    )


@pytest.mark.parametrize("kill", ["SCRIPT KILL", "FUNCTION KILL"])
def test_kill_goes_past_the_script(kill: str) -> None:
    """A KILL does not wait behind the script that it is meant for; one node that obeys is enough."""
    (
        story(ring("a", "b"))
        >> client("EVAL x 1 {a}1") << to("a", "EVAL x 1 {a}1")
        >> client(kill, "PING", name="you") << to("a", kill, on=LEASED) << to("b", kill, on=LEASED)
        >> node("b", NOTBUSY, on=LEASED) << silence()
        >> node("a", "+OK", on=LEASED) << to_client("+OK", "+PONG", name="you")
        >> node("a", "-ERR killed") << to_client("-ERR killed")
        >> tick() << no_links_past()
        >> client(kill, name="you") << to("a", kill, on=LEASED2) << to("b", kill, on=LEASED2)
        >> node("a", NOTBUSY, on=LEASED2) >> node("b", NOTBUSY, on=LEASED2) << to_client(NOTBUSY, name="you")
    )  # fmt: skip


def test_kill_reaches_a_busy_node() -> None:
    """A node that answers BUSY to the handshake of shared connections is down; the KILL is sent to it all the same."""
    (
        story(ring("a"), shy=True)
        >> client("GET {a}1") >> accepted("a") << to("a", *HANDSHAKE) >> node("a", BUSY, BUSY, BUSY)
        << to_client(f"-NODEDOWN a a:6379 ({BUSY[1:]})")
        >> client("SCRIPT KILL") >> tick() >> accepted("a", on=LEASED) << to("a", *LEASED_HANDSHAKE, on=LEASED)
        >> tick() >> node("a", BUSY, BUSY, on=LEASED) << to("a", "SCRIPT KILL", on=LEASED)
        >> tick() >> node("a", "+OK", on=LEASED) << to_client("+OK") >> tick() << no_links_past()
    )  # fmt: skip


def test_many_kills_share_a_link() -> None:
    """However many clients send KILL, a node has one such connection; when it is lost, the next KILL opens another."""
    (
        story(ring("a"))
        >> client("SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED)
        >> client("FUNCTION KILL", name="you") << to("a", "FUNCTION KILL", on=LEASED)
        >> lost("a", on=LEASED)
        << to_client(UNKNOWN_END) << to_client(UNKNOWN_END, name="you")
        >> client("SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED2)
        >> node("a", "+OK", on=LEASED2) << to_client("+OK") >> tick() << no_links_past()
    )  # fmt: skip


def test_kill_that_nobody_answers() -> None:
    """It has the deadline of every command, and the silent connection is given up."""
    (
        story(ring("a"))
        >> client("SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED)
        >> tick(0.6)
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms); the write may have run, its outcome is unknown")
        >> tick(1.0) << no_links_past()
    )  # fmt: skip


def test_kill_in_copies() -> None:
    """A script may run on one copy alone: all are asked, and no copy falls behind by what it says."""
    play = story(copies("a", "b"))
    (play >> client("SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED) << to("b", "SCRIPT KILL", on=LEASED))
    play >> node("a", NOTBUSY, on=LEASED) >> node("b", "+OK", on=LEASED) << to_client("+OK")
    assert all(copy.state == IN_SYNC for copy in play.pool.groups[0].copies)
    assert play.pool.groups[0].mismatches == 0


def test_kill_of_one_node() -> None:
    """PROXY NODE and PROXY EACH go past all others too; one node's word, and a list of each one's."""
    (
        story(ring("a", "b"))
        >> client("PROXY NODE b SCRIPT KILL") << to("b", "SCRIPT KILL", on=LEASED)
        >> node("b", "+OK", on=LEASED) << to_client("+OK") >> tick() << no_links_past()
        >> client("PROXY EACH SCRIPT KILL") << to("a", "SCRIPT KILL", on=LEASED) << to("b", "SCRIPT KILL", on=LEASED2)
        >> node("a", NOTBUSY, on=LEASED) >> node("b", "+OK", on=LEASED2) << to_client(EACH_KILLED)
    )  # fmt: skip
