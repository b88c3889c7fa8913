"""When copies are scrubbed: on request, by the clock, and never while something else is done to them."""

import pytest

from kidoproxy.replication.scrub_record import DONE, FAILED, NEVER, RUNNING, WAITING
from kidoproxy.replication.scrub_scheduler import RETRY_SECONDS, ScrubScheduler
from tests.replication.supervised import logged, run_ticks, supervised_copies
from tests.story import refused, tick


def test_a_request_and_its_end_are_logged() -> None:
    """One line at the start and one at the end, with what came of it."""
    stage, supervisor = supervised_copies()
    stage.toys["a"].dbs[0] = {b"k": b"v"}
    stage.toys["b"].dbs[0] = {b"k": b"w"}
    supervisor.group.scrub.request(True)
    run_ticks(stage, 10)
    lines = [line for line in logged(supervisor) if line.startswith("scrub")]
    assert len(lines) == 2
    assert lines[0].startswith("scrub started: pool=")
    assert "dry_run=" in lines[0]
    assert "keys=1 differences=1 repaired=0" in lines[1]


def test_what_cannot_be_begun() -> None:
    """With one copy in sync, or one that does not answer, a request ends with that reason."""
    for behind, cut in (("b", ""), ("", "b")):
        stage, supervisor = supervised_copies(behind)
        record = supervisor.group.scrub
        if cut:
            refused(cut)(stage.play)
        record.request(False)
        tick()(stage.play)
        assert (record.state, record.problem) == (FAILED, "it takes two copies that are in sync and answer")
        assert any(line.startswith("scrub failed") for line in logged(supervisor))


def test_by_the_clock() -> None:
    """Without an earlier one the first comes after one interval; it waits for the copies instead of failing."""
    stage, supervisor = supervised_copies()
    group, executor = supervisor.group, stage.play.executor
    group.scrub.interval = 3600.0
    scheduler = ScrubScheduler(executor, group, supervisor.copy_log, 0.0)
    scheduler.take_turn(0.0, 5)
    assert group.scrub.since_ms == 5
    scheduler.take_turn(3599.0, 5)
    assert group.scrub.state == NEVER
    group.mark_behind([stage.play.node("b")])
    scheduler.take_turn(3600.0, 5)
    assert group.scrub.state == NEVER
    group.mark_in_sync(stage.play.node("b"))
    scheduler.take_turn(3600.0, 5)
    assert group.scrub.state == RUNNING
    scheduler.stop("the disk is full", 4000.0, 0)
    assert (scheduler.due_at, group.scrub.since_ms) == (4000.0 + RETRY_SECONDS, 5)
    scheduler.take_turn(4000.0 + RETRY_SECONDS, 0)
    stage.run()
    for _ in range(9):
        scheduler.tick(5000.0, 7)
        scheduler.take_turn(5000.0, 7)
        stage.run()
    assert (group.scrub.state, scheduler.due_at) == (DONE, 8600.0)
    assert group.scrub.since_ms == 7


@pytest.mark.parametrize(
    ("since_ms", "wall_ms", "due_in"),
    [(0, 5_000_000, 3600), (4_000_000, 5_000_000, 2600), (1, 5_000_000, 0), (6_000_000, 5_000_000, 3600)],
    ids=["never before", "some time ago", "overdue", "in the future"],
)
def test_after_a_restart(since_ms: int, wall_ms: int, due_in: float) -> None:
    """The interval goes on from the last scrub, so that restarts do not put the next one off."""
    stage, supervisor = supervised_copies()
    group = supervisor.group
    group.scrub.interval, group.scrub.since_ms = 3600.0, since_ms
    scheduler = ScrubScheduler(stage.play.executor, group, supervisor.copy_log, 10.0)
    scheduler.take_turn(20.0, wall_ms)
    assert scheduler.due_at == 20.0 + due_in
    assert (group.scrub.state == RUNNING) is not due_in


def test_cancel() -> None:
    """One that waits ends as one that runs does; the next one by the clock comes after a whole interval."""
    stage, supervisor = supervised_copies()
    record, scheduler = supervisor.group.scrub, supervisor.scrubs
    record.interval = 3600.0
    record.request(False)
    assert record.state == WAITING
    record.cancel()
    scheduler.tick(10.0, 0)
    assert (record.state, record.problem, scheduler.due_at) == (FAILED, "cancelled", 3610.0)
    scheduler.stop("nothing runs", 20.0, 0)
    assert record.problem == "cancelled"
    assert not stage.play.executor.unshared_connections


def test_a_dry_run_does_not_put_off_the_next_one() -> None:
    """It has repaired nothing."""
    stage, supervisor = supervised_copies()
    record, scheduler = supervisor.group.scrub, supervisor.scrubs
    record.interval = 3600.0
    run_ticks(stage, 1)
    due_at = scheduler.due_at
    record.request(True)
    run_ticks(stage, 10)
    assert (record.state, scheduler.due_at) == (DONE, due_at)


def test_nobody_is_trusted() -> None:
    """Without a copy that is trusted nothing is compared."""
    stage, supervisor = supervised_copies()
    group = supervisor.group
    group.scrub.request(False)
    tick()(stage.play)
    assert group.scrub.state == RUNNING
    group.elected = False
    tick()(stage.play)
    assert "is trusted any more" in group.scrub.problem


def test_another_interval() -> None:
    """It counts from the last scrub, whenever it is set; with none the next one never comes."""
    stage, supervisor = supervised_copies()
    group = supervisor.group
    group.scrub.interval, group.scrub.since_ms = 3600.0, 1_000_000
    scheduler = ScrubScheduler(stage.play.executor, group, supervisor.copy_log, 0.0)
    for interval, wall_ms, due_at in ((3600.0, 2_000_000, 2610.0), (2000.0, 2_500_000, 510.0), (0.0, 9_000_000, 10.0)):
        group.scrub.interval = interval
        scheduler.take_turn(10.0, wall_ms)
        assert (scheduler.due_at, group.scrub.state) == (due_at, NEVER)
    group.scrub.interval = 100.0
    scheduler.take_turn(10.0, 9_000_000)
    assert group.scrub.state == RUNNING
