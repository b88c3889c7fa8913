"""What a tick does, from the start on: elect, compare, serve; and what belongs to nothing changes nothing."""

from kidoproxy.replication.batch import BatchReply
from tests.replication.supervised import connect_all, logged, run_ticks, supervise, supervised_copies
from tests.story import copies, story
from tests.toy import ToyNodes


def test_the_start() -> None:
    """When all have answered one is trusted; the other is compared, made equal and let in; the log hears of it."""
    play = story(copies("a", "b", elected=False))
    supervisor = supervise(play)
    assert supervisor.is_starting()
    assert play >> connect_all
    stage = ToyNodes(play)
    stage.toys["a"].dbs[0] = {b"k": b"1"}
    play.node("a").uptime = 100
    run_ticks(stage)

    assert not supervisor.is_starting()
    assert stage.toys["b"].dbs[0] == {b"k": b"1"}
    assert play.pool.groups[0].behind_names() == []
    assert logged(supervisor) == [
        "copy in sync: pool=pair node=a",
        "copy behind: pool=pair node=b",
        "copy syncing: pool=pair node=b",
        "synced: pool=pair node=b compared=all passes=1 keys=1 copied=1",
        "copy in sync: pool=pair node=b",
    ]


def test_an_unexpected_reply() -> None:
    """A reply that belongs to nothing changes nothing."""
    _, supervisor = supervised_copies()
    supervisor.election_runner.on_done(BatchReply(supervisor.repairer, 1))
    supervisor.repairer.on_done(BatchReply(supervisor.repairer, 1))

    assert supervisor.repairer.repaired_count == 0
