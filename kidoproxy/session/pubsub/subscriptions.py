"""The subscriptions of a pool: one at the nodes for each name, however many clients have it.

A channel lives where a key of its name would. Patterns, and the channels of keyspace events, are subscribed at every
source. A client has a subscription from the moment at which every node that it needs has confirmed it; if one cannot,
the client gets that node's error and nothing of what it asked for. Several requests of one client may be under way:
their names are sent to the nodes at once, and they are confirmed in order.
"""

from itertools import islice
from typing import Final, final

from kidoproxy.resp.encode import adapt_push
from kidoproxy.resp.log_event import LogEvent
from kidoproxy.routes.route import Route
from kidoproxy.session.pubsub.message_source import MessageSource, MessageSourceCallbacks
from kidoproxy.session.pubsub.publish_order import PublishOrder
from kidoproxy.session.pubsub.topics import KINDS, PendingSubscription, Subscriber, Topic, needs_every_source
from kidoproxy.upstream.connection_set import connection_set_of
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.health import DOWN_CAUSE, TIMEOUT_CAUSE

#: How often what a node has refused is tried again.
RETRY_SECONDS: Final = 1.0


@final
class Subscriptions(MessageSourceCallbacks):
    """See the module. ``log_events`` are for the operator's log, taken by whoever ticks."""

    def __init__(self, executor: Executor, root: Route) -> None:
        self.executor = executor
        self.root = root
        self.sources = [MessageSource(executor, route, self) for route in root.scan_routes()]
        self.topics: list[dict[bytes, Topic]] = [{} for _ in KINDS]
        self.pending_subscriptions: dict[PendingSubscription, bool] = {}
        self.publish_order = PublishOrder()
        self.log_events: list[LogEvent] = []
        self.delivered_count = 0
        self.last_subscriber_number = 0
        self.retry_at = 0.0

    # -- what clients ask for --------------------------------------------------------------------------

    def subscribe(self, pending: PendingSubscription, names: list[bytes]) -> None:
        """Subscribe to names that this client does not have yet, and does not wait for, each given once."""
        self.add_pending(pending, names)
        for name in names:
            pending.subscriber.awaited[pending.kind][name] = True
            topic = self.get_or_create_topic(pending.kind, name)
            pending.topics.append(topic)
            topic.pending_count += 1
            self.publish_order.begin(topic.kind, topic.name)
        missing = [topic for topic in pending.topics if not self.is_delivered(topic)]
        for topic in missing:
            error = self.unavailable_error(topic)
            if error:
                for source in self.sources_of(topic.kind, topic.name):
                    source.count_failure(DOWN_CAUSE)
                self.fail_pending(pending, error)
                return
        for topic in missing:
            pending.unconfirmed += 1
            topic.subscribing.append(pending)
            self.mark_dirty(topic)
        self.flush()
        self.finish_complete(pending.subscriber)

    def unsubscribe(self, pending: PendingSubscription, names: list[bytes]) -> None:
        """Unsubscribe from names that this client has; it gets no message of them from now on."""
        subscriber = pending.subscriber
        topics = [topic for topic in self.remove_subscriber(subscriber, pending.kind, names) if self.may_deliver(topic)]
        subscriber.leaving[pending.kind] += len(names)
        self.add_pending(pending, names)
        pending.topics = topics
        for topic in topics:
            pending.unconfirmed += 1
            topic.unsubscribing.append(pending)
        self.flush()
        self.finish_complete(subscriber)

    def unsubscribe_all(self, subscriber: Subscriber) -> None:
        """Take a client off all that it has."""
        for kind in KINDS:
            self.remove_subscriber(subscriber, kind, list(subscriber.names_by_kind[kind]))
        self.flush()

    def unsubscribe_some(self, subscriber: Subscriber, max_names: int) -> bool:
        """The same for at most ``max_names`` names of one kind. Whether there are more."""
        for kind in KINDS:
            names = list(islice(subscriber.names_by_kind[kind], max_names))
            if names:
                self.remove_subscriber(subscriber, kind, names)
                break
        self.flush()
        return subscriber.name_count() > 0

    def new_subscriber_number(self) -> int:
        self.last_subscriber_number += 1
        return self.last_subscriber_number

    def cancel(self, subscriber: Subscriber) -> None:
        """The client that waited for these has gone."""
        requests = list(subscriber.requests)
        for pending in requests:
            self.end_pending(pending)
        for pending in requests:
            self.release_topics(pending)
            pending.on_cancelled()
        self.flush()

    def tick(self, now: float) -> None:
        """Called some twenty times a second."""
        for pending in list(self.pending_subscriptions):
            if now > pending.due and not pending.finished:
                self.on_timeout(pending)
        self.publish_order.tick(now)
        for source in self.sources:
            source.tick()
        if now >= self.retry_at:
            self.retry_at = now + RETRY_SECONDS
            for source in self.sources:
                source.retry_refused()

    # -- topics ----------------------------------------------------------------------------------------

    def sources_of(self, kind: int, name: bytes) -> list[MessageSource]:
        """The sources where such a topic lives."""
        if needs_every_source(kind, name):
            return self.sources
        route = self.root.channel_route(name)
        return [source for source in self.sources if source.route is route]

    def get_or_create_topic(self, kind: int, name: bytes) -> Topic:
        """The topic of this name, created if there is none."""
        found = self.topics[kind].get(name)
        if found is None:
            found = Topic(kind, name)
            self.topics[kind][name] = found
            for source in self.sources_of(kind, name):
                source.add(found)
        return found

    def is_delivered(self, topic: Topic) -> bool:
        """Whether every source that it needs delivers it; a topic that lives everywhere needs those that are up."""
        everywhere = needs_every_source(topic.kind, topic.name)
        is_delivered = False
        for source in self.sources_of(topic.kind, topic.name):
            if source.is_delivering(topic):
                is_delivered = True
            elif not everywhere or not source.unavailable_error():
                return False
        return is_delivered

    def may_deliver(self, topic: Topic) -> bool:
        """Whether some source delivers it, or may do so at any moment."""
        return any(source.may_deliver(topic) for source in self.sources_of(topic.kind, topic.name))

    def is_coming(self, topic: Topic) -> bool:
        """Whether some source does not deliver it and is about to."""
        return any(source.is_coming(topic) for source in self.sources_of(topic.kind, topic.name))

    def unavailable_error(self, topic: Topic) -> bytes:
        """Why it cannot be subscribed now, as an error reply; empty when nothing is in the way.

        A node that is down is in the way of its own channels. Patterns are delivered by the others meanwhile: nothing
        can be published at a node that is down, and it is subscribed there when it is back.
        """
        first = b""
        for source in self.sources_of(topic.kind, topic.name):
            error = b"" if source.is_delivering(topic) else source.unavailable_error()
            if not error and needs_every_source(topic.kind, topic.name):
                return b""
            first = first or error
        return first

    def mark_dirty(self, topic: Topic) -> None:
        """Its sources may have to subscribe or unsubscribe it; `flush` sends that."""
        for source in self.sources_of(topic.kind, topic.name):
            source.mark_dirty(topic)

    def flush(self) -> None:
        """Send what is due to the nodes."""
        for source in self.sources:
            source.flush()

    def remove_subscriber(self, subscriber: Subscriber, kind: int, names: list[bytes]) -> list[Topic]:
        """Take the client off these names; returns the topics that nobody needs any more."""
        unneeded: list[Topic] = []
        for name in names:
            subscriber.remove(kind, name)
            topic = self.topics[kind][name]
            del topic.subscribers[subscriber.number]
            if not topic.is_needed():
                unneeded.append(topic)
                self.mark_dirty(topic)
                self.reevaluate(topic)
        return unneeded

    # -- requests of clients that wait -----------------------------------------------------------------

    def add_pending(self, pending: PendingSubscription, names: list[bytes]) -> None:
        """It waits from now on, as long as a command may."""
        pending.names = names
        pending.due = self.executor.now + connection_set_of(self.root.nodes()[0]).options.timeout
        self.pending_subscriptions[pending] = True
        pending.subscriber.requests.append(pending)
        pending.subscriber.memory_bytes += pending.memory_bytes

    def end_pending(self, pending: PendingSubscription) -> None:
        """It waits no more."""
        pending.finished = True
        del self.pending_subscriptions[pending]
        subscriber = pending.subscriber
        subscriber.requests.remove(pending)
        subscriber.memory_bytes -= pending.memory_bytes
        for name in pending.names:
            subscriber.awaited[pending.kind].pop(name, None)

    def finish_complete(self, subscriber: Subscriber) -> None:
        """When all is confirmed the client has it, and gets the confirmation before the first message: in its order."""
        while subscriber.requests and not subscriber.requests[0].unconfirmed:
            pending = subscriber.requests[0]
            self.end_pending(pending)
            for topic in pending.topics:
                topic.subscribers[subscriber.number] = subscriber
                subscriber.add(pending.kind, topic.name)
                self.drop_pending(topic)
            pending.topics = []
            pending.on_done(b"")

    def fail_pending(self, pending: PendingSubscription, error: bytes) -> None:
        """The client gets ``error``, and none of the names."""
        self.end_pending(pending)
        self.release_topics(pending)
        pending.on_done(error)
        self.finish_complete(pending.subscriber)

    def release_topics(self, pending: PendingSubscription) -> None:
        """Its topics are no longer needed for its sake."""
        topics = pending.topics
        pending.topics = []
        for topic in topics:
            if pending in topic.unsubscribing:
                topic.unsubscribing.remove(pending)
                continue
            self.drop_pending(topic)
            if pending in topic.subscribing:
                topic.subscribing.remove(pending)
            if not topic.is_needed():
                self.mark_dirty(topic)
                self.reevaluate(topic)

    def drop_pending(self, topic: Topic) -> None:
        """One request less that needs it."""
        topic.pending_count -= 1
        self.update_publish_order(topic)

    def update_publish_order(self, topic: Topic) -> None:
        """Hold messages to it while some request needs it, or while a source is about to deliver it again."""
        if topic.pending_count or (topic.subscribers and self.is_coming(topic)):
            self.publish_order.begin(topic.kind, topic.name)
        else:
            self.publish_order.end(topic.kind, topic.name)

    def on_timeout(self, pending: PendingSubscription) -> None:
        """A client that unsubscribes has done so; one that subscribes gets TIMEOUT, with the node that was silent."""
        unconfirmed = [topic for topic in pending.topics if pending in topic.subscribing]
        silent_sources = [
            source
            for topic in unconfirmed
            for source in self.sources_of(topic.kind, topic.name)
            if not source.is_delivering(topic)
        ]
        if silent_sources:
            silent_sources[0].count_failure(TIMEOUT_CAUSE)
            self.fail_pending(pending, silent_sources[0].timeout_failure().error_reply(False))
            self.flush()
            return
        self.release_topics(pending)
        pending.unconfirmed = 0
        self.finish_complete(pending.subscriber)

    # -- what the sources report -----------------------------------------------------------------------

    def reevaluate(self, topic: Topic) -> None:
        """It may be delivered now, or no longer: whoever waited for that waits no more."""
        if topic.is_needed():
            self.finish_unsubscribing(topic.unsubscribing)
            if topic.subscribing and self.is_delivered(topic):
                subscribing = topic.subscribing
                topic.subscribing = []
                for pending in subscribing:
                    pending.unconfirmed -= 1
                    self.finish_complete(pending.subscriber)
        elif not self.may_deliver(topic):
            self.topics[topic.kind].pop(topic.name, None)
            for source in self.sources_of(topic.kind, topic.name):
                source.drop(topic)
            self.finish_unsubscribing(topic.unsubscribing)
        self.update_publish_order(topic)

    def finish_unsubscribing(self, unsubscribing: list[PendingSubscription]) -> None:
        """Whoever waited for the end of a topic waits for it no more."""
        waiting = list(unsubscribing)
        unsubscribing.clear()
        for pending in waiting:
            pending.unconfirmed -= 1
            if not pending.unconfirmed:
                pending.topics = []
                self.finish_complete(pending.subscriber)

    def on_source_lost(self, topic: Topic, error: bytes) -> None:
        """A source has lost its connection: an error for whoever waits for it, unless another one is made at once.

        Nor is it one if other sources suffice.
        """
        if self.unavailable_error(topic):
            self.fail_waiting(topic, error)
        self.reevaluate(topic)

    def fail_waiting(self, topic: Topic, error: bytes) -> None:
        """Whoever waits for it gets the error; whoever waits for its end waits no longer."""
        for pending in list(topic.subscribing):
            self.fail_pending(pending, error)
        self.finish_unsubscribing(topic.unsubscribing)
        self.update_publish_order(topic)
        self.flush()

    def deliver(self, topic: Topic, raw: bytes) -> None:
        """The same bytes for all subscribers of one protocol."""
        resp2_frame = b""
        for subscriber in topic.subscribers.values():
            if subscriber.proto == 3:
                subscriber.replies.push(raw)
            else:
                if not resp2_frame:
                    resp2_frame = adapt_push(2, raw)
                subscriber.replies.push(resp2_frame)
        self.delivered_count += len(topic.subscribers)

    def log(self, event: LogEvent) -> None:
        self.log_events.append(event)

    def subscribed_count(self, kind: int) -> int:
        """How many names of this kind have a subscriber."""
        return len([topic for topic in self.topics[kind].values() if topic.subscribers])
