"""WATCH: EXEC runs only if nobody changed the keys since, and what the client does meanwhile keeps its order."""

import pytest

from kidoproxy.session.watches import Watch
from kidoproxy.upstream.states import DOWN
from tests.session.handlers.leases import free
from tests.story import (
    LEASED,
    LEASED2,
    Event,
    Pool,
    Story,
    client,
    copies,
    given,
    gone,
    greeted,
    leased,
    led_by,
    lost,
    node,
    refused,
    ring,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)

#: A key of two copies whose leader is the first.
KEY = led_by(copies("a", "b"), "a")
CROSSED = (
    "-CROSSSLOT Keys in request don't hash to the same node (command='{}', first-key='{{a}}1', violating-key='{{b}}1')"
)


def test_watch_and_exec_on_a_dedicated_connection() -> None:
    """WATCH and the transaction share a connection; reads between them take the shared one, after WATCH."""
    (
        story(ring("a", "b"))
        >> client("WATCH {a}1", "GET {a}1") << to("a", "WATCH {a}1", on=LEASED) << silence()
        >> node("a", "+OK", on=LEASED) << to_client("+OK") << to("a", "GET {a}1")
        >> node("a", "$1 1") << to_client("$1 1")
        >> client("MULTI", "SET {a}1 2", "PING", "EXEC", "GET {a}1")
        << to_client("+OK", "+QUEUED", "+QUEUED") << to("a", "MULTI", "SET {a}1 2", "PING", "EXEC", on=LEASED)
        >> node("a", "+OK", "+QUEUED", "+QUEUED", on=LEASED) << silence()
        >> node("a", "*2 +OK +PONG", on=LEASED) << to_client(b"*2\r\n+OK\r\n+PONG\r\n") << to("a", "GET {a}1")
        << free(1, 0)
    )  # fmt: skip


def test_lost_race() -> None:
    """What the node says to EXEC is the answer: null when a key has changed."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "SET {a}1 2", "EXEC")
        << to_client("+OK", "+QUEUED") << to("a", "MULTI", "SET {a}1 2", "EXEC", on=LEASED)
        >> node("a", "+OK", "+QUEUED", "*-1", on=LEASED) << to_client("*-1") << free(1)
    )  # fmt: skip


def test_exec_waits_for_what_came_before() -> None:
    """A pipelined write on the shared connection is not overtaken by the transaction on the dedicated one."""
    (
        story(ring("a", "b"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("SET {a}2 x", "MULTI", "SET {a}2 y", "EXEC") << to("a", "SET {a}2 x") << silence()
        >> node("a", "+OK") << to_client("+OK", "+OK", "+QUEUED") << to("a", "MULTI", "SET {a}2 y", "EXEC", on=LEASED)
    )  # fmt: skip


def test_empty_transaction_is_asked_too() -> None:
    """With nothing queued EXEC still says whether the keys have changed."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "EXEC") << to_client("+OK") << to("a", "MULTI", "EXEC", on=LEASED)
        >> node("a", "+OK", "*0", on=LEASED) << to_client("*0") << free(1)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (["UNWATCH"], ["+OK"]),
        (["MULTI", "DISCARD"], ["+OK", "+OK"]),
        (["MULTI", "GET", "EXEC"], None),
        (["MULTI", "EXEC x"], None),
        (["RESET"], ["+RESET"]),
    ],
)
def test_every_end_releases_the_connection_clean(ends: list[str], said: list[str] | None) -> None:
    """UNWATCH, DISCARD, an aborted EXEC, RESET: the node forgets, then the connection may be leased again."""
    play = story(ring("a")) >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED)
    play << to_client("+OK") >> client(*ends)
    if said is None:
        assert b"-EXECABORT" in play.client("me").received
        play.client("me").received = b""
    else:
        play << to_client(*said)
    play << to("a", "UNWATCH", on=LEASED) << then(lambda play: leased(play) == [1])
    play >> node("a", "+OK", on=LEASED) << free(1) << silence()
    assert play.client("me").session.watch is None


