"""Requests that may block, each on a dedicated connection; and how one that blocks is ended early.

Parts for copies, which must not block, wait in the proxy instead: see `kidoproxy.upstream.waiting`.

A server decides itself how a blocked request ends. So for CLIENT UNBLOCK, or when the client has hung up, the server is
told to unblock it, over every shared connection. If something has just come for the request, the client gets that and
nothing is lost. Only where the server cannot be told (it refuses, or cannot be reached) is the connection cut.

What happens to a blocked request that is to end:

* it has not been sent yet: it is withdrawn, and answered by us;
* the server is told; the request is answered on its own connection as ever, within the usual deadline;
* the server finds nothing to unblock: told once more at once (it may not have read the request yet), then at
  each tick;
* it refuses, or fails: the connection is cut, and the request fails.

A dedicated connection is given back only when every CLIENT UNBLOCK for it has been answered: one that came late would
unblock the next session's request.
"""

from typing import Final, final

from kidoproxy.commands.spec import COUNT_COPIES, CommandSpec
from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.replies.handler import DelegatingHandler, IgnoreReply, ReplyHandler
from kidoproxy.resp import encode, errors
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.errors import NODEDOWN, OVERLOADED, NodeFailure
from kidoproxy.routes.plan import Gather, Wait
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.dedicated_pool import DedicatedPool, Lease
from kidoproxy.upstream.executor import DelegatingExecutor
from kidoproxy.upstream.handlers import NO_DEADLINE
from kidoproxy.upstream.health import LOST_CAUSE
from kidoproxy.upstream.nonblocking import NonblockingExecutor, WaitOutcome
from kidoproxy.upstream.send_first import is_flushed, submit_ahead_of_unwritten
from kidoproxy.upstream.states import NEW
from kidoproxy.upstream.waiting import WaitingRequest

#: What CLIENT UNBLOCK says when there was nothing to unblock.
NOT_UNBLOCKED: Final = encode.integer(0)


