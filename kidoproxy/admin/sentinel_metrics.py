"""What is counted of nodes that sentinels name; other nodes have no such series."""

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kidoproxy.session.proxy_state import ProxyState


def sentinel_families(proxy: ProxyState) -> list[Metric]:
    """By the node's name alone, for its address changes. A server that two pools name is one series."""
    labels = ["node"]
    failovers = CounterMetricFamily("kidoproxy_node_failovers", "Times that a node's master has moved.", labels=labels)
    agreeing = GaugeMetricFamily(
        "kidoproxy_node_sentinels_agreeing", "Sentinels that name the master in use.", labels=labels
    )
    missing = GaugeMetricFamily(
        "kidoproxy_node_sentinels_missing", "Sentinels that do not answer, or name another one.", labels=labels
    )
    failures = CounterMetricFamily(
        "kidoproxy_node_sentinel_failures", "Sentinels lost, not reached, or not understood.", labels=labels
    )
    nodes = {connection_set.node.name: connection_set.node for connection_set in proxy.executor.connection_sets}
    for name, node in nodes.items():
        view = node.master_view
        if view is not None:
            failovers.add_metric([name], node.failovers)
            agreeing.add_metric([name], view.agreeing_count())
            missing.add_metric([name], len(view.votes) - view.agreeing_count())
            failures.add_metric([name], view.failures)
    return [failovers, agreeing, missing, failures]
