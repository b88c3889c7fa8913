"""Stories of copies that a supervisor keeps equal at every tick."""

from kidoproxy.replication.supervisor import CopySupervisor
from tests.story import Story, copies, story, tick
from tests.toy import ToyNodes


def supervise(play: Story, recorded: tuple[str, ...] = ()) -> CopySupervisor:
    """A supervisor that is ticked with the story."""
    supervisor = CopySupervisor(play.executor, play.pool.groups[0], list(recorded), play.executor.now)
    play.ticking.append(lambda now: supervisor.tick(now, play.proxy.wall_ms))
    return supervisor


def logged(supervisor: CopySupervisor) -> list[str]:
    return [str(event) for event in supervisor.log_events]


def connect_all(play: Story) -> None:
    """All connections are opened, as at the start of the proxy."""
    for each in play.pool.nodes:
        play.executor.connection(each, 2, 0).start_connecting()


def supervised_copies(
    behind: str = "", names: str = "ab", recorded: tuple[str, ...] = ()
) -> tuple[ToyNodes, CopySupervisor]:
    """Elected copies whose connections are there."""
    play = story(copies(*names, behind=behind)) >> connect_all
    return ToyNodes(play), supervise(play, recorded)


def run_ticks(stage: ToyNodes, ticks: int = 5) -> None:
    """Time goes by and all nodes answer."""
    for _ in range(ticks):
        tick()(stage.play)
        stage.run()
