"""Keeps the copies of one group level: finds out whom to trust, runs one sync at a time, mends single keys.

A pure object with a tick. At the start nobody is trusted but one copy; the others are compared with it and
mended before they are read. Later a copy that fell behind waits for somebody to order its sync.
"""

from typing import Final, final

from kidoproxy.log_event import LogEvent
from kidoproxy.replication.batch import BatchReply, Callback
from kidoproxy.replication.election import (
    DEAD,
    REACHABLE,
    SILENT,
    CopyObservation,
    ElectionResult,
    apply_record,
    elect,
    has_restarted,
    make_trusted,
)
from kidoproxy.replication.key_counts import Census
from kidoproxy.replication.repair import KeyRepairer
from kidoproxy.replication.sync import Sync
from kidoproxy.replication.sync_steps import SyncStep
from kidoproxy.routes.topology import BEHIND, IN_SYNC, SYNCING, Copy, CopyGroup, Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.states import CONNECTING, DOWN, READY

#: A comparison that failed is not begun again before this; the pause doubles up to the second.
RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 60.0
#: A node that has not answered by then does not take part in the election.
ELECTION_SECONDS: Final = 2.0
#: How often copies are counted while nobody is trusted.
CENSUS_INTERVAL: Final = 1.0
#: A sync that has heard nothing for so long is ended: each of its questions has a deadline far below.
STALLED_SECONDS: Final = 90.0
#: How the system says that nothing listens at an address: whatever was there is dead.
DEAD_CAUSES: Final = ("connection refused", "no such file or directory")


