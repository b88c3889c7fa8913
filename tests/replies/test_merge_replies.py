"""`kidoproxy.replies.merge_replies`: one reply of several, or an error that says what was applied."""

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import AGG_SUM, ALL_SUCCEEDED, IN_KEY_ORDER, ONE_SUCCEEDED
from kidoproxy.replies.aggregate import AggregateSlot
from kidoproxy.replies.merge_replies import MergeReplies
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp import limits
from kidoproxy.resp.encode import array, bulk
from kidoproxy.resp.errors import NODEDOWN, NodeFailure

FAILURE = NodeFailure(NODEDOWN, "b", "b:1", "gone", True)
UNSENT = NodeFailure(NODEDOWN, "b", "b:1", "gone", False)
UNKNOWN = b"-NODEDOWN b b:1 (gone); the write may have run, its outcome is unknown\r\n"


def merged(rule: int, write: bool, key_positions: list[list[int]] | None, *replies: bytes | NodeFailure) -> bytes:
    """What the client of a ``cmd`` gets if its parts get these replies."""
    queue = ReplyQueue(TurnWork())
    pending = queue.open_pending(COMMANDS[b"set"] if write else None)
    aggregate = MergeReplies(pending, len(replies), rule, 2, b"cmd", write)
    aggregate.key_positions = key_positions
    aggregate.key_count = sum(len(positions) for positions in key_positions or [])
    for index, reply in enumerate(replies):
        slot = AggregateSlot(aggregate, index)
        if isinstance(reply, NodeFailure):
            slot.on_failure(reply)
        else:
            slot.on_reply(reply)
    return b"".join(queue.take_output())


def test_replies_are_merged_by_the_rule() -> None:
    """By the rule, or by the positions of the keys; a write of which no part failed is merged like a read."""
    assert merged(AGG_SUM, False, None, b":1\r\n", b":2\r\n") == b":3\r\n"
    assert merged(AGG_SUM, True, [[0], [1]], b":1\r\n", b":2\r\n") == b":3\r\n"
    assert merged(IN_KEY_ORDER, False, [[1], [0]], b"*1\r\n:1\r\n", b"*1\r\n:2\r\n") == b"*2\r\n:2\r\n:1\r\n"


def test_reads_that_fail() -> None:
    """The first failure of a node, or error of one, is the reply."""
    assert merged(AGG_SUM, False, None, b":1\r\n", FAILURE) == b"-NODEDOWN b b:1 (gone)\r\n"
    assert merged(AGG_SUM, False, None, b":1\r\n", b"-ERR no\r\n") == b"-ERR no\r\n"
    assert merged(AGG_SUM, False, None, b"-ERR no\r\n", FAILURE) == b"-ERR no\r\n"


def test_writes_that_fail() -> None:
    """In part: how much, where, why and what is unknown; all alike: the error itself; a single part: its failure."""
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


def test_very_many_keys_are_merged_in_slices() -> None:
    """The reply is the same as in one step, a few turns later."""
    turn_work = TurnWork()
    queue = ReplyQueue(turn_work)
    aggregate = MergeReplies(queue.open_pending(None), 1, IN_KEY_ORDER, 2, b"mget", False)
    count = 2 * limits.SLICE_UNITS
    aggregate.key_positions = [list(range(count))]
    aggregate.key_count = count
    aggregate.jobs = turn_work.jobs
    values = [bulk(b"%d" % number) for number in range(count)]
    aggregate.set_reply(0, array(values))
    turns = 0
    while turn_work.jobs.queue:
        assert queue.take_output() == []
        turn_work.jobs.step_all(lambda: False)
        turns += 1
    assert turns > 2
    assert queue.take_output() == [array(values)]
