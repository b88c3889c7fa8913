"""What a conversation leaves behind when it ends or begins anew: nothing, here or at the nodes."""

from typing import TYPE_CHECKING

from kidoproxy.exchange_lanes import LaneWire
from kidoproxy.session import pubsub
from kidoproxy.session.house import REPLY_ON, REPLY_SKIP

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


def abandon(session: "ClientSession") -> None:
    """What the client waits for will not be told: it goes without it, and its lanes are closed."""
    monitor = session.monitor
    if session.task is not None:
        # What was only planned has not been sent, and will not be.
        session.task.abandon()
        session.task = None
    if session.blocked is not None:
        session.blocked.abandon()
        session.blocked = None
        session.ledger.forgive()
    elif monitor is not None and monitor.leg is not None:
        session.ledger.forgive()


def leave(session: "ClientSession") -> None:
    """The process is about to end: a client that blocks is let go, as if its time were over."""
    if session.blocked is not None:
        session.blocked.unblock(b"TIMEOUT")


def hang_up(session: "ClientSession") -> None:
    """The client sends nothing more. As on a server, what has come whole is run, but nobody waits for its sake."""
    if not session.closing and not session.hung_up:
        session.hung_up = True
        if session.blocked is not None:
            session.blocked.end()
        has_run(session)


def gave_up(session: "ClientSession", blocked: LaneWire | None) -> bool:
    """Whether it had to wait when it hung up: then a server forgets what it has sent behind that."""
    if blocked is None or not blocked.outcome.gave_up():
        return False
    session.close()
    return True


def has_run(session: "ClientSession") -> None:
    """A client that has hung up goes when all that came whole has begun, or if CLIENT PAUSE holds it."""
    if session.hung_up and not session.closing and (not session.stalled or session.id in session.pool.held):
        session.close()


def forget(session: "ClientSession") -> None:
    """It watches, monitors and listens to nothing any more."""
    session.unwatch()
    if session.monitor is not None:
        session.monitor.stop()
    pubsub.depart(session)


def begin_anew(session: "ClientSession") -> None:
    """RESET: as if the client had just connected."""
    forget(session)
    session.leave_multi()
    if session.reply != REPLY_SKIP:
        session.reply = REPLY_ON
    session.each = False
    session.proto = 2
    session.db = 0
    session.name = b""
    session.user = session.pool.users.default
    session.authed = session.user.open
    session.settle()
