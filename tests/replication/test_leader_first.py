"""Writes that the leader decides: what it is asked, what the others are told, and what becomes of failures. Stories."""

from kidoproxy.replication.group import BEHIND
from kidoproxy.replication.leader_first import LeaderFirstWrite, LeaderReply
from kidoproxy.resp.errors import NodeFailure
from tests.replication.three import ALL, three
from tests.story import (
    Event,
    Story,
    client,
    copies,
    given,
    led_by,
    lost,
    node,
    refused,
    silence,
    story,
    then,
    tick,
    to,
    to_client,
)


def in_sync(*names: str) -> Event:
    """These copies are in sync."""
    return then(lambda play: [copy.node.name for copy in play.pool.groups[0].in_sync()] == list(names))


def noted(*keys: str) -> Event:
    """These keys wait for a repair."""
    return then(lambda play: [key.decode() for _, key in play.pool.groups[0].to_repair] == list(keys))


def idle(play: Story) -> bool:
    """Nobody has a turn, and no write is open."""
    group = play.pool.groups[0]
    return not group.key_turns.busy and not group.open_writes


def test_decided_and_told() -> None:
    """The leader pops, the others remove what it has popped; the client hears of it when all have."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x")
        >> node("c", ":1") << silence()
        >> node("b", ":1") << to_client("$1 x") << noted() << then(idle)
    )  # fmt: skip


def test_nothing_to_tell() -> None:
    """Nothing was popped, or the leader has refused it: no copy is told, the reply is the leader's."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SPOP {key}", f"SPOP {key} 2", f"SPOP {key} no") << to("a", f"SPOP {key}")
        >> node("a", "$-1") << to_client("$-1") << to("a", f"SPOP {key} 2")
        >> node("a", "*0") << to_client("*0") << to("a", f"SPOP {key} no")
        >> node("a", "-ERR value is out of range") << to_client("-ERR value is out of range") << then(idle)
    )  # fmt: skip


def test_others_wait_their_turn() -> None:
    """What is asked of the key meanwhile is sent to nobody before the others are told; other keys do not wait."""
    pool, key = three()
    other = led_by(pool, "a", 2)
    (
        story(pool)
        >> client(f"SPOP {key} 2") << to("a", f"SPOP {key} 2")
        >> client(f"SADD {key} z", f"SCARD {key}", f"SADD {other} z", name="you")
        << to("a", f"SADD {other} z") << to("b", f"SADD {other} z") << to("c", f"SADD {other} z")
        >> node("a", "*2 $1 x $1 y", ":1")
        << to("b", f"SREM {key} x y", f"SADD {key} z") << to("c", f"SREM {key} x y", f"SADD {key} z")
        << to("a", f"SADD {key} z", f"SCARD {key}")
        >> node("b", ":1", ":2", ":1") >> node("c", ":1", ":2", ":1") << to_client("*2 $1 x $1 y")
        >> node("a", ":1", ":1") << to_client(":1", ":1", ":1", name="you") << then(idle)
    )  # fmt: skip


def test_whole_keyspace() -> None:
    """FLUSHDB and what looks at all keys wait for every turn; what comes behind them waits for them."""
    pool, key = three()
    other = led_by(pool, "a", 2)
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> client("RANDOMKEY", "SCRIPT LOAD return", name="you")
        << to("a", "SCRIPT LOAD return") << to("b", "SCRIPT LOAD return") << to("c", "SCRIPT LOAD return")
        >> client(f"GET {other}", name="other")
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x")
        << to("a", "RANDOMKEY", f"GET {other}") << then(lambda play: not play.pool.groups[0].key_turns.busy)
    )  # fmt: skip


def test_the_leader_is_lost() -> None:
    """Another one decides in its place; what the lost one may have run has missed that, so it is behind."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> refused("a") << to("b", f"SPOP {key}") << in_sync(*ALL)
        >> node("b", "$1 y") << to("c", f"SREM {key} y")
        >> node("c", ":1") << to_client("$1 y") << in_sync("b", "c") << noted() << then(idle)
    )  # fmt: skip


def test_all_are_lost() -> None:
    """Nobody has decided: the outcome is unknown, all keep their places, the key waits for a repair."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> refused("a") << to("b", f"SPOP {key}")
        >> refused("b") << to_client(
            "-NODEDOWN a a:6379 (connection refused); the write may have run, its outcome is unknown"
        )
        << in_sync("a", "b") << noted(key) << then(idle)
    )  # fmt: skip


