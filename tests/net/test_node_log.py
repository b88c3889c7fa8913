"""What the log says of nodes: changes of state, once each, and bugs of ours, with their traceback once."""

import logging

import pytest

from kidoproxy.net.node_log import NodeLogger
from tests.net.fakes import Net
from tests.session.stage import ring


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What has been logged since."""
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_states(caplog: pytest.LogCaptureFixture) -> None:
    """Up, suspect, down: one line each, however often it is looked at; versions may be any bytes."""
    caplog.set_level(logging.INFO)
    net = Net(ring("a"))
    node, _ = net.node("a")
    known = node.connection.node
    node_log = NodeLogger(net.bridge, [known])
    known.version = b"7.\xff"
    node_log.tick()
    node_log.tick()
    assert lines(caplog) == [f"node up: node=a address={known.address} version=7.\\xff"]
    known.suspect = True
    known.cause = "slow"
    node_log.tick()
    assert lines(caplog) == [f"node suspect: node=a address={known.address} cause=slow"]
    node.connection.on_connection_lost("gone", 1.0, True)
    node_log.tick()
    assert lines(caplog) == [f"node down: node=a address={known.address} cause=gone"]


def test_late_writes(caplog: pytest.LogCaptureFixture) -> None:
    """A copy that cannot be guarded against late writes is told once for each reason."""
    net = Net(ring("a"))
    node, _ = net.node("a")
    known = node.connection.node
    node_log = NodeLogger(net.bridge, [known])
    node_log.tick()
    lines(caplog)
    for reason in ("CLIENT ID is refused", "", "CLIENT ID is refused", "NOPERM"):
        known.unfenced = reason
        node_log.tick()
    causes = ("CLIENT ID is refused", "NOPERM")
    assert lines(caplog) == [f"node not fenced: node=a address={known.address} cause={cause}" for cause in causes]


def test_exceptions(caplog: pytest.LogCaptureFixture) -> None:
    """The request's name, what was raised, and where: the latter once."""
    net = Net(ring("a"))
    node, _ = net.node("a")
    node_log = NodeLogger(net.bridge, [node.connection.node])
    try:
        raise ValueError("two\nlines " + "x" * 500)
    except ValueError as problem:
        raised = problem
    for _ in range(2):
        node.connection.node.record_internal_error("scan", raised)
        node_log.tick()
    first, second = [line for line in lines(caplog) if line.startswith("reply")]
    assert first.startswith("reply not handled: node=a request=scan cause=ValueError: two lines xxx")
    assert "at test_node_log.py" in first
    assert "at test_node_log.py" not in second
    assert len(second) < 300
    assert node.connection.node.internal_errors == []
