"""How waiting for keys of copies ends, and what it has to do with copies that fail."""

import pytest

from kidoproxy.replication import waiters
from kidoproxy.resp.encode import encode_request
from kidoproxy.session import cleanup
from tests.session.handlers.waits import (
    KEY,
    NOTHING,
    POPPED,
    attempts,
    both,
    exec_reply,
    one_attempt,
    seconds,
    sent_to_both,
    waiting,
)
from tests.story import (
    client,
    closed,
    copies,
    given,
    gone,
    half_closed,
    node,
    refused,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
    unheard,
)

# -- how waiting ends ------------------------------------------------------------------------------------


def test_unblock() -> None:
    """CLIENT UNBLOCK ends the waiting as its time-out does, or with an error; of who does not wait it knows nothing."""
    play = waiting("one", "two")
    ids = {name: play.client(name).session.id for name in ("one", "two")}
    (
        play
        >> client(f"CLIENT UNBLOCK {ids['one']}", name="admin") << to_client(":1", name="admin")
        << to_client("*-1", name="one") << silence()
        >> client(f"CLIENT UNBLOCK {ids['two']} ERROR", name="admin") << to_client(":1", name="admin")
        << to_client("-UNBLOCKED client unblocked via CLIENT UNBLOCK", name="two")
        >> client(f"CLIENT UNBLOCK {ids['two']} ERROR", name="admin") << to_client(":0", name="admin")
        >> client(f"RPUSH {KEY} x") << sent_to_both(f"RPUSH {KEY} x")
        >> both(":1") << to_client(":1")
    )  # fmt: skip


def test_an_open_attempt_is_waited_for() -> None:
    """Who is unblocked while an attempt is under way gets what it pops; only if that is nothing, the other answer."""
    for reply, told in ((POPPED, POPPED), ("*-1", "-UNBLOCKED client unblocked via CLIENT UNBLOCK")):
        play = waiting("one") >> client(f"RPUSH {KEY} x") << given(unheard)
        one = play.client("one").session.id
        (
            play
            >> client(f"CLIENT UNBLOCK {one} ERROR", name="admin") << to_client(":1", name="admin") << silence()
            >> both(":1") << to_client(":1")
            >> exec_reply(reply) << to_client(told, name="one") << silence()
        )  # fmt: skip


def test_time_out_with_an_open_attempt() -> None:
    """So does the time-out: what is popped has to reach somebody."""
    (
        story(copies("a", "b"))
        >> client(f"BLPOP {KEY} 0.1") << attempts(f"BLPOP {KEY} 0.1")
        >> tick(0.3) << silence()
        >> exec_reply(POPPED) << to_client(POPPED) << silence()
    )  # fmt: skip


def test_client_goes() -> None:
    """Nobody pops for a client that has hung up; the next in line is served."""
    (
        waiting("one", "two")
        >> gone("one") << closed("one") << silence()
        >> client(f"RPUSH {KEY} x") << sent_to_both(f"RPUSH {KEY} x", *one_attempt())
        >> both(":1") << to_client(":1")
        >> exec_reply(POPPED) << to_client(POPPED, name="two") << silence()
    )  # fmt: skip


def test_client_that_sends_nothing_more() -> None:
    """What a client sends before it hangs up is run, but does not wait."""
    (
        story(copies("a", "b"))
        >> client("GET x", f"BLPOP {KEY} 0") << given(unheard)
        >> half_closed() << silence()
        >> node(story_leader("x"), "$-1") << to_client("$-1") << attempts(f"BLPOP {KEY} 0")
        >> NOTHING << closed() << silence()
    )  # fmt: skip


def story_leader(key: str) -> str:
    """Who leads for the key in a pool of two."""
    found = copies("a", "b").groups[0].leader(key.encode())
    assert found is not None
    return found.name


def test_client_is_killed() -> None:
    """CLIENT KILL ends the waiting; an attempt that is open is nobody's then."""
    play = waiting("one", "two")
    ids = {name: play.client(name).session.id for name in ("one", "two")}
    (
        play
        >> client(f"RPUSH {KEY} x", name="pusher") << sent_to_both(f"RPUSH {KEY} x", *one_attempt())
        >> client(f"CLIENT KILL ID {ids['two']}", f"CLIENT KILL ID {ids['one']}", name="admin")
        << to_client(":1", ":1", name="admin") << closed("one") << closed("two")
        >> both(":1") << to_client(":1", name="pusher")
        >> exec_reply(POPPED) << silence() << then(lambda play: play.pool.groups[0].waiters.count == 0)
    )  # fmt: skip


# -- copies that fail ------------------------------------------------------------------------------------


def test_a_copy_dies_while_clients_wait() -> None:
    """Nobody notices: the other copy is in sync, and the next push is served from it. The leader is another then."""
    (
        waiting()
        >> refused("a") << silence()
        >> client(f"RPUSH {KEY} x", name="pusher") << to("b", f"RPUSH {KEY} x", *one_attempt())
        >> node("b", ":1") << to_client(":1", name="pusher")
        >> node("b", "+OK", "+QUEUED", f"*1 {POPPED}") << to_client(POPPED) << silence()
    )  # fmt: skip


