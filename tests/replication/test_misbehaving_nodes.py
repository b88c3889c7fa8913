"""Nodes that answer a sync with anything, or not at all: it ends with its reason, and can be requested again."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kidoproxy.replication.group import BEHIND, IN_SYNC, SYNCING
from kidoproxy.replication.supervisor import CopySupervisor
from kidoproxy.replication.sync_scheduler import STALLED_SECONDS
from kidoproxy.replication.sync_steps import SyncStep
from tests.replication.supervised import supervised_copies
from tests.story import tick
from tests.strategies import replies
from tests.toy import ToyNodes

#: Every request that a sync sends, and to which node.
REQUESTS = [
    ("a", b"INFO"), ("b", b"INFO"), ("a", b"INFO keyspace"), ("b", b"INFO keyspace"), ("b", b"FLUSHALL"),
    ("a", b"SCAN"), ("b", b"SCAN"), ("a", b"EXISTS"), ("a", b"MEMORY"), ("b", b"MEMORY"), ("a", b"MULTI"),
    ("b", b"MULTI"), ("a", b"EXEC"), ("b", b"EXEC"), ("a", b"DUMP"), ("b", b"DUMP"), ("a", b"PEXPIRETIME"),
    ("b", b"PEXPIRETIME"), ("b", b"RESTORE"), ("b", b"UNLINK"), ("a", b"SELECT"), ("b", b"SELECT"),
]  # fmt: skip


def start_sync(refill: bool) -> tuple[ToyNodes, CopySupervisor]:
    """Two copies that differ, and a sync that has just been ordered."""
    stage, supervisor = supervised_copies("b")
    stage.toys["a"].dbs = {0: {b"k": b"1", b"l": b"2"}, 3: {b"m": b"3"}}
    stage.toys["b"].dbs = {0: {b"k": b"9", b"extra": b"2"}, 2: {b"n": b"4"}}
    assert supervisor.request_sync(stage.play.node("b"), refill) == ""
    tick()(stage.play)
    return stage, supervisor


def run_to_end(stage: ToyNodes, supervisor: CopySupervisor) -> None:
    """All answer, and time goes by until the sync is over."""
    for _ in range(40):
        stage.run()
        tick()(stage.play)
        if supervisor.scheduler.sync is None and not supervisor.scheduler.requested:
            return


def works_again(stage: ToyNodes, supervisor: CopySupervisor) -> None:
    """Nothing is held, and a sync of well-behaved nodes succeeds."""
    play = stage.play
    stage.run()
    assert supervisor.scheduler.sync is None
    assert not play.connection("b").held
    assert not play.executor.unshared_connections
    assert play.pool.groups[0].touched_keys is None
    if play.pool.groups[0].copies[1].state != IN_SYNC:
        assert play.pool.groups[0].copies[1].state == BEHIND
        assert supervisor.scheduler.failures["b"].startswith("failed: ")
        for toy in stage.toys.values():
            toy.lies = {}
        for name in "ab":
            tick(1.0)(play)
            stage.run()
            assert play.connection(name).is_ready(), name
        assert supervisor.request_sync(play.node("b"), False) == ""
        run_to_end(stage, supervisor)
    assert play.pool.groups[0].copies[1].state == IN_SYNC


@given(st.sampled_from(REQUESTS), replies(2), st.booleans())
@example(("a", b"EXEC"), b"*1\r\n:1\r\n", False)
def test_any_reply_to_any_request(asked: tuple[str, bytes], reply: bytes, refill: bool) -> None:
    """Whatever is answered, the sync ends, well or with a reason."""
    name, word = asked
    stage, supervisor = start_sync(refill)
    stage.toys[name].lies[word] = reply
    run_to_end(stage, supervisor)
    works_again(stage, supervisor)


@pytest.mark.parametrize("refill", [False, True])
@pytest.mark.parametrize("asked", REQUESTS)
def test_a_silent_node(asked: tuple[str, bytes], refill: bool) -> None:
    """A request that is never answered has a deadline."""
    name, word = asked
    stage, supervisor = start_sync(refill)
    play = stage.play
    for _ in range(400):
        play.settle()
        for each in "ab":
            if play.sent[each] and not (each == name and word.split()[0] in play.sent[each][0].raw):
                stage.step(each)
        if supervisor.scheduler.sync is None or not any(play.sent[each] for each in "ab"):
            break
    play.sent[name].clear()
    tick(STALLED_SECONDS + 1)(play)
    play.sent["a"].clear()
    play.sent["b"].clear()
    assert play.pool.groups[0].copies[1].state != SYNCING
    assert not play.connection("b").held
    assert supervisor.scheduler.sync is None


def test_cancel_at_any_step() -> None:
    """At any step: it ends at once, holds nothing, late replies change nothing, and it can be requested again."""
    for steps in range(60):
        stage, supervisor = start_sync(steps % 2 == 0)
        play = stage.play
        for at in range(steps):
            stage.step("ab"[at % 2])
        sync = supervisor.scheduler.sync
        if sync is None or sync.step is SyncStep.DONE:
            break
        assert supervisor.run_sync_command(play.node("b"), "cancel") == ("", [])
        assert supervisor.run_sync_command(play.node("b"), "cancel") == ("b is not being synced", [])
        assert supervisor.sync_progress(play.node("b")) == "failed: cancelled"
        assert not play.connection("b").held
        stage.run()
        assert play.pool.groups[0].behind_names() == ["b"]
        works_again(stage, supervisor)


def test_cancel_an_order() -> None:
    """A sync that has not begun is taken from the list."""
    stage, supervisor = supervised_copies("bc", "abc")
    play = stage.play
    assert supervisor.run_sync_command(play.node("b"), "refill") == ("", [])
    assert supervisor.request_sync(play.node("c"), False) == ""
    assert supervisor.run_sync_command(play.node("c"), "cancel") == ("", [])
    run_to_end(stage, supervisor)
    assert play.pool.groups[0].behind_names() == ["c"]


def test_a_step_that_is_lost() -> None:
    """Should a reply be lost inside the proxy, the sync is ended all the same."""
    stage, supervisor = start_sync(False)
    assert supervisor.scheduler.sync is not None
    supervisor.scheduler.sync.prover = None
    stage.play.sent["a"].clear()
    stage.play.sent["b"].clear()
    supervisor.scheduler.sync.progress_at = stage.play.executor.now - STALLED_SECONDS - 1
    tick()(stage.play)
    assert supervisor.scheduler.failures["b"] == "failed: no step in 90 s"
