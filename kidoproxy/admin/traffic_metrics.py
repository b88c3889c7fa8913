"""Bytes by pool and by node, and how long requests take: what `kidoproxy.upstream.traffic` knows.

Durations are those of a sample, at most a hundred a second of each pool and connection: quantiles of the histograms say
what clients meet, their counts are not those of the requests.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from kidoproxy.replies.durations import MILLISECOND_BUCKETS, REQUEST_BUCKETS, Durations
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.upstream.traffic import NodeTraffic

#: Name and address of a server; two pools may stand on it.
Server = tuple[str, str]


def merged(bounds: tuple[float, ...], parts: list[Durations]) -> Durations:
    """All of these in one."""
    found = Durations(bounds)
    for part in parts:
        found.add(part)
    return found


def add_durations(family: HistogramMetricFamily, labels: tuple[str, ...], durations: Durations) -> None:
    family.add_metric(labels, durations.cumulative(), durations.total_seconds)


def traffic_by_server(proxy: ProxyState) -> dict[Server, list[NodeTraffic]]:
    found: dict[Server, list[NodeTraffic]] = {}
    for connection_set in proxy.executor.connection_sets:
        node = connection_set.node
        found.setdefault((node.name, node.address), []).append(node.traffic)
    return found


def traffic_families(proxy: ProxyState) -> Iterator[Metric]:
    """All of them; those of nodes one by one, so that a page of many nodes can be made in portions."""
    yield from pool_families(proxy)
    by_server = traffic_by_server(proxy)
    queue = HistogramMetricFamily(
        "kidoproxy_queue_seconds", "How long requests wait here for their write to a node, to the millisecond."
    )
    parts = [traffic.queue_durations for found in by_server.values() for traffic in found]
    add_durations(queue, (), merged(MILLISECOND_BUCKETS, parts))
    yield queue
    yield from upstream_families({})
    for server, found in by_server.items():
        yield from upstream_families({server: found})


def pool_families(proxy: ProxyState) -> Iterator[Metric]:
    """Those of the listening pools."""
    received = CounterMetricFamily("kidoproxy_pool_bytes_received", "Bytes from clients.", labels=["pool"])
    sent = CounterMetricFamily("kidoproxy_pool_bytes_sent", "Bytes to clients.", labels=["pool"])
    seconds = HistogramMetricFamily(
        "kidoproxy_request_seconds",
        "From the arrival of a request until its reply leaves, of a sample.",
        labels=["pool"],
    )
    for context in proxy.contexts:
        received.add_metric([context.name], context.bytes_received)
        sent.add_metric([context.name], context.bytes_sent)
        add_durations(seconds, (context.name,), context.request_durations)
    yield from (received, sent, seconds)


def upstream_families(by_server: dict[Server, list[NodeTraffic]]) -> Iterator[Metric]:
    """Those of these servers."""
    labels = ["node", "address"]
    received = CounterMetricFamily("kidoproxy_node_bytes_received", "Bytes from nodes.", labels=labels)
    sent = CounterMetricFamily("kidoproxy_node_bytes_sent", "Bytes to nodes.", labels=labels)
    seconds = HistogramMetricFamily(
        "kidoproxy_upstream_seconds",
        "From the write of a request to a node until its reply is read, of a sample.",
        labels=labels,
    )
    for server, found in by_server.items():
        received.add_metric(server, sum(traffic.bytes_received for traffic in found))
        sent.add_metric(server, sum(traffic.bytes_sent for traffic in found))
        add_durations(seconds, server, merged(REQUEST_BUCKETS, [traffic.reply_durations for traffic in found]))
    yield from (received, sent, seconds)
