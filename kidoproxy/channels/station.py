"""A station is the place where topics live: a node, or a copy pool, of which one copy is listened to.

When that copy should be another one (it is down, or not in sync) the new one is told everything first.
As soon as it has confirmed that, or the old one is gone, messages are taken from the new one alone, and
clients' messages go there.

Both copies speak of the same write. What the new one says of its keys does not count until it has done, and
spoken of, every write that was sent before: the old one may have spoken of those already.
"""

from typing import Final, final

from kidoproxy import errors
from kidoproxy.channels.listener import Audience, Listener
from kidoproxy.channels.topics import KEYSPACE, KINDS, MARK, PATTERN, Topic, is_everywhere
from kidoproxy.errors import NODEDOWN, NodeFailure
from kidoproxy.exchange import Exchange
from kidoproxy.ledger import Leg
from kidoproxy.resp.build import command
from kidoproxy.resp.open import bulk, items
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node

PING: Final = command([b"PING", b"hush"])

#: A link on which nothing is listened to any more is kept so long. Many clients go on as soon as they have sent
#: SUBSCRIBE, and may be answered on a channel before they have read the confirmation: a link that has to be opened
#: first would be too late for that.
LINGER_SECONDS: Final = 600.0


class Board:
    """The switchboard, as its stations see it."""

    def review(self, topic: Topic) -> None:
        """Some station hears it now, or no longer."""
        raise NotImplementedError

    def refuse(self, topic: Topic, error: bytes) -> None:
        """A station cannot have it."""
        raise NotImplementedError

    def lost(self, topic: Topic, error: bytes) -> None:
        """A station where it lives has gone."""
        raise NotImplementedError

    def deliver(self, topic: Topic, raw: bytes) -> None:
        """A message."""
        raise NotImplementedError

    def tell(self, line: str) -> None:
        """A line for the operator's log."""
        raise NotImplementedError


