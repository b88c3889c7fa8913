"""Connections by state, of clients and to nodes. The states are closed sets: each series is there from the start."""

from prometheus_client.core import GaugeMetricFamily, Metric

from kidoproxy.session.mode import MODE_NAMES
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.states import STATE_NAMES


def connection_families(proxy: ProxyState) -> list[Metric]:
    """Clients of each pool by the mode of their session, connections to each node by their state."""
    return [client_states(proxy), node_connection_states(proxy)]


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


def node_connection_states(proxy: ProxyState) -> Metric:
    family = GaugeMetricFamily(
        "kidoproxy_node_connections",
        "Connections to a node, shared and dedicated, by state.",
        labels=["node", "address", "state"],
    )
    nodes = [connection_set.node for connection_set in proxy.executor.connection_sets]
    counts = {(node.name, node.address, state): 0 for node in nodes for state in STATE_NAMES}
    for conn in proxy.executor.all_connections():
        key = conn.node.name, conn.node.address, STATE_NAMES[conn.state]
        counts[key] = counts.get(key, 0) + 1
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family
