"""One sync at a time: those that were ordered, then those that the start owes; refused, cancelled, begun again."""

from tests.replication.supervised import logged, run_ticks, supervised_copies
from tests.story import refused, tick


def test_an_order_is_accepted_or_refused_at_once() -> None:
    """What cannot be synced is refused with the reason; one sync runs at a time."""
    stage, supervisor = supervised_copies("bc", "abcd")
    play = stage.play
    assert supervisor.order_sync(play.node("a"), False) == "a is in sync already"
    assert supervisor.order_sync(play.node("b"), False) == ""
    assert supervisor.order_sync(play.node("b"), False) == "b is being synced already"
    assert supervisor.order_sync(play.node("c"), False) == ""
    assert supervisor.sync_progress(play.node("c")) == "waiting for its turn"
    tick()(play)
    assert supervisor.sync_progress(play.node("b")).startswith("making sure of the source")
    assert supervisor.sync_progress(play.node("a")) == ""
    assert supervisor.order_sync(play.node("b"), False) == "b is being synced already"
    assert supervisor.is_starting()
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == []

    refused("d")(play)
    play.pool.groups[0].mark_behind([play.node("d")])
    assert supervisor.order_sync(play.node("d"), False) == "d is down (connection refused)"


def test_a_sync_fails() -> None:
    """A sync that the start owes is begun again when it fails; one that was ordered is not."""
    stage, supervisor = supervised_copies("b")
    play = stage.play
    supervisor.scheduler.to_compare = [play.node("b")]
    tick()(play)
    refused("b")(play)
    play.sent["b"].clear()
    stage.run()
    tick()(play)
    assert logged(supervisor)[-1] == "copy behind: pool=pair node=b"
    assert "sync failed: pool=pair node=b cause=NODEDOWN b (connection refused)" in logged(supervisor)
    assert supervisor.scheduler.to_compare == [play.node("b")]
    tick(1.0)(play)
    run_ticks(stage)
    assert play.pool.groups[0].behind_names() == []

    play.pool.groups[0].mark_behind([play.node("b")])
    assert supervisor.order_sync(play.node("b"), False) == ""
    tick()(play)
    refused("b")(play)
    play.sent["b"].clear()
    stage.run()
    tick()(play)
    assert supervisor.scheduler.to_compare == []


def test_nothing_to_copy_from() -> None:
    """While every copy in sync is down a sync is refused; one that was ordered before waits for its source."""
    stage, supervisor = supervised_copies("b", "abc")
    play = stage.play
    play.shy = True
    assert supervisor.order_sync(play.node("b"), False) == ""
    refused("a")(play)
    refused("c")(play)
    tick()(play)
    assert supervisor.sync_progress(play.node("b")) == "waiting for its turn"
    play.pool.groups[0].mark_behind([play.node("c")])
    refusal = "there is nothing to copy from: a is down (connection refused)"
    refused("a")(play)
    assert supervisor.order_sync(play.node("c"), True).startswith("c is down")
    supervisor.scheduler.orders.clear()
    assert supervisor.order_sync(play.node("b"), True) == refusal


def test_cancel_a_sync_that_the_start_owes() -> None:
    """A sync that the start owes is ended like any other, and is not begun again."""
    stage, supervisor = supervised_copies("b")
    supervisor.scheduler.to_compare = [stage.play.node("b")]
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    tick()(stage.play)
    assert supervisor.execute_order(stage.play.node("b"), "cancel") == ("", [])
    tick(3.0)(stage.play)
    run_ticks(stage)
    assert stage.play.pool.groups[0].behind_names() == ["b"]


def test_an_order_for_a_copy_that_is_in_sync_by_now() -> None:
    """The order is dropped."""
    stage, supervisor = supervised_copies("b")
    assert supervisor.order_sync(stage.play.node("b"), True) == ""
    stage.play.pool.groups[0].mark_in_sync(stage.play.node("b"))
    run_ticks(stage)
    assert stage.toys["b"].seen == []
