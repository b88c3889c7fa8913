"""Bytes and times by pool and node: bounded series, and those of one server in one."""

from prometheus_client.core import Metric

from kidoproxy.admin.traffic_metrics import traffic_families
from kidoproxy.replies.durations import REQUEST_BUCKETS
from tests.session.stage import InMemoryProxy, ring


def samples(stage: InMemoryProxy) -> dict[str, float]:
    """By name and labels."""
    found: dict[str, float] = {}
    families: list[Metric] = list(traffic_families(stage.proxy))
    for family in families:
        for sample in family.samples:
            found[sample.name + "".join([f" {value}" for value in sample.labels.values()])] = sample.value
    return found


def test_times_and_bytes() -> None:
    """As they were measured, in buckets; the queue of all nodes together."""
    stage = ring("a", "b")
    stage.pool.bytes_received, stage.pool.bytes_sent = 3, 4
    stage.pool.request_durations.observe(0.0002)
    for name, seconds in (("a", 0.003), ("b", 9.0)):
        traffic = stage.node(name).traffic
        traffic.bytes_received, traffic.bytes_sent = 5, 6
        traffic.reply_durations.observe(seconds)
        traffic.queue_durations.observe(0.002)
    found = samples(stage)
    assert (found["kidoproxy_pool_bytes_received_total cache"], found["kidoproxy_pool_bytes_sent_total cache"]) == (
        3,
        4,
    )
    assert (
        found["kidoproxy_request_seconds_bucket cache 0.00025"] == found["kidoproxy_request_seconds_count cache"] == 1
    )
    assert found["kidoproxy_request_seconds_bucket cache 0.0001"] == 0
    assert (found["kidoproxy_queue_seconds_count"], found["kidoproxy_queue_seconds_sum"]) == (2, 0.004)
    assert found["kidoproxy_upstream_seconds_bucket b 10.0.0.2:6379 2.5"] == 0
    assert found["kidoproxy_upstream_seconds_bucket b 10.0.0.2:6379 +Inf"] == 1
    assert found["kidoproxy_node_bytes_sent_total a 10.0.0.1:6379"] == 6
    per_node = [name for name in found if name.startswith("kidoproxy_upstream_seconds") and " a " in name]
    assert len(per_node) == len(REQUEST_BUCKETS) + 3


def test_one_server_of_two_pools() -> None:
    """It is one series, with what both have."""
    stage = ring("a", "b")
    first, second = stage.node("a"), stage.node("b")
    second.name, second.address = first.name, first.address
    first.traffic.bytes_sent, second.traffic.bytes_sent = 1, 2
    assert samples(stage)["kidoproxy_node_bytes_sent_total a 10.0.0.1:6379"] == 3