def test_client_goes() -> None:
    """The connection is given back clean when the client hangs up."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> gone() << to("a", "UNWATCH", on=LEASED) >> node("a", "+OK", on=LEASED) << free(1)
    )  # fmt: skip


@pytest.mark.parametrize("end", [node("a", "-NOPERM no", on=LEASED), lost("a", on=LEASED)])
def test_connection_in_doubt_is_closed(end: Event) -> None:
    """A dedicated connection whose UNWATCH was not confirmed is not leased again."""
    play = story(ring("a")) >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED)
    (
        play
        << to_client("+OK")
        >> client("UNWATCH")
        << to_client("+OK")
        << to("a", "UNWATCH", on=LEASED)
        >> end
        << free(0)
    )
    assert play.dedicated["a"][0].state == DOWN


def test_several_keys_and_watches() -> None:
    """All watched keys meet on one node; another node's is refused and changes nothing."""
    (
        story(ring("a", "b"))
        >> client("WATCH {a}1 {b}1") << to_client(CROSSED.format("watch"))
        >> client("WATCH {a}1 {a}2") << to("a", "WATCH {a}1 {a}2", on=LEASED)
        >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("WATCH {b}1") << to_client(CROSSED.format("watch"))
        >> client("WATCH {a}3") << to("a", "WATCH {a}3", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("CLIENT INFO") << then(lambda play: b" watch=3 " in play.client("me").received) << given(unheard)
        >> client("MULTI", "SET {a}1 x", "EXEC")
        << to_client("+OK", "+QUEUED") << to("a", "MULTI", "SET {a}1 x", "EXEC", on=LEASED)
    )  # fmt: skip


def test_transaction_stays_with_its_keys() -> None:
    """With watched keys a transaction cannot reach another node: it would not be decided by them."""
    (
        story(ring("a", "b"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "SET {b}1 x") << to_client("+OK", CROSSED.format("set"))
        >> client("EXEC") << to_client("-EXECABORT Transaction discarded because of previous errors.")
        << to("a", "UNWATCH", on=LEASED)
    )  # fmt: skip


def test_what_a_watched_transaction_cannot_hold() -> None:
    """The node runs it whole, so what only the proxy can answer cannot be part of it; UNWATCH can."""
    says_so = then(lambda play: b"with watched keys" in play.client("me").received)
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "UNWATCH", "DBSIZE") << to_client("+OK", "+QUEUED", "+QUEUED")
        >> client("CLIENT ID") << says_so << given(unheard)
        >> client("SCAN 0") << says_so << given(unheard)
        >> client("ACL LIST") << says_so << given(unheard)
    )  # fmt: skip


def test_watch_inside_multi() -> None:
    """Refused, and the transaction goes on, as in Redis; UNWATCH inside it is done at EXEC."""
    (
        story(ring("a"))
        >> client("MULTI", "WATCH {a}1") << to_client("+OK", "-ERR WATCH inside MULTI is not allowed")
        >> client("UNWATCH", "EXEC") << to_client("+QUEUED", b"*1\r\n+OK\r\n") << silence()
    )  # fmt: skip


def test_connection_is_lost_before_exec() -> None:
    """If the connection that watched is gone nobody knows what changed: as if the race were lost."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> lost("a", on=LEASED)
        >> client("MULTI", "SET {a}1 x", "EXEC") << to_client("+OK", "+QUEUED", "*-1") << free(0)
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED2)
    )  # fmt: skip


def test_connection_is_lost_at_exec() -> None:
    """A transaction that was under way has an unknown outcome, and says so."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "SET {a}1 x", "EXEC")
        << to_client("+OK", "+QUEUED") << to("a", "MULTI", "SET {a}1 x", "EXEC", on=LEASED)
        >> lost("a", on=LEASED)
        << to_client("-NODEDOWN a a:6379 (it closed the connection); the write may have run, its outcome is unknown")
        << free(0)
    )  # fmt: skip


def test_watch_that_is_not_answered() -> None:
    """WATCH has a deadline; what it leaves in doubt makes EXEC fail rather than run unwatched."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED)
        >> tick(0.6) << to_client("-TIMEOUT a a:6379 (no reply in 500 ms)")
        >> client("MULTI", "EXEC") << to_client("+OK", "*-1") << free(0)
    )  # fmt: skip


def test_an_unexpected_frame_on_the_connection() -> None:
    """A frame that nobody asked for leaves the connection in doubt."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> node("a", "+OK", on=LEASED) << silence()
        >> client("MULTI", "EXEC") << to_client("+OK", "*-1") << free(0)
    )  # fmt: skip


def test_no_connection_for_watch() -> None:
    """A node that is down, or has no dedicated connection left, is an error at once."""
    play = story(ring("a"))
    play.proxy.dedicated_pool.max_per_node = 0
    play >> client("WATCH {a}1") << to_client("-OVERLOADED a a:6379 (all of its 0 lanes are in use)")
    assert play.client("me").session.watch is None