@final
class DedicatedRequest(DelegatingHandler):
    """One request that has a dedicated connection to itself until it is answered."""

    def __init__(
        self,
        plan_executor: "DedicatedExecutor",
        lease: Lease,
        parent: ReplyHandler,
        reply_count: int,
        request_frame: bytes,
    ) -> None:
        super().__init__(parent)
        self.plan_executor = plan_executor
        self.lease = lease
        self.request_frame = request_frame
        #: So many replies are to come; the last one is the request's own.
        self.replies_left = reply_count
        #: The error of what had to run first, if it was refused: then the request's own reply means nothing.
        self.first_error = b""
        #: Its number in the server's `UnblockOrder` (0: the server was never told to unblock it).
        self.unblock_number = 0
        self.unblock_attempts = 0
        #: On so many connections CLIENT UNBLOCK has not been answered yet.
        self.unblocks_open = 0
        #: What the answers came to: it was unblocked; it cannot be, and why; it may still be, later.
        self.unblocked = False
        self.unblock_error = ""
        self.unblock_in_doubt = False

    def on_reply(self, raw: bytes) -> None:
        """The connection is free again before the session goes on."""
        self.replies_left -= 1
        if self.replies_left:
            self.first_error = raw if is_error(raw) else b""
        else:
            self.plan_executor.finish(self)
            if not self.unblocks_open:
                self.lease.release()
            self.plan_executor.outcome.note_reply(raw)
            self.parent.on_reply(self.first_error or raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """The reply is late, or the connection lost: the connection is of no use any more."""
        self.abandon()
        self.plan_executor.outcome.must_answer = True
        self.parent.on_failure(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The connection is in doubt, unless it was given back already."""
        if self in self.plan_executor.blocked:
            self.plan_executor.finish(self)
        self.lease.close()
        self.parent.abort(failure, failed)

    def cut_through(self, piece: bytes) -> None:
        self.plan_executor.outcome.must_answer = True
        self.parent.cut_through(piece)

    def abandon(self) -> None:
        """It will not be answered on this connection."""
        self.is_answered = True
        self.plan_executor.finish(self)
        self.lease.close()

    def request_unblock(self) -> None:
        """Make the server unblock it, if it still waits."""
        self.plan_executor.request_unblock(self)

    def on_unblock_reply(self, raw: bytes) -> None:
        """What the server says to CLIENT UNBLOCK on one connection.

        0: the reply is on its way already, or the server has not read yet what it was to unblock.
        """
        if raw[:1] == b"-":
            self.unblock_error = "it refuses CLIENT UNBLOCK"
        elif raw != NOT_UNBLOCKED:
            self.unblocked = True
            self.plan_executor.finish_unblock(self)
        self.on_unblock_answered()

    def on_unblock_failure(self, failure: NodeFailure) -> None:
        """The server cannot be told; or it was, and may unblock whatever it finds on that connection later."""
        self.unblock_error = failure.short_reason()
        self.unblock_in_doubt = True
        self.on_unblock_answered()

    def on_unblock_answered(self) -> None:
        self.unblocks_open -= 1
        if not self.unblocks_open:
            self.on_unblocks_answered()

    def on_unblocks_answered(self) -> None:
        """CLIENT UNBLOCK has been answered on all connections: give back the lease, tell once more, or cut."""
        if self.replies_left == 0:
            self.end_lease()
        elif self.unblocked:
            return
        elif self.unblock_error:
            self.plan_executor.cut_connection_if_blocked(self, self.unblock_error)
        elif self.unblock_attempts == 1:
            self.request_unblock()
        else:
            self.plan_executor.pool.at_next_tick.append(self.request_unblock)

    def end_lease(self) -> None:
        """It was answered meanwhile; what may still unblock something later must find nobody there."""
        if self.unblock_in_doubt:
            self.lease.close()
        else:
            self.lease.release()


@final
class DedicatedExecutor(DelegatingExecutor):
    """Sends each part of one plan on a dedicated connection, and knows those parts while they are blocked.

    ``block_timeout``: the seconds for which the servers may block (`inf`: for ever), on top of the usual deadline.
    ``timeout_reply``: what they say when that time is over. ``prerequisite``: a request that has to run on the same
    connection first; empty for none.
    """

    def __init__(
        self, pool: DedicatedPool, block_timeout: float, timeout_reply: bytes, prerequisite: bytes = b""
    ) -> None:
        super().__init__(pool.executor)
        self.pool = pool
        self.block_timeout = block_timeout
        self.timeout_reply = timeout_reply
        self.prerequisite = prerequisite
        self.blocked: list[DedicatedRequest] = []
        #: Parts that wait in the proxy, for no node may block.
        self.waiting: list[WaitingRequest] = []
        #: TIMEOUT or ERROR, once the whole is to be unblocked: parts that come to be sent after that do not block.
        self.unblock_reason = b""
        self.outcome = WaitOutcome()

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Lease a connection and send on it; what must not block any more is answered at once."""
        if self.outcome.client_gone:
            self.send_nonblocking(node, handler, payload, proto, db)
            return
        if self.unblock_reason:
            handler.on_reply(self.unblocked_reply())
            return
        failure = self.pool.find_refusal(node)
        if failure is not None:
            handler.on_failure(failure)
            return
        lease = self.pool.acquire(node, proto, db)
        reply_count = 2 if self.prerequisite else 1
        blocked = DedicatedRequest(self, lease, handler, reply_count, payload)
        self.blocked.append(blocked)
        lease.connection_set.unblock_order.hold_behind_unblocks(lease.connection)
        lease.connection.submit(blocked, self.prerequisite + payload, proto, db, self.executor.now, reply_count)
        blocked.due = min(blocked.due + self.block_timeout, NO_DEADLINE)

    def execute_gather(
        self, plan: Gather, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """WAIT on copies goes behind the client's writes, over the connections that they took."""
        if plan.response_policy == COUNT_COPIES:
            self.executor.execute_gather(plan, handler, raw, spec, request_context)
        else:
            super().execute_gather(plan, handler, raw, spec, request_context)

    def execute_wait(
        self, plan: Wait, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """Let it wait in the proxy; what must not wait any more is answered with what is there now, or at once."""
        waiters = plan.group.waiters
        if self.outcome.client_gone:
            nonblocking = NonblockingExecutor(self.executor, self.outcome)
            nonblocking.execute(plan.attempts.plan_attempt(), handler, raw, spec, request_context)
        elif self.unblock_reason:
            handler.on_reply(self.unblocked_reply())
        elif not waiters.has_room(plan.keys):
            handler.on_failure(NodeFailure(OVERLOADED, plan.group.name, "", "too many keys are waited for", False))
        else:
            waiting = WaitingRequest(
                self.pool.waiting, plan, handler, raw, spec, request_context, self.outcome, self.waiting
            )
            waiting.start(self.executor.now + self.block_timeout, self.timeout_reply)

    def send_nonblocking(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Ask for what is there now."""
        NonblockingExecutor(self.executor, self.outcome).send(node, handler, payload, proto, db)

    def is_sent(self) -> bool:
        """Whether the servers have what they are to block on: what others send from now on comes after it."""
        return bool(self.blocked or self.waiting) and all(
            blocked.lease.connection.is_ready() for blocked in self.blocked
        )

    def finish(self, blocked: DedicatedRequest) -> None:
        """It is blocked no more: answered, failed or given up."""
        self.blocked.remove(blocked)
        self.finish_unblock(blocked)

    def finish_unblock(self, blocked: DedicatedRequest) -> None:
        """It is not blocked at its server any more, so nothing has to wait for its unblocking."""
        blocked.lease.connection_set.unblock_order.finish(blocked.unblock_number, self.executor.now)

    def unblocked_reply(self) -> bytes:
        """What a server would say to a request that is unblocked at once."""
        return self.timeout_reply if self.unblock_reason == b"TIMEOUT" else errors.UNBLOCKED

    def unblock(self, unblock_reason: bytes) -> bool:
        """Make the servers answer what is still blocked, as if its time were over (TIMEOUT) or with an error (ERROR).

        Returns whether anything was blocked.
        """
        self.unblock_reason = unblock_reason
        all_blocked = self.blocked[:]
        all_waiting = self.waiting[:]
        for blocked in all_blocked:
            self.request_unblock(blocked)
        for waiting in all_waiting:
            waiting.end(self.unblocked_reply())
        return bool(all_blocked or all_waiting)

    def request_unblock(self, blocked: DedicatedRequest) -> None:
        """Make the server unblock this one, which then has to be answered within the usual deadline."""
        conn = blocked.lease.connection
        if blocked.unblocks_open or blocked not in self.blocked:
            return
        if not is_flushed(conn):
            self.cancel_unsent(blocked)
        elif conn.client_id:
            blocked.due = min(blocked.due, self.executor.now + conn.options.timeout)
            self.send_unblock(
                blocked, encode.encode_request([b"CLIENT", b"UNBLOCK", conn.client_id, self.unblock_reason])
            )
        else:
            self.cut_blocked_connection(blocked, "it was unblocked, and its node does not let us ask for that")

    def send_unblock(self, blocked: DedicatedRequest, unblock_frame: bytes) -> None:
        """Tell the server on every shared connection, ahead of all that was not written yet there.

        What others send from now on then comes after it, whichever connection it takes. All but the first to arrive
        find nothing to unblock.
        """
        connection_set = blocked.lease.connection_set
        blocked.unblock_number = blocked.unblock_number or connection_set.unblock_order.start()
        conns = [conn for conn in connection_set.shared_connections() if conn.state != NEW]
        if not conns:
            conns = [self.executor.connection(connection_set.node, 2, 0)]
        blocked.unblocks_open = len(conns)
        blocked.unblock_attempts += 1
        for conn in conns:
            handler = CallbackHandler(blocked.on_unblock_reply, blocked.on_unblock_failure)
            submit_ahead_of_unwritten(conn, handler, unblock_frame, self.executor.now)

    def cancel_unsent(self, blocked: DedicatedRequest) -> None:
        """Nothing has been sent on its connection, and nothing will be."""
        conn = blocked.lease.connection
        blocked.abandon()
        if self.outcome.client_gone:
            self.send_nonblocking(conn.node, blocked.parent, blocked.request_frame, conn.base_proto, conn.base_db)
        else:
            blocked.parent.on_reply(self.unblocked_reply())

    def unblock_rest(self) -> None:
        """One of several parts has something: the others answer with what they have, be it nothing."""
        self.unblock(b"TIMEOUT")

    def cut_blocked_connection(self, blocked: DedicatedRequest, cause: str) -> None:
        """Cut its connection, and fail it. A client that has hung up was waiting, as far as we know."""
        node = blocked.lease.connection.node
        blocked.abandon()
        self.outcome.must_answer = self.outcome.must_answer or not self.outcome.client_gone
        node.count_failure(LOST_CAUSE)
        blocked.parent.on_failure(NodeFailure(NODEDOWN, node.name, node.address, cause, True))

    def cut_connection_if_blocked(self, blocked: DedicatedRequest, cause: str) -> None:
        """As `cut_blocked_connection`, unless it was answered or has failed meanwhile."""
        if blocked in self.blocked:
            self.cut_blocked_connection(blocked, cause)

    def on_client_gone(self) -> None:
        """The client has hung up: its waiting ends at the servers before anything sent from now on reaches them.

        What a server has found before that is still a reply, as it would be without a proxy.
        """
        if self.blocked or self.waiting:
            self.outcome.client_gone = True
            self.unblock(b"ERROR")

    def cancel(self) -> None:
        """The client is killed: as if it had hung up, and nobody hears of it."""
        for blocked in self.blocked[:]:
            blocked.parent = IgnoreReply()
            if not is_flushed(blocked.lease.connection):
                blocked.abandon()
        for waiting in self.waiting:
            waiting.parent = IgnoreReply()
        self.on_client_gone()
