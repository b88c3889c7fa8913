"""When an election is held, and what becomes of its result; by which rules is in `election`.

Order of events:

1. While no copy is trusted, or none that is trusted can be reached, all copies are counted (`Census`) about once a
   second, and at once when another of them can be reached.
2. When the counts are there and no copy is trusted, `elect` decides. Its refusal is what clients hear meanwhile.
3. The copy that is elected is trusted from then on. After the first election the proxy compares all others with it
   without being asked, after later ones if the pool heals itself.
4. Trust is lost again when every copy in sync is dead and another one that had every acknowledged write is back, or
   when the trusted copy had been restarted and one that never was is back. Only before a further write was
   acknowledged (`CopyGroup.trust_is_revocable`): after that the trusted copy alone has everything.

An operator's word (`trust_by_operator`) replaces the election, but never while a copy in sync can be reached.
"""

from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.census import Census
from kidoproxy.replication.copy_log import CopyLog
from kidoproxy.replication.election import (
    CopyObservation,
    ElectionResult,
    Reachability,
    elect,
    had_all_writes,
    has_restarted,
    make_trusted,
)
from kidoproxy.replication.group import Copy, CopyGroup
from kidoproxy.replication.sync_scheduler import SyncScheduler
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.states import CONNECTING, DOWN, READY

#: A node that has not answered by then does not take part in the first election.
ELECTION_SECONDS: Final = 2.0
#: How often copies are counted while nobody is trusted.
CENSUS_INTERVAL: Final = 1.0
#: How the system says that nothing listens at an address: whatever was there is dead.
DEAD_CAUSES: Final = ("connection refused", "no such file or directory")


