"""A reply in part: it has as much time as its bytes need on a slow network, and no more; and a bound in bytes."""

from collections.abc import Iterator

import pytest

from kidoproxy.replies.handler import ONE_RETRY
from kidoproxy.replies.queue import PendingWrites, ReplyQueue
from kidoproxy.resp import limits
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.greet import greet

PING = b"*1\r\n$4\r\nPING\r\n"


class Rig:
    """A ready link with one open request, whose client's turn it is, or is not."""

    def __init__(self, turn: bool) -> None:
        self.ledger = ReplyQueue(PendingWrites())
        self.link = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
        self.link.start_connecting()
        self.link.on_connected(0.0, 1.0)
        self.link.feed(greet(self.link, b""), 0.0)
        if not turn:
            self.ledger.open_pending(None)
        self.call = self.ledger.open_pending(None)
        self.call.retries_left = ONE_RETRY
        self.call.payload = PING
        self.link.submit(self.call, PING, 2, 0, 0.0)
        self.passed = 0

    def lasts(self, pieces: Iterator[bytes], pause: float) -> float:
        """How long the connection is kept while these come, one every ``pause`` seconds."""
        now = 0.0
        for piece in pieces:
            self.link.feed(piece, now)
            self.passed += sum(map(len, self.ledger.take_output()))
            for _ in range(round(pause / 0.05)):
                now += 0.05
                self.link.tick(now)
            if not self.link.is_ready():
                return now
        raise AssertionError("it is kept for ever")


def endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    """A reply whose end never comes."""
    yield head
    for _ in range(100_000):
        yield piece


HEADS = [b"$500000000\r\n", b"*100000000\r\n", b"+", b"%7000000\r\n", b"*2\r\n" * 1000, b"|100000\r\n"]


@pytest.mark.parametrize("turn", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_dribbling(head: bytes, turn: bool) -> None:
    """A byte now and then, for ever: whatever it is of, the connection is given up within seconds."""
    piece = {b"*": b":1\r\n", b"%": b":1\r\n", b"|": b":1\r\n"}.get(head[:1], b"x")
    rig = Rig(turn)
    assert rig.lasts(endless(head, piece), 0.1) < 5.0
    assert rig.link.node.failure_counts["reply never ended"] == 1


@pytest.mark.parametrize("turn", [True, False])
def test_a_slow_network(turn: bool) -> None:
    """A large reply that comes as fast as a slow network brings it is waited for: held, or passed on."""
    rig = Rig(turn)
    piece = b"x" * 100_000
    now = 0.0
    rig.link.feed(b"$5000000\r\n", now)
    for _ in range(50):
        rig.link.feed(piece, now)
        for _ in range(8):
            now += 0.05
            rig.link.tick(now)
    rig.link.feed(b"\r\n", now)
    assert rig.link.is_ready()
    assert (rig.call.reply is not None, rig.call.partly_sent) == (True, turn)


@pytest.mark.parametrize("late", [True, False])
def test_what_is_held_ends_in_time(late: bool) -> None:
    """However fast it comes, nobody waits for ever for a reply that cannot be passed on, or that nobody wants now."""
    rig = Rig(late)
    rig.call.discard_reply = late
    assert rig.lasts(endless(b"$400000000000\r\n", b"x" * 10_000), 0.05) < limits.HELD_REPLY_SECONDS + 3


#: One piece, held many times over, costs nothing.
MUCH = b"x" * (64 << 20)


def test_what_is_held_has_a_bound_in_bytes() -> None:
    """Out of turn, or a part: its client hears so, what is left is passed over, and its neighbours are answered."""
    rig = Rig(False)
    behind = rig.ledger.open_pending(None)
    rig.link.submit(behind, PING, 2, 0, 0.0)
    rig.link.feed(b"$%d\r\n" % (20 * len(MUCH)), 0.0)
    for _ in range(20):
        rig.link.feed(MUCH, 0.0)
        assert rig.link.reader.held_bytes() <= ConnectionOptions().max_queue_bytes + len(MUCH)
    rig.link.feed(b"\r\n+OK\r\n", 0.0)
    assert rig.call.reply == b"-OVERLOADED a a:6379 (its reply is larger than 1024 MiB)\r\n"
    assert behind.reply == b"+OK\r\n"
    assert rig.link.node.failure_counts == {"reply too long": 1}


@pytest.mark.parametrize("turn", [True, False])
def test_what_passes_has_a_bound_in_bytes(turn: bool) -> None:
    """To a client or to nobody: it does not go on for ever, and it is not asked for again."""
    rig = Rig(turn)
    rig.lasts(endless(b"$400000000000\r\n", MUCH), 0.0)
    assert rig.passed <= limits.MAX_CUT_THROUGH_BYTES + len(MUCH)
    assert rig.link.queue == []
    assert bool(rig.ledger.disconnect_reason) is turn


def test_pushes_have_bounds_too() -> None:
    """An endless message is nobody's reply, and is held no longer than one."""
    rig = Rig(True)
    rig.link.feed(b"+OK\r\n", 0.0)
    rig.lasts(endless(b">3\r\n$7\r\nmessage\r\n$400000000000\r\n", MUCH), 0.0)
    assert rig.link.node.failure_counts["reply too long"] == 1


def test_each_reply_has_time_of_its_own() -> None:
    """A stream of messages that never pauses between two reads is no reply without an end."""
    rig = Rig(True)
    rig.link.feed(b"+OK\r\n", 0.0)
    message = b">2\r\n$1\r\nx\r\n$1\r\ny\r\n"
    now = 0.0
    rig.link.feed(message[:9], now)
    for _ in range(400):
        now += 0.05
        rig.link.feed(message[9:] + message[:9], now)
        rig.link.tick(now)
    assert rig.link.is_ready()
