"""The ledger by itself: places, their order, joints; what the stories do not reach."""

from collections.abc import Callable

import pytest

from kidoproxy.commands.spec import AGG_SUM, ALL_SUCCEEDED, IN_KEY_ORDER, ONE_SUCCEEDED
from kidoproxy.replies.accounting import HALF_REPLY, OUTPUT_LIMIT
from kidoproxy.replies.aggregate import MergeReplies
from kidoproxy.replies.queue import (
    Aggregate,
    AggregateSlot,
    IgnoreReply,
    ListReplies,
    PendingRequest,
    PendingWrites,
    ReplyHandler,
    ReplyQueue,
    Transport,
)
from kidoproxy.resp import limits
from kidoproxy.resp.errors import NODEDOWN, NodeFailure

FAILURE = NodeFailure(NODEDOWN, "b", "b:1", "gone", True)
UNSENT = NodeFailure(NODEDOWN, "b", "b:1", "gone", False)
UNKNOWN = b"-NODEDOWN b b:1 (gone); the write may have run, its outcome is unknown\r\n"


def opened(write: bool = False) -> tuple[ReplyQueue, PendingRequest]:
    """A ledger with one call."""
    replies = ReplyQueue(PendingWrites())
    return replies, replies.open_pending(write)


def out(replies: ReplyQueue) -> bytes:
    """What leaves now."""
    return b"".join(replies.take_output())


# -- order -----------------------------------------------------------------------------------------------


def test_order() -> None:
    """The head leaves with all ready ones behind it; a quiet one leaves no trace; one write is asked for."""
    turn = PendingWrites()
    replies = ReplyQueue(turn)
    first, second, quiet, last = (replies.open_pending(False) for _ in range(4))
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
    calls = [replies.open_pending(False) for _ in range(2000)]
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
    calls = [replies.open_pending(False) for _ in range(3)]
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
    later = replies.open_pending(False)
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


# -- joints ------------------------------------------------------------------------------------------------


def merged(rule: int, write: bool, places: list[list[int]] | None, *replies: bytes | NodeFailure) -> bytes:
    """What is made of these replies."""
    ledger, pending = opened(write)
    aggregate = MergeReplies(pending, len(replies), rule, 2, b"cmd", write)
    aggregate.key_positions = places
    aggregate.key_count = sum(len(some) for some in places or [])
    for at, reply in enumerate(replies):
        part = AggregateSlot(aggregate, at)
        if isinstance(reply, NodeFailure):
            part.on_failure(reply)
        else:
            part.on_reply(reply)
    return out(ledger)


def test_merged() -> None:
    """By the rule; by the places of the keys; a write of which nothing failed like a read."""
    assert merged(AGG_SUM, False, None, b":1\r\n", b":2\r\n") == b":3\r\n"
    assert merged(AGG_SUM, True, [[0], [1]], b":1\r\n", b":2\r\n") == b":3\r\n"
    assert merged(IN_KEY_ORDER, False, [[1], [0]], b"*1\r\n:1\r\n", b"*1\r\n:2\r\n") == b"*2\r\n:2\r\n:1\r\n"


def test_reads_that_fail() -> None:
    """The first failure is the reply; a node's own error too."""
    assert merged(AGG_SUM, False, None, b":1\r\n", FAILURE) == b"-NODEDOWN b b:1 (gone)\r\n"
    assert merged(AGG_SUM, False, None, b":1\r\n", b"-ERR no\r\n") == b"-ERR no\r\n"
    assert merged(AGG_SUM, False, None, b"-ERR no\r\n", FAILURE) == b"-ERR no\r\n"


def test_writes_that_fail() -> None:
    """In part: how much, where, why, and what nobody knows; all alike: the error itself; alone: its own failure."""
    partly = b"-PARTIAL 'cmd' failed for %b; %d applied\r\n"
    unknown = b"-PARTIAL 'cmd' failed for %b; %d applied, %d may have been applied\r\n"
    assert merged(ALL_SUCCEEDED, True, None, b"+OK\r\n", FAILURE) == unknown % (b"1 of 2 nodes on b (gone)", 1, 1)
    assert merged(AGG_SUM, True, [[0, 2], [1]], FAILURE, b":1\r\n") == unknown % (b"2 of 3 keys on b (gone)", 1, 2)
    assert merged(ALL_SUCCEEDED, True, None, b"-ERR a\r\n", FAILURE) == unknown % (
        b"2 of 2 nodes on a node (ERR a)",
        0,
        1,
    )
    assert merged(ALL_SUCCEEDED, True, None, b"+OK\r\n", UNSENT) == partly % (b"1 of 2 nodes on b (gone)", 1)
    assert merged(ALL_SUCCEEDED, True, None, b"-ERR a\r\n", b"-ERR a\r\n") == b"-ERR a\r\n"
    assert merged(ALL_SUCCEEDED, True, None, b"-ERR a\r\n", b"-ERR b\r\n") == partly % (
        b"2 of 2 nodes on a node (ERR a)",
        0,
    )
    assert merged(ALL_SUCCEEDED, True, None, FAILURE) == UNKNOWN
    assert merged(ONE_SUCCEEDED, True, None, b"-NOTBUSY no\r\n", b"+OK\r\n") == b"+OK\r\n"


def test_listed() -> None:
    """Each reply in its place, failures as errors."""
    for write, line in ((False, b"-NODEDOWN b b:1 (gone)\r\n"), (True, UNKNOWN)):
        replies, pending = opened()
        aggregate = ListReplies(pending, 2, write)
        aggregate.set_failure(1, FAILURE)
        aggregate.set_reply(0, b":1\r\n")
        assert out(replies) == b"*2\r\n:1\r\n" + line
    replies, pending = opened()
    aggregate = ListReplies(pending, 1, False)
    aggregate.set_reply(0, b":1\r\n")
    assert out(replies) == b"*1\r\n:1\r\n"


def test_first_failure() -> None:
    """The one at the lowest place."""
    aggregate = ListReplies(opened()[1], 3, False)
    assert aggregate.first_failure() is None
    aggregate.set_failure(1, FAILURE)
    assert aggregate.first_failure() is FAILURE


def test_dropped() -> None:
    """A leg that nobody waits for takes anything."""
    handler = IgnoreReply()
    handler.on_reply(b"x")
    handler.on_failure(FAILURE)
    assert not handler.can_cut_through()


def test_kinds_must_say() -> None:
    """What a kind of leg, joint or peer does is for the kind to say."""
    handler, peer = ReplyHandler(), Transport()
    acts: list[Callable[[], None]] = [
        lambda: handler.on_reply(b""),
        lambda: handler.on_failure(FAILURE),
        lambda: handler.cut_through(b""),
        Aggregate(handler, 1).answer_parent,
        peer.flush,
        peer.resume,
    ]
    for act in acts:
        with pytest.raises(NotImplementedError):
            act()


# -- messages ----------------------------------------------------------------------------------------------


def test_push() -> None:
    """A message leaves at once, between two replies; behind one that has left in part it waits for its end."""
    replies, pending = opened()
    later = replies.open_pending(False)
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
    pending = replies.open_pending(False)
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
    calls = [replies.open_pending(False) for _ in range(3)]
    if gone:
        replies.close()
    for pending in reversed(calls):
        pending.on_reply(b"+large\r\n")
    assert replies.take_output() == ([] if gone else [b"+large\r\n"] * 3)
    assert not any(pending.reply for pending in calls)
    assert replies.held_reply_bytes == 0
