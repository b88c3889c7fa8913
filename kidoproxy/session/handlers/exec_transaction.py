"""EXEC: plans the queued commands in slices, then sends each node its part.

Between slices other clients are served. But the last look at watched keys, the notice that keys are written, and the
sending are one step: with watched keys and in copy pools no other client comes in between.
"""

from functools import partial
from typing import final

from kidoproxy.commands.spec import LOCAL, SCRIPT_FUNCTION
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.replication.leader_first import LeaderFirstWrite
from kidoproxy.replies.aggregate import AggregateSlot, ListReplies
from kidoproxy.replies.callbacks import InterceptingHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.jobs import Job
from kidoproxy.replies.queue import PendingRequest
from kidoproxy.resp import encode, errors, limits
from kidoproxy.resp.decode import is_error, items
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import as_node_reply
from kidoproxy.resp.replication_errors import copy_behind, not_with_leader
from kidoproxy.routes.plan import DirectReply, Gather, LeaderFirst, Plan, Send
from kidoproxy.routes.route import PlanBuilder
from kidoproxy.routes.topology import Node
from kidoproxy.session import accounting, redact, slices
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import all_workers, exec_turn, local, scripts, session_commands
from kidoproxy.session.multi_state import QueuedCommand
from kidoproxy.session.watches import Watch
from kidoproxy.upstream.executor import timeout_of
from kidoproxy.upstream.transaction import ExecReply, Transaction


def shard_ids_of(plan: Plan) -> set[int]:
    """Where a plan's keys live, as `Node.placement_id`: a copy pool counts as one place."""
    if isinstance(plan, Send):
        return {plan.node.shard_id()}
    found: set[int] = set()
    if isinstance(plan, LeaderFirst):
        found.add(plan.group.placement_id)
    if isinstance(plan, Gather):
        for part in plan.plans:
            found |= shard_ids_of(part)
    return found


def abort_exec(session: Session) -> None:
    """A watched key has changed: EXEC is answered with null, nothing is sent."""
    session.unwatch()
    session.open_pending(None).on_reply(encode.null_array(session.proto))


