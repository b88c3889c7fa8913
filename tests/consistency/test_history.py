"""What a history notes of a call."""

import math
from typing import Any

import pytest
import redis

from tests.consistency.history import FAIL, OK, UNKNOWN, History, Operation


def raising(error: Exception) -> Any:
    """A call that fails so."""

    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (redis.ResponseError("NODEDOWN a (closed); the write may have run, its outcome is unknown"), UNKNOWN),
        (redis.ResponseError("NOREPLICAS the write was applied on node-1 only, 2 copies are wanted"), UNKNOWN),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), FAIL),
        (redis.ResponseError("WRONGTYPE Operation against a key"), FAIL),
        (redis.ConnectionError("Error 111 connecting to localhost:1. Connection refused."), FAIL),
        (redis.ConnectionError("Connection closed by server."), UNKNOWN),
        (redis.TimeoutError("Timeout reading from socket"), UNKNOWN),
        (redis.WatchError("Watched variable changed."), FAIL),
    ],
)  # fmt: skip
def test_outcomes(error: Exception, outcome: str) -> None:
    """What may have run is unknown and has no end; what surely has not is a failure."""
    history = History()
    entry = history.record(Operation(1, "register", "k", "write", 5), raising(error))
    assert (entry.outcome, entry.result) == (outcome, str(error))
    assert (entry.completed == math.inf) == (outcome == UNKNOWN)
    assert history.count(outcome) == 1
    assert "write k 5 (" in str(entry)


def test_it_succeeds() -> None:
    """The reply is the result, and the interval is that of the call."""
    moments = iter([1.0, 2.0])
    history = History(lambda: next(moments))
    entry = history.record(Operation(1, "register", "k", "read"), lambda: 7)
    assert (entry.invoked, entry.completed, entry.outcome, entry.result) == (1.0, 2.0, OK, 7)
    assert str(entry) == "[1.0000 2.0000] client 1: read k -> 7"
    assert list(history.by_key()) == [("register", "k", [entry])]
    assert [history.unique(), history.unique()] == [0, 1]


def test_refused() -> None:
    """What the pool does not serve is remembered."""
    history = History()
    error = redis.ResponseError("'spop' is not served here: each node would pick other members")
    assert history.record(Operation(1, "queue", "k", "pop"), raising(error)).outcome == FAIL
    assert history.refused == {str(error)}
