"""EXEC: a transaction that nothing has spoiled is planned in slices, then sent.

A client that has queued very much has others served in between. What decides whether a transaction may run, and what
tells others that it writes, is one step with its sending: with watched keys and in copy pools nobody comes in between.
"""

from typing import final

from kidoproxy.commands.spec import LOCAL, CommandSpec
from kidoproxy.replies.jobs import Job
from kidoproxy.replies.queue import AggregateSlot, ListReplies, ReplyHandler
from kidoproxy.resp import encode, limits
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Gather, Plan, Send
from kidoproxy.routes.route import PlanBuilder
from kidoproxy.routes.topology import Node
from kidoproxy.session import accounting, redact, slices
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import handshake, local, scripts
from kidoproxy.session.multi_state import QueuedCommand
from kidoproxy.session.watches import Watch
from kidoproxy.upstream.transaction import ExecReply, Transaction


def placement_ids(plan: Plan) -> set[int]:
    """Where the keys of a plan live: nodes by their index, copy pools as a whole by that of their first node."""
    if isinstance(plan, Send):
        return {plan.node.placement_id()}
    found: set[int] = set()
    if isinstance(plan, Gather):
        for part in plan.plans:
            found |= placement_ids(part)
    return found


def plan_in_multi(session: Session, spec: CommandSpec, request: Request) -> Plan:
    """The plan of a command inside a transaction."""
    session.request_context.in_multi = True
    plan = session.plan(spec, request)
    session.request_context.in_multi = False
    return plan


def start_planning_in_multi(session: Session, spec: CommandSpec, request: Request) -> PlanBuilder:
    """The same in slices."""
    session.request_context.in_multi = True
    planning = session.context.root.plan_builder(spec, request, session.request_context)
    session.request_context.in_multi = False
    return planning


def step_planning_in_multi(session: Session, planning: PlanBuilder) -> bool:
    """One of these slices. Whether there are more."""
    session.request_context.in_multi = True
    more = planning.step(limits.SLICE_UNITS)
    session.request_context.in_multi = False
    return more


def abort_exec(session: Session) -> None:
    """A watched key has changed: nothing is sent."""
    session.unwatch()
    session.open_pending(None).on_reply(encode.null_array(session.proto))


