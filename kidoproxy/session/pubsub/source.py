"""A station is the place where topics live: a node, or a copy pool, of which one copy is listened to.

When that copy should be another one (it is down, or not in sync) the new one is told everything first.
As soon as it has confirmed that, or the old one is gone, messages are taken from the new one alone, and
clients' messages go there.

Both copies speak of the same write. What the new one says of its keys does not count until it has done, and
spoken of, every write that was sent before: the old one may have spoken of those already.
"""

from typing import Final, final

from kidoproxy.log_event import LogEvent
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import errors
from kidoproxy.resp.decode import items, string_value
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NODEDOWN, NodeFailure
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.session.pubsub.listener import ListenerCallbacks, PubSubListener
from kidoproxy.session.pubsub.topics import (
    KEYSPACE_PREFIXES,
    KINDS,
    PATTERN,
    WAIT_MARK_CHANNEL,
    Topic,
    needs_every_source,
)
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.server import server_of

BARRIER_PING: Final = encode_request([b"PING", b"hush"])

#: A link on which nothing is listened to any more is kept so long. Many clients go on as soon as they have sent
#: SUBSCRIBE, and may be answered on a channel before they have read the confirmation: a link that has to be opened
#: first would be too late for that.
KEEPALIVE_SECONDS: Final = 600.0


class SourceCallbacks:
    """The switchboard, as its stations see it."""

    def reevaluate(self, topic: Topic) -> None:
        """Some station hears it now, or no longer."""
        raise NotImplementedError

    def reject(self, topic: Topic, error: bytes) -> None:
        """A station cannot have it."""
        raise NotImplementedError

    def on_source_lost(self, topic: Topic, error: bytes) -> None:
        """A station where it lives has gone."""
        raise NotImplementedError

    def deliver(self, topic: Topic, raw: bytes) -> None:
        """A message."""
        raise NotImplementedError

    def log(self, event: LogEvent) -> None:
        """For the operator's log."""
        raise NotImplementedError


