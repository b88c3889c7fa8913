"""Writes that the leader decides, and what becomes of them when somebody fails in between. Stories."""

from kidoproxy.replication.leader_first import LeaderFirstWrite, LeaderReply
from kidoproxy.resp.errors import NodeFailure
from tests.replication.decided import idle, in_sync, noted
from tests.replication.three import ALL, three
from tests.story import (
    client,
    copies,
    given,
    led_by,
    lost,
    node,
    refused,
    story,
    then,
    tick,
    to,
    to_client,
)


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
            "-NOREPLICAS the write was applied on a only, 2 copies are wanted",
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


def test_a_bug_behind_its_end() -> None:
    """Turn and open write are over already, and are not ended once more: a sync would count on what is still open."""
    pool, key = three()
    play = story(pool)
    play >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
    turn = next(iter(pool.groups[0].key_turns.open_turns))
    assert isinstance(turn, LeaderFirstWrite)
    play >> node("a", "$-1") << to_client("$-1") << then(idle)
    LeaderReply(turn, pool.nodes[0], [], 1).abort(NodeFailure("NODEDOWN", "a", "a:6379", "a bug", True), False)
    play << noted(key) << then(idle)
    assert pool.groups[0].open_writes == 0


def test_no_next_leader_lives() -> None:
    """A copy that is in sync and down is not asked to decide."""
    pool, key = three()
    play = story(pool)
    play >> client(f"SPOP {key}") << to("a", f"SPOP {key}")
    for each in pool.nodes[1:]:
        each.live = False
    play >> node("a", "-OOM no") << to_client("-OOM no") << in_sync(*ALL) << then(idle)
