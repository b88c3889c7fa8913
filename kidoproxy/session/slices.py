"""What one client has sent is handled in slices: when its share of a turn is used up it goes on in the next one."""

from typing import final

from kidoproxy.commands.acl import AclCheck
from kidoproxy.commands.spec import SINGLE_NODE, SPLIT_BY_NODE, CommandSpec
from kidoproxy.replies.jobs import FreeListJob, Job
from kidoproxy.resp import limits
from kidoproxy.resp.requests import Request, RequestMaterializer
from kidoproxy.session.base import Session


@final
class ResumeJob(Job):
    """A session that goes on when its turn comes; ``over`` when something else has let it go on meanwhile."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.cancelled = False

    def step(self) -> bool:
        """Let it go on; if that is not all it stands in line again by itself."""
        if not self.cancelled:
            self.session.wake()
        return False

    def cancel(self) -> None:
        """Something else has let it go on."""
        self.cancelled = True


def has_large_backlog(session: Session) -> bool:
    """Whether too much is owed to it, or under way for it, in calls or in bytes."""
    replies = session.replies
    return replies.open_count() >= limits.CLIENT_PAUSE_REQUESTS or (
        replies.backlogged and not replies.is_below_limits()
    )


def turn_budget(session: Session) -> int:
    """How much it may do in this turn; nothing while too much is owed to it."""
    if has_large_backlog(session):
        return 0
    return (
        limits.SLICE_UNITS
        if session.executor.pending_writes.spent_units < limits.SLICE_UNITS
        else limits.SMALL_SLICE_UNITS
    )


def suspend(session: Session) -> None:
    """Handle no further request in this turn, nor, if much is owed, before less is.

    Reading stops meanwhile, so that what waits here stays bounded.
    """
    if has_large_backlog(session):
        session.suspend_until(limits.CLIENT_PAUSE_REQUESTS // 2)
    else:
        resume_next_turn(session)


def resume_next_turn(session: Session) -> None:
    """Go on in the next turn, behind those who stand in line already."""
    session.suspended = True
    job = ResumeJob(session)
    session.resume_job = job
    session.executor.pending_writes.jobs.add(job)


def cancel_resume_job(session: Session) -> None:
    """It goes on, for whatever reason."""
    job = session.resume_job
    if job is not None:
        job.cancel()
        session.resume_job = None


# -- one request that is long ---------------------------------------------------------------------------


def has_many_arguments(request: Request) -> bool:
    """Whether it has so many words that looking at each takes more than a slice."""
    return len(request.argv) > limits.SLICE_UNITS


def start_job(session: Session, job: Job) -> None:
    """Do this before anything else of the client's is handled."""
    step_job(session, job)


def step_job(session: Session, job: Job) -> None:
    """Take its task a step further. With the last step it may begin another one, or wait for something else."""
    session.current_job = None
    if job.step():
        session.extra_units += limits.SLICE_UNITS
        session.current_job = job
        resume_next_turn(session)


def unfold_or_defer(session: Session, spec: CommandSpec | None, request: Request) -> bool:
    """Unfold a request whose arguments are wanted; whether that takes long, so that it is handled later."""
    if (
        spec is not None
        and spec.single_key
        and not spec.retryable
        and session.fast_path
        and not session.context.needs_arguments
    ):
        return False
    if not has_many_arguments(request):
        request.materialize()
        return False
    start_job(session, UnfoldJob(session, request))
    return True


@final
class UnfoldJob(Job):
    """Cuts the arguments of a request of very many, then handles it."""

    def __init__(self, session: Session, request: Request) -> None:
        self.session = session
        self.request = request
        self.unfolding = RequestMaterializer(request)

    def step(self) -> bool:
        """Some arguments more: to cut one is cheaper than to look at it."""
        if self.unfolding.step(4 * limits.SLICE_UNITS):
            return True
        self.session.handle_request(self.request)
        return False


def start_acl_check(session: Session, spec: CommandSpec | None, request: Request) -> bool:
    """Begin to judge a long request by the rules of its user, if that has to be done; then it is handled."""
    acl_check = session.acl_check
    if spec is None or not session.needs_acl or not session.authed or not has_many_arguments(request):
        return False
    if acl_check is not None and acl_check.argv is request.argv:
        return False
    start_job(session, AclCheckJob(session, spec, request))
    return True


@final
class AclCheckJob(Job):
    """Judges a long request by the rules of its user."""

    def __init__(self, session: Session, spec: CommandSpec, request: Request) -> None:
        self.session = session
        self.spec = spec
        self.request = request
        self.acl_check = AclCheck(session.user.acl, spec, request.argv)

    def step(self) -> bool:
        """Some keys more."""
        if self.acl_check.step(limits.SLICE_UNITS):
            return True
        session = self.session
        session.acl_check = self.acl_check
        session.dispatch_checked(self.spec, self.request)
        session.acl_check = None
        return False


def needs_sliced_planning(spec: CommandSpec, request: Request) -> bool:
    """Whether it is a long request whose keys the routes look at one by one."""
    return spec.reach in (SINGLE_NODE, SPLIT_BY_NODE) and not spec.is_scripting and has_many_arguments(request)


@final
class PlanJob(Job):
    """Plans a long request, then sends it. Its place in the ledger is opened then: its client's next one waits."""

    def __init__(self, session: Session, spec: CommandSpec, request: Request) -> None:
        self.session = session
        self.spec = spec
        self.request = request
        self.planning = session.context.root.plan_builder(spec, request, session.request_context)

    def step(self) -> bool:
        """Some keys more."""
        if self.planning.step(limits.SLICE_UNITS):
            return True
        session = self.session
        plan = session.wrap_each_plan(self.planning.finished_plan(), self.spec)
        session.executor.execute(
            plan, session.open_pending(self.spec), self.request.raw, self.spec, session.request_context
        )
        session.executor.jobs().add(FreeListJob(self.request.argv))
        return False
