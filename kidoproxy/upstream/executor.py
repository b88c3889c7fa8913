"""Plans become requests: `PlanExecutor` walks a plan, `Executor` owns the connections that its parts are sent on.

A `Send` becomes one request on one connection; a `Gather` an `Aggregate` with a slot for each part; a `DirectReply` is
answered at once. Where a request goes is said by `send`, so that the same walk serves a transaction (which collects
what each node is sent) or a blocking command (which takes a dedicated connection).
"""

from functools import partial
from math import inf
from typing import cast, final

from kidoproxy.commands.expiry_effect import CHECK_AROUND, NO_CHECK
from kidoproxy.commands.request_traits import added_elements, filled_keys
from kidoproxy.commands.spec import COUNT_COPIES, TOUCHES_KEYS, TOUCHES_LIBRARIES, WEIGHTED_CHOICE, CommandSpec
from kidoproxy.replication.ack_count import CountCopies
from kidoproxy.replication.expiry_check import ExpiryCheck, ExpiryQuestion, begin_expiry_check
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.held_plan import HeldPlan
from kidoproxy.replication.key_turns import DbKey
from kidoproxy.replication.leader_first import LeaderFirstWrite
from kidoproxy.replication.waiters import Wakeup
from kidoproxy.replication.write import CopyWrite, UnawaitedReply
from kidoproxy.replies.aggregate import Aggregate, AggregateSlot, ListReplies, MergeWith
from kidoproxy.replies.cursor import rewrite_cursor
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.jobs import Jobs
from kidoproxy.replies.merge_replies import MergeReplies
from kidoproxy.replies.queue import TurnWork
from kidoproxy.replies.randomkey import choose_weighted
from kidoproxy.replies.streams import MergeStreams
from kidoproxy.resp.loading import node_error_as_loading
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import AwaitTurn, DirectReply, Gather, Interposed, LeaderFirst, Plan, Send, Wait, WriteScope
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.interposed import ShownErrors
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_set import ConnectionSet, connection_set_of
from kidoproxy.upstream.kept_scripts import submit_digest, text_instead
from kidoproxy.upstream.miss_on_down import MissOnDown
from kidoproxy.upstream.plan_sender import PlanSender, mark_repeatable
from kidoproxy.upstream.reads_of_copies import Hedges, send_read


