"""Transactions: what a client has queued is collected into one batch per node, and each batch is sent at one go.

Order of events: the session executes each queued command's plan with a `Transaction`, whose `send` fills the batches
(or `add_node_transaction` makes the only one); `send_batches` sends them; each `NodeBatch` takes the replies of its
MULTI, of the queued commands and of EXEC, and deals the array of EXEC out to the handlers. A batch of a read-only
transaction that a copy does not answer well is sent to the next copy.
"""

from typing import Final, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replication.expiry_check import ExpiryQuestion
from kidoproxy.replication.group import CopyGroup, group_of
from kidoproxy.replication.leader_effects import EXEC, MULTI
from kidoproxy.replication.waiters import Wakeup
from kidoproxy.replies.aggregate import ListReplies
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import errors
from kidoproxy.resp.decode import error_text, is_error, is_null, items
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import as_node_reply, is_node_unfit
from kidoproxy.routes.plan import Gather, Plan, Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.warmup_connection import preload_script
from kidoproxy.upstream.dedicated_pool import Lease
from kidoproxy.upstream.executor import DelegatingExecutor, Executor

EXECABORT_PREFIX: Final = b"-EXECABORT"


@final
class ExecReply(ListReplies):
    """The array of EXEC, each command's reply in its place.

    Where clients take a node's failure for a lost connection (``as_loading``) a transaction of which nothing was run
    fails as a whole, and they may send it again. When some node has run its part the failures stay in their places,
    as ordinary errors: sent again, that part would run twice.
    """

    def __init__(
        self, transaction: "Transaction", parent: ReplyHandler, count: int, is_write: bool, node_errors_as_loading: bool
    ) -> None:
        super().__init__(parent, count, is_write)
        self.transaction = transaction
        self.node_errors_as_loading = node_errors_as_loading

    def answer_parent(self) -> None:
        failure = self.first_failure()
        if failure is not None and self.node_errors_as_loading and not self.transaction.any_ran:
            self.parent.on_failure(failure)
        else:
            super().answer_parent()


