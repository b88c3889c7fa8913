"""The ledger by itself: places, their order, joints; what the stories do not reach."""

from collections.abc import Callable

import pytest

from kidoproxy import limits
from kidoproxy.commands.spec import ALL_OK, IN_KEY_ORDER, ONE_OK, TOTAL
from kidoproxy.errors import NODEDOWN, NodeFailure
from kidoproxy.ledger import Call, Dropped, Joint, Ledger, Leg, Listed, Part, Peer, Turn
from kidoproxy.ledger_account import HALF_REPLY, OUTPUT
from kidoproxy.ledger_merged import Merged

FAILURE = NodeFailure(NODEDOWN, "b", "b:1", "gone", True)
UNSENT = NodeFailure(NODEDOWN, "b", "b:1", "gone", False)
UNKNOWN = b"-NODEDOWN b b:1 (gone); the write may have run, its outcome is unknown\r\n"


def opened(write: bool = False) -> tuple[Ledger, Call]:
    """A ledger with one call."""
    ledger = Ledger(Turn())
    return ledger, ledger.open(write)


def out(ledger: Ledger) -> bytes:
    """What leaves now."""
    return b"".join(ledger.take_out())


# -- order -----------------------------------------------------------------------------------------------


def test_order() -> None:
    """The head leaves with all ready ones behind it; a quiet one leaves no trace; one write is asked for."""
    turn = Turn()
    ledger = Ledger(turn)
    first, second, quiet, last = (ledger.open(False) for _ in range(4))
    quiet.quiet = True
    second.take(b"2")
    quiet.take(b"q")
    assert (out(ledger), ledger.count(), turn.ledgers) == (b"", 4, [])
    first.take(b"1")
    assert repr(ledger) == "<ledger 1 open, 2 bytes ready>"
    last.take(b"4")
    assert turn.ledgers == [ledger]
    assert out(ledger) == b"124"
    assert (ledger.count(), ledger.out_bytes, ledger.dirty) == (0, 0, False)


def test_much() -> None:
    """Thousands of calls: the answered ones are forgotten while others are still open."""
    ledger = Ledger(Turn())
    calls = [ledger.open(False) for _ in range(2000)]
    for at, call in enumerate(calls[:1500]):
        call.take(b"%d," % at)
    assert ledger.count() == 500
    assert len(ledger.calls) < 2000
    for call in calls[1500:]:
        call.take(b".")
    assert out(ledger) == b"".join([b"%d," % at for at in range(1500)]) + b"." * 500


def test_wanted() -> None:
    """Who waits for the ledger to shrink is told once."""
    turn = Turn()
    ledger = Ledger(turn)
    calls = [ledger.open(False) for _ in range(3)]
    ledger.wanted = 1
    calls[0].take(b"1")
    assert turn.drained == []
    calls[1].take(b"2")
    calls[2].take(b"3")
    assert turn.drained == [ledger]


def test_closed() -> None:
    """The client is gone: what still comes is dropped."""
    ledger, call = opened()
    ledger.close()
    call.take(b"x")
    ledger.emit(b"y")
    assert not call.can_cut()
    assert (out(ledger), repr(ledger)) == (b"", "<ledger 0 open, 0 bytes ready, closed>")


def test_cut() -> None:
    """Pieces leave when it is the call's turn; a failure behind a piece tears the reply, and it is not asked again."""
    ledger, call = opened()
    later = ledger.open(False)
    assert (call.can_cut(), later.can_cut()) == (True, False)
    call.tries = 1
    call.cut(b"half")
    assert call.tries == 0
    call.fail(FAILURE)
    assert (out(ledger), ledger.cut_for) == (b"half", HALF_REPLY)
    quiet = opened()[1]
    quiet.quiet = True
    assert not quiet.can_cut()


def test_failure() -> None:
    """A failure is an error line; of a write that may have run it says so."""
    for write, line in ((False, b"-NODEDOWN b b:1 (gone)\r\n"), (True, UNKNOWN)):
        ledger, call = opened(write)
        call.fail(FAILURE)
        assert out(ledger) == line


# -- joints ------------------------------------------------------------------------------------------------


def merged(rule: int, write: bool, places: list[list[int]] | None, *replies: bytes | NodeFailure) -> bytes:
    """What is made of these replies."""
    ledger, call = opened(write)
    joint = Merged(call, len(replies), rule, 2, b"cmd", write)
    joint.places = places
    joint.keys = sum(len(some) for some in places or [])
    for at, reply in enumerate(replies):
        part = Part(joint, at)
        if isinstance(reply, NodeFailure):
            part.fail(reply)
        else:
            part.take(reply)
    return out(ledger)


def test_merged() -> None:
    """By the rule; by the places of the keys; a write of which nothing failed like a read."""
    assert merged(TOTAL, False, None, b":1\r\n", b":2\r\n") == b":3\r\n"
    assert merged(TOTAL, True, [[0], [1]], b":1\r\n", b":2\r\n") == b":3\r\n"
    assert merged(IN_KEY_ORDER, False, [[1], [0]], b"*1\r\n:1\r\n", b"*1\r\n:2\r\n") == b"*2\r\n:2\r\n:1\r\n"