class PlanExecutor(PlanSender):
    """Walks plans; where a part goes is said by the subclass's `send`."""

    #: None: what is sent like this is not asked of a second copy.
    hedges: Hedges | None = None

    def execute(
        self, plan: Plan, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """Carry out ``plan``; ``handler`` gets the one reply that it comes to. ``raw``: the request's own frame."""
        if isinstance(plan, Send):
            payload = plan.payload if plan.payload is not None else raw
            if request_context.miss_on_down and not request_context.per_node:
                handler = MissOnDown(self, handler, payload, spec, request_context.proto)
            mark_repeatable(plan.node, handler, payload, spec)
            if plan.fallbacks:
                send_read(self, self.hedges, plan, handler, payload, request_context)
            else:
                self.send(plan.node, handler, payload, request_context.proto, request_context.db)
        elif isinstance(plan, Gather):
            group = plan.group
            is_busy = group is not None and group.key_turns.busy
            if not is_busy or not self.hold_write(plan, handler, raw, spec, request_context):
                self.execute_gather(plan, handler, raw, spec, request_context)
        elif isinstance(plan, DirectReply):
            handler.on_reply(
                node_error_as_loading(plan.frame) if request_context.node_errors_as_loading else plan.frame
            )
        elif isinstance(plan, Wait):
            self.execute_wait(plan, handler, raw, spec, request_context)
        elif isinstance(plan, LeaderFirst):
            self.execute_leader_first(plan, handler, request_context)
        elif isinstance(plan, AwaitTurn):
            self.hold(plan.group, plan.keys, plan.plan, handler, raw, spec, request_context)

    def execute_leader_first(self, plan: LeaderFirst, handler: ReplyHandler, request_context: RequestContext) -> None:
        """Let the leader decide when it is its turn. Its failures are told: no such command has an `empty_reply`."""
        due = self.current_time() + timeout_of(plan.group)
        plan.group.key_turns.ask(LeaderFirstWrite(self, plan, handler, request_context, due))

    def hold_write(
        self, plan: Gather, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> bool:
        """Let a write to copies wait for its turn at its keys; False when it need not, or is no write."""
        group, write = plan.group, plan.write
        if group is None or write is None:
            return False
        keys: list[bytes] = [] if write.may_write_other_keys else write.written_keys
        is_about_all = write.may_write_other_keys or spec.covers_keyspace or write.touches == TOUCHES_LIBRARIES
        if not keys and not is_about_all:
            return False
        if not group.key_turns.is_taken(db_keys_of(keys, request_context.db, write.other_db)):
            return False
        self.hold(group, keys, plan, handler, raw, spec, request_context, write.other_db)
        return True

    def hold(
        self,
        group: CopyGroup,
        keys: list[bytes],
        plan: Plan,
        handler: ReplyHandler,
        raw: bytes,
        spec: CommandSpec,
        request_context: RequestContext,
        other_db: int | None = None,
    ) -> None:
        """Carry out ``plan`` when it is its turn at ``keys``.

        A change of libraries does not give up: calls that wait behind it were planned for what it brings.
        """
        due = self.current_time() + timeout_of(group) if spec.touches != TOUCHES_LIBRARIES else inf
        db_keys = db_keys_of(keys, request_context.db, other_db)
        HeldPlan(self, group, db_keys, plan, handler, raw, spec, request_context, due).hold()

    def execute_in_turn(
        self, plan: Plan, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        if isinstance(plan, Gather):
            self.execute_gather(plan, handler, raw, spec, request_context)
        else:
            self.execute(plan, handler, raw, spec, request_context)

    def execute_gather(
        self, plan: Gather, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """Carry out all parts, then what nobody waits for."""
        if request_context.miss_on_down and not request_context.per_node and plan.group is not None:
            # The copies decide among themselves who has taken a write: one that is down must not count as a taker.
            handler = MissOnDown(self, handler, raw, spec, request_context.proto)
            request_context = request_context.with_failures_shown()
        send_text = text_instead(self, plan, handler, raw, spec, request_context)
        aggregate = self.new_aggregate(plan, send_text or handler, spec, request_context)
        aggregate.command_name = spec.name
        frames = plan.frames
        group, write = plan.group, plan.write
        expiry_check: ExpiryCheck | None = None
        if group is not None and write is not None and write.expiry_effect.check != NO_CHECK and group.checks_expiry:
            expiry_check = begin_expiry_check(group, plan, request_context, timeout_of(group))
            if expiry_check is not None and write.expiry_effect.check == CHECK_AROUND:
                self.send_expiry_questions(expiry_check, True, request_context)
        is_plain_write = write is not None and not request_context.miss_on_down
        proto, db = request_context.proto, request_context.db
        for index, child_plan in enumerate(plan.plans):
            slot = AggregateSlot(aggregate, index)
            if send_text is not None and send_text.sends_digest(child_plan, slot):
                continue
            frame = frames[index] if frames is not None else raw
            if is_plain_write and isinstance(child_plan, Send):
                self.send(child_plan.node, slot, child_plan.payload or frame, proto, db)
            else:
                self.execute(child_plan, slot, frame, spec, request_context)
        if group is not None and write is not None and isinstance(aggregate, CopyWrite):
            for node in write.unawaited_nodes:
                payload = write.unawaited_payload or raw
                self.send(
                    node,
                    UnawaitedReply(aggregate, node, aggregate.missed_keys),
                    payload if plan.interposed is None else plan.interposed.payload_for(node, payload) or raw,
                    proto,
                    db,
                )
            if expiry_check is not None:
                self.send_expiry_questions(expiry_check, False, request_context)
            if group.waiters.count and write.touches == TOUCHES_KEYS:
                self.wake(group, wakeup_after(write, spec, raw, db))

    def execute_wait(
        self, plan: Wait, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """Nobody can wait here: what is there now is the reply."""
        self.execute(plan.attempts.plan_attempt(), handler, raw, spec, request_context)

    def wake(self, group: CopyGroup, wakeup: Wakeup) -> None:
        """A write was sent for whose keys clients may wait: those whose turn it is attempt directly behind it."""
        group.waiters.wake(wakeup)

    def send_expiry_questions(self, check: ExpiryCheck, ahead: bool, request_context: RequestContext) -> None:
        """Ask the copies when the keys of a write expire, ``ahead`` of it or behind."""
        for question in check.questions(ahead):
            self.send_question(question, request_context.proto, request_context.db)

    def send_question(self, question: ExpiryQuestion, proto: int, db: int) -> None:
        """Send it next to the write that it goes with."""
        raise NotImplementedError

    def new_aggregate(
        self, plan: Gather, handler: ReplyHandler, spec: CommandSpec, request_context: RequestContext
    ) -> Aggregate:
        """What makes one reply of the parts' replies: copies decide, PROXY EACH lists, the rest is merged."""
        count = len(plan.plans)
        group = plan.group
        scan_step = plan.scan_step
        if scan_step is not None:
            rewrite = partial(rewrite_cursor, cursor_id=scan_step.cursor_id, next_cursor_id=scan_step.next_cursor_id)
            return MergeWith(handler, count, rewrite)
        if group is not None:
            if plan.response_policy == COUNT_COPIES:
                return CountCopies(handler, plan, group)
            if plan.interposed is not None:
                handler = ShownErrors(handler, plan.interposed.shown)
            return CopyWrite(handler, plan, group, request_context)
        stream_names = plan.stream_names
        if stream_names is not None:
            return MergeStreams(handler, count, stream_names, spec.may_write, self)
        if request_context.per_node:
            return ListReplies(handler, count, spec.may_write)
        if plan.response_policy == WEIGHTED_CHOICE:
            return MergeWith(handler, count, partial(choose_weighted, random_number=self.next_random()))
        merged = MergeReplies(handler, count, plan.response_policy, request_context.proto, spec.name, spec.may_write)
        split = plan.split
        if split is not None:
            merged.key_positions = split.key_positions
            merged.key_count = split.key_count
        merged.jobs = self.jobs()
        return merged


def wakeup_after(write: WriteScope, spec: CommandSpec, raw: bytes, db: int) -> Wakeup:
    """What a write to copies may have put where. One that names no key may have changed any."""
    dbs = [db] if write.other_db is None else [db, write.other_db]
    other_keys = write.may_write_other_keys or not write.written_keys
    return Wakeup(dbs, filled_keys(spec, write.written_keys), added_elements(spec, raw), other_keys)


def timeout_of(group: CopyGroup) -> float:
    """How many seconds what is asked of these copies may take."""
    return connection_set_of(group.copies[0].node).options.timeout


def db_keys_of(keys: list[bytes], db: int, other_db: int | None) -> list[DbKey]:
    """These keys in ``db``, and in ``other_db`` if there is one."""
    found = [(db, key) for key in keys]
    return found if other_db is None or other_db == db else found + [(other_db, key) for key in keys]


@final
class Executor(PlanExecutor):
    """All connections of one process to its nodes.

    ``now`` is the loop's clock, set once per batch by whoever feeds the process. Connections that have bytes to write,
    or a socket to open or close, are in ``dirty_connections`` until the end of the turn.
    """

    def __init__(self, connection_sets: list[ConnectionSet]) -> None:
        self.connection_sets = connection_sets
        self.dirty_connections: list[NodeConnection] = []
        #: Connections that are not shared: dedicated ones, and those that subscribe.
        self.unshared_connections: list[NodeConnection] = []
        self.turn_work = TurnWork()
        self.hedges = self.copy_hedges = Hedges()
        self.now = 0.0
        #: Different in each process, for `next_random` and the moments at which connections are tried again.
        self.seed = 1
        self.random_state = 0
        #: Failures of ``on_down = "miss"`` pools that were answered as a read's miss, and writes taken as done.
        self.misses_on_down = 0
        self.dropped_writes = 0
        #: EVALSHAs that were sent again, and texts that were sent ahead of one.
        self.noscript_retries = 0
        self.script_preloads = 0

    def connection(self, node: Node, proto: int, db: int) -> NodeConnection:
        """The shared connection to ``node`` for (protocol, database); a node of a copy pool has one for all."""
        connection_slot = db * 2 + proto - 2 if not node.has_ordered_connection else 0
        connection_set = cast(ConnectionSet, node.connection_set)
        conns = connection_set.shared
        if connection_slot < len(conns):
            conn = conns[connection_slot]
            if conn is not None:
                return conn
        return self.new_shared(connection_set, proto, db, connection_slot)

    def new_shared(self, connection_set: ConnectionSet, proto: int, db: int, connection_slot: int) -> NodeConnection:
        conns = connection_set.shared
        while len(conns) <= connection_slot:
            conns.append(None)
        ordered = connection_set.node.has_ordered_connection
        conn = self.new_connection(connection_set, 2 if ordered else proto, 0 if ordered else db)
        conns[connection_slot] = conn
        return conn

    def new_connection(self, connection_set: ConnectionSet, proto: int, db: int) -> NodeConnection:
        conn = NodeConnection(connection_set.node, connection_set.options, proto, db, self.dirty_connections)
        conn.backoff.random_state = self.seed + connection_set.node.node_id
        return conn

    def connections_to(self, node: Node) -> list[NodeConnection]:
        """The shared connections to ``node`` that have been asked for so far."""
        return connection_set_of(node).shared_connections()

    def new_unshared(self, node: Node, proto: int, db: int, dedicated: bool) -> NodeConnection:
        """A connection that is not shared; whoever asked for it ends it with `close_unshared`."""
        conn = self.new_connection(connection_set_of(node), proto, db)
        conn.shared = False
        conn.dedicated = dedicated
        self.unshared_connections.append(conn)
        return conn

    def close_unshared(self, conn: NodeConnection) -> None:
        """Close a connection of `new_unshared` for good; handlers that still wait on it hear nothing more."""
        self.unshared_connections.remove(conn)
        conn.push_handler = None
        conn.dedicated = True
        conn.reset("it is not needed any more")
        conn.mark_down(self.now)

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Send one request on a shared connection."""
        self.connection(node, proto, db).submit(handler, payload, proto, db, self.now)

    def send_question(self, question: ExpiryQuestion, proto: int, db: int) -> None:
        self.send(question.node, question, question.request, proto, db)

    def send_digest(self, node: Node, handler: ReplyHandler, interposed: Interposed, proto: int, db: int) -> bool:
        conn = self.connection(node, proto, db)
        return submit_digest(conn, handler, interposed, proto, db, self.now)

    def send_frames(
        self, node: Node, handler: ReplyHandler, payload: bytes, reply_count: int, proto: int, db: int
    ) -> None:
        self.connection(node, proto, db).submit(handler, payload, proto, db, self.now, reply_count)

    def current_time(self) -> float:
        return self.now

    def count_noscript_retry(self) -> None:
        self.noscript_retries += 1

    def send_segmented(self, node: Node, handler: ReplyHandler, request: Request, proto: int, db: int) -> None:
        """Send a large request in the pieces in which it came, where its connection can take them all now."""
        conn = self.connection(node, proto, db)
        tail_pieces = request.tail_pieces
        if conn.can_send and tail_pieces is not None:
            conn.submit(handler, request.raw, proto, db, self.now)
            conn.send_tail(handler, tail_pieces, self.now)
        else:
            request.materialize()
            conn.submit(handler, request.raw, proto, db, self.now)

    def next_random(self) -> int:
        """A linear congruential generator; its seed is the process's own."""
        self.random_state = (self.random_state * 6364136223846793005 + 2 * self.seed + 1442695040888963407) % (1 << 64)
        return self.random_state >> 33

    def count_miss(self, is_write: bool) -> None:
        if is_write:
            self.dropped_writes += 1
        else:
            self.misses_on_down += 1

    def jobs(self) -> Jobs:
        return self.turn_work.jobs

    def all_connections(self) -> list[NodeConnection]:
        """Every connection there is, shared or not."""
        return [
            conn for connection_set in self.connection_sets for conn in connection_set.shared_connections()
        ] + self.unshared_connections

    def tick(self, now: float) -> None:
        """Check the deadlines of all connections."""
        self.now = now
        for conn in self.all_connections():
            conn.tick(now)


class DelegatingExecutor(PlanExecutor):
    """The base of executors that send in a way of their own, for one request, and count where all are counted."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def send_question(self, question: ExpiryQuestion, proto: int, db: int) -> None:
        """As it is, for whatever way the write is sent it is on the shared connection of its copy."""
        self.executor.send_question(question, proto, db)

    def send_frames(
        self, node: Node, handler: ReplyHandler, payload: bytes, reply_count: int, proto: int, db: int
    ) -> None:
        self.executor.send_frames(node, handler, payload, reply_count, proto, db)

    def current_time(self) -> float:
        return self.executor.now

    def next_random(self) -> int:
        return self.executor.next_random()

    def count_miss(self, is_write: bool) -> None:
        self.executor.count_miss(is_write)

    def count_noscript_retry(self) -> None:
        self.executor.count_noscript_retry()

    def jobs(self) -> Jobs:
        return self.executor.jobs()
