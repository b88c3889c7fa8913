"""Connections by state, of clients and to nodes. The states are closed sets: each series is there from the start."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from kidoproxy.session.mode import MODE_NAMES
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.states import STATE_NAMES


def connection_families(proxy: ProxyState) -> Iterator[Metric]:
    """Clients of each pool by the mode of their session, connections to each node by their state."""
    yield client_states(proxy)
    yield from node_connection_states(proxy)


def client_states(proxy: ProxyState) -> Metric:
    family = GaugeMetricFamily(
        "kidoproxy_clients_by_state", "Connected clients, by what they wait for.", labels=["pool", "state"]
    )
    counts = {(context.name, state): 0 for context in proxy.contexts for state in MODE_NAMES}
    for session in proxy.sessions.values():
        key = session.context.name, MODE_NAMES[session.mode]
        counts[key] = counts.get(key, 0) + 1
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


def node_connection_states(proxy: ProxyState) -> Iterator[Metric]:
    """In portions: the metric comes once without samples, and once for each node."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for connection_set in proxy.executor.connection_sets:
        node = connection_set.node
        counts[node.name, node.address] = dict.fromkeys(STATE_NAMES, 0)
    for conn in proxy.executor.all_connections():
        counts[conn.node.name, conn.node.address][STATE_NAMES[conn.state]] += 1
    yield connection_state_family({})
    for server, by_state in counts.items():
        yield connection_state_family({server: by_state})


def connection_state_family(counts: dict[tuple[str, str], dict[str, int]]) -> Metric:
    family = GaugeMetricFamily(
        "kidoproxy_node_connections",
        "Connections to a node, shared and dedicated, by state.",
        labels=["node", "address", "state"],
    )
    for server, by_state in counts.items():
        for state, count in by_state.items():
            family.add_metric([*server, state], count)
    return family
