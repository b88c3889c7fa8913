"""Commands that wait, on copies: the proxy waits, all copies pop together, and nobody is served out of turn."""

import pytest

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
    copies,
    led_by,
    lost,
    node,
    ring,
    silence,
    story,
    tick,
    to,
    to_client,
)


def test_what_is_there_is_popped_at_once() -> None:
    """Nobody waits for what is there: one round trip, no dedicated connection."""
    (
        story(copies("a", "b"))
        >> client(f"BLPOP {KEY} 0") << attempts(f"BLPOP {KEY} 0")
        >> exec_reply(POPPED) << to_client(POPPED) << silence()
        >> client(f"GET {KEY}") << to("a", f"GET {KEY}")
        >> node("a", "$-1") << to_client("$-1")
    )  # fmt: skip


def test_a_push_wakes_the_first_in_line() -> None:
    """One push wakes one, the one that has waited longest, directly behind the push on both copies."""
    (
        waiting("one", "two")
        >> client(f"RPUSH {KEY} x", f"LPOP {KEY}", name="pusher")
        << sent_to_both(f"RPUSH {KEY} x", "MULTI", f"BLPOP {KEY} 0", "EXEC", f"LPOP {KEY}")
        >> both(":1", "+OK", "+QUEUED", f"*1 {POPPED}", "$-1")
        << to_client(":1", "$-1", name="pusher") << to_client(POPPED, name="one") << silence()
    )  # fmt: skip


def test_three_elements_wake_three() -> None:
    """A push of three elements is followed by three attempts, in the order of the line."""
    play = waiting("one", "two", "three", "four")
    one = ["MULTI", f"BLPOP {KEY} 0", "EXEC"]
    (
        play
        >> client(f"RPUSH {KEY} x y z", name="pusher") << sent_to_both(f"RPUSH {KEY} x y z", *one, *one, *one)
        >> both(":3")
        << to_client(":3", name="pusher") << silence()
    )  # fmt: skip
    for name, value in (("one", "x"), ("two", "y"), ("three", "z")):
        popped = f"*2 ${len(KEY)} {KEY} $1 {value}"
        play >> exec_reply(popped) << to_client(popped, name=name) << silence()


def test_keys_in_the_order_given() -> None:
    """A waiter stands in the line of each of its keys, and the twin looks at them in the order given."""
    (
        waiting(request=f"BLPOP {KEY} other 0")
        >> client("LPUSH other x", name="pusher") << sent_to_both("LPUSH other x", *one_attempt(f"BLPOP {KEY} other 0"))
        >> both(":1") << to_client(":1", name="pusher")
        >> exec_reply("*2 $5 other $1 x") << to_client("*2 $5 other $1 x")
        >> client(f"LPUSH {KEY} y", name="pusher") << sent_to_both(f"LPUSH {KEY} y")
        >> both(":1") << to_client(":1", name="pusher") << silence()
    )  # fmt: skip


def test_after_a_push_of_unknown_size_each_success_lets_more_try() -> None:
    """Where nobody knows how many elements have come one tries; after a success two do; a failure ends it."""
    (
        waiting("one", "two", "three", request=f"BZPOPMIN {KEY} 0")
        >> client(f"ZADD {KEY} 1 x 2 y", name="pusher")
        << sent_to_both(f"ZADD {KEY} 1 x 2 y", *one_attempt(f"BZPOPMIN {KEY} 0"))
        >> both(":2") << to_client(":2", name="pusher")
        >> exec_reply(f"*3 ${len(KEY)} {KEY} $1 x $1 1") << to_client(f"*3 ${len(KEY)} {KEY} $1 x $1 1", name="one")
        << sent_to_both(*one_attempt(f"BZPOPMIN {KEY} 0"), *one_attempt(f"BZPOPMIN {KEY} 0"))
        >> exec_reply(f"*3 ${len(KEY)} {KEY} $1 y $1 2") << to_client(f"*3 ${len(KEY)} {KEY} $1 y $1 2", name="two")
        >> NOTHING << silence()
    )  # fmt: skip


def test_a_newcomer_does_not_overtake() -> None:
    """Who comes while somebody before may still be served tries after them."""
    (
        waiting("one", "two")
        >> client(f"SORT other STORE {KEY}", name="pusher")
        << sent_to_both(f"SORT other STORE {KEY}", *one_attempt())
        >> client(f"BLPOP {KEY} third 0", name="new") << silence()
        >> both(":1") << to_client(":1", name="pusher")
        >> exec_reply(POPPED) << to_client(POPPED, name="one")
        << sent_to_both(*one_attempt(), *one_attempt(f"BLPOP {KEY} third 0"))
        >> NOTHING >> NOTHING << silence()
    )  # fmt: skip


