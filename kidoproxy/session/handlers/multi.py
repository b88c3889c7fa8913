"""MULTI, DISCARD and the queueing of commands; EXEC hands the queue to `kidoproxy.session.handlers.exec_transaction`.

Each node gets its commands as one contiguous ``MULTI … EXEC``. With one node its EXEC reply is the client's, byte for
byte. With several each command's reply takes its place in an array: each node's part is atomic, the whole is not.
A pool with ``strict_transactions`` refuses that while queueing.
"""

from typing import final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.spec import (
    CHANNEL_NODE,
    IN_MULTI_BY_NODE,
    IN_MULTI_REFUSED,
    LOCAL,
    NO_MULTI,
    SCAN_NODES,
    SESSION,
    CommandSpec,
)
from kidoproxy.replies.jobs import Job
from kidoproxy.resp import encode, errors, limits
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.plan import DirectReply, Plan
from kidoproxy.session import accounting, slices
from kidoproxy.session.base import Session
from kidoproxy.session.handlers import exec_transaction
from kidoproxy.session.handlers.exec_transaction import shard_ids_of
from kidoproxy.session.multi_state import MultiState, QueuedCommand, TransactionPlacement
from kidoproxy.session.state import REPLY_ON


def start_multi(session: Session, spec: CommandSpec, request: Request) -> None:
    if session.multi is not None:
        session.send_reply(errors.NESTED_MULTI)
        return
    session.multi = MultiState(session.request_context.in_transaction(False))
    session.update_flags()
    session.send_reply(encode.OK)


def discard(session: Session, spec: CommandSpec, request: Request) -> None:
    if session.multi is None:
        session.send_reply(errors.DISCARD_WITHOUT_MULTI)
        return
    session.leave_multi()
    session.unwatch()
    session.send_reply(encode.OK)


def enqueue(session: Session, transaction: MultiState, spec: CommandSpec, request: Request) -> None:
    """Queue one command. It is planned first, for a refusal must be its reply."""
    if slices.needs_sliced_planning(spec, request):
        slices.start_job(session, EnqueueJob(session, transaction, spec, request))
    else:
        enqueue_planned(session, transaction, spec, request, None)


@final
class EnqueueJob(Job):
    """Plans a long request, then queues it."""

    def __init__(self, session: Session, transaction: MultiState, spec: CommandSpec, request: Request) -> None:
        self.session = session
        self.transaction = transaction
        self.spec = spec
        self.request = request
        self.planning = session.context.root.plan_builder(spec, request, transaction.request_context)

    def step(self) -> bool:
        if self.planning.step(limits.SLICE_UNITS):
            return True
        enqueue_planned(self.session, self.transaction, self.spec, self.request, self.planning.built_plan())
        return False


def enqueue_planned(
    session: Session, transaction: MultiState, spec: CommandSpec, request: Request, plan: Plan | None
) -> None:
    """Queue it unless it cannot be part of this transaction; ``plan`` is its plan if it has been made already."""
    error = enqueue_error(session, transaction, spec, request, plan)
    if error is not None:
        session.reply_error(error)
        return
    if accounting.enforce_query_limit(session, request.memory_cost()):
        return
    transaction.queue_bytes += request.memory_cost()
    transaction.queue.append(QueuedCommand(spec, request))
    if spec.reach == CHANNEL_NODE:
        transaction.channels[(spec.topic_kind, request.argv[1])] = True
    session.send_reply(encode.QUEUED)


def execute(session: Session, spec: CommandSpec, request: Request) -> None:
    transaction = session.multi
    if transaction is None:
        session.send_reply(errors.EXEC_WITHOUT_MULTI)
        return
    watch = session.watch
    session.accounted_bytes -= transaction.queue_bytes
    session.leave_multi()
    if transaction.exec_dirty:
        session.unwatch()
        session.open_pending(None).on_reply(errors.EXECABORT)
    elif watch is not None and watch.must_abort_exec(session.proxy.wall_ms):
        exec_transaction.abort_exec(session)
    elif not transaction.queue and (watch is None or watch.exec_lease() is None):
        session.unwatch()
        session.open_pending(None).on_reply(encode.array([]))
    else:
        slices.start_job(session, exec_transaction.ExecJob(session, transaction.queue, watch))


def enqueue_error(
    session: Session, transaction: MultiState, spec: CommandSpec, request: Request, plan: Plan | None
) -> bytes | None:
    """Why the command cannot be part of this transaction; None if it can."""
    if spec.flags & NO_MULTI:
        return errors.NOT_IN_MULTI
    if spec.handler == handler_ids.CLIENT_REPLY:
        # ON changes nothing here. OFF and SKIP would cut the reply of EXEC: Redis does that, Valkey refuses them.
        is_allowed = session.reply_mode == REPLY_ON and request.argv[2].lower() == b"on" and session.watch is None
        return None if is_allowed else errors.REPLY_IN_MULTI
    if spec.in_multi == IN_MULTI_REFUSED:
        return errors.not_served(spec.name, "it cannot be part of a transaction here")
    on_dedicated = session.watch is not None and session.watch.exec_lease() is not None
    if on_dedicated and spec.reach in (SCAN_NODES, SESSION, LOCAL) and spec.in_multi != IN_MULTI_BY_NODE:
        return errors.not_served(spec.name, "it cannot be part of a transaction with watched keys, which its node runs")
    if spec.reach in (SESSION, LOCAL):
        return None
    if plan is None:
        plan = session.plan(spec, request, transaction.request_context)
    if isinstance(plan, DirectReply) and plan.frame[:1] == b"-":
        return plan.frame
    single_placement = session.context.strict_transactions or session.watch is not None
    return cross_slot_error(session, transaction, spec, request, plan) if single_placement else None


def cross_slot_error(
    session: Session, transaction: MultiState, spec: CommandSpec, request: Request, plan: Plan
) -> bytes | None:
    """In a strict pool, or with watched keys: CROSSSLOT when a transaction reaches a second node or copy pool."""
    plan_ids = shard_ids_of(plan)
    reached_ids = set(plan_ids)
    first_key: bytes | None = None
    if session.watch is not None:
        first_key = session.watch.first_key
        reached_ids.add(session.watch.placement_id)
    placement = transaction.placement
    if placement is not None:
        first_key = placement.first_key
        reached_ids |= placement.placement_ids
    if len(reached_ids) < 2:
        if placement is None and plan_ids:
            transaction.placement = TransactionPlacement(first_key_or_argument(spec, request.argv), plan_ids)
        return None
    if first_key is None:
        return errors.cross_slot(spec.name, first_key_or_argument(spec, request.argv), request.argv[-1])
    return errors.cross_slot(spec.name, first_key, first_key_or_argument(spec, request.argv))


def first_key_or_argument(spec: CommandSpec, argv: list[bytes]) -> bytes:
    """What an error names: the first key, or without keys the first argument, which may be a channel."""
    for at in key_positions(spec, argv):
        return argv[at]
    return argv[1] if len(argv) > 1 else b""
