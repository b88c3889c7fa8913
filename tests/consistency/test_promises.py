"""What is acknowledged in which pool may be lost when, and what the checker makes of it."""

import math

import pytest

from tests.consistency.checker import check
from tests.consistency.history import OK, UNKNOWN, History, Operation
from tests.consistency.pools import POOLS
from tests.consistency.promises import promised


def op(action: str, at: float, result: object = None, value: object = None, client: int = 1) -> Operation:
    """One that took a tenth of a second."""
    return Operation(client, "register", "k", action, value, at, at + 0.1, OK, result)


def test_all() -> None:
    """Nothing may be lost, whoever looks."""
    entries = [op("write", 1, value=1), op("peek", 2, 1), op("read", 3, 1)]
    assert promised(entries, "all") == entries


@pytest.mark.parametrize("ack", ["quorum", "leader"])
def test_single_copies(ack: str) -> None:
    """A copy may lack what was acknowledged, until all is quiet: then it is of no client."""
    last = op("peek", 9, 1, client=-1)
    entries = [op("write", 1, value=1), op("peek", 2), op("read", 3, 1), last]
    assert promised(entries, ack) == [entries[0], entries[2], last]


def test_what_may_be_lost() -> None:
    """Writes that were acknowledged so shortly before may have run or not, and nobody can say what reads have seen."""
    early, late, unknown = op("write", 1, value=1), op("write", 5, value=2), op("write", 5, value=3)
    unknown.outcome, unknown.completed = UNKNOWN, math.inf
    entries = [early, late, unknown, op("read", 5.2, 2), op("read", 7, 1)]
    found = promised(entries, "leader", [(4.5, 6.0)])
    assert [(entry.action, entry.value, entry.outcome) for entry in found] == [
        ("write", 1, OK),
        ("write", 2, UNKNOWN),
        ("write", 3, UNKNOWN),
        ("read", None, OK),
    ]
    assert found[1].completed == math.inf
    history = History()
    history.operations = entries
    assert check(history)
    history.operations = found
    assert not check(history)


def test_kinds_of_pools() -> None:
    """What they promise is known, and how wrong their clocks are."""
    assert {name: kind.ack for name, kind in POOLS.items() if kind.ack != "all"} == {
        "quorum": "quorum",
        "leader": "leader",
    }
    assert {name for name, kind in POOLS.items() if kind.skew} == {"clocks"}
    assert (POOLS["quorum"].count(2, False), POOLS["quorum"].count(2, True)) == (3, 2)