@final
class Source(ListenerCallbacks):
    """See the module. ``topics`` are those that live here, by kind and name."""

    def __init__(self, executor: Executor, route: Route, callbacks: SourceCallbacks) -> None:
        self.exchange = executor
        self.route = route
        self.callbacks = callbacks
        self.topics: list[dict[bytes, Topic]] = [{} for _ in KINDS]
        self.active: PubSubListener | None = None
        #: Will take the place of ``ear``.
        self.standby: PubSubListener | None = None
        #: What the node says of its keys is not passed on before this has come to its end.
        self.handover_barrier: HandoverBarrier | None = None
        self.is_reported_down = False
        #: When something was listened to last, and how long the link is kept from then on.
        self.needed_at = 0.0
        self.keepalive_seconds = KEEPALIVE_SECONDS

    # -- for the switchboard ---------------------------------------------------------------------------

    def find_topic(self, kind: int, name: bytes) -> list[Topic]:
        """The topic of this name, if it lives here."""
        topic = self.topics[kind].get(name)
        return [topic] if topic is not None else []

    def add(self, topic: Topic) -> None:
        """This topic lives here, among other places."""
        self.topics[topic.kind][topic.name] = topic

    def drop(self, topic: Topic) -> None:
        """Nobody needs it."""
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
        """The node may have to be told about this topic; `go_on` does."""
        active = self.active
        if active is None:
            node = self.route.pubsub_node()
            if node is None or not topic.is_needed():
                return
            active = self.open_listener(node)
            if node.group is not None:
                node.group.pubsub_node = node
            self.active = active
            self.needed_at = self.exchange.now
        active.mark_dirty(topic.kind, topic.name)
        if self.standby is not None:
            self.standby.mark_dirty(topic.kind, topic.name)

    def flush(self) -> None:
        """Tell the node."""
        if self.active is not None:
            self.active.flush()
        if self.standby is not None:
            self.standby.flush()

    def is_delivering(self, topic: Topic) -> bool:
        """Whether messages of this topic come in, and go on coming."""
        return self.active is not None and self.active.is_delivering(topic.kind, topic.name)

    def is_counted(self, topic: Topic) -> bool:
        """Whether the node counts us among its subscribers, as far as we know."""
        return self.active is not None and topic.name in self.active.delivering[topic.kind]

    def may_deliver(self, topic: Topic) -> bool:
        """Whether messages of this topic come in, or may be about to."""
        return self.active is not None and self.active.may_deliver(topic.kind, topic.name)

    def timeout_failure(self) -> NodeFailure:
        """Whoever waits for this station has waited too long."""
        node = self.active.node if self.active is not None else self.route.nodes()[0]
        timeout_ms = round(server_of(node).options.timeout * 1000)
        return NodeFailure(errors.TIMEOUT, node.name, node.address, f"no reply in {timeout_ms} ms", False)

    # -- as time goes by -------------------------------------------------------------------------------

    def tick(self) -> None:
        """Close what nobody needs; move to another copy if that is due."""
        active = self.active
        if active is None:
            return
        if any(self.topics):
            self.needed_at = self.exchange.now
        elif self.exchange.now - self.needed_at > self.keepalive_seconds:
            self.close(active)
            return
        group = active.node.group
        target = group.preferred_pubsub_node() if group is not None else None
        if group is None or target is None or target is active.node:
            self.drop_standby()
            return
        standby = self.standby
        if standby is None or standby.node is not target:
            self.drop_standby()
            standby = self.open_listener(target)
            self.standby = standby
        if standby.is_complete() or not active.connection.is_ready():
            group.pubsub_node = target
            self.hand_over(active, standby)

    def open_listener(self, node: Node) -> PubSubListener:
        """Open a link."""
        if node.group is not None:
            node.group.pubsub_listeners += 1
        return PubSubListener(self.exchange, node, self)

    def close_listener(self, listener: PubSubListener) -> None:
        """Close it."""
        if listener.node.group is not None:
            listener.node.group.pubsub_listeners -= 1
        listener.close()

    def close(self, active: PubSubListener) -> None:
        """Nothing is wanted of this place."""
        self.drop_standby()
        self.close_listener(active)
        self.active = None
        self.is_reported_down = False

    def drop_standby(self) -> None:
        """The old one stays, or another one will come."""
        if self.standby is not None:
            self.close_listener(self.standby)
        self.standby = None

    def hand_over(self, old: PubSubListener, new: PubSubListener) -> None:
        """From now on the new copy is listened to."""
        self.active = new
        self.standby = None
        self.handover_barrier = None
        if any(needs_every_source(kind, name) for kind in KINDS for name in self.topics[kind]):
            self.handover_barrier = HandoverBarrier(self, new)
            self.exchange.send(new.node, self.handover_barrier, BARRIER_PING, 2, 0)
        self.close_listener(old)
        fields: dict[str, object] = {"pool": self.route.name, "from": old.node.name, "node": new.node.name}
        self.callbacks.log(LogEvent("listening elsewhere", fields))
        for kind in KINDS:
            for topic in list(self.topics[kind].values()):
                self.callbacks.reevaluate(topic)

    def retry_rejected(self) -> None:
        """Ask again for what was refused."""
        if self.active is not None:
            self.active.retry_rejected()

    # -- what the listeners say ------------------------------------------------------------------------

    def is_wanted(self, kind: int, name: bytes) -> bool:
        """Whether somebody needs it."""
        topic = self.topics[kind].get(name)
        return topic is not None and topic.is_needed()

    def candidate_names(self, kind: int) -> list[bytes]:
        """All that live here."""
        return list(self.topics[kind])

    def on_changed(self, listener: PubSubListener, kind: int, name: bytes) -> None:
        """What an heir hears does not count yet."""
        topic = self.topics[kind].get(name)
        if topic is not None and listener is self.active:
            self.callbacks.reevaluate(topic)

    def on_refused(self, listener: PubSubListener, kind: int, name: bytes, error: bytes) -> None:
        """Whoever waits for it is told so."""
        topic = self.topics[kind].get(name)
        if topic is not None and listener is self.active:
            self.callbacks.reject(topic, error)

    def on_message(self, listener: PubSubListener, kind: int, name: bytes, raw: bytes) -> None:
        """One copy alone is listened to, so that nobody hears anything twice."""
        topic = self.topics[kind].get(name)
        if topic is None or listener is not self.active:
            return
        if self.handover_barrier is not None and string_value(items(raw)[2 if kind == PATTERN else 1]).startswith(
            KEYSPACE_PREFIXES
        ):
            return
        if kind == PATTERN and WAIT_MARK_CHANNEL in raw and string_value(items(raw)[2]) == WAIT_MARK_CHANNEL:
            return
        self.callbacks.deliver(topic, raw)

    def on_connected(self, listener: PubSubListener) -> None:
        """One line, if the one before said that it was gone."""
        if self.is_reported_down and listener is self.active:
            self.is_reported_down = False
            node = listener.node
            self.callbacks.log(LogEvent("listening again", {"node": node.name, "address": node.address}))

    def on_disconnected(self, listener: PubSubListener, failure: NodeFailure) -> None:
        """Whoever waits is told so; what clients have stays theirs, and comes back by itself."""
        if listener is not self.active:
            return
        if not self.is_reported_down:
            self.is_reported_down = True
            fields: dict[str, object] = {"node": failure.node, "address": failure.address, "cause": failure.cause}
            self.callbacks.log(LogEvent("not listening", fields))
        for kind in KINDS:
            for topic in list(self.topics[kind].values()):
                self.callbacks.on_source_lost(topic, failure.error_reply(False))


@final
class HandoverBarrier(ReplyHandler):
    """Waits behind all writes that were sent, on their link, and then behind their events, on the listening link."""

    def __init__(self, source: Source, listener: PubSubListener) -> None:
        super().__init__()
        self.source = source
        self.listener = listener
        self.is_second_step = False

    def on_reply(self, raw: bytes) -> None:
        """The next step, or the end; if another copy has taken over meanwhile that one has a hush of its own."""
        source = self.source
        if source.handover_barrier is not self or source.active is not self.listener:
            return
        source.handover_barrier = None
        if not self.is_second_step:
            barrier = HandoverBarrier(source, self.listener)
            barrier.is_second_step = True
            source.handover_barrier = barrier
            self.listener.connection.submit(barrier, BARRIER_PING, 3, 0, source.exchange.now)

    def on_failure(self, failure: NodeFailure) -> None:
        """A node that gives no answer does not speak either; there is nothing to wait for."""
        self.on_reply(b"")
