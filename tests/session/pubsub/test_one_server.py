"""As on one server: whatever several clients send, and whenever the nodes answer, tried by Hypothesis.

A server runs requests as they come, so a message reaches exactly those who have subscribed before. Here it must reach
all whose SUBSCRIBE was read before its PUBLISH, confirmed or not; it may reach those who subscribe, or miss those who
leave, while its PUBLISH is not answered, as either order is one that a server could have chosen. When a connection to a
node is lost only what is under way may be: who has subscribed gets what is published from then on.
"""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.resp.decode import integer_value as integer_of
from kidoproxy.resp.decode import items
from kidoproxy.resp.decode import string_value as bulk_of
from kidoproxy.resp.encode import array, encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.session.pubsub.topics import SUBSCRIBE_COMMANDS, UNSUBSCRIBE_COMMANDS
from kidoproxy.upstream.states import CONNECTING
from tests.session.pubsub.pubsub_story import PubSubStory, with_protocol
from tests.session.pubsub.test_properties import CLIENTS, NAMES, WORDS, Name, Toys, Transcript, fits, pool_of
from tests.story import Pool, client, ring
from tests.strategies import examples

PUBLISHERS: Final = ("first", "second")
TARGETS: Final = ((False, b"{a}x"), (False, b"{b}y"), (False, b"{a}other"), (True, b"{a}x"), (True, b"{b}s"))

Target = tuple[bool, bytes]


class Message:
    """One PUBLISH: who must get it, and who may."""

    def __init__(self, number: int, publisher: str, target: Target, due: set[tuple[str, Name]]) -> None:
        self.number = number
        self.publisher = publisher
        self.target = target
        self.must = set(due)
        self.may = set(due)
        self.answered = False

    def concerns(self, name: Name) -> bool:
        """Whether it is for this name."""
        return fits(name, self.target[1], self.target[0])


