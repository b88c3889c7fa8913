"""The exchange hands the parts of a plan to the links, and knows which links there are.

`scatter` walks a plan: a `Send` becomes one leg on one link, a `Gather` a joint with a place for each
part, an `DirectReply` is taken at once. Inside a transaction the same walk fills a `Batch` per node instead
of the links; that is the only difference.
"""

from functools import partial
from typing import Final, cast, final

from kidoproxy.commands.empty_reply import empty_reply
from kidoproxy.commands.spec import WEIGHTED_CHOICE, CommandSpec
from kidoproxy.replication.read_failover import ReadFailover
from kidoproxy.replication.write import CopyWrite, UnawaitedWrite
from kidoproxy.replies.aggregate import Aggregate, AggregateSlot, ListReplies, MergeWith
from kidoproxy.replies.choose import choose_weighted
from kidoproxy.replies.cursor import rewrite_cursor
from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.replies.jobs import Jobs
from kidoproxy.replies.merge_replies import MergeReplies
from kidoproxy.replies.queue import PendingWrites
from kidoproxy.replies.streams import MergeStreams
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import node_error_as_loading
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import DirectReply, Gather, Plan, Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.plan_sender import PlanSender
from kidoproxy.upstream.server import Server, server_of

#: What a node answers that is there and cannot serve now: what was asked has not been done.
MISS_ERRORS: Final[tuple[bytes, ...]] = (
    b"-LOADING",
    b"-OOM",
    b"-MISCONF",
    b"-MASTERDOWN",
    b"-READONLY",
    b"-BUSY ",
    b"-NOREPLICAS",
)