def test_the_leader_is_late() -> None:
    """The time is over: nobody else is asked, the outcome is unknown, the key waits for a repair."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> client(f"SADD {key} z", name="you")
        >> tick(0.6) << to_client(
            "-TIMEOUT a a:6379 (no reply in 500 ms); the write may have run, its outcome is unknown"
        )
        << in_sync(*ALL) << noted(key)
    )  # fmt: skip


def test_waited_too_long() -> None:
    """A write that has waited for its turn until its deadline was sent to nobody, and says so."""
    pool, key = three()
    play = story(pool)
    turns = pool.groups[0].key_turns
    (
        play
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> client(f"SADD {key} z", f"SPOP {key}", name="you")
        >> given(lambda play: turns.tick(play.executor.now + 1.01))
        << to_client(
            "-TIMEOUT a a:6379 (earlier commands on its keys are not decided yet)",
            "-TIMEOUT a a:6379 (earlier commands on its keys are not decided yet)",
            name="you",
        )
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x") << then(
            lambda play: not turns.busy
        )
    )  # fmt: skip


def test_unfit_leader() -> None:
    """A leader that cannot run it is told what another one has decided; it is behind if it does not take that."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "-READONLY no") << to("b", f"SPOP {key}")
        >> node("b", "$1 y") << to("a", f"SREM {key} y") << to("c", f"SREM {key} y")
        >> node("c", ":1") >> node("a", "-READONLY no") << to_client("$1 y") << in_sync("b", "c")
    )  # fmt: skip


def test_all_are_unfit() -> None:
    """The first one's refusal is the reply, and nothing has changed."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "-OOM first") << to("b", f"SPOP {key}")
        >> node("b", "-OOM second") << to_client("-OOM first") << in_sync("a", "b") << noted() << then(idle)
    )  # fmt: skip


def test_a_copy_differs() -> None:
    """A copy that had not all of what was popped is repaired; the leader's word stands."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "$1 x") << to("b", f"SREM {key} x")
        >> node("b", ":0") << to_client("$1 x") << noted(key) << in_sync("a", "b")
    )  # fmt: skip


def test_behind_copies() -> None:
    """A copy that is behind is told, too, and not waited for; if that is lost its sync looks again."""
    pool, key = three(behind="c")
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x")
        >> node("b", ":1") << to_client("$1 x")
        << then(lambda play: not play.pool.groups[0].copies[2].missed_write)
        >> lost("c") << then(lambda play: play.pool.groups[0].copies[2].missed_write)
    )  # fmt: skip


def test_the_leader_fell_behind() -> None:
    """What a copy decides that has missed a write meanwhile counts for nobody."""
    pool, key = three()
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> given(lambda play: play.pool.groups[0].mark_behind([play.pool.nodes[0]]))
        >> node("a", "$1 x") << to("b", f"SPOP {key}")
        >> node("b", "$1 y") << to("c", f"SREM {key} y")
        >> node("c", ":1") << to_client("$1 y") << in_sync("b", "c")
        << then(lambda play: play.pool.groups[0].copies[0].missed_write)
    )  # fmt: skip


def test_the_leader_may_lack_a_write() -> None:
    """A write that the leader has refused and others may have taken: its decision does not count."""
    pool, key = three()
    other = led_by(pool, "a", 2)
    (
        story(pool)
        >> client(f"SET {other} v", name="you") << to("a", f"SET {other} v") << to("b", f"SET {other} v")
        << to("c", f"SET {other} v")
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "-OOM no", "$1 x") << to("b", f"SPOP {key}")
        >> node("b", "+OK", "$1 y") << to("c", f"SREM {key} y")
        >> node("c", "+OK", ":1") << to_client("+OK", name="you") << to_client("$1 y") << in_sync("b", "c")
    )  # fmt: skip


def test_the_only_copy() -> None:
    """One that is alone decides for itself; a lost one has nobody in its place."""
    pool = copies("a", "b", behind="b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> given(lambda play: setattr(play.pool.groups[0].copies[0], "unconfirmed", 1))
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to_client("$1 x")
    )  # fmt: skip


