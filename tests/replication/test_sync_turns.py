"""A sync while the leader is ahead of the others in some keys: what it has decided must not reach the copy twice."""

from kidoproxy.replication.group import IN_SYNC
from kidoproxy.replication.key_turns import DbKey
from kidoproxy.replication.sync import Sync
from kidoproxy.replication.sync_steps import SyncPhase, SyncStep
from tests.replication.syncing import fill_both, hold_the_same, two_copies
from tests.replication.test_key_turns import Recorded
from tests.replication.test_partial_sync import missed
from tests.story import client, lost
from tests.toy import ToyNodes

K, L = (0, b"k"), (0, b"l")


def turn_at(stage: ToyNodes, *keys: DbKey) -> Recorded:
    """Somebody has a turn at these keys from now on."""
    turn = Recorded("a write", [], list(keys))
    stage.play.pool.groups[0].key_turns.ask(turn)
    return turn


def was_read(stage: ToyNodes, name: str) -> bool:
    """Whether the node was asked for any value."""
    return any(seen.startswith(b"DUMP") for seen in stage.toys[name].seen)


def two_that_differ() -> tuple[ToyNodes, Sync]:
    """Two copies, and one of three keys differs."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys["a"].dbs[0][b"k"] = b"9"
    return stage, sync


def test_a_key_that_is_being_decided() -> None:
    """No value is asked for before all have been told."""
    stage, sync = two_that_differ()
    turn = turn_at(stage, L)
    sync.begin()
    stage.run()
    assert not was_read(stage, "a")

    stage.play.pool.groups[0].key_turns.leave(turn)
    stage.run()
    assert (sync.problem, hold_the_same(stage)) == ("", True)
    assert stage.play.pool.groups[0].copies[1].state == IN_SYNC
    assert not stage.play.pool.groups[0].key_turns.busy


def test_other_keys() -> None:
    """Nothing waits for what is decided of keys that are not copied."""
    stage, sync = two_that_differ()
    turn_at(stage, (3, b"k"), (0, b"other"))
    sync.begin()
    stage.run()
    assert (sync.problem, hold_the_same(stage)) == ("", True)


def test_another_key_meanwhile() -> None:
    """Another key of the batch is being decided when the first one is not any more: both are waited for."""
    stage, sync = two_that_differ()
    turns = stage.play.pool.groups[0].key_turns
    first = turn_at(stage, K)
    sync.begin()
    stage.run()
    second, behind = turn_at(stage, L), turn_at(stage, K)
    turns.leave(first)
    assert behind.log == ["a write"]
    stage.run()
    assert not was_read(stage, "a")

    turns.leave(second)
    stage.run()
    assert not was_read(stage, "a")
    turns.leave(behind)
    stage.run()
    assert (sync.problem, hold_the_same(stage)) == ("", True)


def test_the_sync_ends_while_it_waits() -> None:
    """Its place in the order is given up."""
    stage, sync = two_that_differ()
    turn = turn_at(stage, K)
    sync.begin()
    stage.run()
    sync.finish("not wanted any more")
    stage.play.pool.groups[0].key_turns.leave(turn)
    stage.run()
    assert (sync.step, was_read(stage, "a")) == (SyncStep.DONE, False)
    assert not stage.play.pool.groups[0].key_turns.busy


def test_the_proof_is_lost_meanwhile() -> None:
    """Whatever has happened while it waited: nothing is copied without a proof that holds."""
    stage, sync = two_that_differ()
    turn = turn_at(stage, K)
    sync.begin()
    stage.run()
    lost("b")(stage.play)
    stage.run()
    stage.play.pool.groups[0].key_turns.leave(turn)
    stage.run()
    assert (sync.problem, hold_the_same(stage)) == ("", True)


def test_touched_keys_are_compared_at_one_point() -> None:
    """What was touched while the check of touched keys waited is compared in it, at the same point of the order."""
    stage, sync = missed(K)
    turn = turn_at(stage, K)
    sync.begin()
    stage.run()
    client("RENAME same n")(stage.play)
    stage.run()
    assert (sync.phase, sync.step) == (SyncPhase.RECHECKING, SyncStep.SIZE)

    stage.play.pool.groups[0].key_turns.leave(turn)
    stage.play.settle()
    assert sorted(sync.batch.keys) == [b"k", b"n", b"same"]
    stage.run()
    assert (sync.problem, hold_the_same(stage)) == ("", True)
