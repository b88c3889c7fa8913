"""What a conversation leaves behind when it ends or begins anew: nothing, here or at the nodes."""

from typing import TYPE_CHECKING

from kidoproxy.session.handlers import pubsub
from kidoproxy.session.proxy_state import REPLY_ON, REPLY_SKIP
from kidoproxy.upstream.dedicated import DedicatedExecutor

if TYPE_CHECKING:
    from kidoproxy.session.session import ClientSession


def cancel_blocked(session: "ClientSession") -> None:
    """What the client waits for will not be told: it goes without it, and its lanes are closed."""
    monitor = session.monitor
    if session.current_job is not None:
        # What was only planned has not been sent, and will not be.
        session.current_job.cancel()
        session.current_job = None
    if session.blocked_request is not None:
        session.blocked_request.cancel()
        session.blocked_request = None
        session.replies.discard_pending()
    elif monitor is not None and monitor.handler is not None:
        session.replies.discard_pending()


def drain(session: "ClientSession") -> None:
    """The process is about to end: a client that blocks is let go, as if its time were over."""
    if session.blocked_request is not None:
        session.blocked_request.unblock(b"TIMEOUT")


def on_eof(session: "ClientSession") -> None:
    """The client sends nothing more. As on a server, what has come whole is run, but nobody waits for its sake."""
    if not session.closing and not session.half_closed:
        session.half_closed = True
        if session.blocked_request is not None:
            session.blocked_request.on_client_gone()
        close_if_half_closed(session)


def close_if_gave_up(session: "ClientSession", blocked_request: DedicatedExecutor | None) -> bool:
    """Whether it had to wait when it hung up: then a server forgets what it has sent behind that."""
    if blocked_request is None or not blocked_request.outcome.client_gave_up():
        return False
    session.close()
    return True


def close_if_half_closed(session: "ClientSession") -> None:
    """A client that has hung up goes when all that came whole has begun, or if CLIENT PAUSE holds it."""
    if (
        session.half_closed
        and not session.closing
        and (not session.suspended or session.id in session.context.paused_sessions)
    ):
        session.close()


def release_state(session: "ClientSession") -> None:
    """It watches, monitors and listens to nothing any more."""
    session.unwatch()
    if session.monitor is not None:
        session.monitor.stop()
    pubsub.unsubscribe_all(session)


def reset(session: "ClientSession") -> None:
    """RESET: as if the client had just connected."""
    release_state(session)
    session.leave_multi()
    if session.reply_mode != REPLY_SKIP:
        session.reply_mode = REPLY_ON
    session.each_node = False
    session.proto = 2
    session.db = 0
    session.name = b""
    session.user = session.context.users.default
    session.authed = session.user.needs_no_login
    session.update_flags()
