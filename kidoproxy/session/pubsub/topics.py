"""Topics: what clients subscribe to (channels, patterns, shard channels), and who has subscribed."""

from typing import Final, final

from kidoproxy.commands.spec import CHANNEL, PATTERN, SHARD
from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.resp import limits

#: The three kinds of what can be subscribed to (`TopicKind`).
KINDS: Final = (CHANNEL, PATTERN, SHARD)

#: The commands that clients send, and that nodes are sent, by kind.
SUBSCRIBE_COMMANDS: Final = (b"subscribe", b"psubscribe", b"ssubscribe")
UNSUBSCRIBE_COMMANDS: Final = (b"unsubscribe", b"punsubscribe", b"sunsubscribe")
#: The first word of a push, and its kind.
SUBSCRIBE_KINDS: Final[dict[bytes, int]] = {word: kind for kind, word in enumerate(SUBSCRIBE_COMMANDS)}
UNSUBSCRIBE_KINDS: Final[dict[bytes, int]] = {word: kind for kind, word in enumerate(UNSUBSCRIBE_COMMANDS)}
MESSAGE_KINDS: Final[dict[bytes, int]] = {b"message": CHANNEL, b"pmessage": PATTERN, b"smessage": SHARD}

#: Channels on which each node publishes events of its own keys.
KEYSPACE_PREFIXES: Final = (b"__keyspace@", b"__keyevent@")
#: WAIT publishes here, so that it waits for earlier writes (see `kidoproxy.session.handlers.blocking`): no client
#: gets these messages.
WAIT_MARK_CHANNEL: Final = b"__kidoproxy:mark"


def needs_every_source(kind: int, name: bytes) -> bool:
    """Whether any node may have messages for it, not just the one where the channel lives."""
    return kind == PATTERN or (kind == CHANNEL and name.startswith(KEYSPACE_PREFIXES))


@final
class Subscriber:
    """A client's side of its subscriptions: what it has, by kind, and the reply queue through which messages leave."""

    def __init__(self, number: int, replies: ReplyQueue, proto: int) -> None:
        self.number = number
        self.replies = replies
        self.proto = proto
        self.names_by_kind: list[dict[bytes, bool]] = [{} for _ in KINDS]
        #: What it has asked for and what is not confirmed yet, in order: several requests may be under way.
        self.requests: list[PendingSubscription] = []
        #: By kind, the names that these subscribe to; and how many they unsubscribe: these names are gone already.
        self.awaited: list[dict[bytes, bool]] = [{} for _ in KINDS]
        self.leaving = [0 for _ in KINDS]
        #: What the names cost to remember, those of ``requests`` too.
        self.memory_bytes = 0

    def add(self, kind: int, name: bytes) -> None:
        self.names_by_kind[kind][name] = True
        self.memory_bytes += len(name) + limits.NAME_OVERHEAD_BYTES

    def remove(self, kind: int, name: bytes) -> None:
        del self.names_by_kind[kind][name]
        self.memory_bytes -= len(name) + limits.NAME_OVERHEAD_BYTES

    def confirmation_count(self, kind: int) -> int:
        """The number that the next confirmation of this kind carries: shard channels are counted apart.

        A name whose UNSUBSCRIBE is still to be confirmed counts.
        """
        counts = [len(names) + leaving for names, leaving in zip(self.names_by_kind, self.leaving, strict=True)]
        return counts[SHARD] if kind == SHARD else counts[CHANNEL] + counts[PATTERN]

    def name_count(self) -> int:
        return sum([len(names) for names in self.names_by_kind])


class PendingSubscription:
    """A client's request to subscribe or to unsubscribe, until the nodes have confirmed it, and all before it.

    ``names`` are those that it has or has not afterwards, ``memory_bytes`` what the request costs to remember.
    """

    def __init__(self, subscriber: Subscriber, kind: int) -> None:
        self.subscriber = subscriber
        self.kind = kind
        self.names: list[bytes] = []
        self.memory_bytes = 0
        self.topics: list[Topic] = []
        #: How many of the topics are not confirmed yet, and until when they may be.
        self.unconfirmed = 0
        self.due = 0.0
        self.finished = False

    def on_done(self, error: bytes) -> None:
        """All is confirmed; or it is not, and ``error`` is the reply that says why."""
        raise NotImplementedError

    def on_cancelled(self) -> None:
        """The client has gone, or begins anew: nothing of it is confirmed."""
        raise NotImplementedError


@final
class Topic:
    """One channel, pattern or shard channel that somebody has, wants, or has just left."""

    def __init__(self, kind: int, name: bytes) -> None:
        self.kind = kind
        self.name = name
        self.subscribers: dict[int, Subscriber] = {}
        #: How many pending subscriptions need it; those of them that wait for it; those that wait for its end.
        self.pending_count = 0
        self.subscribing: list[PendingSubscription] = []
        self.unsubscribing: list[PendingSubscription] = []

    def is_needed(self) -> bool:
        """Whether the nodes should be subscribed to it."""
        return self.pending_count > 0 or len(self.subscribers) > 0

    def __repr__(self) -> str:
        return f"<topic {self.kind} {self.name!r}, {len(self.subscribers)} subscribers>"
