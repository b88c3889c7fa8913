"""What is held for one connection: its bound, and what it says when that is reached."""

from typing import Final

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.queue import PendingWrites, ReplyQueue
from kidoproxy.resp import limits
from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.greet import greet

MOST: Final = 100_000
SET: Final = encode_request([b"SET", b"k", b"x" * 30_000])
FULL: Final = b"-OVERLOADED a a:6379 (its queue is full)\r\n"


class Rig:
    """A link with a small bound, and a ledger whose calls are its legs."""

    def __init__(self, ready: bool) -> None:
        self.ledger = ReplyQueue(PendingWrites())
        self.link = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(max_queue_bytes=MOST), 2, 0, [])
        if ready:
            self.open()

    def open(self) -> None:
        self.link.start_connecting()
        self.link.on_connected(0.0, 1.0)
        self.link.feed(greet(self.link, b"run_id:1\r\n"), 0.0)

    def place(self) -> None:
        self.link.submit(self.ledger.open_pending(COMMANDS[b"set"]), SET, 2, 0, 0.0)

    def heard(self) -> bytes:
        return b"".join(self.ledger.take_output())


@pytest.mark.parametrize("how", ["written", "not written", "in one turn"])
def test_a_node_that_does_not_answer(how: str) -> None:
    """Bytes count until they are answered, written or not: what is too much is refused, and later taken again.

    What came in one turn counts until all of it is answered.
    """
    rig = Rig(True)
    for _ in range(5):
        rig.place()
        if how == "written":
            rig.link.take_output()
        elif how == "not written":
            rig.link.on_write_blocked()
    assert [pending.reply for pending in rig.ledger.open_requests] == [None] * 4 + [FULL]
    assert 4 * len(SET) <= rig.link.held_bytes() <= 4 * len(SET) + limits.IN_FLIGHT_MARK_BYTES
    rig.link.take_output()
    rig.link.feed(b"+OK\r\n" * (4 if how == "in one turn" else 2), 0.0)
    rig.place()
    assert rig.ledger.open_requests[-1].reply is None
    rig.link.take_output()
    rig.link.feed(b"+OK\r\n" * rig.link.pending_count(), 0.0)
    assert rig.heard() == b"+OK\r\n" * 4 + FULL + b"+OK\r\n"
    assert rig.link.held_bytes() == 0
    assert rig.link.out_budget == MOST


def test_a_connection_that_is_not_open() -> None:
    """The same bound holds for what waits for the connection; when it is open all that waited is sent."""
    rig = Rig(False)
    for _ in range(5):
        rig.place()
    assert [pending.reply for pending in rig.ledger.open_requests] == [None] * 4 + [FULL]
    assert rig.link.held_bytes() == rig.link.queue_bytes == 4 * len(SET)
    rig.open()
    assert (rig.link.queue_bytes, rig.link.out_bytes) == (0, 4 * len(SET))
    rig.link.on_connection_lost("gone", 0.0, True)
    assert (rig.link.held_bytes(), rig.link.out_budget) == (0, MOST)


def test_what_expires_is_held_no_longer() -> None:
    """A deadline in the queue gives its bytes back."""
    rig = Rig(False)
    rig.place()
    rig.link.tick(10.0)
    assert (rig.link.queue_bytes, rig.link.out_budget) == (0, MOST)
    assert rig.heard().startswith(b"-TIMEOUT")


def test_reads_that_are_asked_again() -> None:
    """What is sent once more waits for the new connection, and counts there."""
    rig = Rig(True)
    pending = rig.ledger.open_pending(None)
    pending.payload, pending.retries_left = SET, 1
    rig.link.submit(pending, SET, 2, 0, 0.0)
    rig.link.take_output()
    rig.link.on_connection_lost("gone", 0.0, False)
    assert (rig.link.queue_bytes, rig.link.held_bytes()) == (len(SET), len(SET))


def test_a_reply_without_end() -> None:
    """What no client can be given in part is held up to the bound; then it fails, and others go on."""
    rig = Rig(True)
    slow = rig.ledger.open_pending(None)
    large, small = rig.ledger.open_pending(None), rig.ledger.open_pending(None)
    for pending in (large, small):
        rig.link.submit(pending, SET, 2, 0, 0.0)
    rig.link.take_output()
    rig.link.feed(b"$1000000\r\n", 0.0)
    for _ in range(10):
        rig.link.feed(b"x" * 100_000, 0.0)
        assert rig.link.reader.held_bytes() <= MOST + 100_000
    assert large.reply == b"-OVERLOADED a a:6379 (its reply is larger than 0 MiB)\r\n"
    rig.link.feed(b"\r\n:7\r\n", 0.0)
    assert small.reply == b":7\r\n"
    slow.on_reply(b"")
    assert rig.link.held_bytes() == 0