def test_lists_of_replies_and_watch() -> None:
    """PROXY REPLIES LIST does not change where WATCH goes, nor that EXEC is one node's word."""
    (
        story(ring("a"))
        >> client("PROXY REPLIES LIST", "WATCH {a}1") << to_client("+OK") << to("a", "WATCH {a}1", on=LEASED)
        >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "SET {a}1 x", "EXEC")
        << to_client("+OK", "+QUEUED") << to("a", "MULTI", "SET {a}1 x", "EXEC", on=LEASED)
        >> node("a", "+OK", "+QUEUED", "*1 +OK", on=LEASED) << to_client(b"*1\r\n+OK\r\n")
    )  # fmt: skip


def test_a_connection_that_is_not_ready() -> None:
    """A client killed before the connection is there does not wait for it; one that disconnects has sent WATCH."""
    play = story(ring("a"), shy=True) >> client("WATCH {a}1")
    play >> given(lambda play: play.client("me").session.close()) << free(0)
    assert play.dedicated["a"][0].state == DOWN
    play = story(ring("a"), shy=True) >> client("WATCH {a}1") >> gone() >> greeted("a", on=LEASED)
    (play << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to("a", "UNWATCH", on=LEASED))
    play >> node("a", "+OK", on=LEASED) << free(1)


def test_every_kind_of_watch_says_how_it_ends() -> None:
    """The common class promises what each kind must do."""
    bare = Watch(0, b"k")
    with pytest.raises(NotImplementedError):
        bare.must_abort_exec(0)
    with pytest.raises(NotImplementedError):
        bare.unwatch()


# -- in the same moment as something else ---------------------------------------------------------------------


def test_a_write_that_is_checked_late_is_not_overlooked() -> None:
    """A copy that lost a write is not read, for the others may have it: else a watched change could be undone.

    The write was sent before the key was watched, so it does not count as a change; what is read must have it.
    """
    (
        story(copies("a", "b"))
        >> client(f"SET {KEY} 2", name="other") << to("a", f"SET {KEY} 2") << to("b", f"SET {KEY} 2")
        >> lost("a")
        >> client(f"WATCH {KEY}") << to("a", f"PTTL {KEY}") >> node("a", ":-1") << to("b", f"PTTL {KEY}")
        >> client(f"GET {KEY}") << silence()
        >> node("b", "+OK") << to_client("+OK", name="other")
        >> node("b", ":-1") << to_client("+OK") << to("b", f"GET {KEY}")
        >> node("b", "$1 2") << to_client("$1 2")
    )  # fmt: skip


def test_a_pool_with_miss_on_down_does_not_make_up_when_a_key_expires() -> None:
    """``on_down = "miss"`` is for reads: WATCH fails if nobody can say how long its key lives."""
    pool = ring(copies("a", "d", name="a"), miss_on_down=True)
    play = story(pool) >> client("WATCH {a}1")
    for _ in range(2):
        name = "a" if play.sent["a"] else "d"
        play.sent[name].clear()
        play >> refused(name)
    assert play.client("me").received.startswith(b"-NODEDOWN")
    assert play.pool.groups[0].watches[0].cas_dirty


@pytest.mark.parametrize(("said", "idle"), [("-EXECABORT no", 1), ("-ERR EXEC without MULTI", 0)])
def test_a_connection_that_may_still_watch_is_closed(said: str, idle: int) -> None:
    """An EXEC that a node aborts ends the watching; one that it did not understand does not."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "SET {a}1 2", "EXEC")
        << to_client("+OK", "+QUEUED") << to("a", "MULTI", "SET {a}1 2", "EXEC", on=LEASED)
        >> node("a", "+OK", "+QUEUED", said, on=LEASED) << to_client(said) << free(idle)
    )  # fmt: skip


def test_client_goes_while_its_transaction_runs() -> None:
    """The connection is clean when EXEC is answered, even if nobody gets the reply; nothing else is sent."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "SET {a}1 2", "EXEC")
        << to_client("+OK", "+QUEUED") << to("a", "MULTI", "SET {a}1 2", "EXEC", on=LEASED)
        >> gone() << silence() << then(lambda play: leased(play) == [1])
        >> node("a", "+OK", "+QUEUED", "*1 +OK", on=LEASED) << free(1) << silence()
    )  # fmt: skip


