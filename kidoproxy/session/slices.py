"""What one client has sent is handled in slices: when its share of a turn is used up it goes on in the next one."""

from typing import TYPE_CHECKING, final

from kidoproxy import limits
from kidoproxy.ledger_jobs import Job

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
        return
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
