"""`kidoproxy.replies.queue`: replies leave in the order of the requests, with messages between them."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.replies.accounting import HALF_REPLY, OUTPUT_LIMIT
from kidoproxy.replies.queue import PendingRequest, ReplyQueue, TurnWork
from kidoproxy.resp import limits
from kidoproxy.resp.errors import NODEDOWN, NodeFailure

FAILURE = NodeFailure(NODEDOWN, "b", "b:1", "gone", True)
UNKNOWN = b"-NODEDOWN b b:1 (gone); the write may have run, its outcome is unknown\r\n"


def opened(write: bool = False) -> tuple[ReplyQueue, PendingRequest]:
    """A reply queue with one open request."""
    replies = ReplyQueue(TurnWork())
    return replies, replies.open_pending(COMMANDS[b"set"] if write else None)


def out(replies: ReplyQueue) -> bytes:
    """The output, taken."""
    return b"".join(replies.take_output())


def test_order() -> None:
    """A reply leaves with all answered ones behind it; a suppressed one is dropped; one write is scheduled."""
    turn_work = TurnWork()
    replies = ReplyQueue(turn_work)
    first, second, suppressed, last = (replies.open_pending(None) for _ in range(4))
    suppressed.suppressed = True
    second.on_reply(b"2")
    suppressed.on_reply(b"q")
    assert (out(replies), replies.open_count(), turn_work.reply_queues) == (b"", 4, [])
    first.on_reply(b"1")
    assert repr(replies) == "<replies 1 open, 2 bytes ready>"
    last.on_reply(b"4")
    assert turn_work.reply_queues == [replies]
    assert out(replies) == b"124"
    assert (replies.open_count(), replies.out_bytes, replies.write_scheduled) == (0, 0, False)


def test_answered_requests_are_removed() -> None:
    """Of thousands of requests the answered ones are removed while others are open."""
    replies = ReplyQueue(TurnWork())
    requests = [replies.open_pending(None) for _ in range(2000)]
    for index, pending in enumerate(requests[:1500]):
        pending.on_reply(b"%d," % index)
    assert replies.open_count() == 500
    assert len(replies.open_requests) < 2000
    for pending in requests[1500:]:
        pending.on_reply(b".")
    assert out(replies) == b"".join([b"%d," % index for index in range(1500)]) + b"." * 500


def test_resume_at() -> None:
    """A session that waits for the queue to shrink is resumed once."""
    turn_work = TurnWork()
    replies = ReplyQueue(turn_work)
    requests = [replies.open_pending(None) for _ in range(3)]
    replies.resume_at = 1
    requests[0].on_reply(b"1")
    assert turn_work.to_resume == []
    requests[1].on_reply(b"2")
    requests[2].on_reply(b"3")
    assert turn_work.to_resume == [replies]


def test_closed() -> None:
    """When the client is gone, replies that still arrive are dropped."""
    replies, pending = opened()
    replies.close()
    pending.on_reply(b"x")
    replies.emit(b"y")
    assert not pending.can_cut_through()
    assert (out(replies), repr(replies)) == (b"", "<replies 0 open, 0 bytes ready, closed>")


def test_cut_through() -> None:
    """Pieces leave when it is the request's turn; after one it is not retried, and a failure disconnects."""
    replies, pending = opened()
    later = replies.open_pending(None)
    assert (pending.can_cut_through(), later.can_cut_through()) == (True, False)
    pending.retries_left = 1
    pending.cut_through(b"half")
    assert pending.retries_left == 0
    pending.on_failure(FAILURE)
    assert (out(replies), replies.disconnect_reason) == (b"half", HALF_REPLY)
    suppressed = opened()[1]
    suppressed.suppressed = True
    assert not suppressed.can_cut_through()


def test_failure() -> None:
    """A failure is an error reply; of a write that may have run it says that the outcome is unknown."""
    for write, line in ((False, b"-NODEDOWN b b:1 (gone)\r\n"), (True, UNKNOWN)):
        replies, pending = opened(write)
        pending.on_failure(FAILURE)
        assert out(replies) == line


def test_push() -> None:
    """A message leaves at once, between two replies; behind one that has left in part it is held until its end."""
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


def test_messages_behind_half_a_reply_are_limited() -> None:
    """They are counted for each such reply; too many disconnect the client."""
    replies, pending = opened()
    pending.cut_through(b"half")
    replies.push(b"x" * 1000)
    pending.on_reply(b"")
    pending = replies.open_pending(None)
    pending.cut_through(b"half")
    replies.push(b"x" * limits.PUBSUB_OUTPUT_BYTES)
    reasons = [replies.disconnect_reason]
    replies.push(b"x")
    assert [*reasons, replies.disconnect_reason] == ["", OUTPUT_LIMIT]
    replies.close()
    replies.push(b"x")
    assert out(replies) == b""


@pytest.mark.parametrize("gone", [False, True])
def test_answered_requests_keep_no_reply(gone: bool) -> None:
    """Who still refers to an answered request, as a node's connection does for a while, does not keep its reply."""
    replies = ReplyQueue(TurnWork())
    requests = [replies.open_pending(None) for _ in range(3)]
    if gone:
        replies.close()
    for pending in reversed(requests):
        pending.on_reply(b"+large\r\n")
    assert replies.take_output() == ([] if gone else [b"+large\r\n"] * 3)
    assert not any(pending.reply for pending in requests)
    assert replies.held_reply_bytes == 0


def test_abort() -> None:
    """A request that has its reply keeps it; any other is answered with the failure."""
    replies = ReplyQueue(TurnWork())
    first, second = replies.open_pending(None), replies.open_pending(None)
    second.on_reply(b"2")
    second.abort(FAILURE, False)
    first.abort(FAILURE, True)
    assert out(replies) == b"-NODEDOWN b b:1 (gone)\r\n2"
