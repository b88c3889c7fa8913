"""Transactions: what MULTI has queued goes to each node as one contiguous ``MULTI … EXEC``, its part of the whole.

One node, and what its EXEC says is the reply, byte for byte. Several, and each command's reply takes its
place in an array: each node's part is atomic, the whole is not. A strict pool refuses that while queueing.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy import errors
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import LISTEN, LOCAL, NO_MULTI, SCAN, SESSION, CommandSpec
from kidoproxy.exchange_multi import Executed, Transaction
from kidoproxy.ledger import Call, Leg, Listed, Part
from kidoproxy.resp import build
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Answer, Gather, Plan, Send
from kidoproxy.routes.topology import Node
from kidoproxy.session import account, local, redact, scripts, talk
from kidoproxy.session.watch import Watch

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: What begins and ends a transaction.
WORDS: Final = (b"multi", b"exec", b"discard")
NOT_IN_MULTI: Final = (b"select", b"hello", b"auth", b"client|reply", b"monitor")
#: What the proxy answers, and a node would answer alike: the rest would tell of the node, its users among it.
ANYWHERE: Final = (b"unwatch", b"ping", b"echo", b"time")


@final
class Queued:
    """A command between MULTI and EXEC."""

    def __init__(self, spec: CommandSpec, request: Request) -> None:
        self.spec = spec
        self.request = request

    def is_ours(self) -> bool:
        """Whether the session answers it, and no node is asked."""
        return self.spec.reach in (SESSION, LOCAL)


@final
class Anchor:
    """Where a transaction that must not leave one node or copy pool has to stay, and the key that says so."""

    def __init__(self, first: bytes, homes: set[int]) -> None:
        self.first = first
        self.homes = homes


def handle(session: "ClientSession", name: bytes) -> None:
    """MULTI, EXEC or DISCARD."""
    if name == b"multi":
        begin(session)
    elif name == b"exec":
        finish(session)
    else:
        discard(session)


def begin(session: "ClientSession") -> None:
    """MULTI."""
    if session.queue is not None:
        session.answer(errors.NESTED_MULTI)
        return
    session.queue = []
    session.anchor = None
    session.queue_bytes = 0
    session.spoiled = False
    session.settle()
    session.answer(build.OK)


def discard(session: "ClientSession") -> None:
    """DISCARD."""
    if session.queue is None:
        session.answer(errors.DISCARD_WITHOUT_MULTI)
        return
    session.leave_multi()
    session.unwatch()
    session.answer(build.OK)


def enqueue(session: "ClientSession", queue: list[Queued], spec: CommandSpec, request: Request) -> None:
    """Queue one command, after planning it once: a refusal must be told now."""
    problem = unfit(session, spec, request)
    if problem is not None:
        session.refuse(problem)
        return
    if account.overruns(session, request.cost()):
        return
    session.queue_bytes += request.cost()
    queue.append(Queued(spec, request))
    session.answer(build.QUEUED)


def finish(session: "ClientSession") -> None:
    """EXEC."""
    queue = session.queue
    if queue is None:
        session.answer(errors.EXEC_WITHOUT_MULTI)
        return
    spoiled = session.spoiled
    watched = session.watch
    session.counted -= session.queue_bytes
    session.leave_multi()
    call = session.open(None)
    if spoiled:
        session.unwatch()
        call.take(errors.EXECABORT)
    elif watched is not None and watched.changed(session.house.wall_ms):
        session.unwatch()
        call.take(build.null_array(session.proto))
    elif not queue and (watched is None or watched.loan() is None):
        session.unwatch()
        call.take(build.array([]))
    else:
        execute(session, queue, call, watched)


def unfit(session: "ClientSession", spec: CommandSpec, request: Request) -> bytes | None:
    """Why the command cannot be part of this transaction."""
    if spec.flags & NO_MULTI:
        return errors.NOT_IN_MULTI
    if spec.reach == LISTEN or spec.name in NOT_IN_MULTI or spec.name.startswith(b"proxy|"):
        return errors.denied(spec.name, "it cannot be part of a transaction here")
    on_lane = session.watch is not None and session.watch.loan() is not None
    if on_lane and spec.reach in (SCAN, SESSION, LOCAL) and spec.name not in ANYWHERE:
        return errors.denied(spec.name, "it cannot be part of a transaction with watched keys, which its node runs")
    if spec.reach in (SESSION, LOCAL):
        return None
    plan = plan_in_multi(session, spec, request)
    if isinstance(plan, Answer) and plan.frame[:1] == b"-":
        return plan.frame
    alone = session.pool.strict or session.watch is not None
    return strays(session, spec, request, plan) if alone else None


def strays(session: "ClientSession", spec: CommandSpec, request: Request, plan: Plan) -> bytes | None:
    """In a strict pool, or with watched keys: CROSSSLOT when a transaction reaches a second node or copy pool."""
    mine = homes(plan)
    reached = set(mine)
    first: bytes | None = None
    if session.watch is not None:
        first = session.watch.first
        reached.add(session.watch.home)
    anchor = session.anchor
    if anchor is not None:
        first = anchor.first
        reached |= anchor.homes
    if len(reached) < 2:
        if anchor is None and mine:
            session.anchor = Anchor(subject(spec, request.argv), mine)
        return None
    if first is None:
        return errors.cross_slot(spec.name, subject(spec, request.argv), request.argv[-1])
    return errors.cross_slot(spec.name, first, subject(spec, request.argv))


def subject(spec: CommandSpec, argv: list[bytes]) -> bytes:
    """What to name in a complaint: the first key; without one the first argument, which may be a channel."""
    for at in keys(spec, argv):
        return argv[at]
    return argv[1] if len(argv) > 1 else b""


def homes(plan: Plan) -> set[int]:
    """Where the keys of a plan live: nodes by their index, copy pools as a whole by that of their first node."""
    if isinstance(plan, Send):
        return {plan.node.home()}
    found: set[int] = set()
    if isinstance(plan, Gather):
        for part in plan.plans:
            found |= homes(part)
    return found


def plan_in_multi(session: "ClientSession", spec: CommandSpec, request: Request) -> Plan:
    """The plan of a command inside a transaction."""
    session.ask.in_multi = True
    plan = session.plan(spec, request)
    session.ask.in_multi = False
    return plan


def execute(session: "ClientSession", queue: list[Queued], call: Call, watched: Watch | None) -> None:
    """EXEC of a transaction that nothing has spoiled; ``call`` gets the reply.

    With watched keys it runs on their lane, and nothing of this client's runs beside it.
    """
    call.write = any(queued.spec.write for queued in queue)
    repeatable = all(queued.is_ours() or queued.spec.repeatable for queued in queue)
    transaction = Transaction(session.exchange, watched.loan() if watched is not None else None, repeatable)
    plans: list[Plan | None] = []
    session.ask.writes = call.write
    for queued in queue:
        plan = None if queued.is_ours() else plan_in_multi(session, queued.spec, queued.request)
        if plan is not None and queued.spec.scripting:
            scripts.recite(session, transaction, queued.spec, queued.request.argv, plan)
        plans.append(plan)
    if watched is not None:
        # Before anything is queued, for that may be an UNWATCH, or a write to what is watched.
        session.watch = None
        watched.executed()
    loan = transaction.loan
    node = only_node(plans) if loan is None else loan.link.node
    counts = any(redact.is_corrected(queued.spec) for queued in queue)
    if node is not None and (loan is not None or not (session.each or session.pool.soft or counts)):
        joint = Listed(call, len(queue), call.write)
        legs = [corrected(session, queued, Part(joint, at)) for at, queued in enumerate(queue)] if counts else []
        transaction.whole(node, call, plans, [queued.request.raw for queued in queue], legs)
    else:
        joint = Executed(transaction, call, len(queue), call.write, session.pool.as_loading)
        collect(session, transaction, joint, queue, plans)
        reached: set[int] = set()
        for plan in plans:
            if plan is not None:
                reached |= homes(plan)
        if len(reached) > 1:
            session.house.split_transactions += 1
    transaction.go(session.proto, session.db)
    if watched is not None:
        session.wait_if_owed()


def collect(
    session: "ClientSession", transaction: Transaction, joint: Listed, queue: list[Queued], plans: list[Plan | None]
) -> None:
    """Give each command its place in the reply, and its requests to the nodes' batches."""
    for at, queued in enumerate(queue):
        part: Leg = Part(joint, at)
        plan = plans[at]
        if plan is not None:
            part = corrected(session, queued, part)
            if queued.spec.scripting:
                part = scripts.heard(session, queued.spec, queued.request.argv, part)
            transaction.scatter(plan, part, queued.request.raw, queued.spec, session.ask)
        elif account.overflows(session):
            part.take(b"")
        elif queued.spec.reach == LOCAL:
            part.take(local.answer(session, queued.spec, queued.request.argv))
        else:
            part.take(talk.answer(session, queued.spec, queued.request.argv))


def corrected(session: "ClientSession", queued: Queued, leg: Leg) -> Leg:
    """The leg for the reply to one command, see `redact`."""
    return redact.corrected(session, queued.spec, queued.request.argv, leg)


def only_node(plans: list[Plan | None]) -> Node | None:
    """The one node that all plans are for, whose EXEC reply is then the whole reply; None otherwise."""
    node: Node | None = None
    for plan in plans:
        if not isinstance(plan, Send) or (node is not None and plan.node is not node):
            return None
        node = plan.node
    return node
