"""SUBSCRIBE, UNSUBSCRIBE and their variants: confirmations and messages have Redis's shape.

Such a request waits until all earlier ones are answered, and later ones wait until the nodes have confirmed it; but
several in a row are sent to the nodes as they come. Its confirmations are sent together, before the first message. They
and messages are pushes, which CLIENT REPLY OFF does not suppress.
"""

from typing import final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.jobs import Job
from kidoproxy.replies.queue import PendingRequest
from kidoproxy.resp import encode, limits
from kidoproxy.session import accounting, slices
from kidoproxy.session.base import Session
from kidoproxy.session.mode import READY
from kidoproxy.session.pubsub.topics import (
    SUBSCRIBE_COMMANDS,
    UNSUBSCRIBE_COMMANDS,
    PendingSubscription,
    Subscriber,
)


@final
class SessionSubscription(PendingSubscription):
    """A SUBSCRIBE or UNSUBSCRIBE of one session, with the names as the client said them."""

    def __init__(
        self,
        session: Session,
        subscriber: Subscriber,
        spec: CommandSpec,
        said_names: list[bytes],
        pending: PendingRequest,
    ) -> None:
        super().__init__(subscriber, spec.topic_kind)
        self.session = session
        self.is_subscribe = spec.handler == handler_ids.SUBSCRIBE_TOPICS
        self.said_names = said_names
        self.pending = pending
        self.memory_bytes = cost_of(said_names)

    def on_done(self, error: bytes) -> None:
        """Send the confirmations, or the error."""
        session = self.session
        if error:
            session.proxy.commands_rejected += 1
            # The rest of a long request is dropped.
            session.current_job = None
        self.pending.on_reply(session.context.translate_error(error) if error else b"".join(self.confirmations()))
        session.update_flags()
        if session.half_closed and session.mode == READY:
            session.wake()

    def on_cancelled(self) -> None:
        self.pending.on_reply(b"")

    def confirmations(self) -> list[bytes]:
        """One for each name that the client said, with the count as it was behind that name."""
        subscriber = self.subscriber
        proto = self.session.proto
        changed = dict.fromkeys(self.names, True)
        word = (SUBSCRIBE_COMMANDS if self.is_subscribe else UNSUBSCRIBE_COMMANDS)[self.kind]
        if self.is_subscribe:
            # The new names are there already.
            count = subscriber.confirmation_count(self.kind) - len(changed)
        else:
            count = subscriber.confirmation_count(self.kind)
            subscriber.leaving[self.kind] -= len(changed)
        frames: list[bytes] = []
        for name in self.said_names:
            if changed.pop(name, False):
                count += 1 if self.is_subscribe else -1
            frames.append(confirmation(proto, word, encode.bulk(name), count))
        return frames or [confirmation(proto, word, encode.null(proto), count)]


def cost_of(names: list[bytes]) -> int:
    """What it costs to remember these, in bytes."""
    return sum(map(len, names)) + len(names) * limits.NAME_OVERHEAD_BYTES


def may_follow(session: Session, spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether it may be sent to the nodes while replies are open: those of earlier requests for other names."""
    subscriber = session.subscriber
    if subscriber is None or len(subscriber.requests) != session.replies.open_count():
        return False
    if len(argv) == 1 or len(argv) > limits.NAMES_PER_SLICE + 1:
        return False
    awaited = subscriber.awaited[spec.topic_kind]
    return not awaited or not any(name in awaited for name in argv[1:])


def handle(session: Session, spec: CommandSpec, argv: list[bytes]) -> None:
    """One request; all earlier ones are answered."""
    subscriber = session.subscriber
    if len(argv) == 1 and subscriber is not None and spec.handler == handler_ids.UNSUBSCRIBE_TOPICS:
        argv = [argv[0], *subscriber.names_by_kind[spec.topic_kind]]
    if len(argv) > limits.NAMES_PER_SLICE + 1:
        slices.start_job(session, SubscribeJob(session, spec, argv))
    else:
        request_subscription(session, spec, argv)


@final
class SubscribeJob(Job):
    """Runs a request with very many names as several, each after the confirmation of the one before."""

    def __init__(self, session: Session, spec: CommandSpec, argv: list[bytes]) -> None:
        self.session = session
        self.spec = spec
        self.argv = argv
        self.next_index = 1

    def step(self) -> bool:
        """The next names. The session, and with it this job, goes on when these are confirmed."""
        session = self.session
        start = self.next_index
        self.next_index = start + limits.NAMES_PER_SLICE
        session.current_job = self if self.next_index < len(self.argv) else None
        request_subscription(session, self.spec, [self.argv[0], *self.argv[start : self.next_index]])
        if session.current_job is None:
            return False
        if session.replies.open_count():
            session.suspend_until(0)
            return False
        return True


def request_subscription(session: Session, spec: CommandSpec, argv: list[bytes]) -> None:
    """One request with a bounded number of names."""
    subscriptions = session.proxy.subscriptions_of(session.context)
    subscriber = session.subscriber
    if subscriber is None:
        subscriber = Subscriber(subscriptions.new_subscriber_number(), session.replies, session.proto)
        session.subscriber = subscriber
    names = argv[1:]
    is_subscribe = spec.handler == handler_ids.SUBSCRIBE_TOPICS
    if (is_subscribe or subscriber.requests) and accounting.enforce_query_limit(session, cost_of(argv)):
        return
    pending = session.open_pending(spec)
    pending.suppressed = False
    subscription = SessionSubscription(session, subscriber, spec, names, pending)
    current = subscriber.names_by_kind[spec.topic_kind]
    if is_subscribe:
        subscriptions.subscribe(subscription, [name for name in dict.fromkeys(names) if name not in current])
    else:
        subscriptions.unsubscribe(subscription, [name for name in dict.fromkeys(names) if name in current])
    session.update_flags()


def confirmation(proto: int, event: bytes, name: bytes, count: int) -> bytes:
    """A push in RESP3, an array in RESP2."""
    return encode.push(proto, [encode.bulk(event), name, encode.integer(count)])
