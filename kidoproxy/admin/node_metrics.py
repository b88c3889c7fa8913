"""What each node has, over all connections to it: server by server, so that a page of many is made in portions."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_set import ConnectionSet

#: Name and address of a server; two pools may stand on one, which is one series.
Server = tuple[str, str]
LABELS = ("node", "address")


def node_families(proxy: ProxyState) -> Iterator[Metric]:
    """All of them, several times: first without samples, for their order, then for each server."""
    sets_by_server: dict[Server, list[ConnectionSet]] = {}
    for connection_set in proxy.executor.connection_sets:
        server = connection_set.node.name, connection_set.node.address
        sets_by_server.setdefault(server, []).append(connection_set)
    unshared: dict[Server, list[NodeConnection]] = {}
    for conn in proxy.executor.unshared_connections:
        unshared.setdefault((conn.node.name, conn.node.address), []).append(conn)
    yield from server_families({}, {})
    for server, connection_sets in sets_by_server.items():
        yield from server_families({server: connection_sets}, unshared)


def server_families(
    sets_by_server: dict[Server, list[ConnectionSet]], unshared: dict[Server, list[NodeConnection]]
) -> list[Metric]:
    """Those of these servers."""
    reply_seconds = GaugeMetricFamily(
        "kidoproxy_node_reply_seconds", 'Average time to a reply, measured where read = "nearest".', labels=LABELS
    )
    up = GaugeMetricFamily("kidoproxy_node_up", "1 while the node can be reached.", labels=LABELS)
    pending_requests = GaugeMetricFamily("kidoproxy_node_waiting", "Requests that wait for a reply.", labels=LABELS)
    replies = CounterMetricFamily("kidoproxy_node_replies", "Replies received.", labels=LABELS)
    dedicated = GaugeMetricFamily(
        "kidoproxy_node_dedicated_connections",
        "Connections lent to clients that block, watch or monitor.",
        labels=LABELS,
    )
    held_bytes = GaugeMetricFamily(
        "kidoproxy_node_bytes", "Bytes held for a node's connections: not sent, not answered.", labels=LABELS
    )
    timeouts = CounterMetricFamily("kidoproxy_node_timeouts", "Requests answered with TIMEOUT.", labels=LABELS)
    reconnects = CounterMetricFamily("kidoproxy_node_reconnects", "Connections lost and made again.", labels=LABELS)
    for server, connection_sets in sets_by_server.items():
        conns = [conn for connection_set in connection_sets for conn in connection_set.shared_connections()]
        held_bytes.add_metric(server, sum(conn.held_bytes() for conn in [*conns, *unshared.get(server, [])]))
        up.add_metric(server, int(any(conn.is_ready() for conn in conns)))
        pending_requests.add_metric(server, sum(conn.pending_count() for conn in conns))
        replies.add_metric(server, sum(conn.replies_received for conn in conns))
        timeouts.add_metric(server, sum(conn.timeouts for conn in conns))
        dedicated.add_metric(server, sum(connection_set.leased_count for connection_set in connection_sets))
        reconnects.add_metric(server, sum(conn.reconnects for conn in conns))
        for connection_set in connection_sets:
            if connection_set.node.reply_seconds:
                reply_seconds.add_metric(server, connection_set.node.reply_seconds)
    families: list[Metric] = [up, pending_requests, dedicated, held_bytes, replies, reply_seconds, timeouts, reconnects]
    return [*families, failure_family(sets_by_server)]


def failure_family(sets_by_server: dict[Server, list[ConnectionSet]]) -> Metric:
    """What has gone wrong with the nodes, by cause; see `kidoproxy.routes.topology.Node.failure_counts`."""
    family = CounterMetricFamily(
        "kidoproxy_node_failures", "What has gone wrong with a node, by cause.", labels=[*LABELS, "cause"]
    )
    for server, connection_sets in sets_by_server.items():
        totals: dict[str, int] = {}
        for connection_set in connection_sets:
            for cause, count in connection_set.node.failure_counts.items():
                totals[cause] = totals.get(cause, 0) + count
        for cause, count in totals.items():
            family.add_metric([*server, cause], count)
    return family
