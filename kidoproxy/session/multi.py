"""Transactions: what MULTI has queued goes to each node as one contiguous ``MULTI … EXEC``, its part of the whole.

One node, and what its EXEC says is the reply, byte for byte. Several, and each command's reply takes its
place in an array: each node's part is atomic, the whole is not. A strict pool refuses that while queueing.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy import errors
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import LISTEN, LOCAL, NO_MULTI, SCAN, SESSION, CommandSpec
from kidoproxy.ledger_jobs import Job
from kidoproxy.resp import build
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Answer, Plan
from kidoproxy.session import account, executing, slices
from kidoproxy.session.executing import Queued, homes, plan_in_multi
from kidoproxy.session.house import REPLY_ON

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: What begins and ends a transaction.
WORDS: Final = (b"multi", b"exec", b"discard")
NOT_IN_MULTI: Final = (b"select", b"hello", b"auth", b"monitor")
#: What the proxy answers, and a node would answer alike: the rest would tell of the node, its users among it.
ANYWHERE: Final = (b"unwatch", b"ping", b"echo", b"time")


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
    if slices.is_planned_slowly(spec, request):
        slices.begin(session, Enqueuing(session, queue, spec, request))
    else:
        put(session, queue, spec, request, None)


@final
class Enqueuing(Job):
    """Plans a long request, then queues it."""

    def __init__(self, session: "ClientSession", queue: list[Queued], spec: CommandSpec, request: Request) -> None:
        self.session = session
        self.queue = queue
        self.spec = spec
        self.request = request
        self.planning = executing.planning_in_multi(session, spec, request)

    def step(self) -> bool:
        """Some keys more."""
        if executing.step_in_multi(self.session, self.planning):
            return True
        put(self.session, self.queue, self.spec, self.request, self.planning.get())
        return False


def put(session: "ClientSession", queue: list[Queued], spec: CommandSpec, request: Request, plan: Plan | None) -> None:
    """Queue it, unless it cannot be part of this transaction; ``plan`` is its plan if there is one already."""
    problem = unfit(session, spec, request, plan)
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
    if spoiled:
        session.unwatch()
        session.open(None).take(errors.EXECABORT)
    elif watched is not None and watched.changed(session.house.wall_ms):
        executing.give_up(session)
    elif not queue and (watched is None or watched.loan() is None):
        session.unwatch()
        session.open(None).take(build.array([]))
    else:
        slices.begin(session, executing.Executing(session, queue, watched))


def unfit(session: "ClientSession", spec: CommandSpec, request: Request, plan: Plan | None) -> bytes | None:
    """Why the command cannot be part of this transaction."""
    if spec.flags & NO_MULTI:
        return errors.NOT_IN_MULTI
    if spec.name == b"client|reply":
        # ON changes nothing here. The others would tear the reply of EXEC: Redis does, Valkey refuses them.
        plain = session.reply == REPLY_ON and request.argv[2].lower() == b"on" and session.watch is None
        return None if plain else errors.REPLY_IN_MULTI
    if spec.reach == LISTEN or spec.name in NOT_IN_MULTI or spec.name.startswith(b"proxy|"):
        return errors.denied(spec.name, "it cannot be part of a transaction here")
    on_lane = session.watch is not None and session.watch.loan() is not None
    if on_lane and spec.reach in (SCAN, SESSION, LOCAL) and spec.name not in ANYWHERE:
        return errors.denied(spec.name, "it cannot be part of a transaction with watched keys, which its node runs")
    if spec.reach in (SESSION, LOCAL):
        return None
    if plan is None:
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
