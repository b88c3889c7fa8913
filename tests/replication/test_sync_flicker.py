"""No key is overlooked by a pass: not one that expires while it is scanned, nor one that a write meets differently."""

from itertools import combinations_with_replacement

import pytest

from kidoproxy.replication import sync_pass
from kidoproxy.replication.group import IN_SYNC
from kidoproxy.replication.sync import Sync
from kidoproxy.replication.sync_steps import SyncPhase, SyncStep
from kidoproxy.replication.touched_keys import MANY_TOUCHED_KEYS, RECHECK_KEYS
from tests.replication.syncing import (
    answer_until,
    answer_until_writes_are_awaited,
    fill_both,
    hold_the_same,
    is_next_request,
    three_copies,
    two_copies,
)
from tests.story import client
from tests.toy import ToyNodes

#: More rounds than a sync of four keys takes.
ROUNDS = 36


def answer_once(stage: ToyNodes) -> None:
    """Each node answers one request."""
    for name in "ab":
        stage.step(name)


def is_let_in(stage: ToyNodes) -> bool:
    """In sync, with the same contents, and nothing left to repair."""
    group = stage.play.pool.groups[0]
    return group.copies[1].state == IN_SYNC and hold_the_same(stage) and not group.to_repair


def expire(stage: ToyNodes, value: bytes) -> None:
    """The key that has this value expires wherever it has it."""
    for toy in stage.toys.values():
        if toy.dbs.get(0, {}).get(b"z") == value:
            del toy.dbs[0][b"z"]


@pytest.mark.parametrize("write", ["", "APPEND z new", "SET z new NX"])
def test_a_key_expires_at_any_moment(write: str) -> None:
    """On the source, then on the copy, where it differs; with a write to it between the two, which each may refuse."""
    for at_source, at_write, at_copy in combinations_with_replacement(range(0, ROUNDS, 5), 3):
        stage, sync = two_copies(False)
        fill_both(stage)
        stage.toys["a"].dbs[0][b"z"] = b"right"
        stage.toys["b"].dbs[0][b"z"] = b"wrong"
        sync.begin()
        for at in range(ROUNDS):
            if at >= at_source:
                expire(stage, b"right")
            if at == at_write and write:
                client(write)(stage.play)
                stage.play.settle()
            if at == at_copy:
                expire(stage, b"wrong")
            answer_once(stage)
        stage.run()
        expire(stage, b"right")
        assert sync.step is SyncStep.DONE
        assert is_let_in(stage), (at_source, at_write, at_copy, stage.toys["a"].dbs, stage.toys["b"].dbs)


