"""Keeps the copies of one group equal: who is trusted, what is synced, which single keys are repaired.

A pure object that is ticked. In every tick, in this order:

1. acknowledgements that wait for the disk are released or given up (`durability`), those that wait for a repair are
   released (`repair_waits`), and what has waited too long for its turn at a key is given up (`key_turns`);
2. other proxies that serve the copies are looked for (`owner_claim`), and if there are none that go first, an election
   is prepared or held, if no copy is trusted or none that is can be reached (`election_runner`);
3. one piece of work goes on: the sync that runs (`sync_scheduler`), else the repair of a key (`repair`), else the next
   sync that was requested or is owed, else the next key to repair, else some turns of a scrub (`scrub_scheduler`);
4. changes of the copies' states are logged (`copy_log`).

At most one sync or one repair runs at a time, so at most one copy is being changed for another one's sake.
"""

from typing import final

from kidoproxy.replication.copy_log import CopyLog
from kidoproxy.replication.election import apply_record
from kidoproxy.replication.election_runner import ElectionRunner
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.owner_claim import OwnerClaim
from kidoproxy.replication.repair import KeyRepairer
from kidoproxy.replication.scrub_scheduler import ScrubScheduler
from kidoproxy.replication.sync_scheduler import SyncScheduler
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor


@final
class CopySupervisor:
    """One group's. ``recorded_behind``: the names that a former run knew to be behind.

    ``log_events`` are for the operator's log: whoever ticks takes them and empties the list.
    """

    def __init__(self, executor: Executor, group: CopyGroup, recorded_behind: list[str], now: float) -> None:
        self.executor = executor
        self.group = group
        self.copy_log = CopyLog(group)
        self.log_events = self.copy_log.events
        self.scheduler = SyncScheduler(executor, group, self.copy_log, now)
        self.election_runner = ElectionRunner(executor, group, self.scheduler, self.copy_log, now)
        self.repairer = KeyRepairer(executor, group)
        self.owner_claim = OwnerClaim(executor, group, self.copy_log, now)
        self.scrubs = ScrubScheduler(executor, group, self.copy_log, now)
        group.repair_waits.is_ticked = True
        if not group.elected:
            apply_record(group, recorded_behind)

    def tick(self, now: float, wall_ms: int) -> None:
        """Called some twenty times a second; ``wall_ms`` is the wall clock in milliseconds."""
        self.group.durability.tick(now)
        self.group.repair_waits.tick(now, self.group.to_repair)
        if self.group.key_turns.busy:
            self.group.key_turns.tick(now)
        if self.owner_claim.tick(now):
            self.election_runner.tick(now, self.scheduler.source() is not None)
        self.scrubs.tick(now, wall_ms)
        if not self.group.elected:
            cause = f"no copy of {self.group.name} is trusted any more"
            self.scheduler.stop(cause, now)
            self.scrubs.stop(cause, now, wall_ms)
        elif self.scheduler.sync is not None:
            self.scheduler.watch(self.scheduler.sync, now, wall_ms)
        elif not self.repairer.busy() and not self.scrubs.is_busy():
            self.start_next_work(now, wall_ms)
        self.copy_log.add_state_changes()

    def start_next_work(self, now: float, wall_ms: int) -> None:
        """A sync, a key to repair, or a part of a scrub; no copy is changed while none in sync can be reached."""
        source = self.scheduler.source()
        if source is not None and self.scheduler.start_next(source, now, wall_ms):
            return
        if source is not None and self.group.to_repair:
            self.repairer.begin(wall_ms)
        if not self.repairer.busy():
            self.scrubs.take_turn(now, wall_ms)

    def is_starting(self) -> bool:
        """Whether the start is not over: no election yet, a sync that runs, or a live copy that was not compared."""
        ownership = self.group.ownership
        if ownership is not None and ownership.yielded_to is not None:
            return False
        return not self.group.elected or self.scheduler.sync is not None or self.scheduler.owes_comparison()

    def sync_progress(self, node: Node) -> str:
        """What is being done about ``node``; empty when nothing is."""
        return self.scheduler.progress(node)

    # -- an operator's requests ------------------------------------------------------------------

    def request_sync(self, node: Node, refill: bool) -> str:
        """Sync ``node`` (``refill``: emptied first); why not, or empty when it will be."""
        return self.scheduler.request(node, refill)

    def run_sync_command(self, node: Node, action: str) -> tuple[str, list[str]]:
        """PROXY SYNC NODE …: ``refill``, ``cancel``, ``trust`` (asks what it costs) or ``trust confirm``.

        Returns why not, or empty; and the lines that answer ``trust``.
        """
        if action == "refill":
            return self.request_sync(node, True), []
        if action == "cancel":
            return self.scheduler.cancel(node), []
        if action == "trust":
            return self.election_runner.trust_cost(node)
        return self.trust(node), []

    def trust(self, node: Node) -> str:
        """``node`` decides from now on; why not, or empty."""
        problem = self.election_runner.trust_cost(node)[0]
        if not problem:
            self.scheduler.stop(f"{node.name} is trusted now", self.executor.now)
            self.election_runner.trust_by_operator(node)
        return problem