@final
class ExecJob(Job):
    """Plans the queued commands, opens a slot in the reply for each, and sends every node its part.

    With watched keys on a node it runs on the dedicated connection that watches, and no other request beside it.
    """

    def __init__(self, session: Session, queue: list[QueuedCommand], watch: Watch | None) -> None:
        self.session = session
        self.queue = queue
        self.watch = watch
        #: A command that may write, if there is one: the transaction then fails as a write does.
        self.write_spec = next((queued.spec for queued in queue if queued.spec.may_write), None)
        self.write = self.write_spec is not None
        self.planning_context = session.request_context.in_transaction(self.write)
        # A failure is one element of the reply, beside those of commands that have run: no LOADING.
        self.sending_context = session.request_context.with_plain_node_errors()
        repeatable = all(queued.is_local() or queued.spec.retryable for queued in queue)
        lease = watch.exec_lease() if watch is not None else None
        self.transaction = Transaction(session.executor, lease, repeatable)
        self.plans: list[Plan | None] = []
        session.extra_units += min(len(queue), limits.SLICE_UNITS)
        #: A queued command with very many keys that is being planned.
        self.planning: PlanBuilder | None = None
        #: The slots of the reply; the order in which they are handed out, local commands first; how many have been.
        self.aggregate: ListReplies | None = None
        self.slot_order: list[int] = []
        self.slots_filled = 0
        #: From the last look at the watched keys, or the first notice of a write, to the sending, no job may pause.
        self.has_copies = any(node.is_copy for node in session.context.root.nodes())
        self.must_not_yield = watch is not None or self.has_copies
        #: Whether a command that is planned changes libraries.
        self.changes_libraries = False

    def step(self) -> bool:
        if len(self.plans) < len(self.queue):
            self.plan_slice()
            if len(self.plans) < len(self.queue) or len(self.queue) > limits.SLICE_UNITS:
                return True
        aggregate = self.aggregate
        if aggregate is None:
            return self.start_sending()
        return self.batch_slice(aggregate)

    def plan_slice(self) -> None:
        session = self.session
        units = 0
        while len(self.plans) < len(self.queue) and units < limits.SLICE_UNITS:
            queued = self.queue[len(self.plans)]
            units += 1 + len(queued.request.argv) // limits.WORDS_PER_UNIT
            plan: Plan | None = None
            if slices.needs_sliced_planning(queued.spec, queued.request):
                planning = self.planning or session.context.root.plan_builder(
                    queued.spec, queued.request, self.planning_context
                )
                self.planning = planning
                if planning.step(limits.SLICE_UNITS):
                    return
                self.planning = None
                plan = session.as_list_plan(planning.built_plan(), queued.spec, self.planning_context)
            elif not queued.is_local():
                plan = session.plan(queued.spec, queued.request, self.planning_context)
            if plan is not None and queued.spec.is_scripting:
                plan = self.refused_behind_library_change(queued, plan)
                scripts.preload_in_transaction(session, self.transaction, queued.spec, queued.request.argv, plan)
            self.plans.append(plan)

    def refused_behind_library_change(self, queued: QueuedCommand, plan: Plan) -> Plan:
        """The plan of a scripting command; copies do not know yet what a function does then."""
        self.changes_libraries = self.changes_libraries or scripts.changes_libraries(queued.spec)
        if self.changes_libraries and self.has_copies and queued.spec.script_source == SCRIPT_FUNCTION:
            return DirectReply(
                errors.not_served(queued.spec.name, "its transaction changes the libraries of functions")
            )
        return plan

    def start_sending(self) -> bool:
        """All is planned: send it, or let it wait for its turn. Whether there is more to do."""
        if self.must_not_yield and self.wait_for_turn_if_needed():
            return False
        session = self.session
        watch = self.watch
        if watch is not None:
            if watch.must_abort_exec(session.proxy.wall_ms):
                abort_exec(session)
                return False
            # Before anything is sent, for the queue may have an UNWATCH, or a write to a watched key.
            session.watch = None
            watch.on_exec()
        return self.send_planned(session.open_pending(self.write_spec))

    def send_planned(self, pending: PendingRequest) -> bool:
        """A transaction for one node is sent whole, others are cut. Whether there is more to do."""
        session = self.session
        queue = self.queue
        lease = self.transaction.lease
        node = sole_node(self.plans) if lease is None else lease.connection.node
        needs_redaction = any(redact.has_client_view(queued.spec) for queued in queue)
        if node is not None and (
            lease is not None or not (session.each_node or session.context.miss_on_down or needs_redaction)
        ):
            aggregate = ListReplies(pending, len(queue), self.write)
            handlers = (
                [redacting_handler(session, queued, AggregateSlot(aggregate, at)) for at, queued in enumerate(queue)]
                if needs_redaction
                else []
            )
            self.transaction.add_node_transaction(
                node, pending, self.plans, [queued.request.raw for queued in queue], handlers
            )
            self.send_batches()
            return False
        aggregate = ExecReply(self.transaction, pending, len(queue), self.write, session.context.node_errors_as_loading)
        self.aggregate = aggregate
        plans = self.plans
        self.slot_order = [at for at, plan in enumerate(plans) if plan is None]
        self.slot_order += [at for at, plan in enumerate(plans) if plan is not None]
        return self.batch_slice(aggregate)

    # -- copies whose leader decides ----------------------------------------------------------------------------

    def wait_for_turn_if_needed(self) -> bool:
        """Let it wait for its turn if it needs one: somebody has one at its keys, or the leader has to decide."""
        session = self.session
        if not any(exec_turn.needs_key_turn(plan) for plan in self.plans):
            return False
        decided = exec_turn.leader_command(self.queue, self.plans)
        registry = session.context.script_registry
        keys_by_group = exec_turn.turn_keys_by_group(self.queue, self.plans, session.db, registry)
        if decided is None and not any(group.key_turns.is_taken(keys) for group, keys in keys_by_group.items()):
            return False
        # From here on the watch is the transaction's: the session may end meanwhile.
        session.watch = None
        pending = session.open_pending(self.write_spec)
        if decided is not None:
            self.run_on_leader(pending, decided)
        else:
            gate = exec_turn.TurnGate(partial(self.send_in_turn, pending), partial(self.give_up, pending))
            gate.ask(keys_by_group, session.executor.now + timeout_of(next(iter(keys_by_group))))
        session.suspend_until_drained()
        return True

    def may_run_exec(self, pending: PendingRequest) -> bool:
        """The last look at the watched keys; if one has changed EXEC is answered with null."""
        watch = self.watch
        if watch is None:
            return True
        self.watch = None
        must_abort = watch.must_abort_exec(self.session.proxy.wall_ms)
        watch.on_exec()
        if must_abort:
            pending.on_reply(encode.null_array(self.session.proto))
        return not must_abort

    def send_in_turn(self, pending: PendingRequest) -> None:
        """It is its turn: plan anew, for the copies may have changed, and send all of it."""
        if self.may_run_exec(pending):
            self.plans = []
            while len(self.plans) < len(self.queue):
                self.plan_slice()
            more = self.send_planned(pending)
            while more and self.aggregate is not None:
                more = self.batch_slice(self.aggregate)

    def give_up(self, pending: PendingRequest, failure: NodeFailure) -> None:
        """It has waited for too long, and was not sent."""
        if self.watch is not None:
            self.watch.on_exec()
        pending.on_failure(failure)

    def run_on_leader(self, pending: PendingRequest, decided: QueuedCommand) -> None:
        """The whole of it runs on the leader, if all of it can."""
        session = self.session
        plan = exec_turn.leader_transaction(self.queue, self.plans, session.context.script_registry)
        if isinstance(plan, QueuedCommand):
            if self.watch is not None:
                self.watch.on_exec()
            pending.on_reply(not_with_leader(plan.spec.name, decided.spec.name))
            return
        context = session.request_context.with_per_node(False).with_failures_shown()
        due = session.executor.now + timeout_of(plan.group)
        handler = InterceptingHandler(pending, partial(self.answer_commands, pending, plan.group), pending.on_failure)
        write = LeaderFirstWrite(session.executor, plan, handler, context, due)
        write.confirm = partial(self.may_run_exec, pending)
        plan.group.key_turns.ask(write)

    def answer_commands(self, pending: PendingRequest, group: CopyGroup, raw: bytes) -> None:
        """Deal the leader's array out to the commands; those that no node was asked for are answered here."""
        if is_error(raw):
            pending.on_reply(raw)
            return
        aggregate = ListReplies(pending, len(self.queue), self.write)
        replies = items(raw)
        next_reply = 0
        for at, queued in enumerate(self.queue):
            plan = self.plans[at]
            slot: ReplyHandler = AggregateSlot(aggregate, at)
            if plan is None or isinstance(plan, DirectReply):
                self.batch_command(queued, plan, slot)
                continue
            if queued.spec.is_scripting:
                slot = scripts.record_script_and_wrap(self.session, queued.spec, queued.request.argv, slot, None)
            handler = redacting_handler(self.session, queued, slot)
            reply = as_node_reply(replies[next_reply])
            handler.on_reply(reply_of_each(group, reply) if self.session.each_node else reply)
            next_reply += 1

    def cancel(self) -> None:
        """The client leaves before anything was sent: its open reply is dropped."""
        aggregate = self.aggregate
        if aggregate is not None:
            aggregate.parent.on_reply(b"")

    def batch_slice(self, aggregate: ListReplies) -> bool:
        """Add some commands to the nodes' batches; send these when they are complete. Whether there is more to do."""
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
                reached_ids |= shard_ids_of(plan)
        if len(reached_ids) > 1:
            self.session.proxy.split_transactions += 1
        self.send_batches()
        return False

    def batch_command(self, queued: QueuedCommand, plan: Plan | None, slot: ReplyHandler) -> int:
        """Add one command to the nodes' batches, or answer it here; the units of work that this took."""
        session = self.session
        if plan is not None:
            slot = redacting_handler(session, queued, slot)
            if queued.spec.is_scripting:
                slot = scripts.record_script_and_wrap(session, queued.spec, queued.request.argv, slot, None)
            self.transaction.execute(plan, slot, queued.request.raw, queued.spec, self.sending_context)
            return 1
        frame = b""
        if not accounting.enforce_output_limit(session):
            if queued.spec.handler in all_workers.PARTS:
                return all_workers.answer_in_transaction(session, queued.spec, queued.request.argv, slot)
            if queued.spec.reach == LOCAL:
                frame = local.local_reply(session, queued.spec, queued.request.argv)
            else:
                frame = session_commands.execute(session, queued.spec, queued.request.argv)
        slot.on_reply(frame)
        return 1 + len(frame) // limits.BYTES_PER_UNIT

    def send_batches(self) -> None:
        session = self.session
        self.transaction.send_batches(session.proto, session.db)
        if self.watch is not None:
            session.suspend_until_drained()


def reply_of_each(group: CopyGroup, reply: bytes) -> bytes:
    """The leader's reply as a list of one for each copy."""
    return encode.array([reply if copy.state == IN_SYNC else copy_behind(copy.node.name) for copy in group.copies])


def redacting_handler(session: Session, queued: QueuedCommand, handler: ReplyHandler) -> ReplyHandler:
    """The handler for one command's reply, see `redact`."""
    return redact.corrected_count_handler(session, queued.spec, queued.request.argv, handler, session.request_context)


def sole_node(plans: list[Plan | None]) -> Node | None:
    """The one node of all plans, whose EXEC reply is then the whole reply; None if there are more."""
    node: Node | None = None
    for plan in plans:
        if not isinstance(plan, Send) or (node is not None and plan.node is not node):
            return None
        node = plan.node
    return node
