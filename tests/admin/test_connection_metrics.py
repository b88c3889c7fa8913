"""Connections by state: each is counted once, and states in which nobody is are zero, not absent."""

from prometheus_client.core import Metric

from kidoproxy.admin.connection_metrics import client_states, node_connection_states
from kidoproxy.session.mode import MODE_NAMES
from kidoproxy.upstream.states import STATE_NAMES
from tests.session.stage import ring, say


def by_state(family: Metric, **labels: str) -> dict[str, float]:
    """The samples with these labels."""
    return {
        sample.labels["state"]: sample.value
        for sample in family.samples
        if all(sample.labels[name] == value for name, value in labels.items())
    }


def test_clients() -> None:
    """One that blocks is no longer ready."""
    stage = ring("a")
    stage.ready()
    stage.client()
    say(stage.client(), "BLPOP", "q", "0")
    found = by_state(client_states(stage.proxy), pool="cache")
    assert found == {**dict.fromkeys(MODE_NAMES, 0), "ready": 1, "blocked": 1}


def test_connections_to_nodes() -> None:
    """A node that nobody has asked for has none; its state after a handshake is ready."""
    stage = ring("a", "b")
    stage.connection("a")
    empty, a, b = node_connection_states(stage.proxy)
    assert empty.samples == []
    assert by_state(a, node="a") == {**dict.fromkeys(STATE_NAMES, 0), "ready": 1}
    assert by_state(b, node="b") == dict.fromkeys(STATE_NAMES, 0)