def test_a_copy_dies_during_an_attempt() -> None:
    """What the other one has popped is the reply, or the client waits on."""
    for reply, told in ((POPPED, [POPPED]), ("*-1", [])):
        (
            waiting()
            >> client(f"RPUSH {KEY} x", name="pusher") << given(unheard)
            >> refused("a") >> node("b", ":1", "+OK", "+QUEUED", f"*1 {reply}") << to_client(":1", name="pusher")
            << to_client(*told) << then(lambda play: play.pool.groups[0].behind_names() == ["a"])
        )  # fmt: skip


def test_all_copies_die_during_an_attempt() -> None:
    """The element may be popped: the client hears that the outcome is unknown."""
    play = waiting() >> client(f"RPUSH {KEY} x", name="pusher") << given(unheard)
    play >> refused("a") << silence() >> refused("b")
    unknown = "the write may have run, its outcome is unknown"
    play << to_client(f"-NODEDOWN a a:6379 (connection refused); {unknown}", name="pusher")
    play << to_client(f"-NODEDOWN a a:6379 (connection refused); {unknown}")
    assert play.pool.groups[0].waiters.count == 0
    assert play.client("me").session.blocking_executor is None


def test_no_copy_can_be_asked() -> None:
    """Who asks first hears of it; who waits waits on, for its attempts were not run."""
    play = waiting() >> refused("a") >> refused("b") << silence()
    (
        play
        >> client(f"BLPOP {KEY} 0", name="new")
        << to_client("-NOREPLICAS Not enough good replicas to write.", name="new") << silence()
        << then(lambda play: play.pool.groups[0].waiters.count == 1)
    )  # fmt: skip


def test_an_untrusted_pool() -> None:
    """While no copy is trusted attempts are not made, and no copy is asked what is there."""
    play = waiting()
    group = play.pool.groups[0]
    group.elected = False
    play >> seconds(1.25) << silence()
    group.waiters.wake_key(0, KEY.encode())
    play << silence() << then(lambda play: group.waiters.count == 1)
    play >> client(f"BLPOP {KEY} 0", name="new") << given(unheard)
    group.elected = True
    play >> seconds(1.25) << to("a", f"EXISTS {KEY}") >> node("a", ":1") << attempts(f"BLPOP {KEY} 0")
    play >> exec_reply(POPPED) << to_client(POPPED)


@pytest.mark.parametrize("as_loading", [False, True])
def test_refused_in_line(as_loading: bool) -> None:
    """A newcomer who had to let others go first hears of a refusal as everybody does."""
    pool = copies("a", "b")
    pool.as_loading = as_loading
    play = story(pool)
    for name in ("one", "two"):
        play >> client(f"BLPOP {KEY} 0", name=name) << attempts(f"BLPOP {KEY} 0") >> NOTHING
    play >> client(f"SORT other STORE {KEY}", name="pusher") << given(unheard)
    play >> client(f"BLPOP {KEY} 0", name="new") << silence()
    for copy in pool.groups[0].copies:
        copy.node.live = False
    code = "-LOADING NOREPLICAS" if as_loading else "-NOREPLICAS"
    play >> both(":0") << to_client(":0", name="pusher")
    play >> NOTHING << to_client(f"{code} Not enough good replicas to write.", name="new") << silence()
    assert pool.groups[0].waiters.count == 2


def test_the_process_ends() -> None:
    """Who waits is answered as if its time were over."""
    play = waiting()
    cleanup.drain(play.client("me").session)
    play << to_client("*-1") << silence()


def test_too_many_keys() -> None:
    """The places in all lines cost a bounded number of bytes; what does not fit is refused."""
    play = story(copies("a", "b"))
    keys = [b"%d" % number for number in range(waiters.MAX_PLACES_BYTES // waiters.PLACE_OVERHEAD_BYTES)]
    play.pool.groups[0].waiters.places_bytes = waiters.MAX_PLACES_BYTES - waiters.places_bytes(keys[:2])
    (
        play
        >> client(encode_request([b"BLPOP", *keys[:3], b"0"]))
        << to_client("-OVERLOADED pair  (too many keys are waited for)") << silence()
        >> client("BLPOP 0 1 0") << attempts("BLPOP 0 1 0") >> NOTHING << silence()
    )  # fmt: skip


def test_who_waits_is_shown() -> None:
    """CLIENT LIST and INFO tell of those that wait in the proxy, too."""
    play = waiting()
    info = play.proxy.blocked_clients(play.context)
    assert info == 1
    assert play.client("me").session.is_blocked()
    play >> client("CLIENT LIST", name="admin")
    assert b" flags=b " in play.client("admin").received
    play << given(unheard)


def test_route_of_a_pop_that_waits() -> None:
    """PROXY ROUTE says that the proxy waits, and who is asked then."""
    play = story(copies("a", "b")) >> client(f"PROXY ROUTE BLPOP {KEY} 0")
    told = play.client("me").received
    assert b"waits in the proxy; for each attempt:" in told
    assert f"asks: b b:6379 (in sync): BLPOP {KEY} 0".encode() in told
    play << given(unheard)