class Heard(Transcript):
    """What one client was sent, with the number of each message."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[tuple[Name, int]] = []

    def frame(self, parts: list[bytes]) -> None:
        """A message must be for a name that was confirmed."""
        super().frame(parts)
        word = bulk_of(parts[0])
        if word in WORDS:
            self.numbers.append(((WORDS[word], bulk_of(parts[1])), int(bulk_of(parts[-1]))))


class TransactionToys(Toys):
    """Nodes that know MULTI, too."""

    def __init__(self, play: PubSubStory) -> None:
        super().__init__(play)
        self.queued: dict[str, list[list[bytes]]] = {}

    def answer(self, name: str, words: list[bytes]) -> bytes:
        """EXEC runs what was queued."""
        if words[0] == b"MULTI":
            self.queued[name] = []
            return b"+OK\r\n"
        if words[0] == b"EXEC":
            return array([super(TransactionToys, self).answer(name, queued) for queued in self.queued.pop(name)])
        if name in self.queued:
            self.queued[name].append(words)
            return b"+QUEUED\r\n"
        return super().answer(name, words)


class OneServer:
    """The model, and the proxy that is compared with it."""

    def __init__(self, pool: Pool) -> None:
        self.play = PubSubStory(pool, shy=True)
        self.toys = TransactionToys(self.play)
        self.names: dict[str, set[Name]] = {name: set() for name in CLIENTS}
        self.heard = {name: Heard() for name in CLIENTS}
        self.replies = {name: ReplyReader() for name in PUBLISHERS}
        self.messages: list[Message] = []
        #: Nodes whose connection was lost.
        self.lost: set[str] = set()
        for at, name in enumerate(CLIENTS):
            with_protocol(2 + at % 2, name)(self.play)

    def subscribe(self, who: str, name: Name) -> None:
        """A message that is under way may reach it."""
        self.say(who, SUBSCRIBE_COMMANDS[name[0]], name)
        self.names[who].add(name)
        for message in self.messages:
            if not message.answered and message.concerns(name):
                message.may.add((who, name))

    def unsubscribe(self, who: str, name: Name) -> None:
        """A message that is under way may miss it."""
        self.say(who, UNSUBSCRIBE_COMMANDS[name[0]], name)
        self.names[who].discard(name)
        for message in self.messages:
            if not message.answered:
                message.must.discard((who, name))

    def say(self, who: str, word: bytes, name: Name) -> None:
        """A name for which its own answer is awaited is not said again before that."""
        subscriber = self.play.client(who).session.subscriber
        if subscriber is not None and name[1] in subscriber.awaited[name[0]]:
            self.serve()
        client(encode_request([word, name[1]]), name=who)(self.play)

    def publish(self, who: str, target: Target, in_transaction: bool) -> None:
        """It is for all who have subscribed by now."""
        message = Message(len(self.messages), who, target, set())
        for listener, names in self.names.items():
            message.must |= {(listener, name) for name in names if message.concerns(name)}
        message.may = set(message.must)
        self.messages.append(message)
        word = b"SPUBLISH" if target[0] else b"PUBLISH"
        raw = encode_request([word, target[1], b"%d" % message.number])
        client(b"MULTI\r\n" + raw + b"EXEC\r\n" if in_transaction else raw, name=who)(self.play)

    def serve(self) -> None:
        """All nodes answer until nothing is left."""
        self.settle()
        while self.greet() or any(self.play.sent.values()):
            self.toys.serve()
            self.settle()

    def greet(self) -> bool:
        """Nodes accept the connections that wait; whether there were any."""
        waiting = [conn for conn in self.play.executor.all_connections() if conn.state == CONNECTING]
        for conn in waiting:
            self.play.connect(conn)
            self.play.greet(conn)
        self.settle()
        return bool(waiting)

    def lose(self, name: str) -> None:
        """The connection on which a node sends messages is lost, and what is under way with it; only once.

        A second one that is lost at once is a node in trouble: nobody waits for it.
        """
        self.settle()
        if name not in self.lost and (self.play.sent[name + "+"] or self.toys.subscribed[name]):
            self.lost.add(name)
            self.toys.lose(name, False)
            self.toys.subscribed[name].clear()
            self.play.sent[name + "+"].clear()
            self.play.pings.pop(name, None)
            for message in self.messages:
                if not message.answered:
                    message.must.clear()

    def settle(self) -> None:
        """The turn ends, and everybody reads what has come."""
        self.play.settle()
        for name, heard in self.heard.items():
            heard.read(self.take(name))
        for name, reader in self.replies.items():
            reader.feed(self.take(name))
            while (frame := reader.next()) is not None:
                if frame[:1] in b":*":
                    self.answered(name, integer_of(items(frame)[0] if frame[:1] == b"*" else frame))

    def take(self, name: str) -> bytes:
        """What a client was sent."""
        one = self.play.client(name)
        raw, one.received = one.received, b""
        return raw

    def answered(self, publisher: str, count: int) -> None:
        """The first of its messages that was not; at least those are counted who must get it."""
        message = next(one for one in self.messages if one.publisher == publisher and not one.answered)
        message.answered = True
        assert count >= len(message.must)

    def check(self) -> None:
        """Who must have got a message has, once; nobody else; and those of one publisher to one channel in order."""
        got: dict[int, list[tuple[str, Name]]] = {message.number: [] for message in self.messages}
        for who, heard in self.heard.items():
            last: dict[tuple[Name, str, Target], int] = {}
            for name, number in heard.numbers:
                got[number].append((who, name))
                stream = (name, self.messages[number].publisher, self.messages[number].target)
                assert number > last.get(stream, -1)
                last[stream] = number
        for message in self.messages:
            receivers = got[message.number]
            assert message.answered
            assert len(set(receivers)) == len(receivers)
            assert message.must <= set(receivers) <= message.may


ONE = st.integers(0, 2).flatmap(lambda kind: st.sampled_from(NAMES[kind]).map(lambda name: (kind, name)))
SUBSCRIBES = st.tuples(st.just("subscribe"), st.sampled_from(CLIENTS), ONE)
UNSUBSCRIBES = st.tuples(st.just("unsubscribe"), st.sampled_from(CLIENTS), ONE)
PUBLISHES = st.tuples(
    st.sampled_from(["publish", "transaction"]), st.sampled_from(PUBLISHERS), st.sampled_from(TARGETS)
)
NODES = st.tuples(st.just("node"), st.sampled_from(["a+", "b+", "a", "b", "d+"]), st.just((0, b"")))
LOSSES = st.tuples(st.just("lost"), st.sampled_from("ab"), st.just((0, b"")))
TURNS = st.tuples(st.sampled_from(["turn", "turn", "greet", "serve"]), st.just(""), st.just((0, b"")))
STEPS = st.lists(
    st.one_of(SUBSCRIBES, UNSUBSCRIBES, PUBLISHES, PUBLISHES, NODES, NODES, TURNS, LOSSES), min_size=3, max_size=40
)


def run(pool: Pool, steps: list[tuple[str, str, tuple[int, bytes]]]) -> OneServer:
    """All of this, then the nodes answer what is left."""
    scene = OneServer(pool)
    for what, who, name in steps:
        if what == "subscribe":
            scene.subscribe(who, name)
        elif what == "unsubscribe":
            scene.unsubscribe(who, name)
        elif what in ("publish", "transaction"):
            scene.publish(who, (bool(name[0]), name[1]), what == "transaction")
        elif what == "serve":
            scene.serve()
        elif what == "greet":
            scene.greet()
        elif what == "lost":
            if who in scene.toys.subscribed:
                scene.lose(who)
        elif what == "node":
            if who in scene.play.sent:
                scene.toys.step(who)
                scene.settle()
        else:
            scene.settle()
    scene.serve()
    scene.check()
    return scene


@examples(5)
@given(st.sampled_from(["ring", "copies", "both"]), STEPS)
def test_as_one_server(kind: str, steps: list[tuple[str, str, tuple[int, bytes]]]) -> None:
    """Messages reach who has subscribed before, in order, once."""
    run(pool_of(kind), steps)


def test_the_model_is_strict() -> None:
    """A message that was read behind a SUBSCRIBE must arrive, though the node has confirmed nothing by then."""
    x = (0, b"{a}x")
    scene = run(ring("a", "b"), [("subscribe", "one", x), ("turn", "", x), ("publish", "first", x), ("greet", "", x)])
    assert scene.messages[0].must == {("one", x)} == scene.messages[0].may
    assert scene.heard["one"].numbers == [(x, 0)]
