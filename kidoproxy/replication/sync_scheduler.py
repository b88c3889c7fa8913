"""Which copy is synced next: one sync at a time, first those that were requested, then those that begin by themselves.

Order of events for one copy: it is *requested*, or *due* by itself (owed since the first election, or behind in a pool
that heals itself, and it answers), waits for its turn and for a source that can be reached, is *syncing*, and ends in
sync or behind. The reason of a failure is in ``failures``. A copy that is due is tried again after a pause that doubles
(`sync_retry`); one whose sync was cancelled, or failed in a pool that does not heal itself, waits for a request.

A sync that begins by itself does not cut down a copy that may hold more than its source (`SyncScheduler.is_unsure`).
"""

from typing import Final, final

from kidoproxy.replication.copy_log import CopyLog
from kidoproxy.replication.group import BEHIND, IN_SYNC, SYNCING, CopyGroup
from kidoproxy.replication.sync import Sync
from kidoproxy.replication.sync_retry import SyncRetry
from kidoproxy.replication.sync_steps import SyncStep
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor

#: A sync that has heard nothing for so long is ended: each of its requests has a deadline far below.
STALLED_SECONDS: Final = 90.0
#: What is shown of a copy whose sync a person has ended.
CANCELLED: Final = "failed: cancelled"


@final
class SyncScheduler:
    """The syncs of one group: the one that runs, those that wait, and how the last ones failed."""

    def __init__(self, executor: Executor, group: CopyGroup, copy_log: CopyLog, now: float) -> None:
        self.executor = executor
        self.group = group
        self.copy_log = copy_log
        self.sync: Sync | None = None
        #: Nodes whose sync was requested, and whether each is to be emptied first.
        self.requested: list[tuple[Node, bool]] = []
        #: Nodes that the start has still to compare with the trusted copy.
        self.to_compare: list[Node] = []
        #: The trusted copy was restarted, or nobody knows whether it was.
        self.source_may_have_lost_data = False
        #: In the order of the copies.
        self.retries = [SyncRetry() for _ in group.copies]
        #: How the last sync of a node failed, by its name, until the next one is requested.
        self.failures: dict[str, str] = {}

    def is_ready(self, node: Node) -> bool:
        return self.executor.connection(node, 2, 0).is_ready()

    def source(self) -> Node | None:
        """The copy in sync that others are copied from: the first one that can be reached."""
        for node in self.group.ranked(None):
            if self.is_ready(node):
                return node
        return None

    def retry_of(self, node: Node) -> SyncRetry:
        return self.retries[self.group.copies.index(self.group.copy_of(node))]

    def is_due(self, node: Node, now: float) -> bool:
        """Whether ``node`` is behind and answers, and its sync needs no request."""
        is_wanted = self.group.heals_itself or node in self.to_compare
        copy = self.group.copy_of(node)
        is_owed = is_wanted and copy.state == BEHIND and not copy.is_sync_cancelled
        answers = self.is_ready(node) and not node.suspect
        return is_owed and answers and self.retry_of(node).may_begin(now)

    def is_unsure(self, source: Node, node: Node) -> bool:
        """Whether ``node`` may hold what ``source`` has lost: after an election, or unseen as nobody knows its runs."""
        return self.group.copy_of(node).may_hold_more or not source.run_id

    def owe_comparisons(self, trusted: Node) -> None:
        """``trusted`` was elected at the start: compare the others with it, unless a person has ended their sync."""
        for copy in self.group.copies:
            if copy.is_sync_cancelled:
                self.failures[copy.node.name] = CANCELLED
            elif copy.node is not trusted:
                self.to_compare.append(copy.node)

    def is_requested(self, node: Node) -> bool:
        return any(requested_node is node for requested_node, _ in self.requested)

    def owes_comparison(self) -> bool:
        """Whether a copy that can be reached has still to be compared for the start."""
        return any(self.is_ready(node) for node in self.to_compare)

    # -- requests --------------------------------------------------------------------------------

    def request(self, node: Node, refill: bool) -> str:
        """Sync ``node`` (``refill``: emptied first) when its turn comes; why not, or empty."""
        copy = self.group.copy_of(node)
        if not self.group.elected:
            return "no copy is trusted, there is nothing to copy from; say which one is: --trust"
        if copy.state == IN_SYNC:
            return f"{node.name} is in sync already"
        if copy.state == SYNCING or self.is_requested(node):
            return f"{node.name} is being synced already"
        if not node.live:
            return f"{node.name} is down ({node.cause})"
        if self.source() is None:
            down = [f"{other.node.name} is down ({other.node.cause})" for other in self.group.in_sync()]
            return f"there is nothing to copy from: {', '.join(down)}"
        self.requested.append((node, refill))
        self.retry_of(node).reset()
        self.failures.pop(node.name, None)
        if copy.is_sync_cancelled:
            copy.is_sync_cancelled = False
            self.group.record_details()
        return ""

    def cancel(self, node: Node) -> str:
        """End the sync of ``node``, or take back its request; why that cannot be, or empty.

        It does not begin again by itself, not after a restart of the proxy either.
        """
        sync = self.sync
        is_running = sync is not None and sync.target is node
        if not (is_running or self.is_requested(node) or self.waits_for_retry(node)):
            return f"{node.name} is not being synced"
        self.requested = [request for request in self.requested if request[0] is not node]
        self.to_compare = [other for other in self.to_compare if other is not node]
        self.group.copy_of(node).is_sync_cancelled = True
        self.failures[node.name] = CANCELLED
        self.group.record_details()
        if is_running:
            self.stop("cancelled", self.executor.now)
        return ""

    def waits_for_retry(self, node: Node) -> bool:
        """Whether its sync would begin by itself sooner or later."""
        is_wanted = self.group.heals_itself or node in self.to_compare
        copy = self.group.copy_of(node)
        return is_wanted and copy.state == BEHIND and not copy.is_sync_cancelled

    def progress(self, node: Node) -> str:
        """What is being done about ``node``, or how the last sync failed; empty when there is nothing to say."""
        if self.sync is not None and self.sync.target is node:
            return self.sync.progress()
        return "waiting for its turn" if self.is_requested(node) else self.failures.get(node.name, "")

    # -- the sync that runs ----------------------------------------------------------------------

    def start_next(self, source: Node, now: float, wall_ms: int) -> bool:
        """Begin the next sync, if one is due; whether this tick's work was a sync."""
        if self.requested:
            node, refill = self.requested.pop(0)
            if self.group.copy_of(node).state == BEHIND:
                self.start(source, node, refill, False, wall_ms)
            return True
        for copy in self.group.copies:
            if self.is_due(copy.node, now):
                self.start(source, copy.node, False, self.is_unsure(source, copy.node), wall_ms)
                return True
        return False

    def start(self, source: Node, node: Node, refill: bool, refuses_larger_target: bool, wall_ms: int) -> None:
        self.sync = Sync(self.executor, self.group, source, node, refill)
        self.sync.refuses_larger_target = refuses_larger_target
        self.sync.wall_ms = wall_ms
        self.sync.begin()

    def stop(self, cause: str, now: float) -> None:
        """End the sync that runs, if one does."""
        if self.sync is not None:
            self.sync.finish(cause)
            self.finish(self.sync, now)

    def watch(self, sync: Sync, now: float, wall_ms: int) -> None:
        """The sync that runs may be over, or may never end by itself."""
        sync.tick(now, wall_ms)
        if now - sync.progress_at > STALLED_SECONDS:
            sync.finish(f"no step in {round(STALLED_SECONDS)} s")
        if sync.step is SyncStep.DONE:
            self.finish(sync, now)

    def finish(self, sync: Sync, now: float) -> None:
        """Log how it ended. If it failed it is begun again after a pause, where it begins by itself."""
        self.sync = None
        node = sync.target
        retry = self.retry_of(node)
        copy = self.group.copy_of(node)
        if not sync.problem:
            copy.syncs_done += 1
            self.to_compare = [other for other in self.to_compare if other is not node]
            retry.reset()
            self.failures.pop(node.name, None)
            kind = "missed" if sync.is_partial else "all"
            counts: dict[str, object] = {"passes": sync.passes, "keys": sync.keys_seen, "copied": sync.copied_count}
            self.copy_log.add("synced", {"node": node.name, "compared": kind, **counts})
            return
        copy.syncs_failed += 1
        self.failures[node.name] = sync.progress()
        fields: dict[str, object] = {"node": node.name, "cause": sync.problem}
        pause = retry.on_failure(now)
        if self.waits_for_retry(node):
            fields["retry_in_s"] = round(pause)
        self.copy_log.add("sync failed", fields)
