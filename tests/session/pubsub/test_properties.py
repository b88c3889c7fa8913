"""Whatever clients ask for, whatever the nodes do and when: what must hold of subscriptions, tried by Hypothesis."""

from fnmatch import fnmatchcase
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.commands.spec import SHARD
from kidoproxy.replication.group import BEHIND, IN_SYNC, group_of
from kidoproxy.resp.decode import integer_value as integer_of
from kidoproxy.resp.decode import is_error, items
from kidoproxy.resp.decode import string_value as bulk_of
from kidoproxy.resp.encode import bulk, integer, push
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.session.handlers.session_commands import RESET_REPLY
from kidoproxy.session.pubsub.topics import (
    KINDS,
    MESSAGE_KINDS,
    SUBSCRIBE_COMMANDS,
    SUBSCRIBE_KINDS,
    UNSUBSCRIBE_KINDS,
)
from tests.session.pubsub.pubsub_story import PubSubStory, listening_nodes, with_protocol
from tests.story import Pool, client, copies, gone, lost, refused, ring, tick
from tests.strategies import examples

NAMES: Final = ([b"{a}x", b"{b}y", b"__keyevent@0__:set"], [b"{a}*", b"*"], [b"{a}x", b"{b}s"])
CLIENTS: Final = ("one", "two", "three")
#: What messages are sent to.
CHANNELS: Final = (b"{a}x", b"{b}y", b"{a}other", b"__keyevent@0__:set")
WORDS: Final = {word: kind for kind, word in enumerate((b"message", b"pmessage", b"smessage"))}

Name = tuple[int, bytes]


class Toys:
    """Nodes that know channels; each answers when the test says so."""

    def __init__(self, play: PubSubStory) -> None:
        self.play = play
        self.subscribed: dict[str, dict[Name, bool]] = {node.name: {} for node in play.pool.nodes}

    def step(self, name: str) -> None:
        """A node, or its listening connection (``a+``), answers the first request that is open."""
        play = self.play
        self.forget()
        if not play.sent[name]:
            return
        request = play.sent[name].pop(0)
        words = [bulk_of(word) for word in items(request.raw)]
        if name.endswith("+"):
            play.connection(name).feed(self.listening(name[:-1], words), play.executor.now)
        else:
            play.connection(name, request.key).feed(self.answer(name, words), play.executor.now)
        play.settle()

    def forget(self) -> None:
        """A node knows nothing of a connection that is closed."""
        self.play.settle()
        for name in self.play.hung_up:
            self.subscribed[name].clear()
        self.play.hung_up.clear()

    def listening(self, name: str, words: list[bytes]) -> bytes:
        """What it answers on the listening connection."""
        if words[0] == b"PING":
            return self.play.echo(name)
        has = self.subscribed[name]
        raw = b""
        for word in words[1:]:
            if words[0] in SUBSCRIBE_KINDS:
                has[(SUBSCRIBE_KINDS[words[0]], word)] = True
            else:
                has.pop((UNSUBSCRIBE_KINDS[words[0]], word), None)
            raw += push(3, [bulk(words[0]), bulk(word), integer(len(has))])
        return raw

    def answer(self, name: str, words: list[bytes]) -> bytes:
        """PUBLISH and SPUBLISH: messages go out on the listening connection, if there is one."""
        if words[0] == b"PING":
            return b"+PONG\r\n"
        shard = words[0] == b"SPUBLISH"
        found = [one for one in self.subscribed[name] if fits(one, words[1], shard)]
        for kind, own in found:
            body = [bulk(own), bulk(words[1]), bulk(words[2])] if kind == 1 else [bulk(words[1]), bulk(words[2])]
            self.play.connection(name + "+").feed(
                push(3, [bulk(list(MESSAGE_KINDS)[kind]), *body]), self.play.executor.now
            )
        return integer(len(found))

    def lose(self, name: str, hopeless: bool) -> None:
        """The listening connection is lost."""
        if any(conn.node.name == name for conn in self.play.executor.unshared_connections):
            (refused if hopeless else lost)(name + "+")(self.play)
            self.play.settle()

    def serve(self) -> None:
        """All answer until nobody is asked any more."""
        self.play.settle()
        while any(self.play.sent.values()):
            for name in self.play.sent:
                self.step(name)

    def run(self) -> None:
        """All answer until nobody is asked any more, and everybody has gone where it should be."""
        for _ in range(6):
            self.serve()
            tick(0.3)(self.play)
            self.forget()


