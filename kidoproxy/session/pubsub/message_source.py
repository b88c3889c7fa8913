"""A message source: where topics live. It is a node, or a copy pool, of which one copy is listened to.

When that should be another copy (the one listened to is down, or not in sync), the new one first gets all
subscriptions, as the *standby*. As soon as it has confirmed them, or the connection to the old one is lost, it is the
*active* one: messages are taken from it alone, and PUBLISH goes there.

Both copies publish keyspace events of the same write. Those of the new one are dropped until it has executed every
write that was sent before the hand-over, and their events have come: the old one may have sent the same events.
"""

from typing import Final, final

from kidoproxy.commands.spec import PATTERN
from kidoproxy.replication.group import group_of
from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import errors
from kidoproxy.resp.decode import items, string_value
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NODEDOWN, NodeFailure
from kidoproxy.resp.log_event import LogEvent
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.session.pubsub.topics import (
    KEYSPACE_PREFIXES,
    KINDS,
    WAIT_MARK_CHANNEL,
    Topic,
    needs_every_source,
)
from kidoproxy.session.pubsub.upstream_subscriber import UpstreamSubscriber, UpstreamSubscriberCallbacks
from kidoproxy.upstream.connection_set import connection_set_of
from kidoproxy.upstream.executor import Executor

BARRIER_PING: Final = encode_request([b"PING", b"handover"])

#: How long a connection without subscriptions is kept. Many clients continue as soon as they have sent SUBSCRIBE, and
#: may be answered on a channel before they have read the confirmation: opening a connection first would be too late.
KEEPALIVE_SECONDS: Final = 600.0


class MessageSourceCallbacks:
    """What a source reports to `Subscriptions`."""

    def reevaluate(self, topic: Topic) -> None:
        """Some source delivers it now, or no longer."""
        raise NotImplementedError

    def fail_waiting(self, topic: Topic, error: bytes) -> None:
        """The node of a source refuses it, with this error reply."""
        raise NotImplementedError

    def on_source_lost(self, topic: Topic, error: bytes) -> None:
        """A source where it lives has lost its node; ``error`` is the reply that says so."""
        raise NotImplementedError

    def deliver(self, topic: Topic, raw: bytes) -> None:
        """A message, as the push frame of a node."""
        raise NotImplementedError

    def log(self, event: LogEvent) -> None:
        """For the operator's log."""
        raise NotImplementedError


