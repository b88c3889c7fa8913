"""`kidoproxy.replies.aggregate`: slots are filled, then the parent is answered once."""

import pytest

from kidoproxy.replies.aggregate import Aggregate, ListReplies, MergeWith
from kidoproxy.replies.handler import IgnoreReply
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp.errors import NODEDOWN, NodeFailure

FAILURE = NodeFailure(NODEDOWN, "b", "b:1", "gone", True)
UNKNOWN = b"-NODEDOWN b b:1 (gone); the write may have run, its outcome is unknown\r\n"


def test_a_list_of_replies() -> None:
    """Each reply at its own position, failures as errors."""
    for write, line in ((False, b"-NODEDOWN b b:1 (gone)\r\n"), (True, UNKNOWN)):
        queue = ReplyQueue(TurnWork())
        aggregate = ListReplies(queue.open_pending(None), 2, write)
        aggregate.set_failure(1, FAILURE)
        aggregate.set_reply(0, b":1\r\n")
        assert b"".join(queue.take_output()) == b"*2\r\n:1\r\n" + line
    queue = ReplyQueue(TurnWork())
    aggregate = ListReplies(queue.open_pending(None), 1, False)
    aggregate.set_reply(0, b":1\r\n")
    assert b"".join(queue.take_output()) == b"*1\r\n:1\r\n"


def test_first_failure() -> None:
    """The one with the lowest index."""
    aggregate = ListReplies(IgnoreReply(), 3, False)
    assert aggregate.first_failure() is None
    aggregate.set_failure(1, FAILURE)
    assert aggregate.first_failure() is FAILURE


def test_merge_with_a_function() -> None:
    """The function is given all replies in the order of the slots; a failure is the answer instead."""
    for first, answer in ((b"1", b"12"), (None, b"-NODEDOWN b b:1 (gone)\r\n")):
        queue = ReplyQueue(TurnWork())
        aggregate = MergeWith(queue.open_pending(None), 2, b"".join)
        aggregate.set_reply(1, b"2")
        if first is None:
            aggregate.set_failure(0, FAILURE)
        else:
            aggregate.set_reply(0, first)
        assert b"".join(queue.take_output()) == answer


def test_aggregates_say_how_they_answer() -> None:
    """The base class has no answer."""
    with pytest.raises(NotImplementedError):
        Aggregate(IgnoreReply(), 1).answer_parent()
