"""SUBSCRIBE, UNSUBSCRIBE and their variants: confirmations and messages have Redis's shape.

Such a request waits until all earlier ones are answered, and later ones wait until the nodes have confirmed it. Its
confirmations are sent together, before the first message. They and messages are pushes, which CLIENT REPLY OFF does
not suppress.
"""

from typing import final

from kidoproxy.commands import handler_ids
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.jobs import Job
from kidoproxy.replies.queue import PendingRequest
from kidoproxy.resp import encode, limits
from kidoproxy.session import accounting, slices
from kidoproxy.session.base import Session
from kidoproxy.session.mode import WAITING_FOR_NODES
from kidoproxy.session.pubsub.topics import (
    SUBSCRIBE_COMMANDS,
    UNSUBSCRIBE_COMMANDS,
    Subscriber,
)
from kidoproxy.session.state import UnconfirmedSubscription


@final
class SessionSubscription(UnconfirmedSubscription):
    """The subscription that one session waits for."""

    def __init__(
        self,
        session: Session,
        subscriber: Subscriber,
        kind: int,
        pending: PendingRequest,
    ) -> None:
        super().__init__(subscriber, kind, pending)
        self.session = session

    def on_done(self, error: bytes) -> None:
        """Send the confirmations, or the error; the session goes on."""
        session = self.session
        session.pending_subscribe = None
        if error:
            session.proxy.commands_rejected += 1
            # The rest of a long request is dropped.
            session.current_job = None
        self.pending.on_reply(session.context.translate_error(error) if error else b"".join(self.confirmations))
        session.update_flags()
        session.wake()


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
        """The confirmation of these names resumes the session, and with it this job."""
        start = self.next_index
        self.next_index = start + limits.NAMES_PER_SLICE
        if self.next_index < len(self.argv):
            self.session.current_job = self
        request_subscription(self.session, self.spec, [self.argv[0], *self.argv[start : self.next_index]])
        return False


def request_subscription(session: Session, spec: CommandSpec, argv: list[bytes]) -> None:
    """One request with a bounded number of names."""
    subscriptions = session.proxy.subscriptions_of(session.context)
    subscriber = session.subscriber
    if subscriber is None:
        subscriber = Subscriber(subscriptions.new_subscriber_number(), session.replies, session.proto)
        session.subscriber = subscriber
    is_subscribe = spec.handler == handler_ids.SUBSCRIBE_TOPICS
    if is_subscribe and accounting.enforce_query_limit(
        session, sum(map(len, argv)) + len(argv) * limits.NAME_OVERHEAD_BYTES
    ):
        return
    pending = session.open_pending(spec)
    pending.suppressed = False
    subscription = SessionSubscription(session, subscriber, spec.topic_kind, pending)
    session.pending_subscribe = subscription
    session.enter(WAITING_FOR_NODES)
    if is_subscribe:
        subscriptions.subscribe(subscription, prepare_subscribe(subscription, argv[1:], session.proto))
    else:
        subscriptions.unsubscribe(subscription, prepare_unsubscribe(subscription, argv[1:], session.proto))


def prepare_subscribe(subscription: SessionSubscription, names: list[bytes], proto: int) -> list[bytes]:
    """The names that the client has not subscribed to yet; adds one confirmation for each name of the request."""
    current = subscription.subscriber.names_by_kind[subscription.kind]
    new_names: dict[bytes, bool] = {}
    count = subscription.subscriber.confirmation_count(subscription.kind)
    for name in names:
        if name not in current and name not in new_names:
            new_names[name] = True
            count += 1
        subscription.confirmations.append(
            confirmation(proto, SUBSCRIBE_COMMANDS[subscription.kind], encode.bulk(name), count)
        )
    return list(new_names)


def prepare_unsubscribe(subscription: SessionSubscription, names: list[bytes], proto: int) -> list[bytes]:
    """The names to unsubscribe, all of them if the request has none; adds the confirmations."""
    event = UNSUBSCRIBE_COMMANDS[subscription.kind]
    current = subscription.subscriber.names_by_kind[subscription.kind]
    removed_names: dict[bytes, bool] = {}
    count = subscription.subscriber.confirmation_count(subscription.kind)
    for name in names or list(current):
        if name in current and name not in removed_names:
            removed_names[name] = True
            count -= 1
        subscription.confirmations.append(confirmation(proto, event, encode.bulk(name), count))
    if not subscription.confirmations:
        subscription.confirmations.append(confirmation(proto, event, encode.null(proto), count))
    return list(removed_names)


def confirmation(proto: int, event: bytes, name: bytes, count: int) -> bytes:
    """A push in RESP3, an array in RESP2."""
    return encode.push(proto, [encode.bulk(event), name, encode.integer(count)])
