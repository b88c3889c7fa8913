"""WATCH on copies: the proxy watches itself what its clients write."""

import pytest

from tests.story import (
    Event,
    Story,
    client,
    copies,
    given,
    gone,
    led_by,
    node,
    restarted,
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


def watching(left: str = ":-1") -> Story:
    """A story of two copies in which ``me`` watches a key."""
    play = story(copies("a", "b")) >> client(f"WATCH {KEY}") << to("a", f"PTTL {KEY}")
    return play >> node("a", left) << to_client("+OK")


DONE = [to("a", "MULTI", f"SET {KEY} 1", "EXEC"), to("b", "MULTI", f"SET {KEY} 1", "EXEC")]


def runs(play: Story) -> None:
    """The transaction is sent to both copies."""
    play >> client("MULTI", f"SET {KEY} 1", "EXEC") << to_client("+OK", "+QUEUED")
    for expectation in DONE:
        play << expectation
    play >> node("a", "+OK", "+QUEUED", "*1 +OK") >> node("b", "+OK", "+QUEUED", "*1 +OK")
    play << to_client(b"*1\r\n+OK\r\n")
    assert play.pool.groups[0].watches == []


def fails(play: Story) -> None:
    """The transaction is not even sent."""
    play >> client("MULTI", f"SET {KEY} 1", "EXEC") << to_client("+OK", "+QUEUED", "*-1") << silence()
    assert play.pool.groups[0].watches == []


def test_copies_undisturbed() -> None:
    """In a copy pool all writes pass through the proxy: without one the transaction goes to all copies."""
    runs(watching())


@pytest.mark.parametrize(
    "write",
    [
        f"SET {KEY} x",
        f"DEL a {KEY}",
        "FLUSHALL",
        f"EVAL return(redis.call('set',KEYS[1],1)) 1 {KEY}",
        "EVAL return(redis.call('set',redis.call('get',KEYS[1]),1)) 1 other",
        f"RENAME a {KEY}",
    ],
)
def test_copies_disturbed(write: str) -> None:
    """Any write to the key, by anybody, or one whose keys nobody can know, makes EXEC fail."""
    play = watching()
    play >> client(write, name="you")
    if write == "FLUSHALL":
        play << to("a", "INFO memory") >> node("a", "$0 ")
    play << given(unheard)
    fails(play)


def test_copies_disturbed_by_a_transaction() -> None:
    """Another client's transaction counts as a write, too."""
    play = watching() >> client("MULTI", f"SET {KEY} x", "EXEC", name="you") << given(unheard)
    fails(play)


def test_copies_disturbed_from_another_database() -> None:
    """MOVE and COPY write to a second database."""
    play = watching() >> client("SELECT 1", f"MOVE {KEY} 0", name="you") << given(unheard)
    fails(play)


@pytest.mark.parametrize(
    "write", ["SET other x", "EVAL return(redis.call('set',KEYS[1],1)) 1 other", f"GET {KEY}", "DBSIZE"]
)
def test_copies_not_disturbed(write: str) -> None:
    """Other keys, and reads, do not matter; nor does the same key in another database."""
    play = watching() >> client(write, name="you") << given(unheard)
    play >> client("SELECT 1", f"SET {KEY} x", name="them") << given(unheard)
    assert not play.pool.groups[0].watches[0].cas_dirty


def test_copies_and_expiry() -> None:
    """A key that expires is a change, a moment before it does by our clock: the way to the node takes time."""
    runs(watching(":1000") >> tick(0.9) << pings_forgotten())
    fails(watching(":1000") >> tick(1.0) << pings_forgotten())


def pings_forgotten() -> Event:
    """Signs of life do not matter here."""
    return given(unheard)


def test_copies_the_first_to_expire_counts() -> None:
    """Of several keys the earliest moment."""
    play = story(copies("a", "b")) >> client(f"WATCH {KEY} {led_by(copies('a', 'b'), 'a', 2)} {KEY}")
    play << given(unheard) >> node("a", ":5000", ":1000", ":-2") << to_client("+OK")
    now = play.proxy.wall_ms
    assert play.pool.groups[0].watches[0].first_expiry_ms == now + 1000
    assert play.client("me").session.watch is not None


def test_copies_that_cannot_be_asked() -> None:
    """If a key's expiry is not known the client gets the reason, and EXEC fails."""
    play = story(copies("a")) >> client(f"WATCH {KEY}") << to("a", f"PTTL {KEY}")
    play >> node("a", "-ERR odd") << to_client("-ERR odd")
    fails(play)
    play = story(copies("a")) >> client(f"WATCH {KEY}") << to("a", f"PTTL {KEY}")
    play >> tick(0.6) << to("a", f"PTTL {KEY}") >> tick(0.6)
    assert play.client("me").received.startswith(b"-NODEDOWN a a:6379 ")
    play << given(unheard)
    assert play.pool.groups[0].watches[0].cas_dirty


@pytest.mark.parametrize("end", [client("UNWATCH"), client("MULTI", "DISCARD"), client("RESET"), gone()])
def test_copies_every_end(end: Event) -> None:
    """Nothing is watched any more."""
    play = watching() >> end << given(unheard)
    assert play.pool.groups[0].watches == []


def test_copies_empty_transaction() -> None:
    """Nothing to send: the proxy itself knows whether the race is won."""
    watching() >> client("MULTI", "EXEC") << to_client("+OK", "*0") << silence()


def test_copies_watched_twice() -> None:
    """More keys join those that are watched."""
    play = watching() >> client("WATCH other") << given(unheard)
    play >> node(owner_of("other"), ":-1") << to_client("+OK")
    assert sorted(play.pool.groups[0].watches[0].keys) == [(0, KEY.encode()), (0, b"other")]
    assert len(play.pool.groups[0].watches) == 1


def owner_of(key: str) -> str:
    """The leader of a key of two copies."""
    return copies("a", "b").groups[0].ranked_copies(key.encode())[0].node.name


def test_copies_starting() -> None:
    """Before a copy is trusted nothing is watched."""
    play = story(copies("a", "b", elected=False)) >> client(f"WATCH {KEY}")
    play << to_client("-LOADING kidoproxy is looking at its copies")
    assert play.client("me").session.watch is None


def test_unwatch_inside_the_transaction_of_copies() -> None:
    """UNWATCH that was queued comes too late to matter, and does no harm."""
    (
        story(copies("a", "b"))
        >> client(f"WATCH {KEY}") << to("a", f"PTTL {KEY}") >> node("a", ":-1") << to_client("+OK")
        >> client("MULTI", "UNWATCH", f"SET {KEY} 1", "EXEC") << to_client("+OK", "+QUEUED", "+QUEUED")
        << to("a", "MULTI", f"SET {KEY} 1", "EXEC") << to("b", "MULTI", f"SET {KEY} 1", "EXEC")
        >> node("a", "+OK", "+QUEUED", "*1 +OK") >> node("b", "+OK", "+QUEUED", "*1 +OK")
        << to_client(b"*2\r\n+OK\r\n+OK\r\n") << then(lambda play: not play.pool.groups[0].watches)
    )  # fmt: skip


def test_a_restarted_copy_is_a_change() -> None:
    """A server that was restarted may have lost what was watched, as a single one would have lost the WATCH."""
    (
        story(copies("a"))
        >> client(f"WATCH {KEY}") << to("a", f"PTTL {KEY}") >> node("a", ":-1") << to_client("+OK")
        >> restarted("a")
        >> client("MULTI", f"SET {KEY} 1", "EXEC") << to_client("+OK", "+QUEUED", "*-1")
    )  # fmt: skip


def test_ring_of_copies() -> None:
    """The keys meet in one copy pool, and so does the transaction."""
    play = story(ring(copies("a", "b", name="one"), copies("c", "d", name="two")))
    (
        play
        >> client("WATCH {one}1 {two}1")
        << then(lambda play: b"-CROSSSLOT" in play.client("me").received)
        << given(unheard)
    )
    play >> client("PROXY REPLIES LIST", "WATCH {one}1") << given(lambda play: play.sent["a"].clear())
    play << given(lambda play: play.sent["b"].clear()) << to_client("+OK")
    play >> node("a", ":-1") >> node("b", ":-1") << to_client("+OK")
    play >> client("WATCH {two}1") << then(lambda play: b"-CROSSSLOT" in play.client("me").received) << given(unheard)
    play >> client("MULTI", "SET {two}1 x")
    assert b"-CROSSSLOT" in play.client("me").received
    play << given(unheard)
