"""PUBLISH, SPUBLISH and an EXEC with one of them wait for subscriptions that the nodes have not confirmed yet.

First for the end of the turn: the sockets that are readable at a time are read in any order, so a SUBSCRIBE that was
sent before may be read behind. Then for what `PublishOrder` holds it for. The client's later requests wait, too, so
that its messages stay in order. In a pool of which no client has ever subscribed to anything nobody waits.
"""

from kidoproxy.commands import handler_ids
from kidoproxy.commands.spec import CHANNEL_NODE, CommandSpec
from kidoproxy.session.base import Session
from kidoproxy.session.pubsub.publish_order import HeldPublish, PublishOrder
from kidoproxy.upstream.connection_set import connection_set_of


def must_wait(session: Session, spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether this request has to wait; then the session is woken when it need not any more."""
    if spec.reach == CHANNEL_NODE:
        channels = [(spec.topic_kind, argv[1])]
    elif session.multi is not None and spec.handler == handler_ids.EXEC and session.multi.channels:
        channels = list(session.multi.channels)
    else:
        return False
    if session.held_publish is not None:
        # Once: a subscription that came after it may still be unconfirmed.
        session.held_publish = None
        return False
    subscriptions = session.proxy.subscriptions_of(session.context)
    if not subscriptions.last_subscriber_number:
        return False
    if not session.resuming:
        session.wake()
        return True
    return any(subscriptions.publish_order.pending) and hold(session, subscriptions.publish_order, channels)


def hold(session: Session, publish_order: PublishOrder, channels: list[tuple[int, bytes]]) -> bool:
    """Hold it if somebody waits for what one of these is heard by; whether that is so."""
    publish = HeldPublish(session.executor.now + timeout_of(session), session.wake)
    for topic_kind, channel in channels:
        publish_order.hold(publish, topic_kind, channel)
    if publish.unsettled:
        session.held_publish = publish
    return publish.unsettled > 0


def timeout_of(session: Session) -> float:
    return connection_set_of(session.context.root.nodes()[0]).options.timeout
