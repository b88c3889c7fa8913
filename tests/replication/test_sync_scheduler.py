"""One sync at a time: those that were requested, then those that the start owes; refused, cancelled, begun again."""

import pytest

from kidoproxy.replication.supervisor import CopySupervisor
from tests.replication.supervised import connect_all, logged, run_ticks, supervise, supervised_copies
from tests.story import Story, copies, refused, tick
from tests.toy import ToyNodes


def test_an_order_is_accepted_or_refused_at_once() -> None:
    """What cannot be synced is refused with the reason; one sync runs at a time."""
    stage, supervisor = supervised_copies("bc", "abcd")
    play = stage.play
    assert supervisor.request_sync(play.node("a"), False) == "a is in sync already"
    assert supervisor.request_sync(play.node("b"), False) == ""
    assert supervisor.request_sync(play.node("b"), False) == "b is being synced already"
    assert supervisor.request_sync(play.node("c"), False) == ""
    assert supervisor.sync_progress(play.node("c")) == "waiting for its turn"
    tick()(play)
    assert supervisor.sync_progress(play.node("b")).startswith("making sure of the source")
    assert supervisor.sync_progress(play.node("a")) == ""
    assert supervisor.request_sync(play.node("b"), False) == "b is being synced already"
    assert supervisor.is_starting()
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == []

    refused("d")(play)
    play.pool.groups[0].mark_behind([play.node("d")])
    assert supervisor.request_sync(play.node("d"), False) == "d is down (connection refused)"


def test_a_sync_fails() -> None:
    """A sync that the start owes is begun again when it fails; one that was requested is not."""
    stage, supervisor = supervised_copies("b")
    play = stage.play
    supervisor.scheduler.to_compare = [play.node("b")]
    tick()(play)
    refused("b")(play)
    play.sent["b"].clear()
    stage.run()
    tick()(play)
    assert logged(supervisor)[-1] == "copy behind: pool=pair node=b"
    assert "sync failed: pool=pair node=b cause=NODEDOWN b (connection refused) retry_in_s=1" in logged(supervisor)
    assert supervisor.scheduler.to_compare == [play.node("b")]
    tick(1.0)(play)
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == []

    play.pool.groups[0].mark_behind([play.node("b")])
    assert supervisor.request_sync(play.node("b"), False) == ""
    tick()(play)
    refused("b")(play)
    play.sent["b"].clear()
    stage.run()
    tick()(play)
    assert supervisor.scheduler.to_compare == []


def test_nothing_to_copy_from() -> None:
    """While every copy in sync is down a sync is refused; one that was requested before waits for its source."""
    stage, supervisor = supervised_copies("b", "abc")
    play = stage.play
    play.shy = True
    assert supervisor.request_sync(play.node("b"), False) == ""
    refused("a")(play)
    refused("c")(play)
    tick()(play)
    assert supervisor.sync_progress(play.node("b")) == "waiting for its turn"
    play.pool.groups[0].mark_behind([play.node("c")])
    refusal = "there is nothing to copy from: a is down (connection refused)"
    refused("a")(play)
    assert supervisor.request_sync(play.node("c"), True).startswith("c is down")
    supervisor.scheduler.requested.clear()
    assert supervisor.request_sync(play.node("b"), True) == refusal


def test_cancel_a_sync_that_the_start_owes() -> None:
    """A sync that the start owes is ended like any other, and is not begun again."""
    stage, supervisor = supervised_copies("b")
    supervisor.scheduler.to_compare = [stage.play.node("b")]
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    tick()(stage.play)
    assert supervisor.run_sync_command(stage.play.node("b"), "cancel") == ("", [])
    tick(3.0)(stage.play)
    run_ticks(stage)
    assert stage.play.pool.groups[0].behind_names() == ["b"]


def test_a_sync_that_was_cancelled_before_the_proxy_was_restarted() -> None:
    """The start compares the other copies with the trusted one, and leaves this one alone until it is requested."""
    play = Story(copies("a", "b", "c", elected=False))
    stage = ToyNodes(play)
    group = play.pool.groups[0]
    recorded: list[list[str]] = []
    group.copies[1].is_sync_cancelled = True
    group.heals_itself = True
    supervisor = supervise(play, ("b",))
    connect_all(play)
    run_ticks(stage, 20)
    assert group.behind_names() == ["b"]
    assert supervisor.sync_progress(play.node("b")) == "failed: cancelled"
    assert not supervisor.is_starting()
    group.journal = lambda group: recorded.append([copy.node.name for copy in group.copies if copy.is_sync_cancelled])
    assert supervisor.request_sync(play.node("b"), False) == ""
    assert recorded == [[]]
    run_ticks(stage, 20)
    assert group.behind_names() == []


def test_an_order_for_a_copy_that_is_in_sync_by_now() -> None:
    """The request is dropped."""
    stage, supervisor = supervised_copies("b")
    assert supervisor.request_sync(stage.play.node("b"), True) == ""
    stage.play.pool.groups[0].mark_in_sync(stage.play.node("b"))
    run_ticks(stage)
    assert stage.toys["b"].seen == []


