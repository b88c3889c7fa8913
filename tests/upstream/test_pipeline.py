"""What is held for one connection: its bound, and what it says when that is reached."""

from typing import Final

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.resp import limits
from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.upstream.rig import FULL, LATE, Rig

MOST: Final = 100_000
SMALL: Final = ConnectionOptions(max_queue_bytes=MOST)
SET: Final = encode_request([b"SET", b"k", b"x" * 30_000])


@pytest.mark.parametrize("how", ["written", "not written", "in one turn"])
def test_a_node_that_does_not_answer(how: str) -> None:
    """Bytes count until they are answered, written or not: what is too much is refused, and later taken again.

    What came in one turn counts until all of it is answered.
    """
    rig = Rig(SMALL)
    for _ in range(5):
        rig.submit(SET, COMMANDS[b"set"])
        if how == "written":
            rig.conn.take_output()
        elif how == "not written":
            rig.conn.on_write_blocked()
    assert [pending.reply for pending in rig.replies.open_requests] == [None] * 4 + [FULL.encode() + b"\r\n"]
    assert 4 * len(SET) <= rig.conn.held_bytes() <= 4 * len(SET) + limits.IN_FLIGHT_MARK_BYTES
    rig.conn.take_output()
    rig.conn.feed(b"+OK\r\n" * (4 if how == "in one turn" else 2), 0.0)
    rig.submit(SET, COMMANDS[b"set"])
    assert rig.replies.open_requests[-1].reply is None
    rig.conn.take_output()
    rig.conn.feed(b"+OK\r\n" * rig.conn.pending_count(), 0.0)
    assert rig.received() == ["+OK"] * 4 + [FULL, "+OK"]
    assert rig.conn.held_bytes() == 0
    assert rig.conn.out_budget == MOST


def test_a_connection_that_is_not_open() -> None:
    """The same bound holds for what waits for the connection; when it is open all that waited is sent."""
    rig = Rig(SMALL, ready=False)
    for _ in range(5):
        rig.submit(SET, COMMANDS[b"set"])
    assert [pending.reply for pending in rig.replies.open_requests] == [None] * 4 + [FULL.encode() + b"\r\n"]
    assert rig.conn.held_bytes() == rig.conn.queue_bytes == 4 * len(SET)
    rig.open()
    assert (rig.conn.queue_bytes, rig.conn.out_bytes) == (0, 4 * len(SET))
    rig.conn.on_connection_lost("gone", 0.0, True)
    assert (rig.conn.held_bytes(), rig.conn.out_budget) == (0, MOST)


def test_what_expires_is_held_no_longer() -> None:
    """A deadline in the queue gives its bytes back."""
    rig = Rig(SMALL, ready=False)
    rig.submit(SET, COMMANDS[b"set"])
    rig.conn.tick(10.0)
    assert (rig.conn.queue_bytes, rig.conn.out_budget) == (0, MOST)
    assert rig.received() == [LATE]


def test_reads_that_are_asked_again() -> None:
    """What is sent once more waits for the new connection, and counts there."""
    rig = Rig(SMALL)
    pending = rig.replies.open_pending(None)
    pending.payload, pending.retries_left = SET, 1
    rig.conn.submit(pending, SET, 2, 0, 0.0)
    rig.conn.take_output()
    rig.conn.on_connection_lost("gone", 0.0, False)
    assert (rig.conn.queue_bytes, rig.conn.held_bytes()) == (len(SET), len(SET))


def test_a_reply_without_end() -> None:
    """What no client can be given in part is held up to the bound; then it fails, and others go on."""
    rig = Rig(SMALL)
    slow = rig.replies.open_pending(None)
    large, small = rig.replies.open_pending(None), rig.replies.open_pending(None)
    for pending in (large, small):
        rig.conn.submit(pending, SET, 2, 0, 0.0)
    rig.conn.take_output()
    rig.conn.feed(b"$1000000\r\n", 0.0)
    for _ in range(10):
        rig.conn.feed(b"x" * 100_000, 0.0)
        assert rig.conn.reader.held_bytes() <= MOST + 100_000
    assert large.reply == b"-OVERLOADED a a:6379 (its reply is larger than 0 MiB)\r\n"
    rig.conn.feed(b"\r\n:7\r\n", 0.0)
    assert small.reply == b":7\r\n"
    slow.on_reply(b"")
    assert rig.conn.held_bytes() == 0


def test_long_fifo() -> None:
    """What is answered is forgotten while much is still owed, and the order stays."""
    rig = Rig()
    for _ in range(2000):
        rig.submit()
    rig.conn.take_output()
    rig.conn.feed(b"".join([b":%d\r\n" % at for at in range(1500)]), 0.0)
    assert len(rig.conn.reply_handlers) == 500
    rig.submit()
    rig.conn.on_connection_lost("gone", 0.0, True)
    assert rig.received() == [f":{at}" for at in range(1500)] + ["-NODEDOWN a a:6379 (gone)"] * 501