@final
class CopySupervisor(Callback):
    """See the module. ``log_events`` are for the operator's log, taken by whoever ticks."""

    def __init__(self, executor: Executor, group: CopyGroup, recorded_behind: list[str], now: float) -> None:
        self.exchange = executor
        self.group = group
        self.election_deadline = now + ELECTION_SECONDS
        self.census: Census | None = None
        self.census_at = now - CENSUS_INTERVAL
        self.census_reachable: list[bool] = []
        #: How many keys each copy had when they were last counted.
        self.observations: list[CopyObservation] = [CopyObservation(SILENT) for _ in group.copies]
        self.first_election = True
        self.sync: Sync | None = None
        self.repairer = KeyRepairer(executor, group)
        #: Copies to compare by ourselves as soon as they are there, and those whose sync was ordered (to be emptied?).
        self.to_compare: list[Node] = []
        #: The one that is trusted was restarted, or nobody knows whether it was.
        self.trusted_may_have_lost_data = False
        self.retry_at = now
        self.retry_pause = RETRY_SECONDS
        self.sync_orders: list[tuple[Node, bool]] = []
        self.logged_states: dict[str, str] = {}
        self.logged_refusal = b""
        self.log_events: list[LogEvent] = []
        #: How the last sync of a copy failed, by its name, until the next one is ordered.
        self.sync_failures: dict[str, str] = {}
        if not group.elected:
            apply_record(group, recorded_behind)

    def tick(self, now: float, wall_ms: int) -> None:
        """Called some twenty times a second."""
        self.group.durability.tick(now)
        if (
            self.group.elected
            and self.group.left_by_restart
            and (self.has_only_dead_in_sync() or self.has_better_copy())
        ):
            self.group.lose_trust(self.group.in_sync()[0].node)
        if not self.group.elected or self.sync_source() is None:
            self.run_census(now)
        if not self.group.elected:
            self.stop_sync(f"no copy of {self.group.name} is trusted any more", now)
        elif self.sync is not None:
            self.watch_sync(self.sync, now, wall_ms)
        elif not self.repairer.busy():
            self.start_next_work(now, wall_ms)
        self.log_state_changes()

    def is_starting(self) -> bool:
        """Whether the start is still finding out: no election yet, or a live copy not compared yet."""
        is_waiting = any(self.connection(node).is_ready() for node in self.to_compare)
        return not self.group.elected or self.sync is not None or is_waiting

    def connection(self, node: Node) -> NodeConnection:
        """The connection that carries the writes."""
        return self.exchange.connection(node, 2, 0)

    # -- whom to trust ---------------------------------------------------------------------------

    def has_only_dead_in_sync(self) -> bool:
        """Whether all copies in sync are dead, while one that had everything, too, has come back."""
        dead = all(self.reachability(copy.node) == DEAD for copy in self.group.in_sync())
        return dead and any(copy.had_all_writes and self.connection(copy.node).is_ready() for copy in self.group.copies)

    def reachability(self, node: Node) -> int:
        """Whether it can be reached, is dead, or neither."""
        connection = self.connection(node)
        if connection.is_ready():
            return REACHABLE
        is_down = connection.state == DOWN or (connection.state == CONNECTING and connection.probing)
        return DEAD if is_down and connection.cause in DEAD_CAUSES else SILENT

    def has_better_copy(self) -> bool:
        """Whether the one that is trusted may have lost what a copy has that is back, and was never restarted."""
        if not self.trusted_may_have_lost_data:
            return False
        return any(
            copy.had_all_writes and self.connection(copy.node).is_ready() and not has_restarted(self.group, copy)
            for copy in self.group.copies
        )

    def run_census(self, now: float) -> None:
        """Count the copies, then decide; again and again until somebody can be trusted."""
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
            if reachability == REACHABLE and not census.is_loaded[at]:
                # It gave no answer, or is loading its data.
                reachability = SILENT
            self.observations[at] = CopyObservation(reachability, census.key_counts[at])
        if not self.group.elected:
            self.apply_election(elect(self.group, self.observations))

    def apply_election(self, result: ElectionResult) -> None:
        """Trust whom the verdict names, or say why nobody is trusted."""
        if result.copy is None:
            self.group.refusal = result.refusal
            if result.refusal != self.logged_refusal:
                self.logged_refusal = result.refusal
                self.log("no copy is trusted", {"cause": error_cause(result.refusal)})
            return
        self.install_trusted(result.copy, result.may_have_lost_data)

    def install_trusted(self, copy: Copy, may_have_lost_data: bool) -> None:
        """It decides from now on; at the start the others are compared with it by ourselves."""
        self.logged_refusal = b""
        self.trusted_may_have_lost_data = may_have_lost_data
        make_trusted(self.group, copy)
        if self.first_election:
            self.to_compare = [other.node for other in self.group.copies if other is not copy]
        self.first_election = False
        self.log_state_changes()

    def trust_cost(self, node: Node) -> tuple[str, list[str]]:
        """Why ``node`` cannot be trusted on somebody's word; else what would be lost, a line for each copy."""
        if not self.connection(node).is_ready():
            return f"{node.name} is down ({node.cause})", []
        if self.group.elected:
            for copy in self.group.in_sync():
                if self.connection(copy.node).is_ready():
                    return f"{copy.node.name} is in sync and serves: order a sync, which loses nothing", []
        return "", [self.describe_copy(at, copy, node) for at, copy in enumerate(self.group.copies)]

    def describe_copy(self, at: int, copy: Copy, trusted: Node) -> str:
        """One copy as somebody should see it who is about to trust ``trusted``."""
        name = copy.node.name
        history = "had every acknowledged write" if copy.had_all_writes or copy.state == IN_SYNC else "missed writes"
        history += ", and was restarted since" if copy.restarted else ""
        keys = (
            f"{self.observations[at].key_count} keys"
            if self.observations[at].key_count >= 0
            else "an unknown number of keys"
        )
        presence = f"has {keys}" if self.connection(copy.node).is_ready() else f"is down ({copy.node.cause})"
        fate = "will be served" if copy.node is trusted else f"what only {name} holds is lost when it is synced"
        return f"{name} {presence}; it {history}; {fate}"

    def order_trust(self, node: Node) -> str:
        """Somebody says that ``node`` decides from now on; why not, or empty."""
        problem = self.trust_cost(node)[0]
        if problem:
            return problem
        self.stop_sync(f"{node.name} is trusted now", self.exchange.now)
        self.first_election = False
        self.install_trusted(self.group.copy_of(node), False)
        self.group.mark_behind([])
        self.log("copy trusted by order", {"node": node.name})
        return ""

    # -- syncs -----------------------------------------------------------------------------------

    def order_sync(self, node: Node, refill: bool) -> str:
        """Somebody wants ``node`` synced (``refill``: emptied first); why not, or empty when it will be."""
        copy = self.group.copy_of(node)
        if not self.group.elected:
            return "no copy is trusted, there is nothing to copy from; say which one is: --trust"
        if copy.state == IN_SYNC:
            return f"{node.name} is in sync already"
        if copy.state == SYNCING or node in [ordered_node for ordered_node, _ in self.sync_orders]:
            return f"{node.name} is being synced already"
        if not node.live:
            return f"{node.name} is down ({node.cause})"
        if self.sync_source() is None:
            down = [f"{other.node.name} is down ({other.node.cause})" for other in self.group.in_sync()]
            return f"there is nothing to copy from: {', '.join(down)}"
        self.sync_orders.append((node, refill))
        self.sync_failures.pop(node.name, None)
        return ""

    def execute_order(self, node: Node, action: str) -> tuple[str, list[str]]:
        """An order about a copy: ``refill``, ``cancel``, ``trust`` (asks what it costs) or ``trust confirm``."""
        if action == "refill":
            return self.order_sync(node, True), []
        if action == "cancel":
            return self.cancel_sync(node), []
        if action == "trust":
            return self.trust_cost(node)
        return self.order_trust(node), []

    def cancel_sync(self, node: Node) -> str:
        """Somebody does not want it any more; why that cannot be, or empty."""
        waiting = [order for order in self.sync_orders if order[0] is node]
        for order in waiting:
            self.sync_orders.remove(order)
        sync = self.sync
        if sync is not None and sync.target is node:
            self.stop_sync("cancelled", self.exchange.now)
            if node in self.to_compare:
                self.to_compare.remove(node)
        elif not waiting:
            return f"{node.name} is not being synced"
        return ""

    def sync_source(self) -> Node | None:
        """The copy in sync that others are copied from: the first one that can be reached."""
        for node in self.group.ranked(None):
            if self.connection(node).is_ready():
                return node
        return None

    def start_next_work(self, now: float, wall_ms: int) -> None:
        """An ordered sync, a comparison that is still owed, or a key to mend."""
        source = self.sync_source()
        if source is None:
            return
        if self.sync_orders:
            node, refill = self.sync_orders.pop(0)
            if self.group.copy_of(node).state == BEHIND:
                self.start_sync(source, node, refill, False, wall_ms)
            return
        for node in self.to_compare if now >= self.retry_at else []:
            if self.connection(node).is_ready() and self.group.copy_of(node).state == BEHIND:
                self.to_compare.remove(node)
                self.start_sync(source, node, False, True, wall_ms)
                return
        if self.group.to_repair:
            self.repairer.begin(wall_ms)

    def start_sync(self, source: Node, node: Node, refill: bool, automatic: bool, wall_ms: int) -> None:
        """Begin; ``owed``: nobody has ordered it."""
        self.sync = Sync(self.exchange, self.group, source, node, refill)
        self.sync.automatic = automatic
        self.sync.refuses_larger_target = automatic and self.trusted_may_have_lost_data
        self.sync.wall_ms = wall_ms
        self.sync.begin()

    def stop_sync(self, cause: str, now: float) -> None:
        """The one that runs, if one does."""
        if self.sync is not None:
            self.sync.finish(cause)
            self.finish_sync(self.sync, now)

    def watch_sync(self, sync: Sync, now: float, wall_ms: int) -> None:
        """It may be over, or never end by itself."""
        sync.wall_ms = wall_ms
        if now - sync.progress_at > STALLED_SECONDS:
            sync.finish(f"no step in {round(STALLED_SECONDS)} s")
        if sync.step is SyncStep.DONE:
            self.finish_sync(sync, now)

    def finish_sync(self, sync: Sync, now: float) -> None:
        """Say how it ended."""
        self.sync = None
        if sync.problem:
            self.sync_failures[sync.target.name] = sync.progress()
            self.log("sync failed", {"node": sync.target.name, "cause": sync.problem})
            if sync.automatic:
                self.to_compare.append(sync.target)
                self.retry_at = now + self.retry_pause
                self.retry_pause = min(self.retry_pause * 2, LAST_RETRY_SECONDS)
        else:
            self.retry_pause = RETRY_SECONDS
            self.sync_failures.pop(sync.target.name, None)
            counts: dict[str, object] = {"passes": sync.passes, "keys": sync.keys_seen, "copied": sync.copied_count}
            self.log("synced", {"node": sync.target.name, **counts})

    # -- for those who watch ---------------------------------------------------------------------

    def log(self, name: str, fields: dict[str, object]) -> None:
        self.log_events.append(LogEvent(name, {"pool": self.group.name, **fields}))

    def log_state_changes(self) -> None:
        """One line per change of a copy's state."""
        for copy in self.group.copies if self.group.elected else []:
            if self.logged_states.get(copy.node.name) != copy.state:
                self.logged_states[copy.node.name] = copy.state
                self.log(f"copy {copy.state}", {"node": copy.node.name})

    def sync_progress(self, node: Node) -> str:
        """What is being done about ``node``; empty when nothing is."""
        if self.sync is not None and self.sync.target is node:
            return self.sync.progress()
        waiting = any(ordered_node is node for ordered_node, _ in self.sync_orders)
        return "waiting for its turn" if waiting else self.sync_failures.get(node.name, "")


def error_cause(line: bytes) -> str:
    """An error reply as a cause."""
    return line[1:-2].decode("utf-8", "replace")
