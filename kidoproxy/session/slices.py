"""What one client has sent is handled in slices: when its share of a turn is used up it goes on in the next one."""

from typing import TYPE_CHECKING, final

from kidoproxy import limits
from kidoproxy.commands.permit import Checking
from kidoproxy.commands.spec import ONE, SPLIT, CommandSpec
from kidoproxy.ledger_jobs import Disposal, Job
from kidoproxy.resp.requests import Request, Unfolding

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


@final
class Suspended(Job):
    """A session that goes on when its turn comes; ``over`` when something else has let it go on meanwhile."""

    def __init__(self, session: "ClientSession") -> None:
        self.session = session
        self.over = False

    def step(self) -> bool:
        """Let it go on; if that is not all it stands in line again by itself."""
        if not self.over:
            self.session.wake()
        return False


def owes_much(session: "ClientSession") -> bool:
    """Whether too much is owed to it, or under way for it, in calls or in bytes."""
    ledger = session.ledger
    return ledger.count() >= limits.CLIENT_PAUSE_CALLS or (ledger.heavy and not ledger.is_light())


def share(session: "ClientSession") -> int:
    """How much it may do in this turn; nothing while too much is owed to it."""
    if owes_much(session):
        return 0
    return limits.SLICE if session.exchange.turn.spent < limits.SLICE else limits.SMALL_SLICE


def suspend(session: "ClientSession") -> None:
    """Handle no further request in this turn, nor, if much is owed, before less is.

    Reading stops meanwhile, so that what waits here stays bounded.
    """
    if owes_much(session):
        session.wait_for(limits.CLIENT_PAUSE_CALLS // 2)
    else:
        line_up(session)


def line_up(session: "ClientSession") -> None:
    """Go on in the next turn, behind those who stand in line already."""
    session.stalled = True
    job = Suspended(session)
    session.suspended = job
    session.exchange.turn.jobs.add(job)


def go_on(session: "ClientSession") -> None:
    """It goes on, for whatever reason."""
    job = session.suspended
    if job is not None:
        job.over = True
        session.suspended = None


# -- one request that is long ---------------------------------------------------------------------------


def is_long(request: Request) -> bool:
    """Whether it has so many words that looking at each takes more than a slice."""
    return len(request.argv) > limits.SLICE


def begin(session: "ClientSession", task: Job) -> None:
    """Do this before anything else of the client's is handled."""
    work(session, task)


def work(session: "ClientSession", task: Job) -> None:
    """Take its task a step further. With the last step it may begin another one, or wait for something else."""
    session.task = None
    if task.step():
        session.spent += limits.SLICE
        session.task = task
        line_up(session)


def unfolds_slowly(session: "ClientSession", spec: CommandSpec | None, request: Request) -> bool:
    """Unfold a request whose arguments are wanted; whether that takes long, so that it is handled later."""
    if spec is not None and spec.plain and not spec.repeatable and session.easy and not session.pool.thorough:
        return False
    if not is_long(request):
        request.unfold()
        return False
    begin(session, Reading(session, request))
    return True


@final
class Reading(Job):
    """Cuts the arguments of a request of very many, then handles it."""

    def __init__(self, session: "ClientSession", request: Request) -> None:
        self.session = session
        self.request = request
        self.unfolding = Unfolding(request)

    def step(self) -> bool:
        """Some arguments more: to cut one is cheaper than to look at it."""
        if self.unfolding.step(4 * limits.SLICE):
            return True
        self.session.handle(self.request)
        return False


def check(session: "ClientSession", spec: CommandSpec | None, request: Request) -> bool:
    """Begin to judge a long request by the rules of its user, if that has to be done; then it is handled."""
    known = session.checked
    if spec is None or not session.judged or not session.authed or not is_long(request):
        return False
    if known is not None and known.argv is request.argv:
        return False
    begin(session, Judging(session, spec, request))
    return True


@final
class Judging(Job):
    """Judges a long request by the rules of its user."""

    def __init__(self, session: "ClientSession", spec: CommandSpec, request: Request) -> None:
        self.session = session
        self.spec = spec
        self.request = request
        self.checking = Checking(session.user.permit, spec, request.argv)

    def step(self) -> bool:
        """Some keys more."""
        if self.checking.step(limits.SLICE):
            return True
        session = self.session
        session.checked = self.checking
        session.handle_with_care(self.spec, self.request)
        session.checked = None
        return False


def is_planned_slowly(spec: CommandSpec, request: Request) -> bool:
    """Whether it is a long request whose keys the routes look at one by one."""
    return spec.reach in (ONE, SPLIT) and not spec.scripting and is_long(request)


@final
class LongRequest(Job):
    """Plans a long request, then sends it. Its place in the ledger is opened then: its client's next one waits."""

    def __init__(self, session: "ClientSession", spec: CommandSpec, request: Request) -> None:
        self.session = session
        self.spec = spec
        self.request = request
        self.planning = session.pool.root.planning(spec, request, session.ask)

    def step(self) -> bool:
        """Some keys more."""
        if self.planning.step(limits.SLICE):
            return True
        session = self.session
        plan = session.listed(self.planning.get(), self.spec)
        session.exchange.scatter(plan, session.open(self.spec), self.request.raw, self.spec, session.ask)
        session.exchange.jobs().add(Disposal(self.request.argv))
        return False