class PlanExecutor(PlanSender):
    """Walks plans; where its parts go is said by the subclass's `send`."""

    def execute(
        self, plan: Plan, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """Walk ``plan``; whatever it comes to is taken by ``leg``. ``raw`` is the request's own frame."""
        if isinstance(plan, Send):
            payload = plan.payload if plan.payload is not None else raw
            if request_context.miss_on_failure and not request_context.per_node:
                handler = MissOnFailure(self, handler, payload, spec, request_context.proto)
            if plan.fallbacks:
                group = plan.node.group
                if group is not None:
                    group.read_count += 1
                handler = ReadFailover(
                    self, handler, payload, plan.node, plan.fallbacks, request_context.proto, request_context.db
                )
            self.send(plan.node, handler, payload, request_context.proto, request_context.db)
        elif isinstance(plan, Gather):
            self.execute_gather(plan, handler, raw, spec, request_context)
        elif isinstance(plan, DirectReply):
            handler.on_reply(node_error_as_loading(plan.frame) if request_context.failures_as_loading else plan.frame)

    def execute_gather(
        self, plan: Gather, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """Open a joint of the right kind and walk the parts."""
        if request_context.miss_on_failure and not request_context.per_node and plan.group is not None:
            # The copies judge among themselves who has taken a write: to them a copy that is down has not.
            handler = MissOnFailure(self, handler, raw, spec, request_context.proto)
            request_context = request_context.without_misses()
        aggregate = self.new_aggregate(plan, handler, spec, request_context)
        aggregate.command_name = spec.name
        frames = plan.frames
        for index, child_plan in enumerate(plan.plans):
            self.execute(
                child_plan,
                AggregateSlot(aggregate, index),
                frames[index] if frames is not None else raw,
                spec,
                request_context,
            )
        group, write = plan.group, plan.write
        if group is not None and write is not None:
            for node in write.unawaited_nodes:
                self.send(
                    node,
                    UnawaitedWrite(group, node),
                    write.unawaited_payload or raw,
                    request_context.proto,
                    request_context.db,
                )

    def new_aggregate(
        self, plan: Gather, handler: ReplyHandler, spec: CommandSpec, request_context: RequestContext
    ) -> Aggregate:
        """Copies are judged by their group, lists are listed, the rest is merged."""
        count = len(plan.plans)
        group = plan.group
        scan_step = plan.scan_step
        if scan_step is not None:
            rewrite = partial(rewrite_cursor, cursor_id=scan_step.cursor_id, next_cursor_id=scan_step.next_cursor_id)
            return MergeWith(handler, count, rewrite)
        if group is not None:
            return CopyWrite(handler, plan, group, request_context)
        stream_names = plan.stream_names
        if stream_names is not None:
            return MergeStreams(handler, count, stream_names, spec.may_write, self)
        if request_context.per_node:
            return ListReplies(handler, count, spec.may_write)
        if plan.merge_rule == WEIGHTED_CHOICE:
            return MergeWith(handler, count, partial(choose_weighted, random_number=self.next_random()))
        merged = MergeReplies(handler, count, plan.merge_rule, request_context.proto, spec.name, spec.may_write)
        split = plan.split
        if split is not None:
            merged.key_positions = split.key_positions
            merged.key_count = split.key_count
        merged.jobs = self.jobs()
        return merged


@final
class Executor(PlanExecutor):
    """The links by node, and by what they are for. ``now`` is set by whoever feeds us, once per batch."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.dirty_connections: list[NodeConnection] = []
        #: Links outside that table: lanes, and those that listen for us.
        self.unshared_connections: list[NodeConnection] = []
        self.pending_writes = PendingWrites()
        self.now = 0.0
        self.seed = 1
        self.random_state = 0
        self.soft_misses = 0
        self.dropped_writes = 0
        #: EVALSHAs that were sent again, and texts that were sent ahead of one.
        self.noscript_retries = 0
        self.script_preloads = 0

    def connection(self, node: Node, proto: int, db: int) -> NodeConnection:
        """The link to ``node`` for (protocol, database); a node of a copy pool has one for all."""
        connection_slot = db * 2 + proto - 2 if node.group is None else 0
        server = cast(Server, node.server)
        conns = server.shared
        if connection_slot < len(conns):
            conn = conns[connection_slot]
            if conn is not None:
                return conn
        return self.new_shared(server, proto, db, connection_slot)

    def new_shared(self, server: Server, proto: int, db: int, connection_slot: int) -> NodeConnection:
        """The first request that goes this way."""
        conns = server.shared
        while len(conns) <= connection_slot:
            conns.append(None)
        ordered = server.node.group is not None
        conn = self.new_connection(server, 2 if ordered else proto, 0 if ordered else db)
        conns[connection_slot] = conn
        return conn

    def new_connection(self, server: Server, proto: int, db: int) -> NodeConnection:
        """A connection of this process; no two processes try again at the same moments."""
        conn = NodeConnection(server.node, server.options, proto, db, self.dirty_connections)
        conn.backoff.random_state = self.seed + server.node.node_id
        return conn

    def connections_to(self, node: Node) -> list[NodeConnection]:
        """Every link to ``node`` that there is."""
        return server_of(node).shared_connections()

    def new_unshared(self, node: Node, proto: int, db: int, dedicated: bool) -> NodeConnection:
        """A link that is not shared; whoever asked for it gives it back to `forget`."""
        conn = self.new_connection(server_of(node), proto, db)
        conn.shared = False
        conn.dedicated = dedicated
        self.unshared_connections.append(conn)
        return conn

    def close_unshared(self, conn: NodeConnection) -> None:
        """Close a link of `other_link` for good; what still waits on it hears nothing more."""
        self.unshared_connections.remove(conn)
        conn.push_handler = None
        conn.dedicated = True
        conn.reset("it is not needed any more")
        conn.mark_down(self.now)

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """One leg on one link."""
        self.connection(node, proto, db).submit(handler, payload, proto, db, self.now)

    def send_segmented(self, node: Node, handler: ReplyHandler, request: Request, proto: int, db: int) -> None:
        """A large request, piece by piece; its link queues all of them at once."""
        conn = self.connection(node, proto, db)
        tail_pieces = request.tail_pieces
        if conn.can_send and tail_pieces is not None:
            conn.submit(handler, request.raw, proto, db, self.now)
            conn.send_tail(handler, tail_pieces, self.now)
        else:
            request.materialize()
            conn.submit(handler, request.raw, proto, db, self.now)

    def next_random(self) -> int:
        """A linear congruence, whose seed is the process's own."""
        self.random_state = (self.random_state * 6364136223846793005 + 2 * self.seed + 1442695040888963407) % (1 << 64)
        return self.random_state >> 33

    def count_miss(self, is_write: bool) -> None:
        """Count it."""
        if is_write:
            self.dropped_writes += 1
        else:
            self.soft_misses += 1

    def jobs(self) -> Jobs:
        """Those of the process."""
        return self.pending_writes.jobs

    def all_connections(self) -> list[NodeConnection]:
        """Every link there is."""
        return [conn for server in self.servers for conn in server.shared_connections()] + self.unshared_connections

    def tick(self, now: float) -> None:
        """Deadlines of all links."""
        self.now = now
        for conn in self.all_connections():
            conn.tick(now)


class DelegatingExecutor(PlanExecutor):
    """A wire that is not the exchange itself, and counts where all are counted."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def next_random(self) -> int:
        """The exchange's."""
        return self.executor.next_random()

    def count_miss(self, is_write: bool) -> None:
        """Count it at the exchange."""
        self.executor.count_miss(is_write)

    def jobs(self) -> Jobs:
        """Those of the exchange."""
        return self.executor.jobs()


@final
class MissOnFailure(DelegatingHandler):
    """For a pool that treats a node that is down as a miss: what would be answered if there were nothing."""

    def __init__(self, sender: PlanSender, parent: ReplyHandler, payload: bytes, spec: CommandSpec, proto: int) -> None:
        super().__init__(parent)
        self.sender = sender
        self.request_frame = payload
        self.spec = spec
        self.proto = proto
        self.partly_sent = False

    def on_failure(self, failure: NodeFailure) -> None:
        """A miss, counted; where there is no honest one, or half a reply has left, the failure stands."""
        if not self.answer_miss():
            self.parent.on_failure(failure)

    def on_reply(self, raw: bytes) -> None:
        """A node that is there and not fit to serve is as good as down."""
        if raw[:1] != b"-" or not raw.startswith(MISS_ERRORS) or not self.answer_miss():
            self.parent.on_reply(raw)
        # The node's connection may know an answered leg for a while.
        self.request_frame = b""

    def answer_miss(self) -> bool:
        """Answer as if there were nothing; False where that cannot be said."""
        frame = None if self.partly_sent else empty_reply(self.spec, self.request_frame, self.proto)
        if frame is None:
            return False
        self.sender.count_miss(self.spec.may_write)
        self.parent.on_reply(frame)
        return True

    def cut_through(self, piece: bytes) -> None:
        """As its parent does."""
        self.partly_sent = True
        self.parent.cut_through(piece)
