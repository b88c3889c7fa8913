"""EXEC: a transaction that nothing has spoiled is planned in slices, then sent.

A client that has queued very much has others served in between. What decides whether a transaction may run, and what
tells others that it writes, is one step with its sending: with watched keys and in copy pools nobody comes in between.
"""

from typing import TYPE_CHECKING, final

from kidoproxy import limits
from kidoproxy.commands.spec import LOCAL, SESSION, CommandSpec
from kidoproxy.exchange_multi import Executed, Transaction
from kidoproxy.ledger import Leg, Listed, Part
from kidoproxy.ledger_jobs import Job
from kidoproxy.resp import build
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Gather, Plan, Send
from kidoproxy.routes.route import Planning
from kidoproxy.routes.topology import Node
from kidoproxy.session import account, local, redact, scripts, slices, talk
from kidoproxy.session.watch import Watch

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


@final
class Queued:
    """A command between MULTI and EXEC."""

    def __init__(self, spec: CommandSpec, request: Request) -> None:
        self.spec = spec
        self.request = request

    def is_ours(self) -> bool:
        """Whether the session answers it, and no node is asked."""
        return self.spec.reach in (SESSION, LOCAL)


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


def planning_in_multi(session: "ClientSession", spec: CommandSpec, request: Request) -> Planning:
    """The same in slices."""
    session.ask.in_multi = True
    planning = session.pool.root.planning(spec, request, session.ask)
    session.ask.in_multi = False
    return planning


def step_in_multi(session: "ClientSession", planning: Planning) -> bool:
    """One of these slices. Whether there are more."""
    session.ask.in_multi = True
    more = planning.step(limits.SLICE)
    session.ask.in_multi = False
    return more


def give_up(session: "ClientSession") -> None:
    """A watched key has changed: nothing is sent."""
    session.unwatch()
    session.open(None).take(build.null_array(session.proto))


@final
class Executing(Job):
    """Plans what was queued, gives each command its place in the reply, and sends every node its part.

    With watched keys it runs on their lane, and nothing of this client's runs beside it.
    """

    def __init__(self, session: "ClientSession", queue: list[Queued], watched: Watch | None) -> None:
        self.session = session
        self.queue = queue
        self.watched = watched
        self.write = any(queued.spec.write for queued in queue)
        repeatable = all(queued.is_ours() or queued.spec.repeatable for queued in queue)
        loan = watched.loan() if watched is not None else None
        self.transaction = Transaction(session.exchange, loan, repeatable)
        self.plans: list[Plan | None] = []
        session.spent += min(len(queue), limits.SLICE)
        #: A long request among them that is being planned.
        self.planning: Planning | None = None
        #: Each command's place in the reply; the order in which they get it, ours first; and how many have it.
        self.joint: Listed | None = None
        self.order: list[int] = []
        self.placed = 0
        #: From the last look at what is watched, or the first sign of a write, to the sending nobody may come between.
        self.at_once = watched is not None or any(node.group is not None for node in session.pool.root.nodes())

    def step(self) -> bool:
        """Some commands more."""
        if len(self.plans) < len(self.queue):
            self.plan_some()
            if len(self.plans) < len(self.queue) or len(self.queue) > limits.SLICE:
                return True
        joint = self.joint
        if joint is None:
            return self.begin()
        return self.place_some(joint)

    def plan_some(self) -> None:
        """Plan the next ones."""
        session = self.session
        session.ask.writes = self.write
        units = 0
        while len(self.plans) < len(self.queue) and units < limits.SLICE:
            queued = self.queue[len(self.plans)]
            units += 1 + len(queued.request.argv) // limits.UNIT_WORDS
            plan: Plan | None = None
            if slices.is_planned_slowly(queued.spec, queued.request):
                planning = self.planning or planning_in_multi(session, queued.spec, queued.request)
                self.planning = planning
                if step_in_multi(session, planning):
                    return
                self.planning = None
                plan = session.listed(planning.get(), queued.spec)
            elif not queued.is_ours():
                plan = plan_in_multi(session, queued.spec, queued.request)
            if plan is not None and queued.spec.scripting:
                scripts.recite(session, self.transaction, queued.spec, queued.request.argv, plan)
            self.plans.append(plan)

    def begin(self) -> bool:
        """All is planned: a transaction for one node is sent as it is, the others are dealt out."""
        session = self.session
        watched = self.watched
        if watched is not None:
            if watched.changed(session.house.wall_ms):
                give_up(session)
                return False
            # Before anything is queued, for that may be an UNWATCH, or a write to what is watched.
            session.watch = None
            watched.executed()
        call = session.open(None)
        call.write = self.write
        queue = self.queue
        loan = self.transaction.loan
        node = only_node(self.plans) if loan is None else loan.link.node
        counts = any(redact.is_corrected(queued.spec) for queued in queue)
        if node is not None and (loan is not None or not (session.each or session.pool.soft or counts)):
            joint = Listed(call, len(queue), self.write)
            legs = [corrected(session, queued, Part(joint, at)) for at, queued in enumerate(queue)] if counts else []
            self.transaction.whole(node, call, self.plans, [queued.request.raw for queued in queue], legs)
            self.send()
            return False
        joint = Executed(self.transaction, call, len(queue), self.write, session.pool.as_loading)
        self.joint = joint
        plans = self.plans
        self.order = [at for at, plan in enumerate(plans) if plan is None]
        self.order += [at for at, plan in enumerate(plans) if plan is not None]
        return self.place_some(joint)

    def abandon(self) -> None:
        """The client goes: nothing has been sent, and it is owed nothing for it."""
        joint = self.joint
        if joint is not None:
            joint.parent.take(b"")

    def place_some(self, joint: Listed) -> bool:
        """Give some more to the nodes' batches; when all are there, send them."""
        order = self.order
        units = 0
        while self.placed < len(order):
            at = order[self.placed]
            plan = self.plans[at]
            if units >= limits.SLICE and self.watched is None and not (self.at_once and plan is not None):
                return True
            self.placed += 1
            units += self.place(self.queue[at], plan, Part(joint, at))
        reached: set[int] = set()
        for plan in self.plans:
            if plan is not None:
                reached |= homes(plan)
        if len(reached) > 1:
            self.session.house.split_transactions += 1
        self.send()
        return False

    def place(self, queued: Queued, plan: Plan | None, part: Leg) -> int:
        """Give one command its place in the reply, and its requests to the nodes' batches. How much work that was."""
        session = self.session
        if plan is not None:
            part = corrected(session, queued, part)
            if queued.spec.scripting:
                part = scripts.heard(session, queued.spec, queued.request.argv, part)
            # What a pool refuses has a place in the array, beside what other nodes have run.
            session.ask.as_loading = False
            self.transaction.scatter(plan, part, queued.request.raw, queued.spec, session.ask)
            session.ask.as_loading = session.pool.as_loading
            return 1
        frame = b""
        if not account.overflows(session):
            if queued.spec.reach == LOCAL:
                frame = local.answer(session, queued.spec, queued.request.argv)
            else:
                frame = talk.answer(session, queued.spec, queued.request.argv)
        part.take(frame)
        return 1 + len(frame) // limits.UNIT_BYTES

    def send(self) -> None:
        """One contiguous part for each node."""
        session = self.session
        self.transaction.go(session.proto, session.db)
        if self.watched is not None:
            session.wait_if_owed()


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
