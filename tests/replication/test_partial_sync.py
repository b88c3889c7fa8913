"""A copy that missed known keys, and was not restarted: these are compared, and no others."""

import pytest

from kidoproxy.replication.sync import Sync
from tests.replication.syncing import answer_until, hold_the_same
from tests.story import client, copies, lost, story
from tests.toy import ToyNodes


def missed(*keys: tuple[int, bytes], scan: int = 2) -> tuple[ToyNodes, Sync]:
    """Two copies that were in sync; ``b`` has missed these keys. Other keys are equal, and are never looked at."""
    stage = ToyNodes(story(copies("a", "b")))
    play, group = stage.play, stage.play.pool.groups[0]
    assert stage.say("SET warm up") == b"+OK\r\n"
    for copy in group.copies:
        group.mark_in_sync(copy.node)
    for toy in stage.toys.values():
        toy.dbs = {0: {b"same": b"1", b"gone": b"1"}, 1: {b"same": b"1"}}
        toy.seen.clear()
    for db, key in keys:
        group.mark_behind([play.node("b")], db, [key])
        stage.toys["a"].dbs.setdefault(db, {})[key] = b"new"
    sync = Sync(play.executor, group, play.node("a"), play.node("b"), False)
    sync.wall_ms = play.proxy.wall_ms
    return stage, sync


def is_let_in(stage: ToyNodes) -> bool:
    """In sync again, and equal."""
    return stage.play.pool.groups[0].behind_names() == [] and hold_the_same(stage)


def seen(stage: ToyNodes) -> set[bytes]:
    """The first words of what both were asked."""
    return {line.split()[0] for toy in stage.toys.values() for line in toy.seen}


def test_missed_keys_alone_are_compared() -> None:
    """In each of their databases; what was deleted meanwhile is removed."""
    stage, sync = missed((0, b"k"), (1, b"k"), (0, b"gone"))
    del stage.toys["a"].dbs[0][b"gone"]
    sync.begin()
    stage.run()
    assert is_let_in(stage)
    assert b"SCAN" not in seen(stage)
    assert b"DUMP same" not in stage.toys["a"].seen
    assert (sync.passes, sync.keys_seen, sync.copied_count, sync.is_partial) == (1, 3, 3, True)
    assert stage.play.pool.groups[0].copies[1].missed.count() == 0


def test_nothing_was_missed() -> None:
    """A copy that missed no key after all is let in at once."""
    stage, sync = missed((0, b"k"))
    stage.play.pool.groups[0].copies[1].missed.keys.clear()
    stage.toys["b"].dbs[0][b"k"] = b"new"
    sync.begin()
    stage.run()
    assert is_let_in(stage)
    assert b"DUMP k" not in stage.toys["a"].seen


def test_writes_go_on() -> None:
    """What several keys decide meanwhile is compared, too; so is what the copy misses once more."""
    stage, sync = missed((0, b"k"))
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    client("RENAME k l")(stage.play)
    stage.run()
    assert is_let_in(stage)

    stage, sync = missed((0, b"k"))
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    stage.play.node("b").live = False
    client("SET other 2")(stage.play)
    stage.play.settle()
    stage.play.node("b").live = True
    stage.run()
    assert is_let_in(stage)
    assert (sync.passes, sync.is_partial) == (2, True)


@pytest.mark.parametrize("why", ["restarted", "unknown keys", "refill"])
def test_all_keys_are_compared(why: str) -> None:
    """Where the server may have lost other keys, or nobody knows which ones were missed; or somebody wants a refill."""
    stage, sync = missed((0, b"k"))
    group = stage.play.pool.groups[0]
    if why == "restarted":
        group.copies[1].missed.run_id = b"b-before"
    elif why == "unknown keys":
        group.mark_behind([group.copies[1].node])
    else:
        sync.refill = sync.fill_only = True
    sync.begin()
    stage.run()
    assert is_let_in(stage)
    assert (b"SCAN" in seen(stage), sync.is_partial) == (True, False)


def test_a_failure_forgets_nothing() -> None:
    """After a sync that failed half way the next one compares the same keys."""
    stage, sync = missed((0, b"k"), (0, b"l"))
    sync.begin()
    answer_until(stage, "b", b"RESTORE")
    lost("b")(stage.play)
    stage.run()
    assert sync.problem
    assert sorted(stage.play.pool.groups[0].copies[1].missed.keys) == [(0, b"k"), (0, b"l")]