def test_protocol_and_database_may_change_while_watching() -> None:
    """HELLO and SELECT do not end a WATCH; the transaction runs in the new mode, on the same connection."""
    (
        story(ring("a"))
        >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED) << to_client("+OK")
        >> client("SELECT 3", "HELLO 3") << then(lambda play: b"proto" in play.client("me").received) << given(unheard)
        >> client("MULTI", "GET {a}1", "EXEC") << to_client("+OK", "+QUEUED")
        << to("a", "SELECT 3", on=LEASED) >> node("a", "+OK", on=LEASED)
        << to("a", "HELLO 3", "MULTI", "GET {a}1", "EXEC", on=LEASED)
        >> node("a", "%0", "+OK", "+QUEUED", b"*1\r\n_\r\n", on=LEASED) << to_client(b"*1\r\n_\r\n") << free(1)
    )  # fmt: skip


# -- after a loss ----------------------------------------------------------------------------------------------


def watched(pool: Pool) -> Story:
    """A client that watches ``{a}1`` on a dedicated connection, which is then lost."""
    play = story(pool) >> client("WATCH {a}1") << to("a", "WATCH {a}1", on=LEASED) >> node("a", "+OK", on=LEASED)
    return play << to_client("+OK") >> lost("a", on=LEASED)


def test_watch_works_again_after_a_loss() -> None:
    """Clients do not say UNWATCH after an error: the next WATCH works, costs one lost race, and then all is well."""
    (
        watched(ring("a"))
        >> client("WATCH {a}2") << to("a", "WATCH {a}2", on=LEASED2) >> node("a", "+OK", on=LEASED2) << to_client("+OK")
        >> client("MULTI", "SET {a}2 x", "EXEC") << to_client("+OK", "+QUEUED", "*-1") << to("a", "UNWATCH", on=LEASED2)
        >> node("a", "+OK", on=LEASED2) << free(1)
        >> client("WATCH {a}2") << to("a", "WATCH {a}2", on=LEASED2) >> node("a", "+OK", on=LEASED2) << to_client("+OK")
        >> client("MULTI", "SET {a}2 x", "EXEC") << to_client("+OK", "+QUEUED")
        << to("a", "MULTI", "SET {a}2 x", "EXEC", on=LEASED2)
    )  # fmt: skip


@pytest.mark.parametrize("other", ["b", "copies"])
def test_what_is_lost_does_not_bind_a_client_to_its_node(other: str) -> None:
    """After a loss another node's keys may be watched; the transaction after that is answered with null, too."""
    there = copies("b", name="b") if other == "copies" else "b"
    play = watched(ring("a", there)) >> client("WATCH {b}1")
    if other == "copies":
        play << to("b", "PTTL {b}1") >> node("b", ":-1") << to_client("+OK")
    else:
        play << to("b", "WATCH {b}1", on=LEASED) >> node("b", "+OK", on=LEASED) << to_client("+OK")
    play >> client("MULTI", "SET {b}1 x", "EXEC") << to_client("+OK", "+QUEUED", "*-1")
    if other == "b":
        play << to("b", "UNWATCH", on=LEASED) >> node("b", "+OK", on=LEASED)
    play << silence() << then(lambda play: leased(play) == [0, 0])


def test_what_copies_have_changed_does_not_bind_either() -> None:
    """A change in a copy pool that was seen is remembered, wherever the client watches next."""
    (
        story(ring(copies("a", name="a"), "b"))
        >> client("WATCH {a}1") << to("a", "PTTL {a}1") >> node("a", ":-1") << to_client("+OK")
        >> client("WATCH {b}1") << to_client(CROSSED.format("watch"))
        >> client("SET {a}1 x", name="other") << to("a", "SET {a}1 x")
        >> node("a", "+OK") << to_client("+OK", name="other")
        >> client("WATCH {b}1") << to("b", "WATCH {b}1", on=LEASED) >> node("b", "+OK", on=LEASED) << to_client("+OK")
        >> client("MULTI", "SET {b}1 x", "EXEC") << to_client("+OK", "+QUEUED", "*-1") << to("b", "UNWATCH", on=LEASED)
        << then(lambda play: not play.pool.groups[0].watches)
    )  # fmt: skip


def test_loss_is_not_forgotten_when_the_node_is_down() -> None:
    """A WATCH that fails changes nothing: what was lost still makes EXEC answer null."""
    (
        watched(ring("a")) >> refused("a", "gone")
        >> client("WATCH {a}2") << to_client("-NODEDOWN a a:6379 (gone)")
        >> client("MULTI", "SET {a}2 x", "EXEC") << to_client("+OK", "+QUEUED", "*-1") << free(0)
    )  # fmt: skip
