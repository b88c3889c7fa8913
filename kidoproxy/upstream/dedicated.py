"""Lanes: links that one session has to itself for a while, because what it does there would hold up or confuse others.

A lane comes back clean and is kept for the next one who asks, or it is closed: a lane whose connection died, whose
client went away while it waited, or of which anything is in doubt, is never lent again. How many may be lent at a
time is bounded for each node, so that no client can use up what the others need.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.replies.handler import DelegatingHandler, IgnoreReply, ReplyHandler
from kidoproxy.resp import encode, errors, limits
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.errors import NODEDOWN, OVERLOADED, NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import DelegatingExecutor, Executor
from kidoproxy.upstream.handshake import NO_DEADLINE
from kidoproxy.upstream.nonblocking import NonblockingExecutor, WaitOutcome
from kidoproxy.upstream.send_first import is_flushed, submit_first
from kidoproxy.upstream.server import Server, server_of
from kidoproxy.upstream.states import DOWN, IDLE

#: There was nothing to unblock.
NOT_UNBLOCKED: Final = encode.integer(0)


@final
class DedicatedPool:
    """The lanes to all nodes: ``lent`` counts those that sessions have, ``idle`` holds the clean ones, by node."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.max_per_node = limits.DEDICATED_PER_NODE
        #: Whether a socket may be opened; None: always.
        self.has_free_socket: Callable[[], bool] | None = None
        self.leases: dict[int, Lease] = {}
        self.last_lease_number = 0
        #: What is to be unblocked, and was not yet blocked when its node was asked for that: ask again.
        self.retry_unblock: list[DedicatedRequest] = []

    def unavailable(self, node: Node) -> NodeFailure | None:
        """Why none can be lent; a node that is down is not tested by anybody's request."""
        if not node.live:
            return NodeFailure(NODEDOWN, node.name, node.address, node.cause, False)
        server = server_of(node)
        if server.leased >= self.max_per_node:
            cause = f"all of its {self.max_per_node} lanes are in use"
            return NodeFailure(OVERLOADED, node.name, node.address, cause, False)
        if self.has_free_socket is not None and not server.idle and not self.has_free_socket():
            cause = "no file is left for another connection; raise the limit of open files"
            return NodeFailure(OVERLOADED, node.name, node.address, cause, False)
        return None

    def acquire(self, node: Node, proto: int, db: int) -> "Lease":
        """A lane to ``node``, which `refusal` has nothing against."""
        server = server_of(node)
        server.leased += 1
        while server.idle:
            conn = server.idle.pop()
            if conn.state != DOWN:
                return self.new_lease(server, conn)
            self.executor.close_unshared(conn)
        return self.new_lease(server, self.executor.new_unshared(node, proto, db, True))

    def new_lease(self, server: Server, conn: NodeConnection) -> "Lease":
        """Note that it is lent."""
        self.last_lease_number += 1
        lease = Lease(self, server, conn, self.last_lease_number)
        self.leases[lease.number] = lease
        return lease

    def send_unblock(self, blocked: "DedicatedRequest", unblock_frame: bytes) -> None:
        """Tell a node to unblock a request, on every shared link and ahead of all that was not written yet there.

        What others send from now on then comes after it, whichever link it takes. All but the first to arrive find
        nothing to unblock.
        """
        server = blocked.lease.server
        blocked.unblock_number = blocked.unblock_number or server.unblock_order.start()
        conns = [conn for conn in server.shared_connections() if conn.state != IDLE]
        if not conns:
            conns = [self.executor.connection(server.node, 2, 0)]
        blocked.unblocks_open = len(conns)
        blocked.unblock_attempts += 1
        for conn in conns:
            submit_first(conn, UnblockHandler(blocked), unblock_frame, self.executor.now)

    def release(self, lease: "Lease") -> None:
        """The lane is clean: nothing waits on it, and nothing that was said there lives on."""
        server = lease.server
        server.leased -= 1
        lease.connection.push_handler = None
        server.idle.append(lease.connection)
        server.idle_until = self.executor.now + limits.IDLE_DEDICATED_SECONDS

    def close(self, lease: "Lease") -> None:
        """The lane must not be used again; who waits on it hears nothing more."""
        lease.server.leased -= 1
        self.executor.close_unshared(lease.connection)

    def close_out_of_band(self, server: Server) -> None:
        """Close that one."""
        conn = server.out_of_band
        if conn is not None:
            server.out_of_band = None
            self.executor.close_unshared(conn)

    def tick(self, now: float) -> None:
        """Close lanes that nobody wants any more; give up those to nodes that are known to be down."""
        retry_unblock = self.retry_unblock
        self.retry_unblock = []
        for blocked in retry_unblock:
            blocked.plan_executor.request_unblock(blocked)
        for server in self.executor.servers:
            self.close_unneeded(server, now)
        for lease in list(self.leases.values()):
            conn = lease.connection
            if conn.state != DOWN and not conn.node.live:
                conn.on_connection_lost(conn.node.cause, now, True)

    def close_unneeded(self, server: Server, now: float) -> None:
        """Close the connection past all others when it has been answered, and idle ones that are too many."""
        if server.out_of_band is not None and server.out_of_band.pending_count() == 0:
            self.close_out_of_band(server)
        keep_count = limits.IDLE_DEDICATED_PER_NODE if now <= server.idle_until else 0
        for conn in server.idle[keep_count:]:
            self.executor.close_unshared(conn)
        del server.idle[keep_count:]