@final
class ExecJob(Job):
    """Plans what was queued, gives each command its place in the reply, and sends every node its part.

    With watched keys it runs on their lane, and nothing of this client's runs beside it.
    """

    def __init__(self, session: Session, queue: list[QueuedCommand], watch: Watch | None) -> None:
        self.session = session
        self.queue = queue
        self.watch = watch
        self.write = any(queued.spec.may_write for queued in queue)
        repeatable = all(queued.is_local() or queued.spec.retryable for queued in queue)
        lease = watch.exec_lease() if watch is not None else None
        self.transaction = Transaction(session.executor, lease, repeatable)
        self.plans: list[Plan | None] = []
        session.extra_units += min(len(queue), limits.SLICE_UNITS)
        #: A long request among them that is being planned.
        self.planning: PlanBuilder | None = None
        #: Each command's place in the reply; the order in which they get it, ours first; and how many have it.
        self.aggregate: ListReplies | None = None
        self.slot_order: list[int] = []
        self.slots_filled = 0
        #: From the last look at what is watched, or the first sign of a write, to the sending nobody may come between.
        self.must_not_yield = watch is not None or any(node.group is not None for node in session.context.root.nodes())

    def step(self) -> bool:
        """Some commands more."""
        if len(self.plans) < len(self.queue):
            self.plan_slice()
            if len(self.plans) < len(self.queue) or len(self.queue) > limits.SLICE_UNITS:
                return True
        aggregate = self.aggregate
        if aggregate is None:
            return self.start_sending()
        return self.batch_slice(aggregate)

    def plan_slice(self) -> None:
        """Plan the next ones."""
        session = self.session
        session.request_context.may_write = self.write
        units = 0
        while len(self.plans) < len(self.queue) and units < limits.SLICE_UNITS:
            queued = self.queue[len(self.plans)]
            units += 1 + len(queued.request.argv) // limits.WORDS_PER_UNIT
            plan: Plan | None = None
            if slices.needs_sliced_planning(queued.spec, queued.request):
                planning = self.planning or start_planning_in_multi(session, queued.spec, queued.request)
                self.planning = planning
                if step_planning_in_multi(session, planning):
                    return
                self.planning = None
                plan = session.wrap_each_plan(planning.finished_plan(), queued.spec)
            elif not queued.is_local():
                plan = plan_in_multi(session, queued.spec, queued.request)
            if plan is not None and queued.spec.is_scripting:
                scripts.preload_in_transaction(session, self.transaction, queued.spec, queued.request.argv, plan)
            self.plans.append(plan)

    def start_sending(self) -> bool:
        """All is planned: a transaction for one node is sent as it is, the others are dealt out."""
        session = self.session
        watch = self.watch
        if watch is not None:
            if watch.must_abort_exec(session.proxy.wall_ms):
                abort_exec(session)
                return False
            # Before anything is queued, for that may be an UNWATCH, or a write to what is watched.
            session.watch = None
            watch.on_exec()
        pending = session.open_pending(None)
        pending.is_write = self.write
        queue = self.queue
        lease = self.transaction.lease
        node = sole_node(self.plans) if lease is None else lease.connection.node
        needs_redaction = any(redact.has_client_view(queued.spec) for queued in queue)
        if node is not None and (
            lease is not None or not (session.each_node or session.context.miss_on_failure or needs_redaction)
        ):
            aggregate = ListReplies(pending, len(queue), self.write)
            handlers = (
                [redacting_handler(session, queued, AggregateSlot(aggregate, at)) for at, queued in enumerate(queue)]
                if needs_redaction
                else []
            )
            self.transaction.add_whole(node, pending, self.plans, [queued.request.raw for queued in queue], handlers)
            self.send_batches()
            return False
        aggregate = ExecReply(self.transaction, pending, len(queue), self.write, session.context.as_loading)
        self.aggregate = aggregate
        plans = self.plans
        self.slot_order = [at for at, plan in enumerate(plans) if plan is None]
        self.slot_order += [at for at, plan in enumerate(plans) if plan is not None]
        return self.batch_slice(aggregate)

    def cancel(self) -> None:
        """The client goes: nothing has been sent, and it is owed nothing for it."""
        aggregate = self.aggregate
        if aggregate is not None:
            aggregate.parent.on_reply(b"")

    def batch_slice(self, aggregate: ListReplies) -> bool:
        """Give some more to the nodes' batches; when all are there, send them."""
        slot_order = self.slot_order
        units = 0
        while self.slots_filled < len(slot_order):
            at = slot_order[self.slots_filled]
            plan = self.plans[at]
            if units >= limits.SLICE_UNITS and self.watch is None and not (self.must_not_yield and plan is not None):
                return True
            self.slots_filled += 1
            units += self.batch_command(self.queue[at], plan, AggregateSlot(aggregate, at))
        reached_ids: set[int] = set()
        for plan in self.plans:
            if plan is not None:
                reached_ids |= placement_ids(plan)
        if len(reached_ids) > 1:
            self.session.proxy.split_transactions += 1
        self.send_batches()
        return False

    def batch_command(self, queued: QueuedCommand, plan: Plan | None, part: ReplyHandler) -> int:
        """Give one command its place in the reply, and its requests to the nodes' batches. How much work that was."""
        session = self.session
        if plan is not None:
            part = redacting_handler(session, queued, part)
            if queued.spec.is_scripting:
                part = scripts.track_script(session, queued.spec, queued.request.argv, part)
            # What a pool refuses has a place in the array, beside what other nodes have run.
            session.request_context.failures_as_loading = False
            self.transaction.execute(plan, part, queued.request.raw, queued.spec, session.request_context)
            session.request_context.failures_as_loading = session.context.as_loading
            return 1
        frame = b""
        if not accounting.enforce_output_limit(session):
            if queued.spec.reach == LOCAL:
                frame = local.local_reply(session, queued.spec, queued.request.argv)
            else:
                frame = handshake.execute(session, queued.spec, queued.request.argv)
        part.on_reply(frame)
        return 1 + len(frame) // limits.BYTES_PER_UNIT

    def send_batches(self) -> None:
        """One contiguous part for each node."""
        session = self.session
        self.transaction.send_batches(session.proto, session.db)
        if self.watch is not None:
            session.suspend_until_drained()


def redacting_handler(session: Session, queued: QueuedCommand, handler: ReplyHandler) -> ReplyHandler:
    """The leg for the reply to one command, see `redact`."""
    return redact.client_view_handler(session, queued.spec, queued.request.argv, handler)


def sole_node(plans: list[Plan | None]) -> Node | None:
    """The one node that all plans are for, whose EXEC reply is then the whole reply; None otherwise."""
    node: Node | None = None
    for plan in plans:
        if not isinstance(plan, Send) or (node is not None and plan.node is not node):
            return None
        node = plan.node
    return node