def test_a_key_is_gone_while_the_source_is_scanned() -> None:
    """The source has not had it since before its scan: what the copy still has is found by the copy's scan."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys["b"].dbs[0][b"z"] = stage.toys["a"].dbs[0][b"z"] = b"right"
    sync.begin()
    answer_until(stage, "a", b"SCAN")
    assert sync.phase is SyncPhase.SCANNING_SOURCE
    del stage.toys["a"].dbs[0][b"z"]
    stage.run()
    assert b"EXISTS z" in stage.toys["a"].seen
    assert is_let_in(stage)


def test_a_key_that_no_scan_gives() -> None:
    """A write makes it on the source behind its scan, and on the copy it expires before its own: all replies agree."""
    stage, sync = two_copies(False)
    fill_both(stage)
    stage.toys["b"].dbs[0][b"z"] = b"wrong"
    stage.toys["b"].scan = 1
    sync.begin()
    answer_until(stage, "a", b"SCAN")
    while sync.phase is not SyncPhase.SCANNING_TARGET:
        answer_once(stage)
    client("SETRANGE z 4 x")(stage.play)
    stage.play.settle()
    assert b"z" not in stage.toys["a"].dbs[0]
    for name in "ab":
        while not any(line.startswith(b"SETRANGE") for line in stage.toys[name].seen):
            stage.step(name)
    assert (stage.toys["a"].dbs[0][b"z"], stage.toys["b"].dbs[0][b"z"]) == (b"\0\0\0\0x", b"wronx")
    expire(stage, b"wronx")
    stage.run()
    assert b"EXISTS z" not in stage.toys["a"].seen
    assert is_let_in(stage)


@pytest.mark.parametrize("refill", [False, True])
def test_a_key_expires_at_any_moment_of_a_fill(refill: bool) -> None:
    """A copy that is filled lacks it when it is written, and the source no longer has it when it is scanned."""
    for at_write, at_source in combinations_with_replacement(range(0, ROUNDS, 3), 2):
        stage, sync = two_copies(refill)
        stage.toys["a"].dbs = {0: {b"k": b"1", b"z": b"right"}}
        stage.toys["b"].dbs = {}
        sync.begin()
        for at in range(ROUNDS):
            if at == at_write:
                client("SET z new NX")(stage.play)
                stage.play.settle()
            if at >= at_source:
                expire(stage, b"right")
            answer_once(stage)
        stage.run()
        expire(stage, b"right")
        assert is_let_in(stage), (at_write, at_source, stage.toys["a"].dbs, stage.toys["b"].dbs)


# -- a write that copies take differently ------------------------------------------------------------------


def awaits_writes(step_order: str) -> tuple[ToyNodes, Sync]:
    """All is compared, then the key expires on the copy alone, where a lock is taken. Who answers first."""
    stage, sync = three_copies()
    answer_until_writes_are_awaited(stage, sync)
    del stage.toys["b"].dbs[0][b"m"]
    client("SET m lock NX")(stage.play)
    stage.play.settle()
    for name in step_order:
        stage.step(name)
    return stage, sync


@pytest.mark.parametrize("step_order", ["bbb", "aaa", ""])
def test_a_copy_takes_a_lock_that_its_leader_refuses(step_order: str) -> None:
    """Whoever answers first: it is not in sync before the key is as its leader has it; or else it is repaired."""
    stage, sync = awaits_writes(step_order)
    stage.run()
    group = stage.play.pool.groups[0]
    assert (sync.problem, group.copies[1].state) == ("", IN_SYNC)
    assert hold_the_same(stage) or group.to_repair == {(0, b"m"): True}


@pytest.mark.parametrize("is_partial", [False, True])
def test_a_lock_is_taken_while_keys_are_checked_again(is_partial: bool) -> None:
    """Then single keys are not noted when they are written; the copy's reply tells."""
    stage, sync = two_copies(False)
    fill_both(stage)
    group = stage.play.pool.groups[0]
    if is_partial:
        for copy in group.copies:
            copy.missed.reset(copy.node.run_id)
        group.copies[1].missed.add(0, [b"k"])
    sync.begin()
    answer_until(stage, "a", b"DUMP")
    client("MSET k 5 l 6")(stage.play)
    stage.play.settle()
    while sync.phase is not SyncPhase.RECHECKING or not is_next_request(stage, "a", b"DUMP"):
        answer_once(stage)
    assert not group.touches_single_keys
    del stage.toys["b"].dbs[0][b"m"]
    client("SET m lock NX")(stage.play)
    stage.run()
    assert sync.is_partial is is_partial
    assert sync.late_rechecks == 1
    assert is_let_in(stage)


def test_replies_that_always_differ() -> None:
    """Some writes look different on equal copies: the copy is let in, and the keys are repaired after that."""
    stage, sync = awaits_writes("")
    sync.late_rechecks = sync_pass.MAX_LATE_RECHECKS
    group = stage.play.pool.groups[0]
    group.on_unawaited_reply_differs(group.copies[1].node, 0, [b"l"])
    stage.run()
    assert (sync.problem, group.copies[1].state) == ("", IN_SYNC)
    assert (0, b"l") in group.to_repair
    assert group.differing_keys == {}


def test_a_write_whose_outcome_nobody_knows() -> None:
    """No copy in sync has acknowledged it, but the one that is synced may have it: its keys are compared."""
    stage, sync = three_copies()
    answer_until_writes_are_awaited(stage, sync)
    group = stage.play.pool.groups[0]
    stage.toys["b"].dbs[0][b"m"] = b"alone"
    group.outcomes_may_differ(0, [b"m"])
    stage.run()
    assert (sync.problem, sync.late_rechecks, hold_the_same(stage)) == ("", 1, True)

    stage, sync = three_copies()
    answer_until_writes_are_awaited(stage, sync)
    stage.play.pool.groups[0].outcomes_may_differ(0, None)
    stage.run()
    assert (sync.problem, sync.passes) == ("", 2)


# -- many writes -------------------------------------------------------------------------------------------


def test_many_keys_are_written_during_a_scan() -> None:
    """Some are compared before its end, so that the memory they take is bounded; the others at the end."""
    stage, sync = two_copies(False)
    fill_both(stage)
    sync.begin()
    answer_until(stage, "a", b"SCAN")
    group = stage.play.pool.groups[0]
    group.touched_keys = {(0, b"n%d" % at): True for at in range(MANY_TOUCHED_KEYS)}
    stage.toys["b"].dbs[0][b"n1"] = b"x"
    answer_until(stage, "a", b"EXISTS")
    assert b"DUMP n1" in [b" ".join(line.split()[:2]) for line in stage.toys["a"].seen]
    assert len(group.touched_keys) == MANY_TOUCHED_KEYS - RECHECK_KEYS
    group.touched_keys.clear()
    stage.run()
    assert (sync.problem, sync.passes) == ("", 1)
    assert is_let_in(stage)
