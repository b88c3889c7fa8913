"""The ledger by itself: places, their order, joints; what the stories do not reach."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.accounting import HALF_REPLY, OUTPUT_LIMIT
from kidoproxy.replies.queue import PendingRequest, PendingWrites, ReplyQueue
from kidoproxy.resp import limits
from kidoproxy.resp.errors import NODEDOWN, NodeFailure

FAILURE = NodeFailure(NODEDOWN, "b", "b:1", "gone", True)
UNKNOWN = b"-NODEDOWN b b:1 (gone); the write may have run, its outcome is unknown\r\n"


def opened(write: bool = False) -> tuple[ReplyQueue, PendingRequest]:
    """A ledger with one call."""
    replies = ReplyQueue(PendingWrites())
    return replies, replies.open_pending(COMMANDS[b"set"] if write else None)


def out(replies: ReplyQueue) -> bytes:
    """What leaves now."""
    return b"".join(replies.take_output())


def test_order() -> None:
    """The head leaves with all ready ones behind it; a quiet one leaves no trace; one write is asked for."""
    turn = PendingWrites()
    replies = ReplyQueue(turn)
    first, second, quiet, last = (replies.open_pending(None) for _ in range(4))
    quiet.suppressed = True
    second.on_reply(b"2")
    quiet.on_reply(b"q")
    assert (out(replies), replies.open_count(), turn.reply_queues) == (b"", 4, [])
    first.on_reply(b"1")
    assert repr(replies) == "<ledger 1 open, 2 bytes ready>"
    last.on_reply(b"4")
    assert turn.reply_queues == [replies]
    assert out(replies) == b"124"
    assert (replies.open_count(), replies.out_bytes, replies.write_scheduled) == (0, 0, False)


def test_much() -> None:
    """Thousands of calls: the answered ones are forgotten while others are still open."""
    replies = ReplyQueue(PendingWrites())
    calls = [replies.open_pending(None) for _ in range(2000)]
    for at, pending in enumerate(calls[:1500]):
        pending.on_reply(b"%d," % at)
    assert replies.open_count() == 500
    assert len(replies.open_requests) < 2000
    for pending in calls[1500:]:
        pending.on_reply(b".")
    assert out(replies) == b"".join([b"%d," % at for at in range(1500)]) + b"." * 500


def test_wanted() -> None:
    """Who waits for the ledger to shrink is told once."""
    turn = PendingWrites()
    replies = ReplyQueue(turn)
    calls = [replies.open_pending(None) for _ in range(3)]
    replies.resume_at = 1
    calls[0].on_reply(b"1")
    assert turn.drained == []
    calls[1].on_reply(b"2")
    calls[2].on_reply(b"3")
    assert turn.drained == [replies]


def test_closed() -> None:
    """The client is gone: what still comes is dropped."""
    replies, pending = opened()
    replies.close()
    pending.on_reply(b"x")
    replies.emit(b"y")
    assert not pending.can_cut_through()
    assert (out(replies), repr(replies)) == (b"", "<ledger 0 open, 0 bytes ready, closed>")


def test_cut() -> None:
    """Pieces leave when it is the call's turn; a failure behind a piece tears the reply, and it is not asked again."""
    replies, pending = opened()
    later = replies.open_pending(None)
    assert (pending.can_cut_through(), later.can_cut_through()) == (True, False)
    pending.retries_left = 1
    pending.cut_through(b"half")
    assert pending.retries_left == 0
    pending.on_failure(FAILURE)
    assert (out(replies), replies.disconnect_reason) == (b"half", HALF_REPLY)
    quiet = opened()[1]
    quiet.suppressed = True
    assert not quiet.can_cut_through()


def test_failure() -> None:
    """A failure is an error line; of a write that may have run it says so."""
    for write, line in ((False, b"-NODEDOWN b b:1 (gone)\r\n"), (True, UNKNOWN)):
        replies, pending = opened(write)
        pending.on_failure(FAILURE)
        assert out(replies) == line


def test_push() -> None:
    """A message leaves at once, between two replies; behind one that has left in part it waits for its end."""
    replies, pending = opened()
    later = replies.open_pending(None)
    later.on_reply(b"later")
    replies.push(b"1")
    assert out(replies) == b"1"
    pending.cut_through(b"half")
    replies.push(b"2")
    replies.push(b"3")
    assert (out(replies), replies.held_message_bytes) == (b"half", 2)
    pending.on_reply(b"whole")
    assert out(replies) == b"whole23later"
    replies.push(b"4")
    assert out(replies) == b"4"


def test_messages_behind_half_a_reply_have_a_bound() -> None:
    """They are counted anew for each such reply; too many tear it, and the client is cut."""
    replies, pending = opened()
    pending.cut_through(b"half")
    replies.push(b"x" * 1000)
    pending.on_reply(b"")
    pending = replies.open_pending(None)
    pending.cut_through(b"half")
    replies.push(b"x" * limits.PUBSUB_OUTPUT_BYTES)
    torn = [replies.disconnect_reason]
    replies.push(b"x")
    assert [*torn, replies.disconnect_reason] == ["", OUTPUT_LIMIT]
    replies.close()
    replies.push(b"x")
    assert out(replies) == b""


@pytest.mark.parametrize("gone", [False, True])
def test_answered_calls_keep_no_bytes(gone: bool) -> None:
    """Whoever still knows an answered call, as the node's connection does for a while, does not keep its reply."""
    replies = ReplyQueue(PendingWrites())
    calls = [replies.open_pending(None) for _ in range(3)]
    if gone:
        replies.close()
    for pending in reversed(calls):
        pending.on_reply(b"+large\r\n")
    assert replies.take_output() == ([] if gone else [b"+large\r\n"] * 3)
    assert not any(pending.reply for pending in calls)
    assert replies.held_reply_bytes == 0
