"""The switchboard of a pool: one subscription at the nodes for each name, however many clients have it.

A channel lives where a key of its name would. Patterns, and the channels on which nodes speak of their own
keys, are listened to at every station. A client has a subscription from the moment at which every node
that it needs has confirmed it; if one cannot, it gets that node's error and nothing of what it asked for.
"""

from itertools import islice
from typing import Final, final

from kidoproxy.channels.station import Board, Station
from kidoproxy.channels.topics import KINDS, Subscriber, Topic, Wish, is_everywhere
from kidoproxy.exchange import Exchange
from kidoproxy.resp.build import pushed
from kidoproxy.routes.route import Route

#: What a node has refused is asked for again so often.
RETRY_SECONDS: Final = 1.0


@final
class Switchboard(Board):
    """See the module. ``news`` are lines for the operator's log, taken by whoever ticks."""

    def __init__(self, exchange: Exchange, root: Route) -> None:
        self.exchange = exchange
        self.root = root
        self.stations = [Station(exchange, leaf, self) for leaf in root.scanned()]
        self.topics: list[dict[bytes, Topic]] = [{} for _ in KINDS]
        self.wishes: list[Wish] = []
        self.news: list[str] = []
        self.delivered = 0
        self.enlisted = 0
        self.retry_at = 0.0

    # -- what clients ask for --------------------------------------------------------------------------

    def subscribe(self, wish: Wish, names: list[bytes]) -> None:
        """Names that this client does not have yet, each once."""
        self.begin(wish)
        for name in names:
            topic = self.topic(wish.kind, name)
            topic.claims += 1
            wish.topics.append(topic)
        missing = [topic for topic in wish.topics if not self.heard(topic)]
        for topic in missing:
            obstacle = self.obstacle(topic)
            if obstacle:
                self.fail(wish, obstacle)
                return
        for topic in missing:
            wish.missing += 1
            topic.coming.append(wish)
            self.look(topic)
        self.go_on()
        self.grant_if_complete(wish)

    def unsubscribe(self, wish: Wish, names: list[bytes]) -> None:
        """Names that this client has; nothing of them reaches it any more."""
        self.begin(wish)
        wish.topics = [topic for topic in self.leave(wish.subscriber, wish.kind, names) if self.lingers(topic)]
        for topic in wish.topics:
            wish.missing += 1
            topic.leaving.append(wish)
        self.go_on()
        if wish.missing == 0:
            self.end(wish, b"")

    def depart(self, subscriber: Subscriber) -> None:
        """A client that wants nothing more."""
        for kind in KINDS:
            self.leave(subscriber, kind, list(subscriber.names[kind]))
        self.go_on()

    def leave_some(self, subscriber: Subscriber, most: int) -> bool:
        """The same for so many names at most. Whether there are more."""
        for kind in KINDS:
            names = list(islice(subscriber.names[kind], most))
            if names:
                self.leave(subscriber, kind, names)
                break
        self.go_on()
        return subscriber.total() > 0

    def enlist(self) -> int:
        """A number for a new subscriber."""
        self.enlisted += 1
        return self.enlisted

    def cancel(self, wish: Wish) -> None:
        """Nobody waits for this any more."""
        wish.over = True
        self.wishes.remove(wish)
        self.let_go(wish)
        self.go_on()

    def tick(self, now: float) -> None:
        """Called some twenty times a second."""
        for wish in list(self.wishes):
            if now > wish.due and not wish.over:
                self.late(wish)
        for station in self.stations:
            station.tick()
        if now >= self.retry_at:
            self.retry_at = now + RETRY_SECONDS
            for station in self.stations:
                station.retry()

    # -- topics ----------------------------------------------------------------------------------------

    def homes(self, kind: int, name: bytes) -> list[Station]:
        """The stations where such a topic lives."""
        if is_everywhere(kind, name):
            return self.stations
        leaf = self.root.home(name)
        return [station for station in self.stations if station.leaf is leaf]

    def topic(self, kind: int, name: bytes) -> Topic:
        """The topic of this name, new if nobody has asked for it before."""
        found = self.topics[kind].get(name)
        if found is None:
            found = Topic(kind, name)
            self.topics[kind][name] = found
            for station in self.homes(kind, name):
                station.add(found)
        return found

    def heard(self, topic: Topic) -> bool:
        """Whether every station that it needs hears it. What lives everywhere needs those that are there."""
        everywhere = is_everywhere(topic.kind, topic.name)
        heard = False
        for station in self.homes(topic.kind, topic.name):
            if station.hears(topic):
                heard = True
            elif not everywhere or not station.obstacle():
                return False
        return heard

    def lingers(self, topic: Topic) -> bool:
        """Whether some station hears it, or may be about to."""
        return any(station.lingers(topic) for station in self.homes(topic.kind, topic.name))

    def obstacle(self, topic: Topic) -> bytes:
        """Why it cannot be had now; empty when nothing is in the way.

        A node that is down is in the way of its own channels. Patterns are heard at the others meanwhile: what is
        sent through a node that is down reaches nobody anyway, and it is listened to when it is back.
        """
        first = b""
        for station in self.homes(topic.kind, topic.name):
            obstacle = b"" if station.hears(topic) else station.obstacle()
            if not obstacle and is_everywhere(topic.kind, topic.name):
                return b""
            first = first or obstacle
        return first

    def look(self, topic: Topic) -> None:
        """Its stations may have to tell their nodes; `go_on` does."""
        for station in self.homes(topic.kind, topic.name):
            station.look(topic)

    def go_on(self) -> None:
        """Tell the nodes."""
        for station in self.stations:
            station.go_on()

    def leave(self, subscriber: Subscriber, kind: int, names: list[bytes]) -> list[Topic]:
        """Take the client off these; the topics that nobody needs any more."""
        unneeded: list[Topic] = []
        for name in names:
            subscriber.remove(kind, name)
            topic = self.topics[kind][name]
            del topic.subscribers[subscriber.number]
            if not topic.needed():
                unneeded.append(topic)
                self.look(topic)
                self.review(topic)
        return unneeded

    # -- wishes ----------------------------------------------------------------------------------------

    def begin(self, wish: Wish) -> None:
        """It waits from now on, no longer than a command would."""
        wish.due = self.exchange.now + self.exchange.logins[self.root.nodes()[0].index].timeout
        self.wishes.append(wish)

    def end(self, wish: Wish, error: bytes) -> None:
        """Tell whoever waits."""
        wish.over = True
        self.wishes.remove(wish)
        wish.done(error)

    def grant_if_complete(self, wish: Wish) -> None:
        """When all is confirmed the client has it, and is told so before the first message."""
        if wish.missing or wish.over:
            return
        subscriber = wish.subscriber
        for topic in wish.topics:
            topic.claims -= 1
            topic.subscribers[subscriber.number] = subscriber
            subscriber.add(wish.kind, topic.name)
        wish.topics = []
        self.end(wish, b"")

    def fail(self, wish: Wish, error: bytes) -> None:
        """Nothing of it comes true."""
        self.let_go(wish)
        self.end(wish, error)

    def let_go(self, wish: Wish) -> None:
        """The topics of a wish are no longer needed for its sake."""
        topics = wish.topics
        wish.topics = []
        for topic in topics:
            if wish in topic.leaving:
                topic.leaving.remove(wish)
                continue
            topic.claims -= 1
            if wish in topic.coming:
                topic.coming.remove(wish)
            if not topic.needed():
                self.look(topic)
                self.review(topic)

    def late(self, wish: Wish) -> None:
        """A client that leaves has left; one that comes gets TIMEOUT, and whose fault it is."""
        waits_for = [topic for topic in wish.topics if wish in topic.coming]
        silent = [
            station for topic in waits_for for station in self.homes(topic.kind, topic.name) if not station.hears(topic)
        ]
        if silent:
            self.fail(wish, silent[0].culprit().line(False))
            self.go_on()
            return
        self.let_go(wish)
        self.end(wish, b"")

    # -- what the stations say -------------------------------------------------------------------------

    def review(self, topic: Topic) -> None:
        """It is heard now, or no longer: who waits for that goes on."""
        if topic.needed():
            self.finish(topic.leaving)
            if topic.coming and self.heard(topic):
                coming = topic.coming
                topic.coming = []
                for wish in coming:
                    wish.missing -= 1
                    self.grant_if_complete(wish)
        elif not self.lingers(topic):
            self.topics[topic.kind].pop(topic.name, None)
            for station in self.homes(topic.kind, topic.name):
                station.drop(topic)
            self.finish(topic.leaving)

    def finish(self, leaving: list[Wish]) -> None:
        """Whoever waited for the end of a topic need not wait for it any more."""
        for wish in leaving:
            wish.missing -= 1
            if wish.missing == 0:
                wish.topics = []
                self.end(wish, b"")
        leaving.clear()

    def lost(self, topic: Topic, error: bytes) -> None:
        """A station has gone: that is an error for who waits for it, unless the others will do."""
        if self.obstacle(topic) or not is_everywhere(topic.kind, topic.name):
            self.refuse(topic, error)
        self.review(topic)

    def refuse(self, topic: Topic, error: bytes) -> None:
        """Whoever waits for it gets the error; who waits for its end waits no longer."""
        for wish in list(topic.coming):
            self.fail(wish, error)
        self.finish(topic.leaving)
        self.go_on()

    def deliver(self, topic: Topic, raw: bytes) -> None:
        """The same bytes for everybody who speaks the same protocol."""
        old = b""
        for subscriber in topic.subscribers.values():
            if subscriber.proto == 3:
                subscriber.ledger.push(raw)
            else:
                if not old:
                    old = pushed(2, raw)
                subscriber.ledger.push(old)
        self.delivered += len(topic.subscribers)

    def tell(self, line: str) -> None:
        """For the log."""
        self.news.append(line)

    def subscribed(self, kind: int) -> int:
        """How many names of this kind some client has."""
        return len([topic for topic in self.topics[kind].values() if topic.subscribers])
