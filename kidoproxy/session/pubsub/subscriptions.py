"""The switchboard of a pool: one subscription at the nodes for each name, however many clients have it.

A channel lives where a key of its name would. Patterns, and the channels on which nodes speak of their own
keys, are listened to at every station. A client has a subscription from the moment at which every node
that it needs has confirmed it; if one cannot, it gets that node's error and nothing of what it asked for.
"""

from itertools import islice
from typing import Final, final

from kidoproxy.log_event import LogEvent
from kidoproxy.resp.encode import adapt_push
from kidoproxy.routes.route import Route
from kidoproxy.session.pubsub.source import Source, SourceCallbacks
from kidoproxy.session.pubsub.topics import KINDS, PendingSubscription, Subscriber, Topic, needs_every_source
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.server import server_of

#: What a node has refused is asked for again so often.
RETRY_SECONDS: Final = 1.0


@final
class Subscriptions(SourceCallbacks):
    """See the module. ``log_events`` are for the operator's log, taken by whoever ticks."""

    def __init__(self, executor: Executor, root: Route) -> None:
        self.exchange = executor
        self.root = root
        self.sources = [Source(executor, route, self) for route in root.scan_routes()]
        self.topics: list[dict[bytes, Topic]] = [{} for _ in KINDS]
        self.pending_subscriptions: list[PendingSubscription] = []
        self.log_events: list[LogEvent] = []
        self.delivered_count = 0
        self.last_subscriber_number = 0
        self.retry_at = 0.0

    # -- what clients ask for --------------------------------------------------------------------------

    def subscribe(self, pending: PendingSubscription, names: list[bytes]) -> None:
        """Names that this client does not have yet, each once."""
        self.add_pending(pending)
        for name in names:
            topic = self.get_or_create_topic(pending.kind, name)
            topic.pending_count += 1
            pending.topics.append(topic)
        missing = [topic for topic in pending.topics if not self.is_delivered(topic)]
        for topic in missing:
            error = self.unavailable_error(topic)
            if error:
                self.fail_pending(pending, error)
                return
        for topic in missing:
            pending.unconfirmed += 1
            topic.subscribing.append(pending)
            self.mark_dirty(topic)
        self.flush()
        self.grant_if_complete(pending)

    def unsubscribe(self, pending: PendingSubscription, names: list[bytes]) -> None:
        """Names that this client has; nothing of them reaches it any more."""
        self.add_pending(pending)
        pending.topics = [
            topic
            for topic in self.remove_subscriber(pending.subscriber, pending.kind, names)
            if self.may_deliver(topic)
        ]
        for topic in pending.topics:
            pending.unconfirmed += 1
            topic.unsubscribing.append(pending)
        self.flush()
        if pending.unconfirmed == 0:
            self.finish_pending(pending, b"")

    def unsubscribe_all(self, subscriber: Subscriber) -> None:
        """A client that wants nothing more."""
        for kind in KINDS:
            self.remove_subscriber(subscriber, kind, list(subscriber.names_by_kind[kind]))
        self.flush()

    def unsubscribe_some(self, subscriber: Subscriber, max_names: int) -> bool:
        """The same for so many names at most. Whether there are more."""
        for kind in KINDS:
            names = list(islice(subscriber.names_by_kind[kind], max_names))
            if names:
                self.remove_subscriber(subscriber, kind, names)
                break
        self.flush()
        return subscriber.name_count() > 0

    def new_subscriber_number(self) -> int:
        """A number for a new subscriber."""
        self.last_subscriber_number += 1
        return self.last_subscriber_number

    def cancel(self, pending: PendingSubscription) -> None:
        """Nobody waits for this any more."""
        pending.finished = True
        self.pending_subscriptions.remove(pending)
        self.release_topics(pending)
        self.flush()

    def tick(self, now: float) -> None:
        """Called some twenty times a second."""
        for pending in list(self.pending_subscriptions):
            if now > pending.due and not pending.finished:
                self.on_timeout(pending)
        for source in self.sources:
            source.tick()
        if now >= self.retry_at:
            self.retry_at = now + RETRY_SECONDS
            for source in self.sources:
                source.retry_rejected()

    # -- topics ----------------------------------------------------------------------------------------

    def sources_of(self, kind: int, name: bytes) -> list[Source]:
        """The stations where such a topic lives."""
        if needs_every_source(kind, name):
            return self.sources
        route = self.root.channel_route(name)
        return [source for source in self.sources if source.route is route]

    def get_or_create_topic(self, kind: int, name: bytes) -> Topic:
        """The topic of this name, new if nobody has asked for it before."""
        found = self.topics[kind].get(name)
        if found is None:
            found = Topic(kind, name)
            self.topics[kind][name] = found
            for source in self.sources_of(kind, name):
                source.add(found)
        return found

    def is_delivered(self, topic: Topic) -> bool:
        """Whether every station that it needs hears it. What lives everywhere needs those that are there."""
        everywhere = needs_every_source(topic.kind, topic.name)
        is_delivered = False
        for source in self.sources_of(topic.kind, topic.name):
            if source.is_delivering(topic):
                is_delivered = True
            elif not everywhere or not source.unavailable_error():
                return False
        return is_delivered

    def may_deliver(self, topic: Topic) -> bool:
        """Whether some station hears it, or may be about to."""
        return any(source.may_deliver(topic) for source in self.sources_of(topic.kind, topic.name))

    def unavailable_error(self, topic: Topic) -> bytes:
        """Why it cannot be had now; empty when nothing is in the way.

        A node that is down is in the way of its own channels. Patterns are heard at the others meanwhile: what is
        sent through a node that is down reaches nobody anyway, and it is listened to when it is back.
        """
        first = b""
        for source in self.sources_of(topic.kind, topic.name):
            error = b"" if source.is_delivering(topic) else source.unavailable_error()
            if not error and needs_every_source(topic.kind, topic.name):
                return b""
            first = first or error
        return first

    def mark_dirty(self, topic: Topic) -> None:
        """Its stations may have to tell their nodes; `go_on` does."""
        for source in self.sources_of(topic.kind, topic.name):
            source.mark_dirty(topic)

    def flush(self) -> None:
        """Tell the nodes."""
        for source in self.sources:
            source.flush()

    def remove_subscriber(self, subscriber: Subscriber, kind: int, names: list[bytes]) -> list[Topic]:
        """Take the client off these; the topics that nobody needs any more."""
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

    # -- wishes ----------------------------------------------------------------------------------------

    def add_pending(self, pending: PendingSubscription) -> None:
        """It waits from now on, no longer than a command would."""
        pending.due = self.exchange.now + server_of(self.root.nodes()[0]).options.timeout
        self.pending_subscriptions.append(pending)

    def finish_pending(self, pending: PendingSubscription, error: bytes) -> None:
        """Tell whoever waits."""
        pending.finished = True
        self.pending_subscriptions.remove(pending)
        pending.on_done(error)

    def grant_if_complete(self, pending: PendingSubscription) -> None:
        """When all is confirmed the client has it, and is told so before the first message."""
        if pending.unconfirmed or pending.finished:
            return
        subscriber = pending.subscriber
        for topic in pending.topics:
            topic.pending_count -= 1
            topic.subscribers[subscriber.number] = subscriber
            subscriber.add(pending.kind, topic.name)
        pending.topics = []
        self.finish_pending(pending, b"")

    def fail_pending(self, pending: PendingSubscription, error: bytes) -> None:
        """Nothing of it comes true."""
        self.release_topics(pending)
        self.finish_pending(pending, error)

    def release_topics(self, pending: PendingSubscription) -> None:
        """The topics of a wish are no longer needed for its sake."""
        topics = pending.topics
        pending.topics = []
        for topic in topics:
            if pending in topic.unsubscribing:
                topic.unsubscribing.remove(pending)
                continue
            topic.pending_count -= 1
            if pending in topic.subscribing:
                topic.subscribing.remove(pending)
            if not topic.is_needed():
                self.mark_dirty(topic)
                self.reevaluate(topic)

    def on_timeout(self, pending: PendingSubscription) -> None:
        """A client that leaves has left; one that comes gets TIMEOUT, and whose fault it is."""
        unconfirmed = [topic for topic in pending.topics if pending in topic.subscribing]
        silent_sources = [
            source
            for topic in unconfirmed
            for source in self.sources_of(topic.kind, topic.name)
            if not source.is_delivering(topic)
        ]
        if silent_sources:
            self.fail_pending(pending, silent_sources[0].timeout_failure().error_reply(False))
            self.flush()
            return
        self.release_topics(pending)
        self.finish_pending(pending, b"")

    # -- what the stations say -------------------------------------------------------------------------

    def reevaluate(self, topic: Topic) -> None:
        """It is heard now, or no longer: who waits for that goes on."""
        if topic.is_needed():
            self.finish_unsubscribing(topic.unsubscribing)
            if topic.subscribing and self.is_delivered(topic):
                subscribing = topic.subscribing
                topic.subscribing = []
                for pending in subscribing:
                    pending.unconfirmed -= 1
                    self.grant_if_complete(pending)
        elif not self.may_deliver(topic):
            self.topics[topic.kind].pop(topic.name, None)
            for source in self.sources_of(topic.kind, topic.name):
                source.drop(topic)
            self.finish_unsubscribing(topic.unsubscribing)

    def finish_unsubscribing(self, unsubscribing: list[PendingSubscription]) -> None:
        """Whoever waited for the end of a topic need not wait for it any more."""
        for pending in unsubscribing:
            pending.unconfirmed -= 1
            if pending.unconfirmed == 0:
                pending.topics = []
                self.finish_pending(pending, b"")
        unsubscribing.clear()

    def on_source_lost(self, topic: Topic, error: bytes) -> None:
        """A station has gone: that is an error for who waits for it, unless the others will do."""
        if self.unavailable_error(topic) or not needs_every_source(topic.kind, topic.name):
            self.reject(topic, error)
        self.reevaluate(topic)

    def reject(self, topic: Topic, error: bytes) -> None:
        """Whoever waits for it gets the error; who waits for its end waits no longer."""
        for pending in list(topic.subscribing):
            self.fail_pending(pending, error)
        self.finish_unsubscribing(topic.unsubscribing)
        self.flush()

    def deliver(self, topic: Topic, raw: bytes) -> None:
        """The same bytes for everybody who speaks the same protocol."""
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
        """How many names of this kind some client has."""
        return len([topic for topic in self.topics[kind].values() if topic.subscribers])
