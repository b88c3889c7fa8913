"""When an election is held, whom it waits for, and when its result is withdrawn."""

from kidoproxy.replication.group import IN_SYNC, SYNCING
from kidoproxy.upstream.states import CONNECTING
from tests.replication.supervised import connect_all, logged, run_ticks, supervise, supervised_copies
from tests.story import copies, greeted, refused, story, then, tick
from tests.toy import ToyNodes


def test_a_copy_recorded_as_behind_is_not_elected() -> None:
    """A copy that a former run knew to be behind is not trusted, however long it is up."""
    play = story(copies("a", "b", elected=False)) >> connect_all
    play.node("a").uptime = 100
    supervise(play, ("a",))
    stage = ToyNodes(play)
    for toy in stage.toys.values():
        toy.dbs[0] = {b"k": b"1"}
    run_ticks(stage, 1)
    tick()(play)

    assert [copy.state for copy in play.pool.groups[0].copies] == [SYNCING, IN_SYNC]


def test_an_election_waits_for_nodes() -> None:
    """It waits for nodes that have not answered yet, but not for ever; and for at least one."""
    play = story(copies("a", "b", elected=False), shy=True) >> connect_all
    supervisor = supervise(play)
    group = play.pool.groups[0]
    assert play >> greeted("a") >> tick(1.0) << then(lambda play: not group.elected)
    stage = ToyNodes(play)
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    for _ in range(22):
        run_ticks(stage, 1)
    assert group.elected
    assert not supervisor.is_starting()

    nobody = story(copies("a", "b", elected=False), shy=True) >> connect_all >> refused("a") >> refused("b")
    supervise(nobody)
    assert nobody >> tick(3.0)
    assert not nobody.pool.groups[0].elected


def test_trust_by_order_while_the_trusted_copy_is_dead() -> None:
    """A copy that is behind may be trusted when the one in sync is gone; a sync that runs ends with that.

    The record says that a person has decided what the other one holds.
    """
    stage, supervisor = supervised_copies("b")
    play = stage.play
    play.shy = True
    refused("a")(play)
    tick(2.0)(play)
    run_ticks(stage)
    group = play.pool.groups[0]
    group.copies[0].may_hold_more = True
    recorded: list[bool] = []
    group.journal = lambda changed: recorded.extend(copy.may_hold_more for copy in changed.copies)
    assert supervisor.run_sync_command(play.node("b"), "trust confirm") == ("", [])
    assert group.behind_names() == ["a"]
    assert recorded == [False, False]


def test_a_trusted_copy_gives_way_to_an_intact_one() -> None:
    """A copy that was never restarted, and only seemed dead, decides when it is back before anything was written."""
    play = story(copies("a", "b", elected=False), shy=True)
    group = play.pool.groups[0]
    group.run_ids = {"a": "a-first", "b": "b-before"}
    supervisor = supervise(play)
    assert play >> connect_all >> refused("a") >> greeted("b")
    stage = ToyNodes(play)
    for toy in stage.toys.values():
        toy.dbs[0] = {b"k": b"1"}
    run_ticks(stage)
    assert group.behind_names() == ["a"]
    for _ in range(60):
        run_ticks(stage, 1)
        if play.connection("a").state == CONNECTING:
            greeted("a")(play)
            break
    run_ticks(stage)
    assert "copy in sync: pool=pair node=a" in logged(supervisor)
    assert group.elected


def test_what_trust_costs_where_the_pool_heals_itself() -> None:
    """The person who is asked hears that the others are synced, and so cut down, without a further word."""
    stage, supervisor = supervised_copies("b")
    play = stage.play
    play.shy = True
    play.pool.groups[0].heals_itself = True
    supervisor.group.copies[1].is_sync_cancelled = True
    refused("a")(play)
    _, lines = supervisor.run_sync_command(play.node("b"), "trust")
    assert lines[0].endswith("what only a holds is lost when it is synced, which begins by itself")
    assert lines[1].endswith("will be served")