@final
class Station(Audience):
    """See the module. ``topics`` are those that live here, by kind and name."""

    def __init__(self, exchange: Exchange, leaf: Route, board: Board) -> None:
        self.exchange = exchange
        self.leaf = leaf
        self.board = board
        self.topics: list[dict[bytes, Topic]] = [{} for _ in KINDS]
        self.ear: Listener | None = None
        #: Will take the place of ``ear``.
        self.heir: Listener | None = None
        #: What the node says of its keys is not passed on before this has come to its end.
        self.hush: Hush | None = None
        self.quiet = False
        #: When something was listened to last, and how long the link is kept from then on.
        self.needed_at = 0.0
        self.linger = LINGER_SECONDS

    # -- for the switchboard ---------------------------------------------------------------------------

    def named(self, kind: int, name: bytes) -> list[Topic]:
        """The topic of this name, if it lives here."""
        topic = self.topics[kind].get(name)
        return [topic] if topic is not None else []

    def add(self, topic: Topic) -> None:
        """This topic lives here, among other places."""
        self.topics[topic.kind][topic.name] = topic

    def drop(self, topic: Topic) -> None:
        """Nobody needs it."""
        self.topics[topic.kind].pop(topic.name, None)

    def obstacle(self) -> bytes:
        """Why nobody can subscribe here now, as a reply; empty when nothing is in the way."""
        node = self.leaf.voice()
        if node is None:
            return errors.STARTING
        if not node.live:
            return NodeFailure(NODEDOWN, node.name, node.address, node.cause, False).line(False)
        ear = self.ear
        failure = ear.down() if ear is not None and ear.node is node else None
        return failure.line(False) if failure is not None else b""

    def look(self, topic: Topic) -> None:
        """The node may have to be told about this topic; `go_on` does."""
        ear = self.ear
        if ear is None:
            node = self.leaf.voice()
            if node is None or not topic.needed():
                return
            ear = self.listen(node)
            if node.group is not None:
                node.group.voice = node
            self.ear = ear
            self.needed_at = self.exchange.now
        ear.look(topic.kind, topic.name)
        if self.heir is not None:
            self.heir.look(topic.kind, topic.name)

    def go_on(self) -> None:
        """Tell the node."""
        if self.ear is not None:
            self.ear.go_on()
        if self.heir is not None:
            self.heir.go_on()

    def hears(self, topic: Topic) -> bool:
        """Whether messages of this topic come in, and go on coming."""
        return self.ear is not None and self.ear.hears(topic.kind, topic.name)

    def is_counted(self, topic: Topic) -> bool:
        """Whether the node counts us among its subscribers, as far as we know."""
        return self.ear is not None and topic.name in self.ear.have[topic.kind]

    def lingers(self, topic: Topic) -> bool:
        """Whether messages of this topic come in, or may be about to."""
        return self.ear is not None and self.ear.lingers(topic.kind, topic.name)

    def culprit(self) -> NodeFailure:
        """Whoever waits for this station has waited too long."""
        node = self.ear.node if self.ear is not None else self.leaf.nodes()[0]
        patience = round(self.exchange.logins[node.index].timeout * 1000)
        return NodeFailure(errors.TIMEOUT, node.name, node.address, f"no reply in {patience} ms", False)

    # -- as time goes by -------------------------------------------------------------------------------

    def tick(self) -> None:
        """Close what nobody needs; move to another copy if that is due."""
        ear = self.ear
        if ear is None:
            return
        if any(self.topics):
            self.needed_at = self.exchange.now
        elif self.exchange.now - self.needed_at > self.linger:
            self.hang_up(ear)
            return
        group = ear.node.group
        target = group.successor() if group is not None else None
        if group is None or target is None or target is ear.node:
            self.disinherit()
            return
        heir = self.heir
        if heir is None or heir.node is not target:
            self.disinherit()
            heir = self.listen(target)
            self.heir = heir
        if heir.settled() or not ear.link.ready():
            group.voice = target
            self.hand_over(ear, heir)

    def listen(self, node: Node) -> Listener:
        """Open a link."""
        if node.group is not None:
            node.group.ears += 1
        return Listener(self.exchange, node, self)

    def unlisten(self, listener: Listener) -> None:
        """Close it."""
        if listener.node.group is not None:
            listener.node.group.ears -= 1
        listener.close()

    def hang_up(self, ear: Listener) -> None:
        """Nothing is wanted of this place."""
        self.disinherit()
        self.unlisten(ear)
        self.ear = None
        self.quiet = False

    def disinherit(self) -> None:
        """The old one stays, or another one will come."""
        if self.heir is not None:
            self.unlisten(self.heir)
        self.heir = None

    def hand_over(self, old: Listener, new: Listener) -> None:
        """From now on the new copy is listened to."""
        self.ear = new
        self.heir = None
        self.hush = None
        if any(is_everywhere(kind, name) for kind in KINDS for name in self.topics[kind]):
            self.hush = Hush(self, new)
            self.exchange.send(new.node, self.hush, PING, 2, 0)
        self.unlisten(old)
        self.board.tell(f"listening elsewhere: pool={self.leaf.name} from={old.node.name} node={new.node.name}")
        for kind in KINDS:
            for topic in list(self.topics[kind].values()):
                self.board.review(topic)

    def retry(self) -> None:
        """Ask again for what was refused."""
        if self.ear is not None:
            self.ear.retry()

    # -- what the listeners say ------------------------------------------------------------------------

    def wants(self, kind: int, name: bytes) -> bool:
        """Whether somebody needs it."""
        topic = self.topics[kind].get(name)
        return topic is not None and topic.needed()

    def everything(self, kind: int) -> list[bytes]:
        """All that live here."""
        return list(self.topics[kind])

    def changed(self, listener: Listener, kind: int, name: bytes) -> None:
        """What an heir hears does not count yet."""
        topic = self.topics[kind].get(name)
        if topic is not None and listener is self.ear:
            self.board.review(topic)

    def refused(self, listener: Listener, kind: int, name: bytes, error: bytes) -> None:
        """Whoever waits for it is told so."""
        topic = self.topics[kind].get(name)
        if topic is not None and listener is self.ear:
            self.board.refuse(topic, error)

    def message(self, listener: Listener, kind: int, name: bytes, raw: bytes) -> None:
        """One copy alone is listened to, so that nobody hears anything twice."""
        topic = self.topics[kind].get(name)
        if topic is None or listener is not self.ear:
            return
        if self.hush is not None and bulk(items(raw)[2 if kind == PATTERN else 1]).startswith(KEYSPACE):
            return
        if kind == PATTERN and MARK in raw and bulk(items(raw)[2]) == MARK:
            return
        self.board.deliver(topic, raw)

    def greeted(self, listener: Listener) -> None:
        """One line, if the one before said that it was gone."""
        if self.quiet and listener is self.ear:
            self.quiet = False
            self.board.tell(f"listening again: node={listener.node.name} address={listener.node.address}")

    def deafened(self, listener: Listener, failure: NodeFailure) -> None:
        """Whoever waits is told so; what clients have stays theirs, and comes back by itself."""
        if listener is not self.ear:
            return
        if not self.quiet:
            self.quiet = True
            self.board.tell(f"not listening: node={failure.node} address={failure.address} cause={failure.cause}")
        for kind in KINDS:
            for topic in list(self.topics[kind].values()):
                self.board.lost(topic, failure.line(False))


@final
class Hush(Leg):
    """Waits behind all writes that were sent, on their link, and then behind their events, on the listening link."""

    def __init__(self, station: Station, listener: Listener) -> None:
        super().__init__()
        self.station = station
        self.listener = listener
        self.last = False

    def take(self, raw: bytes) -> None:
        """The next step, or the end; if another copy has taken over meanwhile that one has a hush of its own."""
        station = self.station
        if station.hush is not self or station.ear is not self.listener:
            return
        station.hush = None
        if not self.last:
            hush = Hush(station, self.listener)
            hush.last = True
            station.hush = hush
            self.listener.link.place(hush, PING, 3, 0, station.exchange.now)

    def fail(self, failure: NodeFailure) -> None:
        """A node that gives no answer does not speak either; there is nothing to wait for."""
        self.take(b"")