def test_reads_that_fail() -> None:
    """The first failure is the reply; a node's own error too."""
    assert merged(TOTAL, False, None, b":1\r\n", FAILURE) == b"-NODEDOWN b b:1 (gone)\r\n"
    assert merged(TOTAL, False, None, b":1\r\n", b"-ERR no\r\n") == b"-ERR no\r\n"
    assert merged(TOTAL, False, None, b"-ERR no\r\n", FAILURE) == b"-ERR no\r\n"


def test_writes_that_fail() -> None:
    """In part: how much, where, why, and what nobody knows; all alike: the error itself; alone: its own failure."""
    partly = b"-PARTIAL 'cmd' failed for %b; %d applied\r\n"
    unknown = b"-PARTIAL 'cmd' failed for %b; %d applied, %d may have been applied\r\n"
    assert merged(ALL_OK, True, None, b"+OK\r\n", FAILURE) == unknown % (b"1 of 2 nodes on b (gone)", 1, 1)
    assert merged(TOTAL, True, [[0, 2], [1]], FAILURE, b":1\r\n") == unknown % (b"2 of 3 keys on b (gone)", 1, 2)
    assert merged(ALL_OK, True, None, b"-ERR a\r\n", FAILURE) == unknown % (b"2 of 2 nodes on a node (ERR a)", 0, 1)
    assert merged(ALL_OK, True, None, b"+OK\r\n", UNSENT) == partly % (b"1 of 2 nodes on b (gone)", 1)
    assert merged(ALL_OK, True, None, b"-ERR a\r\n", b"-ERR a\r\n") == b"-ERR a\r\n"
    assert merged(ALL_OK, True, None, b"-ERR a\r\n", b"-ERR b\r\n") == partly % (b"2 of 2 nodes on a node (ERR a)", 0)
    assert merged(ALL_OK, True, None, FAILURE) == UNKNOWN
    assert merged(ONE_OK, True, None, b"-NOTBUSY no\r\n", b"+OK\r\n") == b"+OK\r\n"


def test_listed() -> None:
    """Each reply in its place, failures as errors."""
    for write, line in ((False, b"-NODEDOWN b b:1 (gone)\r\n"), (True, UNKNOWN)):
        ledger, call = opened()
        joint = Listed(call, 2, write)
        joint.fault(1, FAILURE)
        joint.fill(0, b":1\r\n")
        assert out(ledger) == b"*2\r\n:1\r\n" + line
    ledger, call = opened()
    joint = Listed(call, 1, False)
    joint.fill(0, b":1\r\n")
    assert out(ledger) == b"*1\r\n:1\r\n"


def test_first_failure() -> None:
    """The one at the lowest place."""
    joint = Listed(opened()[1], 3, False)
    assert joint.first_failure() is None
    joint.fault(1, FAILURE)
    assert joint.first_failure() is FAILURE


def test_dropped() -> None:
    """A leg that nobody waits for takes anything."""
    leg = Dropped()
    leg.take(b"x")
    leg.fail(FAILURE)
    assert not leg.can_cut()


def test_kinds_must_say() -> None:
    """What a kind of leg, joint or peer does is for the kind to say."""
    leg, peer = Leg(), Peer()
    acts: list[Callable[[], None]] = [
        lambda: leg.take(b""),
        lambda: leg.fail(FAILURE),
        lambda: leg.cut(b""),
        Joint(leg, 1).finish,
        peer.write,
        peer.go_on,
    ]
    for act in acts:
        with pytest.raises(NotImplementedError):
            act()


# -- messages ----------------------------------------------------------------------------------------------


def test_push() -> None:
    """A message leaves at once, between two replies; behind one that has left in part it waits for its end."""
    ledger, call = opened()
    later = ledger.open(False)
    later.take(b"later")
    ledger.push(b"1")
    assert out(ledger) == b"1"
    call.cut(b"half")
    ledger.push(b"2")
    ledger.push(b"3")
    assert (out(ledger), ledger.held_bytes) == (b"half", 2)
    call.take(b"whole")
    assert out(ledger) == b"whole23later"
    ledger.push(b"4")
    assert out(ledger) == b"4"


def test_messages_behind_half_a_reply_have_a_bound() -> None:
    """They are counted anew for each such reply; too many tear it, and the client is cut."""
    ledger, call = opened()
    call.cut(b"half")
    ledger.push(b"x" * 1000)
    call.take(b"")
    call = ledger.open(False)
    call.cut(b"half")
    ledger.push(b"x" * limits.PUBSUB_OUTPUT_BYTES)
    torn = [ledger.cut_for]
    ledger.push(b"x")
    assert [*torn, ledger.cut_for] == ["", OUTPUT]
    ledger.close()
    ledger.push(b"x")
    assert out(ledger) == b""


@pytest.mark.parametrize("gone", [False, True])
def test_answered_calls_keep_no_bytes(gone: bool) -> None:
    """Whoever still knows an answered call, as the node's connection does for a while, does not keep its reply."""
    ledger = Ledger(Turn())
    calls = [ledger.open(False) for _ in range(3)]
    if gone:
        ledger.close()
    for call in reversed(calls):
        call.take(b"+large\r\n")
    assert ledger.take_out() == ([] if gone else [b"+large\r\n"] * 3)
    assert not any(call.reply for call in calls)
    assert ledger.waiting_bytes == 0
