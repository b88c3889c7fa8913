"""When the copies of a group are scrubbed: on request, and by themselves every so many hours.

Order of events: a scrub is requested (by somebody, or its time has come), waits until the supervisor has nothing
else to do, is begun if two copies in sync answer, takes turns, and ends. One that was due by itself waits for the
copies instead of failing, and is tried again after a while if it failed. The interval counts from the end of the last
one, also if the proxy was restarted since (`ScrubRecord.since_ms`); where there was none, from the first start.
"""

from typing import Final, final

from kidoproxy.replication.copy_log import CopyLog
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.scrub import Scrub, ScrubStep
from kidoproxy.replication.scrub_record import CANCELLED, WAITING
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor

#: After a scrub that has failed the next one comes this much later, or after the interval if that is shorter.
RETRY_SECONDS: Final = 600.0


@final
class ScrubScheduler:
    """The scrubs of one group; what is known of them is in the group's record."""

    def __init__(self, executor: Executor, group: CopyGroup, copy_log: CopyLog, now: float) -> None:
        self.executor = executor
        self.group = group
        self.record = group.scrub
        self.copy_log = copy_log
        self.scrub: Scrub | None = None
        self.began_at = now
        #: By the loop's clock; None before the first turn, when the wall clock is known.
        self.due_at: float | None = None
        #: The interval by which that was reckoned.
        self.interval = 0.0

    def is_busy(self) -> bool:
        """Whether replies are awaited; nothing else should be done to the copies meanwhile."""
        return self.scrub is not None and self.scrub.is_busy()

    def tick(self, now: float, wall_ms: int) -> None:
        """It may have been cancelled, or be over."""
        if self.record.is_open() and self.record.is_cancelled:
            self.stop(CANCELLED, now, wall_ms)
        elif self.scrub is not None and self.scrub.step is ScrubStep.DONE:
            self.end(self.scrub.problem, now, wall_ms)

    def take_turn(self, now: float, wall_ms: int) -> None:
        """The copies are free: go on, or begin if one is wanted."""
        if self.due_at is None or self.interval != self.record.interval:
            self.interval = self.record.interval
            self.due_at = self.first_due(now, wall_ms)
        if self.scrub is None:
            self.begin_wanted(now, wall_ms)
        if self.scrub is not None:
            self.scrub.take_turn(now, wall_ms)

    def first_due(self, now: float, wall_ms: int) -> float:
        """When the first one is due since the start of the proxy, or since another interval was set.

        A last one that is still to come counts as now.
        """
        if not 0 < self.record.since_ms <= wall_ms:
            self.count_from(wall_ms)
        return now + max(self.record.interval - (wall_ms - self.record.since_ms) / 1000, 0.0)

    def put_off(self, has_failed: bool, now: float, wall_ms: int) -> None:
        """The next one comes after an interval, or earlier if this one has failed. A dry run has repaired nothing."""
        interval = self.record.interval
        self.due_at = now + (min(interval, RETRY_SECONDS) if has_failed else interval)
        if not has_failed:
            self.count_from(wall_ms)

    def count_from(self, wall_ms: int) -> None:
        self.record.since_ms = wall_ms
        self.group.record_details()

    def begin_wanted(self, now: float, wall_ms: int) -> None:
        nodes = self.comparable_nodes()
        is_time = self.due_at is not None and now >= self.due_at
        is_due = bool(self.record.interval) and is_time and len(nodes) > 1
        if is_due and self.record.state != WAITING:
            self.record.request(False)
        if self.record.state != WAITING:
            return
        if len(nodes) < 2:
            self.end("it takes two copies that are in sync and answer", now, wall_ms)
            return
        self.began_at = now
        self.record.begin([node.name for node in nodes])
        self.scrub = Scrub(self.executor, self.group, nodes)
        self.copy_log.add("scrub started", {"nodes": " ".join(self.record.nodes), "dry_run": self.record.dry_run})

    def comparable_nodes(self) -> list[Node]:
        """The copies in sync, if all of them answer."""
        nodes = [copy.node for copy in self.group.in_sync()]
        return nodes if all(self.executor.connection(node, 2, 0).is_ready() for node in nodes) else []

    def stop(self, cause: str, now: float, wall_ms: int) -> None:
        """End the scrub that runs or waits, if there is one."""
        if self.scrub is not None:
            self.scrub.finish(cause)
        if self.record.is_open():
            self.end(cause, now, wall_ms)

    def end(self, problem: str, now: float, wall_ms: int) -> None:
        """Say what came of it, and when the next one is due."""
        record = self.record
        self.scrub = None
        record.end(problem, wall_ms)
        if not record.dry_run:
            self.put_off(problem not in ("", CANCELLED), now, wall_ms)
        fields: dict[str, object] = {"keys": record.keys, "differences": record.differences}
        fields.update({"repaired": record.repaired, "large": record.large, "skipped": record.skipped})
        if problem:
            self.copy_log.add("scrub failed", {"cause": problem, **fields})
        else:
            self.copy_log.add("scrub ended", {**fields, "seconds": round(now - self.began_at, 1)})
