"""How many listen: a node counts our one subscription, and means all our clients that have it.

What a node says is corrected by what the switchboard knows when the answer comes. Other proxies and other
workers that listen to the same node count as one client each.
"""

from typing import final

from kidoproxy.channels.switchboard import Switchboard
from kidoproxy.channels.topics import CHANNEL, PATTERN, SHARD
from kidoproxy.commands.glob import matches
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.errors import NodeFailure
from kidoproxy.ledger import Leg
from kidoproxy.resp.build import array, integer
from kidoproxy.resp.open import bulk, items
from kidoproxy.resp.open import integer as integer_of


@final
class Counted(Leg):
    """Takes what the nodes say to PUBLISH, SPUBLISH and PUBSUB; the client is told of clients."""

    def __init__(self, board: Switchboard, spec: CommandSpec, argv: list[bytes], parent: Leg) -> None:
        super().__init__()
        self.board = board
        self.spec = spec
        self.argv = argv
        self.parent = parent

    def take(self, raw: bytes) -> None:
        """Errors, and what counts nothing, are passed on."""
        name = self.spec.name
        if raw[:1] == b":" and name in (b"publish", b"spublish"):
            raw = integer(receivers(self.board, integer_of(raw), name == b"spublish", self.argv[1]))
        elif is_tally(raw) and name in (b"pubsub|numsub", b"pubsub|shardnumsub"):
            raw = array(subscribers(self.board, items(raw), SHARD if name == b"pubsub|shardnumsub" else CHANNEL))
        self.parent.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """As it is."""
        self.parent.fail(failure)

    def hold(self, size: int) -> None:
        """Its parent counts it."""
        self.parent.hold(size)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As its parent does."""
        self.parent.abort(failure, failed)

    def title(self) -> str:
        """Its parent's."""
        return self.parent.title()


def is_tally(raw: bytes) -> bool:
    """Whether it is a flat list ``name, number, …``."""
    found = items(raw) if raw[:1] == b"*" else [b""]
    return len(found) % 2 == 0 and all(item[:1] == b":" for item in found[1::2])


def corrected(said: int, share: int, ours: int) -> int:
    """``said`` without ``share`` of it, and ``ours`` instead; less than the share means that we were not counted."""
    return said if said < share else said - share + ours


def receivers(board: Switchboard, said: int, shard: bool, channel: bytes) -> int:
    """How many subscriptions a message went to."""
    share = 0
    ours = 0
    for station in board.homes(SHARD, channel):
        topics = station.named(SHARD if shard else CHANNEL, channel)
        if not shard:
            topics += [topic for topic in station.topics[PATTERN].values() if matches(topic.name, channel)]
        for topic in topics:
            if station.is_counted(topic):
                share += 1
                ours += len(topic.subscribers)
    return corrected(said, share, ours)


def subscribers(board: Switchboard, found: list[bytes], kind: int) -> list[bytes]:
    """The flat list ``name, number, …`` of NUMSUB."""
    told: list[bytes] = []
    for at in range(0, len(found), 2):
        number = integer_of(found[at + 1])
        topic = board.topics[kind].get(bulk(found[at]))
        if topic is not None:
            share = sum([station.is_counted(topic) for station in board.stations])
            number = corrected(number, share, len(topic.subscribers))
        told += [found[at], integer(number)]
    return told