def test_a_write_while_somebody_tries() -> None:
    """An attempt that was sent before a write says nothing about it: the same client tries again, and first."""
    (
        waiting("one", "two")
        >> client(f"SORT other STORE {KEY}", name="pusher")
        << sent_to_both(f"SORT other STORE {KEY}", *one_attempt())
        >> client(f"RPUSH {KEY} x", name="pusher") << sent_to_both(f"RPUSH {KEY} x")
        >> both(":0", "+OK", "+QUEUED", "*1 *-1", ":1")
        << to_client(":0", ":1", name="pusher") << sent_to_both(*one_attempt())
        >> exec_reply(POPPED) << to_client(POPPED, name="one") << sent_to_both(*one_attempt())
        >> NOTHING << silence()
    )  # fmt: skip


def test_what_only_takes_wakes_nobody() -> None:
    """A pop, or a new expiry, puts nothing there."""
    (
        waiting()
        >> client(f"LPOP {KEY}", name="other") << sent_to_both(f"LPOP {KEY}")
        >> both("$-1") << to_client("$-1", name="other") << silence()
    )  # fmt: skip


def test_time_out() -> None:
    """The time-out is the client's own, in fractions of a second; the answer is null as a server's is."""
    (
        waiting(request=f"BLPOP {KEY} 0.25")
        >> tick(0.2) << silence()
        >> tick(0.1) << to_client("*-1") << silence()
        >> client(f"RPUSH {KEY} x") << sent_to_both(f"RPUSH {KEY} x")
        >> both(":1") << to_client(":1")
    )  # fmt: skip


def test_writes_past_the_proxy() -> None:
    """Once a second one copy is asked whether the key is there; if so the first in line tries."""
    (
        waiting("one", "two")
        >> seconds(1.25) << to("a", f"EXISTS {KEY}")
        >> node("a", ":0") << silence()
        >> seconds(1.25) << to("a", f"EXISTS {KEY}")
        >> node("a", ":1") << sent_to_both(*one_attempt())
        >> exec_reply(POPPED) << to_client(POPPED, name="one") << sent_to_both(*one_attempt())
        >> NOTHING << silence()
    )  # fmt: skip


def test_a_look_that_fails() -> None:
    """A copy that does not say whether the key is there is asked again; one that refuses to say is tried."""
    (
        waiting()
        >> seconds(1.25) << to("a", f"EXISTS {KEY}")
        >> lost("a") >> seconds(1.25) << to("a", f"EXISTS {KEY}")
        >> node("a", "-NOPERM no") << attempts(f"BLPOP {KEY} 0") >> NOTHING << silence()
    )  # fmt: skip


def test_a_script_may_write_any_key() -> None:
    """Behind a script that may write keys it does not name one copy is asked which keys are there."""
    script = "EVAL return(redis.call('lpush',redis.call('get',KEYS[1]),'y')) 1 other"
    (
        waiting("one")
        >> client(script, name="pusher") << to("a", script, f"EXISTS {KEY}") << to("b", script)
        >> client(script, name="pusher") << to("a", script) << to("b", script)
        >> node("a", ":1", ":0", ":1") >> node("b", ":1", ":1") << to_client(":1", ":1", name="pusher")
        >> tick() << to("a", f"EXISTS {KEY}")
        >> node("a", ":1") << attempts(f"BLPOP {KEY} 0") >> NOTHING << silence()
    )  # fmt: skip


def test_what_the_leader_decides() -> None:
    """Behind what the leader has decided and the other was told the first in line attempts, too."""
    source = led_by(copies("a", "b"), "a", 2)
    sort = f"SORT {source} BY w_* STORE {KEY}"
    (
        waiting()
        >> client(sort, name="pusher") << to("a", f"MEMORY USAGE {KEY}")
        >> node("a", "$-1") << to("a", "MULTI", sort, f"DUMP {KEY}", f"PEXPIRETIME {KEY}", "EXEC")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3 :1 $2 dd :-1")
        << to("a", *one_attempt()) << to("b", f"RESTORE {KEY} 0 dd REPLACE ABSTTL", *one_attempt())
        >> node("b", "+OK") << to_client(":1", name="pusher")
        >> exec_reply(POPPED) << to_client(POPPED) << silence()
    )  # fmt: skip


def test_transactions() -> None:
    """A push in a transaction is followed by the attempt; inside a transaction nobody waits."""
    (
        waiting()
        >> client("MULTI", f"RPUSH {KEY} x", f"BLPOP {KEY} 0", "EXEC", name="pusher")
        << to_client("+OK", "+QUEUED", "+QUEUED", name="pusher")
        << sent_to_both("MULTI", f"RPUSH {KEY} x", f"BLPOP {KEY} 0", "EXEC", *one_attempt())
        >> both("+OK", "+QUEUED", "+QUEUED", f"*2 :1 {POPPED}") << to_client(f"*2 :1 {POPPED}", name="pusher")
        >> NOTHING << silence()
    )  # fmt: skip


