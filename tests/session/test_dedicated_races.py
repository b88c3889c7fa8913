"""Races around dedicated connections: no reply reaches the wrong client, and no client hangs."""

import pytest

from kidoproxy.resp import limits
from kidoproxy.upstream.states import DOWN
from tests.session.handlers.leases import free
from tests.session.handlers.test_blocking import POPPED
from tests.session.handlers.test_monitor import LINE
from tests.story import (
    LEASED,
    LEASED2,
    Story,
    client,
    closed,
    copies,
    given,
    gone,
    greeted,
    leased,
    led_by,
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

TO_BE_LET_GO = "CLIENT UNBLOCK 101 TIMEOUT"


def blocked(asked: str = "BLPOP {a}q 0") -> Story:
    """A client that waits, and another that has told the proxy to unblock it; the node has not heard of that yet."""
    play = story(ring("a")) >> client(asked) << to("a", asked, on=LEASED)
    number = play.client("me").session.id
    return play >> client(f"CLIENT UNBLOCK {number}", name="admin") << to_client(":1", name="admin")


# -- CLIENT UNBLOCK -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [":0", "-NOPERM no"])
def test_late_unblock_finds_nobody_else(said: str) -> None:
    """A connection is not leased again while its node may be about to unblock it: that would hit the next client."""
    (
        blocked() << to("a", TO_BE_LET_GO)
        >> node("a", POPPED, on=LEASED) << to_client(POPPED)
        >> client("BLPOP {a}q 0", name="next") << to("a", "BLPOP {a}q 0", on=LEASED2)
        >> node("a", said) << then(
            lambda play: (leased(play), len(play.executor.connection_sets[0].free_dedicated)) == ([1], 1)
        )
        >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    )  # fmt: skip


def test_unblock_that_is_never_answered() -> None:
    """Nor is it ever lent again when nobody knows whether the node has looked."""
    play = blocked() << to("a", TO_BE_LET_GO) >> node("a", POPPED, on=LEASED) << to_client(POPPED) << silence()
    play >> lost("a") << free(0)
    assert play.dedicated["a"][0].state == DOWN


def test_unblock_overtakes_the_request() -> None:
    """A node that reads UNBLOCK first finds nothing to unblock: it is asked again until the client is answered."""
    (
        blocked() << to("a", TO_BE_LET_GO)
        >> node("a", ":0") << to("a", TO_BE_LET_GO)
        >> node("a", ":0") << silence()
        >> tick() << to("a", TO_BE_LET_GO)
        >> node("a", ":1") >> tick() << silence()
        >> node("a", "*-1", on=LEASED) << to_client("*-1") << free(1)
    )  # fmt: skip


def test_unblocked_client_is_answered_in_time() -> None:
    """A dedicated connection that stays silent though its node has unblocked it is cut after the usual deadline."""
    play = blocked() << to("a", TO_BE_LET_GO) >> node("a", ":1") >> tick(limits.COMMAND_SECONDS + 0.1)
    said = "-TIMEOUT a a:6379 (no reply in 500 ms); the write may have run, its outcome is unknown"
    play << to_client(said) << free(0)


def test_unblocked_twice() -> None:
    """One question is enough, however many clients ask for it."""
    play = blocked() << to("a", TO_BE_LET_GO)
    number = play.client("me").session.id
    play >> client(f"CLIENT UNBLOCK {number}", name="admin") << to_client(":1", name="admin") << silence()
    play >> node("a", "*-1", on=LEASED) << to_client("*-1") >> node("a", ":1") << free(1)


@pytest.mark.parametrize(("after", "kept"), [(":1", 1), ("-NOPERM no", 0)])
def test_client_goes_while_it_is_unblocked(after: str, kept: int) -> None:
    """It has been told already; the connection is kept if the node did it, and closed once if it would not."""
    play = blocked() << to("a", TO_BE_LET_GO) >> gone() << silence() >> node("a", after)
    if kept:
        play >> node("a", "*-1", on=LEASED)
    play >> tick() << silence() << free(kept)


def test_unblock_in_the_instant_of_the_reply() -> None:
    """What has been answered is not unblocked, even before the client has been told."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id

    def both(play: Story) -> None:
        node("a", POPPED, on=LEASED)(play)
        client(f"CLIENT UNBLOCK {number}", name="admin")(play)

    play >> both << to_client(POPPED) << to_client(":0", name="admin") << free(1) << silence()


def test_kill_in_the_instant_of_the_reply() -> None:
    """What has been answered is still told to a client that is killed."""
    play = story(ring("a")) >> client("BLPOP {a}q 0", "GET {a}1") << to("a", "BLPOP {a}q 0", on=LEASED)
    number = play.client("me").session.id

    def both(play: Story) -> None:
        node("a", POPPED, on=LEASED)(play)
        client(f"CLIENT KILL ID {number}", name="admin")(play)

    play >> both << to_client(POPPED) << to_client(":1", name="admin") << closed() << free(1) << silence()


# -- streams of several nodes ---------------------------------------------------------------------------------------


def a_is_down(play: Story) -> None:
    """The first node cannot be reached."""
    play.node("a").live = False
    play.node("a").cause = "gone"


@pytest.mark.parametrize("asked", ["XREAD BLOCK 0 STREAMS {} {} $ $", "XREADGROUP GROUP g c BLOCK 0 STREAMS {} {} > >"])
def test_a_node_that_is_down_ends_the_waiting(asked: str) -> None:
    """Whichever of the streams' nodes is down, nobody waits for the others, for the answer is an error already."""
    for first, second in (("{a}s", "{b}s"), ("{b}s", "{a}s")):
        play = story(ring("a", "b")) >> a_is_down >> client(asked.format(first, second))
        assert play.client("me").received.startswith(b"-NODEDOWN a a:6379 (gone)")
        play << given(unheard) << free(0, 0)


def test_nothing_is_taken_when_a_part_is_refused() -> None:
    """A group is given nothing by one node if the other streams live where no copy is trusted yet."""
    pool = ring(copies("a", "d", name="a", elected=False), "b")
    for order in ("{a}s {b}s", "{b}s {a}s"):
        play = story(pool) >> client(f"XREADGROUP GROUP g c STREAMS {order} > >")
        assert play.client("me").received.startswith(b"-LOADING")
        play << given(unheard_by_clients) << silence()


def unheard_by_clients(play: Story) -> None:
    """What they have been told does not matter; what nodes are asked does."""
    for me in play.clients.values():
        me.received = b""


def test_hurry_ends_a_second_attempt_too() -> None:
    """A copy that falls behind while its stream is waited for is not replaced once another stream has something."""
    pool = ring(copies("a", "d", name="a"), "b")
    play = story(pool) >> client("XREAD BLOCK 0 STREAMS {a}s {b}s 0 0")
    read = play.sent["a"] or play.sent["d"]
    leader = "a" if play.sent["a"] else "d"
    assert len(read) == 1
    read.clear()
    play << to("b", "XREAD BLOCK 0 STREAMS {b}s 0", on=LEASED)
    play >> node("b", "*1 *2 $4 {b}s *1 *2 $3 1-1 *2 $1 f $1 v", on=LEASED) << to(leader, TO_BE_LET_GO)
    play.pool.groups[0].copy_of(play.node(leader)).unconfirmed = 1
    play >> node(leader, "*-1", on=LEASED) << to_client("*1 *2 $4 {b}s *1 *2 $3 1-1 *2 $1 f $1 v") << silence()


# -- copies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("falls", [False, True])
def test_from_now_on_is_asked_once(falls: bool) -> None:
    """``$`` asked again of another copy would be a later now: what came between would be lost, so it is an error."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    play = (
        story(pool) >> client(f"XREAD BLOCK 0 STREAMS {key} $") << to("a", f"XREAD BLOCK 0 STREAMS {key} $", on=LEASED)
    )
    if falls:
        play >> given(lambda play: play.pool.groups[0].mark_behind([play.node("a")]))
        play >> node("a", f"*1 *2 $2 {key} *1 *2 $3 9-1 *2 $1 f $1 v", on=LEASED)
        play << to_client("-BEHIND a a:6379 (it fell behind meanwhile)")
    else:
        play >> lost("a", on=LEASED) << to_client("-NODEDOWN a a:6379 (it closed the connection)")
    play << silence() << then(lambda play: leased(play) == [0, 0])


# -- MONITOR --------------------------------------------------------------------------------------------------------


def test_monitor_is_killed() -> None:
    """The stream ends at once, though the client may never read what it was sent before."""
    play = story(ring("a")) >> client("MONITOR") << to("a", "MONITOR", on=LEASED) >> node("a", "+OK", LINE, on=LEASED)
    play << to_client("+OK", LINE)
    number = play.client("me").session.id
    play >> client(f"CLIENT KILL ID {number}", name="admin") << to_client(":1", name="admin") << closed() << free(0)
    assert not play.proxy.monitors


def test_monitor_is_killed_before_it_begins() -> None:
    """Nothing is owed to it any more."""
    play = story(ring("a")) >> client("MONITOR") << to("a", "MONITOR", on=LEASED)
    number = play.client("me").session.id
    play >> client(f"CLIENT KILL ID {number}", name="admin") << to_client(":1", name="admin") << closed() << free(0)
    assert not play.proxy.monitors


def test_monitor_is_no_part_of_a_transaction() -> None:
    """A node that let it be one would turn the connection of all clients into a stream."""
    play = story(ring("a")) >> client("MULTI", "MONITOR")
    assert b"it cannot be part of a transaction here" in play.client("me").received
    play << given(unheard) << silence()


# -- clients that send on -----------------------------------------------------------------------------------


def test_packets_of_a_client_that_waits_keep_their_order() -> None:
    """What comes later, in a packet of its own, does not overtake what has been read while the client blocked."""
    play = story(ring("a")) >> client("BLPOP {a}q 0") << to("a", "BLPOP {a}q 0", on=LEASED)
    play >> client("SET {a}1 x") >> client("BLPOP {a}q 1") >> client("SET {a}1 y") << silence()
    play >> node("a", POPPED, on=LEASED) << to_client(POPPED) << to("a", "SET {a}1 x") >> client("SET {a}1 z")
    play >> node("a", "+OK") << to_client("+OK") << to("a", "BLPOP {a}q 1", on=LEASED)
    play >> node("a", "*-1", on=LEASED) << to_client("*-1") << to("a", "SET {a}1 y", "SET {a}1 z")


# -- waiting for what does not come ------------------------------------------------------------------------------------


def test_a_held_client_with_much_under_way_is_held_once() -> None:
    """That replies come meanwhile does not make a client go on that a pause holds, nor twice when the pause ends."""
    play = story(ring("a")) >> client("CLIENT PAUSE 60000 WRITE", name="admin") << to_client("+OK", name="admin")
    play >> client(*["GET {a}1"] * limits.MAX_OPEN_REQUESTS, "SET {a}1 x", "BLPOP {a}q 0", "PING")
    count = len(play.sent["a"])
    play << given(unheard) >> node("a", b"$-1\r\n" * count)
    play << given(unheard) >> client("CLIENT UNPAUSE", name="admin") << to_client("+OK", name="admin")
    (play << given(unheard) >> node("a", "+OK") << to_client("+OK") << to("a", "BLPOP {a}q 0", on=LEASED) << silence())
    play >> node("a", POPPED, on=LEASED) << to_client(POPPED, "+PONG") << free(1)


def test_held_clients_that_go_are_forgotten() -> None:
    """A long pause does not keep those who have hung up."""
    play = story(ring("a")) >> client("CLIENT PAUSE 60000", name="admin") << to_client("+OK", name="admin")
    play >> client("PING") << then(lambda play: len(play.context.paused_sessions) == 1) >> gone()
    play << then(lambda play: not play.context.paused_sessions)


def test_connection_dies_in_the_turn_of_its_reply() -> None:
    """The reply counts; the connection is not leased again."""
    play = story(ring("a"), shy=True) >> client("BLPOP {a}q 0") >> greeted("a", on=LEASED)
    play << to("a", "BLPOP {a}q 0", on=LEASED)

    def both(play: Story) -> None:
        node("a", POPPED, on=LEASED)(play)
        lost("a", on=LEASED)(play)

    play >> both << to_client(POPPED) >> client("BLPOP {a}q 0") >> greeted("a", on=LEASED2)
    play << to("a", "BLPOP {a}q 0", on=LEASED2) << then(lambda play: leased(play) == [1])


def test_reset_that_is_not_to_be_answered() -> None:
    """As in Redis, SKIP hides the answer to RESET, and OFF does not."""
    (
        story(ring("a"))
        >> client("CLIENT REPLY SKIP", "RESET", "PING") << to_client("+PONG")
        >> client("CLIENT REPLY OFF", "PING", "RESET", "PING") << to_client("+RESET", "+PONG")
    )  # fmt: skip