@final
class Lease:
    """One lane that a session has; it is given back once, clean or not."""

    def __init__(self, pool: DedicatedPool, server: Server, conn: NodeConnection, number: int) -> None:
        self.pool = pool
        self.server = server
        self.connection = conn
        self.number = number
        self.ended = False

    def release(self) -> None:
        """Nothing that was said there lives on."""
        if not self.ended:
            self.ended = True
            del self.pool.leases[self.number]
            self.pool.release(self)

    def close(self) -> None:
        """It must not be lent again."""
        if not self.ended:
            self.ended = True
            del self.pool.leases[self.number]
            self.pool.close(self)


@final
class DedicatedRequest(DelegatingHandler):
    """One request that has a lane to itself until it is answered."""

    def __init__(
        self, plan_executor: "DedicatedExecutor", lease: Lease, parent: ReplyHandler, replies: int, request_frame: bytes
    ) -> None:
        super().__init__(parent)
        self.plan_executor = plan_executor
        self.lease = lease
        self.request_frame = request_frame
        #: So many replies are to come; the last one is the request's own.
        self.replies_left = replies
        #: On so many links the node has been told to unblock it, and has not said yet that it has looked. Until then
        #: the lane is kept, for what would be unblocked late is the next one's request.
        self.unblocks_open = 0
        #: Its place in `Lanes.endings`; how often the node was told; it has said that it did it; why it could not.
        self.unblock_number = 0
        self.unblock_attempts = 0
        self.unblocked = False
        self.unblock_error = ""
        self.unblock_in_doubt = False
        #: What came before was refused, so the request's own answer means nothing.
        self.first_error = b""

    def on_reply(self, raw: bytes) -> None:
        """The lane is free again before the session goes on."""
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
        """A late reply, or a lost connection: the lane is of no use."""
        self.abandon()
        self.plan_executor.outcome.has_reply = True
        self.parent.on_failure(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The lane is in doubt, as far as it was not given back."""
        if self in self.plan_executor.blocked:
            self.plan_executor.finish(self)
        self.lease.close()
        self.parent.abort(failure, failed)

    def cut_through(self, piece: bytes) -> None:
        """It has something."""
        self.plan_executor.outcome.has_reply = True
        self.parent.cut_through(piece)

    def abandon(self) -> None:
        """It will not be answered on this lane."""
        self.discard_reply = True
        self.plan_executor.finish(self)
        self.lease.close()


@final
class DedicatedExecutor(DelegatingExecutor):
    """Puts each leg of a plan on a lane of its own, and keeps them together while they wait.

    ``patience``: the seconds that the nodes themselves may take (`NEVER` if they may wait for ever), which come on
    top of the usual deadline. ``timed_out``: what they say when that time is over. ``before``: a request that must
    run on the same lane first, empty for none.
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
        #: CLIENT UNBLOCK's word, once it was said: what has not been asked yet does not begin to wait.
        self.unblock_reason = b""
        self.outcome = WaitOutcome()

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Borrow a lane, and send."""
        if self.outcome.client_gone:
            self.send_nonblocking(node, handler, payload, proto, db)
            return
        if self.unblock_reason:
            handler.on_reply(self.unblocked_reply())
            return
        failure = self.pool.unavailable(node)
        if failure is not None:
            handler.on_failure(failure)
            return
        lease = self.pool.acquire(node, proto, db)
        replies = 2 if self.prerequisite else 1
        blocked = DedicatedRequest(self, lease, handler, replies, payload)
        self.blocked.append(blocked)
        lease.server.unblock_order.hold_behind_unblocks(lease.connection)
        lease.connection.submit(blocked, self.prerequisite + payload, proto, db, self.executor.now, replies)
        blocked.due = min(blocked.due + self.block_timeout, NO_DEADLINE)

    def send_nonblocking(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Ask for what is there now."""
        NonblockingExecutor(self.executor, self.outcome).send(node, handler, payload, proto, db)

    def is_sent(self) -> bool:
        """Whether the nodes have been sent what they are to wait for: what others do from now on comes after it."""
        return bool(self.blocked) and all(blocked.lease.connection.is_ready() for blocked in self.blocked)

    def finish(self, handler: DedicatedRequest) -> None:
        """It waits no more."""
        self.blocked.remove(handler)
        self.finish_unblock(handler)

    def finish_unblock(self, handler: DedicatedRequest) -> None:
        """It does not wait at its node any more."""
        handler.lease.server.unblock_order.finish(handler.unblock_number, self.executor.now)

    def unblocked_reply(self) -> bytes:
        """What a node would say to a request that is unblocked at once."""
        return self.timeout_reply if self.unblock_reason == b"TIMEOUT" else errors.UNBLOCKED

    def unblock(self, unblock_reason: bytes) -> bool:
        """Make the nodes answer what still waits, as if its time were over (TIMEOUT) or with an error (ERROR).

        The node decides: if something has just come for a request it gets that, and nothing is lost. Whether there
        was anything to unblock.
        """
        self.unblock_reason = unblock_reason
        all_blocked = self.blocked[:]
        for blocked in all_blocked:
            self.request_unblock(blocked)
        return bool(all_blocked)

    def request_unblock(self, blocked: DedicatedRequest) -> None:
        """Make the node unblock this one, which then has to be answered within the usual deadline."""
        conn = blocked.lease.connection
        if blocked.unblocks_open or blocked not in self.blocked:
            return
        if not is_flushed(conn):
            self.withdraw(blocked)
        elif conn.client_id:
            blocked.due = min(blocked.due, self.executor.now + conn.options.timeout)
            self.pool.send_unblock(
                blocked, encode.encode_request([b"CLIENT", b"UNBLOCK", conn.client_id, self.unblock_reason])
            )
        else:
            self.break_off(blocked, "it was unblocked, and its node does not let us ask for that")

    def withdraw(self, blocked: DedicatedRequest) -> None:
        """Nothing has been sent on this lane, and nothing will be."""
        conn = blocked.lease.connection
        blocked.abandon()
        if self.outcome.client_gone:
            self.send_nonblocking(conn.node, blocked.parent, blocked.request_frame, conn.base_proto, conn.base_db)
        else:
            blocked.parent.on_reply(self.unblocked_reply())

    def unblock_rest(self) -> None:
        """One of several lanes has something: the others answer with what they have, be it nothing."""
        self.unblock(b"TIMEOUT")

    def break_off(self, blocked: DedicatedRequest, cause: str) -> None:
        """Cut the lane, and fail what waits there; a client that has hung up was waiting, as far as we know."""
        node = blocked.lease.connection.node
        blocked.abandon()
        self.outcome.has_reply = self.outcome.has_reply or not self.outcome.client_gone
        blocked.parent.on_failure(NodeFailure(NODEDOWN, node.name, node.address, cause, True))

    def on_client_gone(self) -> None:
        """The client has hung up: its waiting ends at the nodes before anything that comes from now on reaches them.

        What a node has found before that is still an answer, as it would be of a server.
        """
        if self.blocked:
            self.outcome.client_gone = True
            self.unblock(b"ERROR")

    def cancel(self) -> None:
        """The client is killed: the same, and nobody hears of it."""
        for blocked in self.blocked[:]:
            blocked.parent = IgnoreReply()
            if not is_flushed(blocked.lease.connection):
                blocked.abandon()
        self.on_client_gone()


@final
class UnblockHandler(ReplyHandler):
    """Waits for what a node says to CLIENT UNBLOCK; if it cannot do it, the lane is cut."""

    def __init__(self, blocked: DedicatedRequest) -> None:
        super().__init__()
        self.blocked = blocked

    def on_reply(self, raw: bytes) -> None:
        """0: the answer is on its way already, or the node has not read yet what it was to unblock."""
        if raw[:1] == b"-":
            self.blocked.unblock_error = "it refuses CLIENT UNBLOCK"
        elif raw != NOT_UNBLOCKED:
            self.blocked.unblocked = True
            self.blocked.plan_executor.finish_unblock(self.blocked)
        self.on_answered()

    def on_failure(self, failure: NodeFailure) -> None:
        """The node cannot be asked, or has been and may unblock whatever it finds there later."""
        self.blocked.unblock_error = failure.short_reason()
        self.blocked.unblock_in_doubt = True
        self.on_answered()

    def on_answered(self) -> None:
        """When all links have answered: the lane is free, or what waits there is unblocked, told again, or cut."""
        blocked = self.blocked
        blocked.unblocks_open -= 1
        if blocked.unblocks_open:
            return
        if blocked.replies_left == 0:
            self.release_lease()
        elif blocked.unblocked:
            return
        elif blocked.unblock_error:
            self.break_off(blocked.unblock_error)
        elif blocked.unblock_attempts == 1:
            blocked.plan_executor.request_unblock(blocked)
        else:
            blocked.plan_executor.pool.retry_unblock.append(blocked)

    def release_lease(self) -> None:
        """It was answered before; in doubt nobody uses its lane again."""
        if self.blocked.unblock_in_doubt:
            self.blocked.lease.close()
        else:
            self.blocked.lease.release()

    def break_off(self, cause: str) -> None:
        """Cut the lane, if it still waits."""
        plan_executor = self.blocked.plan_executor
        if self.blocked in plan_executor.blocked:
            plan_executor.break_off(self.blocked, cause)
