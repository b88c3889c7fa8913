"""A story with listeners: the connection on which node ``a`` sends messages is called ``a+``.

    pubsub(ring("a", "b")) >> client("SUBSCRIBE {a}x") << sent("a", "SUBSCRIBE {a}x")
                           >> confirms("a", "subscribe {a}x") << to_client(became("subscribe", "{a}x", 1))

Words of requests and pushes are written as in `tests.story`; ``_`` as a name is a null.
"""

from kidoproxy.resp.decode import items
from kidoproxy.resp.decode import string_value as bulk_of
from kidoproxy.resp.encode import bulk, encode_request, integer, null, push
from kidoproxy.session.pubsub.subscriptions import Subscriptions
from kidoproxy.session.pubsub.upstream_subscriber import UpstreamSubscriber
from kidoproxy.upstream.connection import NodeConnection
from tests.story import PLAIN, ConnectionKey, Event, Pool, SentRequest, Story, client, node, requests, to, unheard


class PubSubStory(Story):
    """A story whose subscriptions tick, and whose listening connections have names of their own."""

    def __init__(self, pool: Pool, shy: bool = False) -> None:
        super().__init__(pool, shy)
        for one in pool.nodes:
            self.sent[one.name + "+"] = []
        self.log_lines: list[str] = []
        #: Every connection that was ever listened on; one that is given up looks like a dedicated one.
        self.listening: list[NodeConnection] = []
        #: Nodes whose listening sockets have been closed, in order.
        self.hung_up: list[str] = []
        self.pings: dict[str, list[bytes]] = {}
        self.ticking.append(self.tick_subscriptions)
        # Most stories end with the connection that nobody needs any more.
        for source in self.subscriptions.sources:
            source.keepalive_seconds = -1.0

    @property
    def subscriptions(self) -> Subscriptions:
        """The pool's subscriptions."""
        return self.proxy.subscriptions_of(self.context)

    def tick_subscriptions(self, now: float) -> None:
        """As the daemon does it."""
        self.subscriptions.tick(now)
        self.log_lines += map(str, self.subscriptions.log_events)
        self.subscriptions.log_events.clear()

    def look_after(self, conn: NodeConnection) -> None:
        """What is written to a listening connection is kept under its own name, until its socket is closed."""
        if not conn.shared and not conn.dedicated and conn not in self.listening:
            self.listening.append(conn)
        if conn.must_close and conn in self.listening:
            self.sent[conn.node.name + "+"].clear()
            self.pings.pop(conn.node.name, None)
            self.hung_up.append(conn.node.name)
        if (
            conn.dedicated
            or conn not in self.executor.unshared_connections
            or conn.must_close
            or conn.transport is None
        ):
            super().look_after(conn)
            return
        conn.flush_scheduled = False
        for raw in requests(b"".join(conn.take_output())):
            words = [bulk_of(word) for word in items(raw)]
            if words == [b"PING"]:
                # As on any idle connection.
                conn.feed(b"+PONG\r\n", self.executor.now)
                continue
            if words[0] == b"PING":
                self.pings.setdefault(conn.node.name, []).append(words.pop())
            self.sent[conn.node.name + "+"].append(SentRequest(PLAIN, encode_request(words)))

    def echo(self, name: str) -> bytes:
        """The answer to the first PING of a batch that has none yet."""
        return bulk(self.pings[name].pop(0))

    def connection(self, name: str, on: ConnectionKey = PLAIN) -> NodeConnection:
        """A shared connection, or the one that listens."""
        if not name.endswith("+"):
            return super().connection(name, on)
        found = [
            conn for conn in self.executor.unshared_connections if conn.node.name + "+" == name and not conn.dedicated
        ]
        assert len(found) == 1, f"{len(found)} connections listen to {name}"
        return found[0]


pubsub = PubSubStory


def subscriptions_of(play: Story) -> Subscriptions:
    """The story's subscriptions."""
    assert isinstance(play, PubSubStory)
    return play.subscriptions


def listener(play: Story) -> UpstreamSubscriber:
    """The one that listens to node ``a``."""
    subject = play.connection("a+").push_handler
    assert isinstance(subject, UpstreamSubscriber)
    return subject


def asks(*names: str) -> Event:
    """Clients subscribe to these, each to one."""

    def event(play: Story) -> None:
        for name in names:
            client(f"SUBSCRIBE {{a}}{name}", name=name)(play)

    return event


def listening_nodes(play: Story) -> list[str]:
    """The nodes that are listened to."""
    return sorted(conn.node.name for conn in play.executor.unshared_connections)


def sent(name: str, *texts: str) -> Event:
    """These were sent to the node on its listening connection, each with a PING behind it."""
    commands = [text.partition(" ") for text in texts]
    return to(name + "+", *[one for word, _, names in commands for one in (f"{word.lower()} {names}", "PING")])


def pushed(text: str, proto: int = 3) -> bytes:
    """A push: words, whose last is a number in confirmations; ``_`` is a null."""
    words = text.split(" ")
    counted = words[0].endswith("subscribe")
    frames = [null(proto) if word == "_" else bulk(word.encode()) for word in words[: -1 if counted else None]]
    if counted:
        frames.append(integer(int(words[-1])))
    return push(proto, frames)


def pushes(name: str, *texts: str) -> Event:
    """The node pushes these."""
    return node(name + "+", *[pushed(text) for text in texts])


def confirms(name: str, *texts: str) -> Event:
    """The node confirms a batch: a push for each name, and the answer to the PING."""
    return answers(name, *[pushed(text + " 1") for text in texts])


def confirm_all(play: Story) -> None:
    """The nodes confirm all that they were sent on their listening connections, until nothing is left."""
    play.settle()
    while any(asked for name, asked in play.sent.items() if name.endswith("+")):
        for name, asked in play.sent.items():
            for one in asked if name.endswith("+") else []:
                word, *names = [bulk_of(item) for item in items(one.raw)]
                assert isinstance(play, PubSubStory)
                raw = play.echo(name[:-1]) if word == b"PING" else confirmation(word, names)
                play.connection(name).feed(raw, play.executor.now)
            asked.clear()
        play.settle()


def confirmation(word: bytes, names: list[bytes]) -> bytes:
    """How a node confirms a batch."""
    return b"".join([push(3, [bulk(word), bulk(name), integer(1)]) for name in names])


def granted(*texts: str, name: str = "me", proto: int = 2) -> Event:
    """The client has asked for these and has got them; the replies are taken."""

    def event(play: Story) -> None:
        with_protocol(proto, name)(play)
        client(*texts, name=name)(play)
        confirm_all(play)
        unheard(play)

    return event


def refuses(name: str, error: str) -> Event:
    """The node refuses a batch."""
    return answers(name, error)


def answers(name: str, *texts: str | bytes) -> Event:
    """The node answers a batch with this, and echoes its PING."""

    def event(play: Story) -> None:
        assert isinstance(play, PubSubStory)
        node(name + "+", *texts, play.echo(name))(play)

    return event


def became(word: str, name: str, count: int, proto: int = 2) -> bytes:
    """A confirmation as the client gets it."""
    return pushed(f"{word} {name} {count}", proto)


def message(text: str, proto: int = 2) -> bytes:
    """A message as the client gets it."""
    return pushed(text, proto)


def with_protocol(proto: int, name: str = "me") -> Event:
    """The client has said HELLO."""

    def event(play: Story) -> None:
        session = play.client(name).session
        session.proto = proto
        session.update_flags()

    return event


def request(*words: str) -> bytes:
    """A frame, for names with spaces in them."""
    return encode_request([word.encode() for word in words])
