"""CLIENT PAUSE: requests wait and none is lost; nobody outside the pool notices."""

import pytest

from kidoproxy.resp.encode import bulk
from tests.story import client, given, gone, node, ring, silence, story, then, tick, to, to_client, unheard


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("x", "-ERR timeout is not an integer or out of range"),
        ("-1", "-ERR timeout is negative"),
        ("1 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
        ("1 all x", "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP."),
    ],
)
def test_mistakes(words: str, said: str) -> None:
    """Redis's own sentences."""
    play = story(ring("a")) >> client(f"CLIENT PAUSE {words}") << to_client(said)
    assert not play.context.paused_until_ms


def test_all_wait_until_it_is_over() -> None:
    """Whatever clients ask meanwhile is done afterwards, in order; the one who paused waits too."""
    (
        story(ring("a"))
        >> client("CLIENT PAUSE 1000") << to_client("+OK")
        >> client("GET {a}1", "PING") << silence()
        >> client("SET {a}2 x", name="other") << silence()
        >> client("PING", name="other") << silence()
        >> tick(0.9) << silence()
        >> tick(0.1) << to("a", "GET {a}1", "SET {a}2 x")
        >> node("a", "$-1", "+OK") << to_client("$-1", "+PONG") << to_client("+OK", "+PONG", name="other")
        >> client("GET {a}1") << to("a", "GET {a}1")
    )  # fmt: skip


def test_writes_wait_reads_do_not() -> None:
    """WRITE holds what may change something, a transaction at its EXEC."""
    (
        story(ring("a"))
        >> client("CLIENT PAUSE 60000 WRITE", name="admin") << to_client("+OK", name="admin")
        >> client("GET {a}1", "MULTI", "GET {a}1", "EXEC") << to("a", "GET {a}1", "MULTI", "GET {a}1", "EXEC")
        >> node("a", "$-1", "+OK", "+QUEUED", "*1 $-1") << to_client("$-1", "+OK", "+QUEUED", "*1 $-1")
        >> client("MULTI", "SET {a}1 x", "EXEC") << to_client("+OK", "+QUEUED")
        >> client("EVAL return 0", name="other") << silence()
        >> client("CLIENT UNPAUSE", name="admin") << to_client("+OK", name="admin")
        << to("a", "MULTI", "SET {a}1 x", "EXEC") << given(unheard)
    )  # fmt: skip


def test_a_pause_only_grows() -> None:
    """A shorter or milder one changes nothing; UNPAUSE ends even one that holds everything."""
    play = story(ring("a")) >> client("CLIENT PAUSE 5000 WRITE", name="admin") << to_client("+OK", name="admin")
    until = play.context.paused_until_ms
    play >> client("CLIENT PAUSE 100 ALL", name="admin") << to_client("+OK", name="admin")
    assert (play.context.paused_until_ms, play.context.pause_writes_only) == (until, False)
    play >> client("CLIENT PAUSE 9000 WRITE", name="admin") << silence()
    play >> client("CLIENT UNPAUSE") << to_client("+OK") << to_client("+OK", name="admin")
    assert (play.context.paused_until_ms, play.context.pause_writes_only) == (play.proxy.wall_ms + 9000, True)


def test_client_goes_while_it_is_held() -> None:
    """Its request is forgotten with it."""
    (
        story(ring("a"))
        >> client("CLIENT PAUSE 1000", name="admin") << to_client("+OK", name="admin")
        >> client("SET {a}1 x") << silence()
        >> gone() << then(lambda play: not play.proxy.blocked_clients(play.context)) >> tick(1.0) << silence()
    )  # fmt: skip


def test_it_ends_while_something_is_owed() -> None:
    """A held session that still waits for an earlier reply goes on all the same, and keeps the order."""
    (
        story(ring("a"))
        >> client("GET {a}1") << to("a", "GET {a}1")
        >> client("CLIENT PAUSE 100", name="admin") << to_client("+OK", name="admin")
        >> client("GET {a}2", "SELECT 1") << silence()
        >> tick(0.1) << to("a", "GET {a}2")
        >> node("a", "$-1") << to_client("$-1") >> node("a", "$-1") << to_client("$-1", "+OK")
    )  # fmt: skip


WRITES = [
    "SET {a}1 x",
    "DEL {a}1 {b}2",
    "EVAL x 0",
    "EVALSHA x 1 {a}1",
    "FCALL f 0",
    "PFCOUNT {a}1",
    "PUBLISH {a}c x",
    "SPUBLISH {a}c x",
    "BLPOP {a}q 0",
    "FLUSHALL",
]


@pytest.mark.parametrize("words", WRITES)
def test_what_a_pause_of_writes_holds(words: str) -> None:
    """Writes, scripts, and what may reach replicas, alone or at their EXEC."""
    play = story(ring("a", "b")) >> client("CLIENT PAUSE 60000 WRITE", name="admin") << to_client("+OK", name="admin")
    play >> client(words) << silence()
    play >> client("MULTI", "GET {a}1", "EXEC", name="you") << to("a", "MULTI", "GET {a}1", "EXEC") << given(unheard)
    play >> client("MULTI", words.replace(" {b}2", ""), "EXEC", name="he") << to_client("+OK", "+QUEUED", name="he")
    assert play.proxy.blocked_clients(play.context) == 2
    play >> client("CLIENT UNPAUSE", name="admin") << to_client("+OK", name="admin")
    assert play.sent["a"]
    assert not play.context.paused_sessions
    play << given(unheard)


@pytest.mark.parametrize(
    "words", ["GET {a}1", "EVAL_RO x 1 {a}1", "FCALL_RO f 1 {a}1", "EVALSHA_RO x 1 {a}1", "DBSIZE"]
)
def test_what_a_pause_of_writes_does_not_hold(words: str) -> None:
    """Reads, and scripts that are called as reads, alone or at their EXEC."""
    play = story(ring("a")) >> client("CLIENT PAUSE 60000 WRITE", name="admin") << to_client("+OK", name="admin")
    play >> client(words) << to("a", words)
    play >> client("MULTI", words, "EXEC", name="you") << to("a", "MULTI", words, "EXEC")
    play << to_client("+OK", "+QUEUED", name="you")


def test_who_is_held_counts_as_blocked() -> None:
    """In INFO and in CLIENT LIST, as in Redis, until the pause is over; clients of other pools do not count."""
    play = story(ring("a")) >> client("CLIENT PAUSE 60000 WRITE", name="admin") << to_client("+OK", name="admin")
    play >> client("SET {a}1 x") << silence()
    (
        play
        >> client("CLIENT LIST", name="admin")
        << then(lambda play: play.client("admin").received.count(b" flags=b ") == 1)
    )
    play << given(unheard) >> client("INFO clients", name="admin") << to("a", "INFO clients")
    play >> node("a", bulk(b"# Clients\r\nblocked_clients:7\r\n"))
    play << then(lambda play: b"blocked_clients:1\r\n" in play.client("admin").received) << given(unheard)
    play >> client("CLIENT UNPAUSE", name="admin") << to("a", "SET {a}1 x") << given(unheard)
    play >> client("CLIENT LIST", name="admin")
    play << then(lambda play: b" flags=b " not in play.client("admin").received) << given(unheard)