def test_min_in_sync() -> None:
    """With too few live copies nothing is sent; it is looked at again when it is its turn."""
    pool = copies("a", "b", min_in_sync=2)
    key = led_by(pool, "a")
    play = story(pool)
    (
        play
        >> client(f"SPOP {key}", f"SPOP {key}") << to("a", f"SPOP {key}")
        >> refused("b")
        >> node("a", "$1 x") << to_client(
            "-NOREPLICAS write stands on a only, 2 copies are wanted",
            "-NOREPLICAS Not enough good replicas to write.",
        )
        >> client(f"SPOP {key}") << to_client("-NOREPLICAS Not enough good replicas to write.") << then(idle)
    )  # fmt: skip


def test_trust_is_lost_meanwhile() -> None:
    """What has its turn when no copy is trusted any more is refused, writes, reads and decisions alike."""
    pool, key = three()
    group = pool.groups[0]
    play = story(pool)
    (
        play
        >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
        >> client(f"SADD {key} z", f"SCARD {key}", f"SPOP {key}", name="you")
        >> given(lambda play: group.lose_trust(play.pool.nodes[0]))
        >> node("a", "*0")
    )  # fmt: skip
    refusal = group.refusal.decode().rstrip()
    play << to_client("*0") << to_client(refusal, refusal, refusal, name="you")


def test_watched_keys() -> None:
    """A key that is popped from has changed for those who watch it, from the moment on at which the leader is asked."""
    pool, key = three()
    (
        story(pool)
        >> client(f"WATCH {key}") << to("a", f"PTTL {key}") >> node("a", ":-1") << to_client("+OK")
        >> client(f"SPOP {key}", name="you") << to("a", f"SPOP {key}")
        >> client("MULTI", "PING", "EXEC") << to_client("+OK", "+QUEUED", "*-1")
    )  # fmt: skip


def test_each() -> None:
    """PROXY EACH lists one reply for each copy."""
    pool, key = three()
    pool.groups[0].copies[2].state = BEHIND
    (
        story(pool)
        >> client(f"PROXY EACH SPOP {key}") << to("a", f"SPOP {key}")
        >> node("a", "$1 x") << to("b", f"SREM {key} x") << to("c", f"SREM {key} x")
        >> node("b", ":1") << to_client(b"*3\r\n$1\r\nx\r\n$1\r\nx\r\n-BEHIND c is not in sync; it gets writes and is "
                                        b"not read\r\n")
    )  # fmt: skip


def test_servers_that_lie() -> None:
    """A time that is none, or too few replies: another copy decides, and this one may have done anything."""
    for lie in ("*2 *1 $3 1-1 +what", "*1 *0"):
        pool = copies("a", "b")
        key = led_by(pool, "a")
        asked = ("MULTI", f"XCLAIM {key} g c 5 1", "TIME", "EXEC")
        (
            story(pool)
            >> client(f"XCLAIM {key} g c 5 1") << to("a", *asked)
            >> node("a", "+OK", "+QUEUED", "+QUEUED", lie) << to("b", *asked)
            >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 *1 $3 1-0 *2 $1 7 $1 0") << to_client("*1 $3 1-0")
            << in_sync("b") << then(idle)
        )  # fmt: skip