def test_moves_feed_each_other() -> None:
    """What one client is moved another one may wait for."""
    move = "BLMOVE a b LEFT RIGHT 0"
    (
        story(copies("a", "b"))
        >> client(move, name="mover") << attempts(move) >> exec_reply("$-1") << silence()
        >> client("BLPOP b 0") << attempts("BLPOP b 0") >> NOTHING << silence()
        >> client("LPUSH a x", name="pusher")
        << sent_to_both("LPUSH a x", *one_attempt(move), *one_attempt("BLPOP b 0"))
        >> both(":1") << to_client(":1", name="pusher")
        >> exec_reply("$1 x") << to_client("$1 x", name="mover")
        >> exec_reply("*2 $1 b $1 x") << to_client("*2 $1 b $1 x") << silence()
    )  # fmt: skip


def test_another_type() -> None:
    """At first a key of another type is an error; to somebody who waits for one key it is no key."""
    (
        story(copies("a", "b"))
        >> client(f"BLPOP {KEY} 0") << attempts(f"BLPOP {KEY} 0")
        >> exec_reply("-WRONGTYPE") << to_client("-WRONGTYPE") << silence()
    )  # fmt: skip
    (
        waiting()
        >> client(f"SET {KEY} x", name="other") << sent_to_both(f"SET {KEY} x", *one_attempt())
        >> both("+OK") << to_client("+OK", name="other")
        >> exec_reply("-WRONGTYPE") << silence()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pop", "write", "reply"), [("BLPOP a b 0", "SET b x", "+OK"), ("BLMOVE a b LEFT LEFT 0", "LPUSH a x", ":1")]
)
def test_another_type_among_several(pop: str, write: str, reply: str) -> None:
    """With several keys, or one to move to, a key of another type is an error whenever it is met."""
    (
        waiting(request=pop)
        >> client(write, name="other") << sent_to_both(write, *one_attempt(pop))
        >> both(reply) << to_client(reply, name="other")
        >> exec_reply("-WRONGTYPE") << to_client("-WRONGTYPE") << silence()
    )  # fmt: skip


def test_each_consumer_group_has_its_line() -> None:
    """An entry is for every group of its stream; in a group for the first that waits. Once a second they try."""
    read = {name: f"XREADGROUP GROUP {name[0]} {name} BLOCK 0 STREAMS s >" for name in ("g1", "g2", "h1")}
    found = "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 f $1 v"
    play = story(copies("a", "b"))
    for name, request in read.items():
        play >> client(request, name=name) << attempts(request) >> NOTHING << silence()
    (
        play
        >> client("XADD s 1-1 f v", name="adder")
        << sent_to_both("XADD s 1-1 f v", *one_attempt(read["g1"]), *one_attempt(read["h1"]))
        >> both("$3 1-1") << to_client("$3 1-1", name="adder")
        >> exec_reply(found) << to_client(found, name="g1") >> exec_reply(found) << to_client(found, name="h1")
        >> seconds(1.25) << attempts(read["g2"]) >> exec_reply("-NOGROUP") << to_client("-NOGROUP", name="g2")
        << silence()
    )  # fmt: skip


def test_xreadgroup_without_block() -> None:
    """It is a write to all copies, of which the leader's reply counts."""
    read = "XREADGROUP GROUP g c STREAMS s >"
    (
        story(copies("a", "b"))
        >> client(read) << sent_to_both(read)
        >> both("*-1") << to_client("*-1") << silence()
    )  # fmt: skip


# -- a ring of copy pools ----------------------------------------------------------------------------------


def test_ring_of_copies() -> None:
    """Each pool of a ring has its own lines; keys have to meet, streams need not."""
    pool = ring(copies("a", "b", name="x"), copies("c", "d", name="y"))
    read = "XREADGROUP GROUP g me BLOCK 0 STREAMS {x}s {y}s > >"
    parts = {"x": "XREADGROUP GROUP g me BLOCK 0 STREAMS {x}s >", "y": "XREADGROUP GROUP g me BLOCK 0 STREAMS {y}s >"}
    found = "*1 *2 $4 {y}s *1 *2 $3 1-1 *2 $1 f $1 v"
    play = story(pool) >> client("BLPOP {x}q 0", name="one")
    for name in "ab":
        play << to(name, *one_attempt("BLPOP {x}q 0"))
    play >> NOTHING << silence() >> client(read)
    for name, shard in zip("abcd", "xxyy", strict=True):
        play << to(name, *one_attempt(parts[shard]))
        node(name, "+OK", "+QUEUED", "*1 *-1")(play)
    play << silence() >> client("XADD {y}s 1-1 f v", name="adder")
    for name in "cd":
        play << to(name, "XADD {y}s 1-1 f v", *one_attempt(parts["y"]))
        node(name, "$3 1-1", "+OK", "+QUEUED", f"*1 {found}")(play)
    play << to_client("$3 1-1", name="adder") << to_client(found) << silence()
    assert [group.waiters.count for group in pool.groups] == [1, 0]