def fits(name: Name, channel: bytes, shard: bool) -> bool:
    """Whether a message to the channel is one for this name."""
    kind, own = name
    if kind == 1:
        return not shard and fnmatchcase(channel.decode(), own.decode())
    return own == channel and (kind == SHARD) is shard


class Transcript:
    """What a client was sent, read as a client reads it: every frame must be legal where it stands."""

    def __init__(self) -> None:
        self.names: dict[Name, bool] = {}
        self.messages: list[Name] = []
        self.reader = ReplyReader()

    def read(self, raw: bytes) -> None:
        """More of it."""
        self.reader.feed(raw)
        while (frame := self.reader.next()) is not None:
            if frame == RESET_REPLY:
                self.names.clear()
            elif not is_error(frame):
                self.frame(items(frame))

    def frame(self, parts: list[bytes]) -> None:
        """A confirmation counts right; a message is for something that was confirmed, and has not ended."""
        word, name = bulk_of(parts[0]), bulk_of(parts[1])
        if word in WORDS:
            assert (WORDS[word], name) in self.names
            self.messages.append((WORDS[word], name))
            return
        kind = SUBSCRIBE_KINDS[word] if word in SUBSCRIBE_KINDS else UNSUBSCRIBE_KINDS[word]
        if word in SUBSCRIBE_KINDS:
            self.names[(kind, name)] = True
        else:
            self.names.pop((kind, name), None)
        counted = [one for one in self.names if (one[0] == SHARD) is (kind == SHARD)]
        assert integer_of(parts[2]) == len(counted)


def pool_of(kind: str) -> Pool:
    """A new pool of this kind."""
    if kind == "ring":
        return ring("a", "b")
    if kind == "copies":
        return copies("a", "b")
    return ring(copies("a", "d", name="a"), "b")


ONE = st.integers(0, 2).flatmap(lambda kind: st.sampled_from(NAMES[kind]).map(lambda name: (kind, name)))
STEPS = st.one_of(
    st.tuples(st.just("subscribe"), st.sampled_from(CLIENTS), ONE),
    st.tuples(st.just("subscribe"), st.sampled_from(CLIENTS), ONE),
    st.tuples(st.just("unsubscribe"), st.sampled_from(CLIENTS), ONE),
    st.tuples(st.just("all"), st.sampled_from(CLIENTS), ONE),
    st.tuples(st.just("publish"), st.sampled_from(CLIENTS), ONE),
    st.tuples(st.just("answer"), st.sampled_from(["a+", "b+", "a", "b", "d+"]), ONE),
    st.tuples(st.just("serve"), st.just(""), ONE),
    st.tuples(st.just("serve"), st.just(""), ONE),
    st.tuples(st.sampled_from(["lost", "refused", "behind", "in sync"]), st.sampled_from("abd"), ONE),
    st.tuples(st.sampled_from(["gone", "reset"]), st.sampled_from(CLIENTS), ONE),
    st.tuples(st.just("tick"), st.just(""), ONE),
)