def test_too_large() -> None:
    """Where the others would be sent more than the pool allows nothing is run; who cannot say how much may be empty."""
    pool = copies("a", "b")
    pool.groups[0].effect_max_bytes = 2 << 20
    key = led_by(pool, "a")
    text = f"SORT {key} BY w_* STORE {key}"
    play = story(pool)
    (
        play
        >> client(text)
        << to("a", f"MEMORY USAGE {key}")
        >> node("a", ":2097153")
        << to_client(
            "-ERR 'sort' is not served here: its keys are larger than 2 MiB, which the other copies would be sent"
        )
    )
    play << noted() << then(idle)
    play >> client(text) << to("a", f"MEMORY USAGE {key}") >> node("a", "-NOPERM no")
    play << to("a", "MULTI", text, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")


def test_lost_before_anything_was_run() -> None:
    """Another leader decides, and the lost one is not behind for that alone: it is sent what the other has decided."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    text = f"SORT {key} BY w_* STORE {key}"
    play = story(pool)
    play >> client(text) << to("a", f"MEMORY USAGE {key}") >> lost("a") << to("b", f"MEMORY USAGE {key}")
    play >> node("b", ":9") << to("b", "MULTI", text, f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")
    (play >> node("b", "+OK", *["+QUEUED"] * 3, "*3 :1 $1 x :-1") << to("a", f"RESTORE {key} 0 x REPLACE ABSTTL"))
    play >> node("a", "+OK") << to_client(":1") << in_sync("a", "b") << noted() << then(idle)


def test_those_who_wait() -> None:
    """A value that the leader has stored is one that others may wait for."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    for each in pool.nodes:
        each.version = b"7.2.4"
    pop = ("MULTI", f"BLPOP {key} 0", "EXEC")
    (
        story(pool)
        >> client(f"BLPOP {key} 0", name="you") << to("a", *pop) << to("b", *pop)
        >> node("a", "+OK", "+QUEUED", "*1 *-1") >> node("b", "+OK", "+QUEUED", "*1 *-1") << silence()
        >> client(f"SORT {key} BY w_* STORE {key}") << to("a", f"MEMORY USAGE {key}") >> node("a", "$-1")
        << to("a", "MULTI", f"SORT {key} BY w_* STORE {key}", f"DUMP {key}", f"PEXPIRETIME {key}", "EXEC")
        >> node("a", "+OK", *["+QUEUED"] * 3, "*3 :1 $1 x :-1")
        << to("b", f"RESTORE {key} 0 x REPLACE ABSTTL", *pop) << to("a", *pop)
    )  # fmt: skip


def test_a_bug_of_ours() -> None:
    """What ends half way by a bug leaves no turn and no open write behind, and the key waits for a repair."""
    pool, key = three()
    play = story(pool)
    play >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
    turn = next(iter(pool.groups[0].key_turns.open_turns))
    assert isinstance(turn, LeaderFirstWrite)
    handler = LeaderReply(turn, pool.nodes[0], [], 1)
    assert handler.describe() == "SPOP"
    handler.abort(NodeFailure("NODEDOWN", "a", "a:6379", "a bug", True), True)
    play << noted(key) << then(idle)


def test_claims() -> None:
    """The leader says what it has claimed and when; the others claim the same, in one transaction."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    (
        story(pool)
        >> client(f"XAUTOCLAIM {key} g c 5 0 JUSTID")
        << to("a", "MULTI", f"XAUTOCLAIM {key} g c 5 0 JUSTID", "TIME", "EXEC")
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "*2 *3 $3 0-0 *1 $3 1-1 *1 $3 2-2 *2 $1 7 $4 5000")
        << to("b", "MULTI", f"XCLAIM {key} g c 0 1-1 TIME 7005 FORCE JUSTID", f"XACK {key} g 2-2", "EXEC")
        >> node("b", "+OK", "+QUEUED", "+QUEUED", "*2 *1 $3 1-1 :1")
        << to_client("*3 $3 0-0 *1 $3 1-1 *1 $3 2-2") << noted() << then(idle)
    )  # fmt: skip


def test_a_claim_that_is_refused() -> None:
    """Refused before it ran or by the command itself: the client hears why, and nobody is told."""
    pool = copies("a", "b")
    key = led_by(pool, "a")
    asked, asked_next = [to(name, "MULTI", f"XCLAIM {key} g c 5 1", "TIME", "EXEC") for name in "ab"]
    (
        story(pool)
        >> client(f"XCLAIM {key} g c 5 1") << asked
        >> node("a", "+OK", "+QUEUED", "+QUEUED", b"*2\r\n-NOGROUP no\r\n*2\r\n$1\r\n7\r\n$1\r\n0\r\n")
        << to_client("-NOGROUP no")
        >> client(f"XCLAIM {key} g c 5 1") << asked
        >> node("a", "+OK", "-ERR no", "+QUEUED", "-EXECABORT no") << to_client("-ERR no")
        >> client(f"XCLAIM {key} g c 5 1") << asked
        >> node("a", "+OK", "-NOPERM no", "+QUEUED", "-EXECABORT no") << asked_next
        >> node("b", "+OK", "-ERR no", "+QUEUED", "-EXECABORT no") << to_client("-ERR no") << in_sync("a", "b")
        >> client(f"XCLAIM {key} g c 5 1") << asked
        >> node("a", "+OK", "+QUEUED", "+QUEUED", "-BUSY no") << asked_next
    )  # fmt: skip
