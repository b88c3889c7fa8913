"""Which copy is synced next: one sync at a time, first those that were ordered, then those that the start owes.

Order of events for one copy: it is *ordered* (or owed since the first election), waits for its turn and for a source
that can be reached, is *syncing*, and ends in sync or behind. An ordered sync that fails stays failed, with its
reason to be read in ``failures``; one that is owed is begun again after a pause that doubles.
"""

from typing import Final, final

from kidoproxy.replication.copy_log import CopyLog
from kidoproxy.replication.group import BEHIND, IN_SYNC, SYNCING, CopyGroup
from kidoproxy.replication.sync import Sync
from kidoproxy.replication.sync_steps import SyncStep
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor

#: An owed sync that failed is not begun again before this; the pause doubles up to the second.
RETRY_SECONDS: Final = 1.0
MAX_RETRY_SECONDS: Final = 60.0
#: A sync that has heard nothing for so long is ended: each of its requests has a deadline far below.
STALLED_SECONDS: Final = 90.0


@final
class SyncScheduler:
    """The syncs of one group: the one that runs, those that wait, and how the last ones failed."""

    def __init__(self, executor: Executor, group: CopyGroup, copy_log: CopyLog, now: float) -> None:
        self.executor = executor
        self.group = group
        self.copy_log = copy_log
        self.sync: Sync | None = None
        #: Nodes whose sync was ordered, and whether each is to be emptied first.
        self.orders: list[tuple[Node, bool]] = []
        #: Nodes that the start has still to compare with the trusted copy.
        self.to_compare: list[Node] = []
        #: The trusted copy was restarted, or nobody knows whether it was: an owed sync must not cut down a larger copy.
        self.source_may_have_lost_data = False
        self.retry_at = now
        self.retry_pause = RETRY_SECONDS
        #: How the last sync of a node failed, by its name, until the next one is ordered.
        self.failures: dict[str, str] = {}

    def is_ready(self, node: Node) -> bool:
        return self.executor.connection(node, 2, 0).is_ready()

    def source(self) -> Node | None:
        """The copy in sync that others are copied from: the first one that can be reached."""
        for node in self.group.ranked(None):
            if self.is_ready(node):
                return node
        return None

    def is_ordered(self, node: Node) -> bool:
        return any(ordered_node is node for ordered_node, _ in self.orders)

    def owes_comparison(self) -> bool:
        """Whether a copy that can be reached has still to be compared for the start."""
        return any(self.is_ready(node) for node in self.to_compare)

    # -- orders ----------------------------------------------------------------------------------

    def order(self, node: Node, refill: bool) -> str:
        """Sync ``node`` (``refill``: emptied first) when its turn comes; why not, or empty."""
        copy = self.group.copy_of(node)
        if not self.group.elected:
            return "no copy is trusted, there is nothing to copy from; say which one is: --trust"
        if copy.state == IN_SYNC:
            return f"{node.name} is in sync already"
        if copy.state == SYNCING or self.is_ordered(node):
            return f"{node.name} is being synced already"
        if not node.live:
            return f"{node.name} is down ({node.cause})"
        if self.source() is None:
            down = [f"{other.node.name} is down ({other.node.cause})" for other in self.group.in_sync()]
            return f"there is nothing to copy from: {', '.join(down)}"
        self.orders.append((node, refill))
        self.failures.pop(node.name, None)
        return ""

    def cancel(self, node: Node) -> str:
        """End the sync of ``node``, or take back its order; why that cannot be, or empty."""
        was_ordered = self.is_ordered(node)
        self.orders = [order for order in self.orders if order[0] is not node]
        sync = self.sync
        if sync is not None and sync.target is node:
            self.stop("cancelled", self.executor.now)
            if node in self.to_compare:
                self.to_compare.remove(node)
        elif not was_ordered:
            return f"{node.name} is not being synced"
        return ""

    def progress(self, node: Node) -> str:
        """What is being done about ``node``, or how the last sync failed; empty when there is nothing to say."""
        if self.sync is not None and self.sync.target is node:
            return self.sync.progress()
        return "waiting for its turn" if self.is_ordered(node) else self.failures.get(node.name, "")

    # -- the sync that runs ----------------------------------------------------------------------

    def start_next(self, source: Node, now: float, wall_ms: int) -> bool:
        """Begin the next sync, if one is due; whether this tick's work was a sync."""
        if self.orders:
            node, refill = self.orders.pop(0)
            if self.group.copy_of(node).state == BEHIND:
                self.start(source, node, refill, False, wall_ms)
            return True
        for node in self.to_compare if now >= self.retry_at else []:
            if self.is_ready(node) and self.group.copy_of(node).state == BEHIND:
                self.to_compare.remove(node)
                self.start(source, node, False, True, wall_ms)
                return True
        return False

    def start(self, source: Node, node: Node, refill: bool, automatic: bool, wall_ms: int) -> None:
        """``automatic``: nobody has ordered it."""
        self.sync = Sync(self.executor, self.group, source, node, refill)
        self.sync.automatic = automatic
        self.sync.refuses_larger_target = automatic and self.source_may_have_lost_data
        self.sync.wall_ms = wall_ms
        self.sync.begin()

    def stop(self, cause: str, now: float) -> None:
        """End the sync that runs, if one does."""
        if self.sync is not None:
            self.sync.finish(cause)
            self.finish(self.sync, now)

    def watch(self, sync: Sync, now: float, wall_ms: int) -> None:
        """The sync that runs may be over, or may never end by itself."""
        sync.wall_ms = wall_ms
        if now - sync.progress_at > STALLED_SECONDS:
            sync.finish(f"no step in {round(STALLED_SECONDS)} s")
        if sync.step is SyncStep.DONE:
            self.finish(sync, now)

    def finish(self, sync: Sync, now: float) -> None:
        """Log how it ended; one that is owed and failed is owed again, after a pause."""
        self.sync = None
        name = sync.target.name
        if not sync.problem:
            self.retry_pause = RETRY_SECONDS
            self.failures.pop(name, None)
            counts: dict[str, object] = {"passes": sync.passes, "keys": sync.keys_seen, "copied": sync.copied_count}
            self.copy_log.add("synced", {"node": name, **counts})
            return
        self.failures[name] = sync.progress()
        self.copy_log.add("sync failed", {"node": name, "cause": sync.problem})
        if sync.automatic:
            self.to_compare.append(sync.target)
            self.retry_at = now + self.retry_pause
            self.retry_pause = min(self.retry_pause * 2, MAX_RETRY_SECONDS)