@final
class NodeBatch(ReplyHandler):
    """One node's part: MULTI, its commands, EXEC. The array of EXEC is dealt out to ``handlers``.

    ``exec_handler``: the transaction's own, when what this node says to EXEC is the whole reply. It gets the array as
    it is if there are no ``handlers``, and else only what is no array: an error, or the null of a WATCH that failed.
    """

    def __init__(self, transaction: "Transaction", node: Node, exec_handler: ReplyHandler | None) -> None:
        super().__init__()
        self.transaction = transaction
        self.node = node
        #: The nodes that were asked before this one, in vain.
        self.asked_nodes: list[Node] = []
        self.payloads: list[bytes] = []
        self.handlers: list[ReplyHandler] = []
        self.replies_left = 0
        #: What the node said first to refuse something before EXEC, if anything; and whether that was MULTI itself.
        self.queue_error = b""
        self.multi_accepted = True
        self.exec_handler = exec_handler

    def on_reply(self, raw: bytes) -> None:
        """+OK, +QUEUED for each command, then the reply of EXEC."""
        self.replies_left -= 1
        if self.replies_left > 0:
            if is_error(raw) and not self.queue_error:
                self.queue_error = error_text(raw)
                self.multi_accepted = self.replies_left < len(self.payloads) + 1
            return
        if self.needs_failover(raw) and self.failover():
            return
        self.transaction.on_exec_reply(raw)
        if is_error(raw) and self.queue_error:
            raw = (
                errors.exec_aborted(self.queue_error) if self.multi_accepted else errors.multi_refused(self.queue_error)
            )
        if self.exec_handler is not None and (not self.handlers or is_error(raw) or is_null(raw)):
            self.exec_handler.on_reply(raw)
            return
        replies = [] if is_error(raw) else items(raw)
        for index, handler in enumerate(self.handlers):
            handler.on_reply(as_node_reply(replies[index]) if index < len(replies) else self.exec_error(raw))

    def needs_failover(self, raw: bytes) -> bool:
        """Whether the node was not fit to run it, or has missed a write that its reads may lack."""
        group = group_of(self.node)
        refused = is_error(raw) and is_node_unfit(b"-" + self.queue_error if self.queue_error else raw)
        return refused or (group is not None and group.may_lack_writes(self.node))

    def failover(self) -> bool:
        """Ask the next copy in sync, with a deadline of its own; False when this transaction may be asked only once."""
        group = group_of(self.node)
        if group is None or not self.transaction.retryable:
            return False
        asked_nodes = [*self.asked_nodes, self.node]
        for node in group.ranked(None):
            if node not in asked_nodes:
                next_batch = NodeBatch(self.transaction, node, self.exec_handler)
                next_batch.asked_nodes = asked_nodes
                next_batch.payloads = self.payloads
                next_batch.handlers = self.handlers
                script_texts = self.transaction.script_texts
                script_texts[node] = script_texts.get(self.node, {})
                self.transaction.send_batch(next_batch)
                return True
        return False

    def exec_error(self, raw: bytes) -> bytes:
        """What a command gets that has no place in the reply of EXEC: the error that EXEC was refused with."""
        if is_error(raw):
            return raw
        return errors.transaction_not_run(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """The next copy is asked, or each of this node's commands has failed."""
        if self.failover():
            return
        if self.transaction.lease is not None:
            self.transaction.lease.close()
        if self.exec_handler is not None:
            self.exec_handler.on_failure(failure)
            return
        for handler in self.handlers:
            handler.on_failure(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        if self.transaction.lease is not None:
            self.transaction.lease.close()
        if self.exec_handler is not None:
            self.exec_handler.abort(failure, failed)
        for handler in self.handlers:
            handler.abort(failure, failed)

    def describe(self) -> str:
        return "exec"


@final
class Transaction(DelegatingExecutor):
    """Collects what a queued transaction sends to each node, then sends each node's batch at one go.

    With a ``lease`` all of it is for the node of that dedicated connection, where keys are watched. ``retryable``: it
    only reads, so that a copy which does not answer costs nothing but the time of asking the next one.
    """

    def __init__(self, executor: Executor, lease: Lease | None, retryable: bool = False) -> None:
        super().__init__(executor)
        self.lease = lease
        self.retryable = retryable
        self.proto = 2
        self.db = 0
        self.batches: dict[Node, NodeBatch] = {}
        #: By node, the texts of the scripts that its batch names by digest.
        self.script_texts: dict[Node, dict[bytes, bytes]] = {}
        #: Some node has run its batch.
        self.any_ran = False
        #: Whom its writes may let go on that wait, once they are sent.
        self.wakeups: list[tuple[CopyGroup, Wakeup]] = []

    def wake(self, group: CopyGroup, wakeup: Wakeup) -> None:
        """Nothing is sent yet."""
        self.wakeups.append((group, wakeup))

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Add to the node's batch."""
        batch = self.batches.get(node)
        if batch is None:
            batch = NodeBatch(self, node, None)
            self.batches[node] = batch
        batch.payloads.append(payload)
        batch.handlers.append(handler)

    def send_question(self, question: ExpiryQuestion, proto: int, db: int) -> None:
        """As part of the batch: what follows may set an expiry that hides a difference."""
        self.send(question.node, question, question.request, proto, db)

    def hold_write(
        self, plan: Gather, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> bool:
        """A transaction has waited for its turn as a whole."""
        return False

    def preload(self, node: Node, digest: bytes, text: bytes) -> None:
        """Send this script ahead of the node's batch."""
        self.script_texts.setdefault(node, {})[digest] = text

    def add_node_transaction(
        self,
        node: Node,
        handler: ReplyHandler,
        plans: list[Plan | None],
        raws: list[bytes],
        handlers: list[ReplyHandler],
    ) -> None:
        """All of it is for one node, whose reply to EXEC is the whole reply; see `NodeBatch`.

        ``plans`` and ``raws`` belong together, one for each queued command.
        """
        batch = NodeBatch(self, node, handler)
        batch.handlers = handlers
        for plan, raw in zip(plans, raws, strict=True):
            # What is for no node (PING), or for all nodes of a ring of one, goes as it came.
            payload = plan.payload if isinstance(plan, Send) else None
            batch.payloads.append(payload if payload is not None else raw)
        self.batches[node] = batch

    def on_exec_reply(self, raw: bytes) -> None:
        """EXEC has been answered, and with it the keys are not watched any more; unless MULTI was refused."""
        self.any_ran = self.any_ran or not is_error(raw)
        if self.lease is not None:
            if is_error(raw) and not raw.startswith(EXECABORT_PREFIX):
                self.lease.close()
            else:
                self.lease.release()

    def send_batches(self, proto: int, db: int) -> None:
        """Send every batch, once: one contiguous ``MULTI … EXEC`` for each node."""
        self.proto = proto
        self.db = db
        # A batch knows its transaction: what knew it, too, would be a circle, and stay until the collector comes.
        batches, self.batches = self.batches, {}
        for batch in batches.values():
            self.send_batch(batch)
        for group, wakeup in self.wakeups:
            group.waiters.wake(wakeup)

    def send_batch(self, batch: NodeBatch) -> None:
        """Send one node's batch, behind the scripts that it names by digest."""
        executor = self.executor
        proto, db, now = self.proto, self.db, executor.now
        batch.replies_left = len(batch.payloads) + 2
        payload = MULTI + b"".join(batch.payloads) + EXEC
        conn = self.lease.connection if self.lease is not None else executor.connection(batch.node, proto, db)
        if self.lease is not None:
            self.lease.connection_set.unblock_order.hold_behind_unblocks(conn)
        for digest, text in self.script_texts.get(batch.node, {}).items():
            executor.script_preloads += preload_script(conn, digest, text, proto, db, now, True)
        conn.submit(batch, payload, proto, db, now, batch.replies_left)