@final
class ElectionRunner(Callback):
    """Finds out which copy of one group can be trusted."""

    def __init__(
        self, executor: Executor, group: CopyGroup, scheduler: SyncScheduler, copy_log: CopyLog, now: float
    ) -> None:
        self.executor = executor
        self.group = group
        self.scheduler = scheduler
        self.copy_log = copy_log
        self.election_deadline = now + ELECTION_SECONDS
        self.census: Census | None = None
        self.census_at = now - CENSUS_INTERVAL
        self.census_reachable: list[bool] = []
        #: What the last census found, in the order of the copies.
        self.observations: list[CopyObservation] = [CopyObservation(Reachability.SILENT) for _ in group.copies]
        self.first_election = True
        self.logged_refusal = b""

    def connection(self, node: Node) -> NodeConnection:
        return self.executor.connection(node, 2, 0)

    def tick(self, now: float, trusted_is_reachable: bool) -> None:
        """Withdraw a trust that is no longer justified, then count the copies if somebody has to be elected."""
        group = self.group
        if group.elected and group.trust_is_revocable and (self.has_only_dead_in_sync() or self.has_better_copy()):
            group.lose_trust(group.in_sync()[0].node)
        if not group.elected or not trusted_is_reachable:
            self.run_census(now)

    def has_only_dead_in_sync(self) -> bool:
        """Whether all copies in sync are dead, while one that had everything, too, has come back."""
        dead = all(self.reachability(copy.node) is Reachability.DEAD for copy in self.group.in_sync())
        return dead and any(copy.had_all_writes and self.connection(copy.node).is_ready() for copy in self.group.copies)

    def has_better_copy(self) -> bool:
        """Whether the trusted copy may have lost what another one has that is back, and was never restarted."""
        if not self.scheduler.source_may_have_lost_data:
            return False
        return any(
            copy.had_all_writes and self.connection(copy.node).is_ready() and not has_restarted(self.group, copy)
            for copy in self.group.copies
        )

    def reachability(self, node: Node) -> Reachability:
        connection = self.connection(node)
        if connection.is_ready():
            return Reachability.REACHABLE
        is_down = connection.state == DOWN or (connection.state == CONNECTING and connection.retrying)
        return Reachability.DEAD if is_down and connection.cause in DEAD_CAUSES else Reachability.SILENT

    # -- the election ----------------------------------------------------------------------------

    def run_census(self, now: float) -> None:
        """Count the copies if that is due; the first time wait a little until each has answered or failed."""
        connections = [self.connection(copy.node) for copy in self.group.copies]
        is_waiting = any(connection.state not in (READY, DOWN) for connection in connections)
        if now < self.election_deadline and is_waiting:
            return
        reachable = [connection.is_ready() for connection in connections]
        if self.census is None and (now >= self.census_at + CENSUS_INTERVAL or reachable != self.census_reachable):
            self.census_at = now
            self.census_reachable = reachable
            self.census = Census(connections)
            self.census.begin(self, now)

    def on_done(self, batch_reply: BatchReply) -> None:
        """The copies have been counted."""
        census = self.census
        if census is None:
            return
        self.census = None
        for at, copy in enumerate(self.group.copies):
            reachability = self.reachability(copy.node)
            if reachability is Reachability.REACHABLE and not census.is_loaded[at]:
                # It gave no answer, or is loading its data.
                reachability = Reachability.SILENT
            self.observations[at] = CopyObservation(reachability, census.key_counts[at])
        if not self.group.elected and self.group.is_owner():
            self.apply_election(elect(self.group, self.observations))

    def apply_election(self, result: ElectionResult) -> None:
        """Trust the copy that was elected, or tell clients and the log why there is none."""
        if result.copy is not None:
            self.install_trusted(result.copy, result.may_have_lost_data)
            return
        self.group.refusal = result.refusal
        if result.refusal != self.logged_refusal:
            self.logged_refusal = result.refusal
            self.copy_log.add("no copy is trusted", {"cause": error_cause(result.refusal)})

    def install_trusted(self, copy: Copy, may_have_lost_data: bool) -> None:
        """It decides from now on; after the first election the others are compared with it unasked."""
        self.logged_refusal = b""
        self.scheduler.source_may_have_lost_data = may_have_lost_data
        make_trusted(self.group, copy, may_have_lost_data)
        if self.first_election:
            self.scheduler.owe_comparisons(copy.node)
        self.first_election = False
        self.copy_log.add_state_changes()

    # -- an operator's word ----------------------------------------------------------------------

    def trust_cost(self, node: Node) -> tuple[str, list[str]]:
        """Why ``node`` cannot be trusted by an operator; else what would be lost, a line for each copy."""
        if not self.connection(node).is_ready():
            return f"{node.name} is down ({node.cause})", []
        if not self.group.is_owner():
            return "another proxy may serve these copies; see the log", []
        if self.group.elected:
            for copy in self.group.in_sync():
                if self.connection(copy.node).is_ready():
                    return f"{copy.node.name} is in sync and serves: order a sync, which loses nothing", []
        return "", [self.describe_copy(at, copy, node) for at, copy in enumerate(self.group.copies)]

    def describe_copy(self, at: int, copy: Copy, trusted: Node) -> str:
        """One copy as an operator should see it who is about to trust ``trusted``."""
        name = copy.node.name
        history = "had every acknowledged write" if had_all_writes(copy) else "missed writes"
        history += ", and was restarted since" if copy.restarted else ""
        key_count = self.observations[at].key_count
        keys = f"{key_count} keys" if key_count >= 0 else "an unknown number of keys"
        presence = f"has {keys}" if self.connection(copy.node).is_ready() else f"is down ({copy.node.cause})"
        fate = "will be served" if copy.node is trusted else f"what only {name} holds is lost when it is synced"
        if copy.node is not trusted and self.group.heals_itself:
            fate += ", which begins by itself"
        return f"{name} {presence}; it {history}; {fate}"

    def trust_by_operator(self, node: Node) -> None:
        """``node`` decides from now on, whatever the others hold: they are behind until they are synced."""
        self.first_election = False
        for copy in self.group.copies:
            # A person has been told what they hold, and has decided.
            copy.may_hold_more = False
        self.install_trusted(self.group.copy_of(node), False)
        self.group.mark_behind([])
        self.copy_log.add("copy trusted by operator", {"node": node.name})


def error_cause(line: bytes) -> str:
    """The text of an error reply, without its mark and line end."""
    return line[1:-2].decode("utf-8", "replace")