def healing_copies(behind: str = "b", names: str = "ab") -> tuple[ToyNodes, CopySupervisor]:
    """Copies of a pool that heals itself; the first one holds three keys."""
    stage, supervisor = supervised_copies(behind, names)
    stage.play.pool.groups[0].heals_itself = True
    stage.toys["a"].dbs[0] = {b"k": b"1", b"l": b"2", b"m": b"3"}
    return stage, supervisor


def test_a_pool_heals_itself() -> None:
    """A copy that is behind and answers is synced unasked; one that is down, or suspect, is not."""
    stage, supervisor = healing_copies("bc", "abc")
    play = stage.play
    play.node("c").suspect = True
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == ["c"]
    assert stage.toys["b"].dbs == stage.toys["a"].dbs
    play.node("c").suspect = False
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == []
    assert [line for line in logged(supervisor) if line.startswith("synced")] == [
        "synced: pool=pair node=b compared=all passes=1 keys=3 copied=3",
        "synced: pool=pair node=c compared=all passes=1 keys=3 copied=3",
    ]


def test_a_sync_that_fails_is_tried_again_later() -> None:
    """The pause doubles, and is short again after a request and after a success."""
    stage, supervisor = healing_copies()
    stage.toys["b"].lies[b"RESTORE"] = b"-ERR no\r\n"
    run_ticks(stage)
    retry = supervisor.scheduler.retry_of(stage.play.node("b"))
    for seconds in (1, 2, 4):
        assert logged(supervisor)[-2].endswith(f"cause=ERR no retry_in_s={seconds}")
        tick(seconds - 0.5)(stage.play)
        run_ticks(stage)
        assert logged(supervisor)[-2].endswith(f"retry_in_s={seconds}")
        tick(0.5)(stage.play)
        run_ticks(stage)
    assert supervisor.sync_progress(stage.play.node("b")) == "failed: ERR no"
    del stage.toys["b"].lies[b"RESTORE"]
    assert supervisor.request_sync(stage.play.node("b"), False) == ""
    run_ticks(stage)
    assert stage.play.pool.groups[0].behind_names() == []
    assert (retry.pause, retry.retry_at) == (1.0, 0.0)


def test_a_cancelled_sync_waits_for_an_order() -> None:
    """Whether it runs, waits for its turn or for its next attempt: cancelled it does not begin again by itself."""
    stage, supervisor = healing_copies("bc", "abc")
    play = stage.play
    tick()(play)
    assert supervisor.run_sync_command(play.node("b"), "cancel") == ("", [])
    assert supervisor.run_sync_command(play.node("c"), "cancel") == ("", [])
    tick(100.0)(play)
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == ["b", "c"]
    assert supervisor.sync_progress(play.node("c")) == "failed: cancelled"
    assert supervisor.run_sync_command(play.node("c"), "cancel")[0] == "c is not being synced"
    assert supervisor.request_sync(play.node("c"), False) == ""
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == ["b"]
    play.pool.groups[0].mark_behind([play.node("c")])
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == ["b"]


@pytest.mark.parametrize("cause", ["elected", "nobody knows its runs"])
def test_a_copy_that_may_hold_more_is_left_to_a_person(cause: str) -> None:
    """Where the source may have lost data a much larger copy is not cut down unasked, however often."""
    stage, supervisor = healing_copies()
    play = stage.play
    stage.toys["b"].dbs[0] = {b"%d" % at: b"1" for at in range(7)}
    if cause == "elected":
        play.pool.groups[0].copies[1].may_hold_more = True
    else:
        play.node("a").run_id = b""
    for seconds in (1, 2, 4):
        supervisor.scheduler.retry_of(play.node("b")).retry_at = 0.0
        run_ticks(stage)
        assert logged(supervisor)[-2].endswith(f"retry_in_s={seconds}")
    assert "it holds 7 keys, a only 3" in supervisor.sync_progress(play.node("b"))
    assert len(stage.toys["b"].dbs[0]) == 7
    assert supervisor.request_sync(play.node("b"), False) == ""
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == []
    assert len(stage.toys["b"].dbs[0]) == 3
    assert not play.pool.groups[0].copies[1].may_hold_more


@pytest.mark.parametrize("partial", [False, True])
def test_a_sync_keeps_its_pace(partial: bool) -> None:
    """Between two ticks it looks at no more keys than the setting allows, whether it compares all or those missed."""
    stage, supervisor = healing_copies()
    group = stage.play.pool.groups[0]
    group.sync_keys_per_s = 15
    stage.toys["a"].dbs[0] = {b"k%d" % at: b"1" for at in range(40)}
    if partial:
        for copy in group.copies:
            group.mark_in_sync(copy.node)
        stage.toys["b"].dbs[0] = dict(stage.toys["a"].dbs[0])
        group.mark_behind([group.copies[1].node], 0, [b"k%d" % at for at in range(40)])
    ticks = 0
    while group.behind_names():
        run_ticks(stage, 1)
        ticks += 1
        sync = supervisor.scheduler.sync
        assert sync is None or (sync.pace.keys_done <= (500 if partial else ticks + 2 * sync.passes))
    run_ticks(stage)
    copied = 0 if partial else 40
    assert next(line for line in logged(supervisor) if line.startswith("synced")).endswith(f"copied={copied}")
    assert ticks > (1 if partial else 50)
    assert (group.copies[1].syncs_done, group.copies[1].syncs_failed, group.copies[1].sync_progress) == (1, 0, None)
