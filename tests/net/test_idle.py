"""Idle clients: who is looked at, and what is said."""

import itertools
import logging

import pytest

from kidoproxy.net.idle import IdleSweep
from tests.net.fakes import Net
from tests.session.stage import ring


def test_everybody_is_looked_at_once_in_a_round(caplog: pytest.LogCaptureFixture) -> None:
    """A slice per tick; a round ends with one line that counts, or with none."""
    net = Net(ring("a"))
    net.stage.pool.idle_seconds = 10
    sweep = IdleSweep(net.clients, [net.stage.pool], 0.25)
    sockets = [net.client()[1] for _ in range(10)]
    net.wait(5)
    awake, awake_socket = net.client()
    net.wait(6)
    with caplog.at_level(logging.INFO):
        closed = []
        for _ in range(4):
            sweep.tick()
            net.turn()
            closed.append(sum(socket.ended() == "closed" for socket in sockets))
    assert closed[-1] == 10
    assert all(before < after for before, after in itertools.pairwise(closed))
    assert [record.message for record in caplog.records] == ["idle clients closed: count=10"]
    assert awake_socket.ended() == ""
    for client in list(net.clients - {awake}):
        client.connection_lost(None)
    for _ in range(4):
        sweep.tick()
    assert len(caplog.records) == 1


def test_a_limit_that_comes_later() -> None:
    """Without one nobody is looked at; with one, from the next tick on."""
    net = Net(ring("a"))
    sweep = IdleSweep(net.clients, [net.stage.pool], 5.0)
    _, socket = net.client()
    net.wait(60)
    sweep.tick()
    assert (sweep.slices, socket.ended()) == ([], "")
    net.stage.pool.idle_seconds = 10
    sweep.tick()
    net.turn()
    assert socket.ended() == "closed"


def test_a_round_of_nobody() -> None:
    """Without clients, and with a tick that is longer than a round, there is nothing to do."""
    net = Net(ring("a"))
    sweep = IdleSweep(net.clients, [net.stage.pool], 5.0)
    assert sweep.ticks_per_sweep == 1
    sweep.tick()
    assert sweep.closed_count == 0