class Play:
    """A story in which all this happens."""

    def __init__(self, kind: str) -> None:
        self.play = PubSubStory(pool_of(kind))
        self.toys = Toys(self.play)
        self.read = {name: Transcript() for name in CLIENTS}
        self.alive = dict.fromkeys(CLIENTS, True)
        for at, name in enumerate(CLIENTS):
            with_protocol(2 + at % 2, name)(self.play)

    def do(self, what: str, who: str, name: Name) -> None:
        """One step."""
        kind, text = name
        if what in ("subscribe", "unsubscribe", "all", "reset", "gone"):
            if self.alive[who]:
                self.ask(what, who, kind, text)
        elif what == "publish":
            client(b"*3\r\n" + bulk(b"PUBLISH") + bulk(text) + bulk(b"m"), name="pub")(self.play)
        elif what == "answer":
            if who in self.play.sent:
                self.toys.step(who)
        elif what == "serve":
            self.toys.serve()
        elif what == "tick":
            tick(0.2)(self.play)
        elif who in self.toys.subscribed:
            if what in ("lost", "refused"):
                self.toys.lose(who, what == "refused")
            else:
                self.turn(who, IN_SYNC if what == "in sync" else BEHIND)
        self.settle()

    def ask(self, what: str, who: str, kind: int, text: bytes) -> None:
        """One request of a client."""
        word = SUBSCRIBE_COMMANDS[kind] if what == "subscribe" else list(UNSUBSCRIBE_KINDS)[kind]
        if what == "gone":
            gone(who)(self.play)
            self.alive[who] = False
        elif what == "reset":
            client("RESET", name=who)(self.play)
        else:
            names = b"" if what == "all" else bulk(text)
            client(b"*%d\r\n" % (1 if what == "all" else 2) + bulk(word) + names, name=who)(self.play)

    def turn(self, who: str, state: str) -> None:
        """A copy falls behind, or is in sync again; the last one in sync stays."""
        group = group_of(self.play.node(who))
        if group is not None and (state == IN_SYNC or len(group.in_sync()) > 1):
            group.copy_of(self.play.node(who)).state = state

    def settle(self) -> None:
        """Everybody reads what has come."""
        self.play.settle()
        for name in CLIENTS:
            me = self.play.client(name)
            raw, me.received = me.received, b""
            self.read[name].read(raw)


@examples(2)
@given(st.sampled_from(["ring", "copies", "both"]), st.lists(STEPS, min_size=4, max_size=40))
def test_subscriptions(kind: str, steps: list[tuple[str, str, Name]]) -> None:
    """In the end the nodes are subscribed to what the clients have, no more; each client has what was confirmed to it.

    On the way no client is sent what it has not, or no longer; and a message reaches everybody, once for each name.
    """
    scene = Play(kind)
    play = scene.play
    for step in steps:
        scene.do(*step)
    scene.toys.run()
    scene.settle()

    wanted: dict[str, set[Name]] = {node.name: set() for node in play.pool.nodes}
    for name in CLIENTS:
        subscriber = play.client(name).session.subscriber
        has = {(at, one) for at in KINDS for one in subscriber.names_by_kind[at]} if subscriber is not None else set()
        if not scene.alive[name]:
            assert subscriber is None
            continue
        assert has == set(scene.read[name].names)
        for at, one in has:
            for source in play.subscriptions.sources_of(at, one):
                assert source.active is not None
                wanted[source.active.node.name].add((at, one))
    assert {name: set(has) for name, has in scene.toys.subscribed.items()} == wanted
    assert listening_nodes(play) == sorted(name for name, names in wanted.items() if names)
    assert play.subscriptions.pending_subscriptions == {}
    assert all(topic.subscribers for topics in play.subscriptions.topics for topic in topics.values())
    assert [group.pubsub_connections for group in play.pool.groups] == [
        sum(node.name in listening_nodes(play) for node in play.pool.nodes if node.group is group)
        for group in play.pool.groups
    ]
    everybody_is_reached(scene)


def everybody_is_reached(scene: Play) -> None:
    """A message to each channel is counted as one Redis would count it, and arrives as often."""
    play = scene.play
    play.client("pub").received = b""
    for channel in CHANNELS:
        for word in (b"PUBLISH", b"SPUBLISH"):
            for transcript in scene.read.values():
                transcript.messages.clear()
            client(b"*3\r\n" + bulk(word) + bulk(channel) + bulk(b"m"), name="pub")(play)
            scene.toys.run()
            scene.settle()
            count = 0
            for name, transcript in scene.read.items():
                meant = [one for one in transcript.names if fits(one, channel, word == b"SPUBLISH")]
                if scene.alive[name]:
                    assert sorted(transcript.messages) == sorted(meant)
                    count += len(meant)
            said, play.client("pub").received = play.client("pub").received, b""
            assert said == integer(count)