@final
class MessageSource(UpstreamSubscriberCallbacks):
    """See the module. ``topics`` are those that live here, by kind and name."""

    def __init__(self, executor: Executor, route: Route, callbacks: MessageSourceCallbacks) -> None:
        self.executor = executor
        self.route = route
        self.callbacks = callbacks
        self.topics: list[dict[bytes, Topic]] = [{} for _ in KINDS]
        self.active: UpstreamSubscriber | None = None
        #: Will take the place of ``active``.
        self.standby: UpstreamSubscriber | None = None
        #: While there is one, keyspace events are dropped: the number of the PING that is waited for, 0 for none; and
        #: the number of the last one.
        self.handover_barrier = 0
        self.last_barrier = 0
        self.is_reported_down = False
        #: When there was a topic last, and how long the connection is kept from then on.
        self.needed_at = 0.0
        self.keepalive_seconds = KEEPALIVE_SECONDS

    # -- for Subscriptions -----------------------------------------------------------------------------

    def find_topic(self, kind: int, name: bytes) -> list[Topic]:
        """The topic of this name, if it lives here: one or none."""
        topic = self.topics[kind].get(name)
        return [topic] if topic is not None else []

    def add(self, topic: Topic) -> None:
        self.topics[topic.kind][topic.name] = topic

    def drop(self, topic: Topic) -> None:
        self.topics[topic.kind].pop(topic.name, None)

    def unavailable_error(self) -> bytes:
        """Why nobody can subscribe here now, as a reply; empty when nothing is in the way."""
        node = self.route.pubsub_node()
        if node is None:
            return errors.STARTING_UP
        if not node.live:
            return NodeFailure(NODEDOWN, node.name, node.address, node.cause, False).error_reply(False)
        active = self.active
        failure = active.down_failure() if active is not None and active.node is node else None
        return failure.error_reply(False) if failure is not None else b""

    def mark_dirty(self, topic: Topic) -> None:
        """The node may have to subscribe or unsubscribe this topic; `flush` sends that."""
        active = self.active
        if active is None:
            node = self.route.pubsub_node()
            if node is None or not topic.is_needed():
                return
            active = self.open_upstream(node)
            group = group_of(node)
            if group is not None:
                group.pubsub_node = node
            self.active = active
            self.needed_at = self.executor.now
        active.mark_dirty(topic.kind, topic.name)
        if self.standby is not None:
            self.standby.mark_dirty(topic.kind, topic.name)

    def flush(self) -> None:
        """Send what is due to the node."""
        if self.active is not None:
            self.active.flush()
        if self.standby is not None:
            self.standby.flush()

    def is_delivering(self, topic: Topic) -> bool:
        """Whether messages of this topic come in, and will go on to."""
        return self.active is not None and self.active.is_delivering(topic.kind, topic.name)

    def is_counted(self, topic: Topic) -> bool:
        """Whether the node counts us among its subscribers, as far as we know."""
        return self.active is not None and topic.name in self.active.delivering[topic.kind]

    def may_deliver(self, topic: Topic) -> bool:
        """Whether messages of this topic come in, or may do so at any moment."""
        return self.active is not None and self.active.may_deliver(topic.kind, topic.name)

    def is_coming(self, topic: Topic) -> bool:
        """Whether messages of this topic do not come in, and nothing is known that is in the way."""
        active = self.active
        return active is not None and active.is_coming(topic.kind, topic.name) and not self.unavailable_error()

    def count_failure(self, cause: str) -> None:
        """A client could not subscribe here: one more failure of its node, if there is one."""
        node = self.active.node if self.active is not None else self.route.pubsub_node()
        if node is not None:
            node.count_failure(cause)

    def timeout_failure(self) -> NodeFailure:
        """Why a client that has waited too long for this source gets an error."""
        node = self.active.node if self.active is not None else self.route.nodes()[0]
        timeout_ms = round(connection_set_of(node).options.timeout * 1000)
        return NodeFailure(errors.TIMEOUT, node.name, node.address, f"no reply in {timeout_ms} ms", False)

    # -- as time goes by -------------------------------------------------------------------------------

    def tick(self) -> None:
        """Close a connection that nobody needs; hand over to another copy if that is due."""
        active = self.active
        if active is None:
            return
        if any(self.topics):
            self.needed_at = self.executor.now
        elif self.executor.now - self.needed_at > self.keepalive_seconds:
            self.close(active)
            return
        group = group_of(active.node)
        target = group.preferred_pubsub_node() if group is not None else None
        if group is None or target is None or target is active.node:
            self.drop_standby()
            return
        standby = self.standby
        if standby is None or standby.node is not target:
            self.drop_standby()
            standby = self.open_upstream(target)
            self.standby = standby
        if standby.is_complete() or not active.connection.is_ready():
            group.pubsub_node = target
            self.hand_over(active, standby)

    def open_upstream(self, node: Node) -> UpstreamSubscriber:
        group = group_of(node)
        if group is not None:
            group.pubsub_connections += 1
        return UpstreamSubscriber(self.executor, node, self)

    def close_upstream(self, upstream: UpstreamSubscriber) -> None:
        group = group_of(upstream.node)
        if group is not None:
            group.pubsub_connections -= 1
        upstream.close()

    def close(self, active: UpstreamSubscriber) -> None:
        """Nobody subscribes to anything here."""
        self.drop_standby()
        self.close_upstream(active)
        self.active = None
        self.is_reported_down = False

    def drop_standby(self) -> None:
        """The active one stays, or another copy will be the standby."""
        if self.standby is not None:
            self.close_upstream(self.standby)
        self.standby = None

    def hand_over(self, old: UpstreamSubscriber, new: UpstreamSubscriber) -> None:
        """From now on messages are taken from ``new``."""
        self.active = new
        self.standby = None
        self.handover_barrier = 0
        if any(needs_every_source(kind, name) for kind in KINDS for name in self.topics[kind]):
            # First behind all writes that were sent, on their connection, then behind their events.
            self.executor.send(new.node, self.new_barrier(new, True), BARRIER_PING, 2, 0)
        self.close_upstream(old)
        fields: dict[str, object] = {"pool": self.route.name, "from": old.node.name, "node": new.node.name}
        self.callbacks.log(LogEvent("listening elsewhere", fields))
        for kind in KINDS:
            for topic in list(self.topics[kind].values()):
                self.callbacks.reevaluate(topic)

    def new_barrier(self, upstream: UpstreamSubscriber, behind_writes: bool) -> ReplyHandler:
        """The handler of a PING behind the writes, or else behind their events on the listening connection."""
        self.last_barrier += 1
        barrier = self.last_barrier
        self.handover_barrier = barrier

        def on_reply(raw: bytes) -> None:
            self.pass_barrier(barrier, upstream, behind_writes)

        def on_failure(failure: NodeFailure) -> None:
            """A node that does not answer publishes nothing either: there is nothing to wait for."""
            self.pass_barrier(barrier, upstream, behind_writes)

        return CallbackHandler(on_reply, on_failure)

    def pass_barrier(self, barrier: int, upstream: UpstreamSubscriber, behind_writes: bool) -> None:
        """The next step, or the end; if another copy has taken over meanwhile, that one has a barrier of its own."""
        if self.handover_barrier != barrier or self.active is not upstream:
            return
        self.handover_barrier = 0
        if behind_writes:
            upstream.connection.submit(self.new_barrier(upstream, False), BARRIER_PING, 3, 0, self.executor.now)

    def retry_refused(self) -> None:
        """Try again what was refused."""
        if self.active is not None:
            self.active.retry_refused()

    # -- what the upstream subscribers say ----------------------------------------------------------------

    def is_wanted(self, kind: int, name: bytes) -> bool:
        """Whether a client has it, or waits for it."""
        topic = self.topics[kind].get(name)
        return topic is not None and topic.is_needed()

    def candidate_names(self, kind: int) -> list[bytes]:
        """The names of all topics that live here."""
        return list(self.topics[kind])

    def on_changed(self, upstream: UpstreamSubscriber, kind: int, name: bytes) -> None:
        """What the standby gets does not count yet."""
        topic = self.topics[kind].get(name)
        if topic is not None and upstream is self.active:
            self.callbacks.reevaluate(topic)

    def on_refused(self, upstream: UpstreamSubscriber, kind: int, name: bytes, error: bytes) -> None:
        """Whoever waits for it gets the error."""
        topic = self.topics[kind].get(name)
        if topic is not None and upstream is self.active:
            self.callbacks.fail_waiting(topic, error)

    def on_message(self, upstream: UpstreamSubscriber, kind: int, name: bytes, raw: bytes) -> None:
        """Deliver it if it is from the active upstream subscriber, so that no client gets a message twice."""
        topic = self.topics[kind].get(name)
        if topic is None or upstream is not self.active:
            return
        if self.handover_barrier and string_value(items(raw)[2 if kind == PATTERN else 1]).startswith(
            KEYSPACE_PREFIXES
        ):
            return
        if kind == PATTERN and WAIT_MARK_CHANNEL in raw and string_value(items(raw)[2]) == WAIT_MARK_CHANNEL:
            return
        self.callbacks.deliver(topic, raw)

    def on_connected(self, upstream: UpstreamSubscriber) -> None:
        """Log it, if the loss was logged."""
        if self.is_reported_down and upstream is self.active:
            self.is_reported_down = False
            node = upstream.node
            self.callbacks.log(LogEvent("listening again", {"node": node.name, "address": node.address}))

    def on_disconnected(self, upstream: UpstreamSubscriber, failure: NodeFailure) -> None:
        """Whoever waits may get an error; subscriptions that clients have stay, and are made again by themselves."""
        if upstream is not self.active:
            return
        if not self.is_reported_down:
            self.is_reported_down = True
            fields: dict[str, object] = {"node": failure.node, "address": failure.address, "cause": failure.cause}
            self.callbacks.log(LogEvent("not listening", fields))
        for kind in KINDS:
            for topic in list(self.topics[kind].values()):
                self.callbacks.on_source_lost(topic, failure.error_reply(False))
