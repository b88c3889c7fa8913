"""Fair shares: a client whose budget for this turn of the event loop is used up goes on in the next turn.

A request with very many arguments is itself handled in slices, by a `Job` that is the session's `current_job`.
"""

from typing import final

from kidoproxy.commands.acl import AclCheck
from kidoproxy.commands.spec import SINGLE_NODE, SPLIT_BY_NODE, CommandSpec
from kidoproxy.replies.jobs import FreeListJob, Job
from kidoproxy.resp import limits
from kidoproxy.resp.request_reader import Request, RequestMaterializer
from kidoproxy.session.base import Session
from kidoproxy.session.mode import YIELDED


@final
class ResumeJob(Job):
    """Lets a session go on in a later turn, unless something else has done so meanwhile."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.cancelled = False

    def step(self) -> bool:
        if not self.cancelled:
            self.session.wake()
        return False

    def cancel(self) -> None:
        self.cancelled = True


def has_large_backlog(session: Session) -> bool:
    """Whether too many of its replies are open, by number or by bytes."""
    replies = session.replies
    return replies.open_count() >= limits.MAX_OPEN_REQUESTS or (replies.backlogged and not replies.is_below_limits())


def turn_budget(session: Session) -> int:
    """Units of work that it may do in this turn; none while its backlog is large."""
    if has_large_backlog(session):
        return 0
    return (
        limits.SLICE_UNITS if session.executor.turn_work.spent_units < limits.SLICE_UNITS else limits.SMALL_SLICE_UNITS
    )


def suspend(session: Session) -> None:
    """Handle no further request in this turn; with a large backlog, none before half of it is answered.

    Its socket is not read meanwhile, so the query buffer stays bounded.
    """
    if has_large_backlog(session):
        session.suspend_until(limits.MAX_OPEN_REQUESTS // 2)
    else:
        resume_next_turn(session)


def resume_next_turn(session: Session) -> None:
    """Go on in the next turn, behind the jobs that wait already."""
    session.enter(YIELDED)
    job = ResumeJob(session)
    session.resume_job = job
    session.executor.turn_work.jobs.add(job)


def cancel_resume_job(session: Session) -> None:
    job = session.resume_job
    if job is not None:
        job.cancel()
        session.resume_job = None


# -- one request that is long ---------------------------------------------------------------------------


def has_many_arguments(request: Request) -> bool:
    """Whether looking at each argument takes more than a slice."""
    return len(request.argv) > limits.SLICE_UNITS


def start_job(session: Session, job: Job) -> None:
    """Run this job before the client's next request is handled."""
    step_job(session, job)


def step_job(session: Session, job: Job) -> None:
    """One step of the job. Its last step may start another job or suspend the session."""
    session.current_job = None
    if job.step():
        session.extra_units += limits.SLICE_UNITS
        session.current_job = job
        resume_next_turn(session)


def materialize_or_defer(session: Session, spec: CommandSpec | None, request: Request) -> bool:
    """Materialize a request whose arguments are needed. True when that takes long, so that it is handled later."""
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
    start_job(session, MaterializeJob(session, request))
    return True


@final
class MaterializeJob(Job):
    """Materializes a request with very many arguments, then handles it."""

    def __init__(self, session: Session, request: Request) -> None:
        self.session = session
        self.request = request
        self.materializer = RequestMaterializer(request)

    def step(self) -> bool:
        """To cut an argument out is cheaper than to look at it."""
        if self.materializer.step(4 * limits.SLICE_UNITS):
            return True
        self.session.handle_request(self.request)
        return False


def start_acl_check(session: Session, spec: CommandSpec | None, request: Request) -> bool:
    """Start to check a long request against its user's rules, if that is needed; it is handled afterwards."""
    acl_check = session.acl_check
    if spec is None or not session.needs_acl or not session.authed or not has_many_arguments(request):
        return False
    if acl_check is not None and acl_check.argv is request.argv:
        return False
    start_job(session, AclCheckJob(session, spec, request))
    return True


@final
class AclCheckJob(Job):
    """Checks a long request against its user's rules."""

    def __init__(self, session: Session, spec: CommandSpec, request: Request) -> None:
        self.session = session
        self.spec = spec
        self.request = request
        self.acl_check = AclCheck(session.user.acl, spec, request.argv)

    def step(self) -> bool:
        if self.acl_check.step(limits.SLICE_UNITS):
            return True
        session = self.session
        session.acl_check = self.acl_check
        session.check_and_dispatch(self.spec, self.request)
        session.acl_check = None
        return False


def needs_sliced_planning(spec: CommandSpec, request: Request) -> bool:
    """Whether the routes look at so many keys that planning is done in slices."""
    return spec.reach in (SINGLE_NODE, SPLIT_BY_NODE) and not spec.is_scripting and has_many_arguments(request)


@final
class PlanJob(Job):
    """Plans a long request, then sends it. Only then is its reply opened; the client's next request waits."""

    def __init__(self, session: Session, spec: CommandSpec, request: Request) -> None:
        self.session = session
        self.spec = spec
        self.request = request
        self.request_context = session.request_context
        self.planning = session.context.root.plan_builder(spec, request, self.request_context)

    def step(self) -> bool:
        if self.planning.step(limits.SLICE_UNITS):
            return True
        session = self.session
        plan = session.as_list_plan(self.planning.built_plan(), self.spec, self.request_context)
        session.executor.execute(
            plan, session.open_pending(self.spec), self.request.raw, self.spec, self.request_context
        )
        session.executor.jobs().add(FreeListJob(self.request.argv))
        return False
