"""What a conversation leaves behind when it ends or begins anew: nothing, here or at the nodes."""

from typing import final

from kidoproxy.replies.jobs import Job
from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.resp import limits
from kidoproxy.session.base import Session
from kidoproxy.session.pubsub.subscriptions import Subscriptions
from kidoproxy.session.pubsub.topics import Subscriber
from kidoproxy.session.state import REPLY_ON, REPLY_SKIP
from kidoproxy.upstream.dedicated import DedicatedExecutor


def cancel_blocked(session: Session) -> None:
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


def drain(session: Session) -> None:
    """The process is about to end: a client that blocks is let go, as if its time were over."""
    if session.blocked_request is not None:
        session.blocked_request.unblock(b"TIMEOUT")


def on_eof(session: Session) -> None:
    """The client sends nothing more. As on a server, what has come whole is run, but nobody waits for its sake."""
    if not session.closing and not session.half_closed:
        session.half_closed = True
        if session.blocked_request is not None:
            session.blocked_request.on_client_gone()
        close_if_half_closed(session)


def close_if_gave_up(session: Session, blocked_request: DedicatedExecutor | None) -> bool:
    """Whether it had to wait when it hung up: then a server forgets what it has sent behind that."""
    if blocked_request is None or not blocked_request.outcome.client_gave_up():
        return False
    session.close()
    return True


def close_if_half_closed(session: Session) -> None:
    """A client that has hung up goes when all that came whole has begun, or if CLIENT PAUSE holds it."""
    if (
        session.half_closed
        and not session.closing
        and (not session.suspended or session.id in session.context.paused_sessions)
    ):
        session.close()


def release_state(session: Session) -> None:
    """It watches, monitors and listens to nothing any more."""
    session.unwatch()
    if session.monitor is not None:
        session.monitor.stop()
    unsubscribe_all(session)


def unsubscribe_all(session: Session) -> None:
    """The client goes, or begins anew: nothing of its subscriptions is left, here or at the nodes."""
    subscriber = session.subscriber
    if subscriber is None:
        return
    subscriptions = session.proxy.subscriptions_of(session.context)
    subscription = session.pending_subscribe
    if subscription is not None:
        session.pending_subscribe = None
        subscriptions.cancel(subscription)
        subscription.pending.on_reply(b"")
    session.subscriber = None
    if subscriber.name_count() > limits.NAMES_PER_SLICE:
        # No message reaches it any more, but its names are taken off in slices.
        subscriber.replies = ReplyQueue(session.executor.pending_writes)
        subscriber.replies.close()
        session.executor.jobs().add(UnsubscribeJob(subscriptions, subscriber))
    else:
        subscriptions.unsubscribe_all(subscriber)


@final
class UnsubscribeJob(Job):
    """Takes a client that wants nothing more off very many names."""

    def __init__(self, subscriptions: Subscriptions, subscriber: Subscriber) -> None:
        self.subscriptions = subscriptions
        self.subscriber = subscriber

    def step(self) -> bool:
        """Some of them."""
        return self.subscriptions.unsubscribe_some(self.subscriber, limits.NAMES_PER_SLICE)


def reset(session: Session) -> None:
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
