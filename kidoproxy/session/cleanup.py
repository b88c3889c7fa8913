"""The end of a session, or its reset: nothing of it stays, neither here nor at the nodes."""

from typing import final

from kidoproxy.replies.jobs import Job
from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.resp import limits
from kidoproxy.session.base import Session
from kidoproxy.session.mode import CLOSING, PAUSED, READY
from kidoproxy.session.pubsub.subscriptions import Subscriptions
from kidoproxy.session.pubsub.topics import Subscriber
from kidoproxy.session.state import REPLY_ON, REPLY_SKIP
from kidoproxy.upstream.dedicated import DedicatedExecutor


def cancel_blocked(session: Session) -> None:
    """Give up what the client waits for: it is not answered, and its dedicated connections are closed."""
    monitor = session.monitor
    if session.current_job is not None:
        # What was only planned is never sent.
        session.current_job.cancel()
        session.current_job = None
    if session.blocking_executor is not None:
        session.blocking_executor.cancel()
        session.blocking_executor = None
        session.replies.discard_pending()
    elif monitor is not None and monitor.handler is not None:
        session.replies.discard_pending()


def drain(session: Session) -> None:
    """The process is about to end: a blocked client is answered as if its timeout had passed."""
    if session.blocking_executor is not None:
        session.blocking_executor.unblock(b"TIMEOUT")


def on_eof(session: Session) -> None:
    """The client has half-closed. As on a server, its complete requests still run, but nothing blocks for it."""
    if session.mode != CLOSING and not session.half_closed:
        session.half_closed = True
        if session.blocking_executor is not None:
            session.blocking_executor.on_client_gone()
        close_if_half_closed(session)


def close_if_client_left(session: Session, blocking_executor: DedicatedExecutor | None) -> bool:
    """Close if it hung up while it was blocked: a server then drops the requests behind. Whether it was closed."""
    if blocking_executor is None or not blocking_executor.outcome.client_left_waiting():
        return False
    session.close()
    return True


def close_if_half_closed(session: Session) -> None:
    """Close a half-closed client when its complete requests have begun, or while CLIENT PAUSE holds it.

    What it has subscribed to is confirmed to it before.
    """
    if session.half_closed and session.mode in (READY, PAUSED) and not session.awaits_confirmation():
        session.close()


def release_state(session: Session) -> None:
    """End its WATCH, MONITOR and subscriptions."""
    session.unwatch()
    if session.monitor is not None:
        session.monitor.stop()
    unsubscribe_all(session)


def unsubscribe_all(session: Session) -> None:
    """Take off all subscriptions, also those that the nodes have not confirmed."""
    subscriber = session.subscriber
    if subscriber is None:
        return
    subscriptions = session.proxy.subscriptions_of(session.context)
    subscriptions.cancel(subscriber)
    session.subscriber = None
    if subscriber.name_count() > limits.NAMES_PER_SLICE:
        # No message reaches it from now on; its names are taken off in slices.
        subscriber.replies = ReplyQueue(session.executor.turn_work)
        subscriber.replies.close()
        session.executor.jobs().add(UnsubscribeJob(subscriptions, subscriber))
    else:
        subscriptions.unsubscribe_all(subscriber)


@final
class UnsubscribeJob(Job):
    """Removes a subscriber from very many names."""

    def __init__(self, subscriptions: Subscriptions, subscriber: Subscriber) -> None:
        self.subscriptions = subscriptions
        self.subscriber = subscriber

    def step(self) -> bool:
        return self.subscriptions.unsubscribe_some(self.subscriber, limits.NAMES_PER_SLICE)


def reset(session: Session) -> None:
    """RESET: the state of a client that has just connected. CLIENT NO-EVICT and NO-TOUCH are the caller's."""
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
