"""The exposition: what a scrape finds, read as Prometheus reads it."""

import re
import subprocess

from prometheus_client.parser import text_string_to_metric_families

from kidoproxy.admin.metrics import render
from kidoproxy.admin.worker_totals import WorkerTotals
from kidoproxy.replication.group import BEHIND, group_of
from kidoproxy.replication.owner_marks import OwnerMark
from kidoproxy.replication.ownership import Ownership
from kidoproxy.replication.sync_progress import SyncProgress
from tests.greet import greet
from tests.needs import needs
from tests.session.stage import InMemoryProxy, copies, key_on, listening, request, ring, say


def samples(stage: InMemoryProxy) -> dict[str, float]:
    """``name{label=value}`` of all samples; every family has a type and a text."""
    found = {}
    for family in text_string_to_metric_families(render(stage.proxy, WorkerTotals()).decode()):
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        assert family.name.startswith(("kidoproxy_", "process_", "python_gc_"))
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found
            found[key] = sample.value
    return found


def test_the_process() -> None:
    """What there is one of: the build, the time, the clients, the commands."""
    stage = ring("a")
    client = stage.client()
    stage.proxy.connections_received = 3
    stage.proxy.connections_rejected = 2
    stage.proxy.forced_disconnects["output limit"] = 1
    stage.proxy.contexts[0].bytes_received = 10**12
    say(client, "PING")
    say(client, "GET")
    found = samples(stage)
    assert found["kidoproxy_build_info{build=interpreted,version=1.2.3}"] == 1
    assert found["kidoproxy_uptime_seconds{worker=0}"] == 90
    assert found["kidoproxy_connections_accepted_total"] == 3
    assert found["kidoproxy_connections_rejected_total"] == 2
    assert found["kidoproxy_clients_cut_total{reason=output limit}"] == 1
    assert found["kidoproxy_commands_total{family=string,pool=cache}"] == 1
    assert found["kidoproxy_commands_total{family=connection,pool=cache}"] == 1
    assert found["kidoproxy_errors_total{code=ERR,pool=cache}"] == 1
    assert found["kidoproxy_bytes_received_total"] == 10**12
    assert found["kidoproxy_clients{pool=cache}"] == 1


def test_reloads() -> None:
    """How often the configuration was taken over and how often not, and since when it holds."""
    stage = ring("a")
    stage.proxy.count_reload(True)
    stage.proxy.clock.ms += 5000
    stage.proxy.count_reload(False)
    found = samples(stage)
    assert found["kidoproxy_reloads_total{result=ok,worker=0}"] == 1
    assert found["kidoproxy_reloads_total{result=rejected,worker=0}"] == 1
    assert found["kidoproxy_configuration_timestamp_seconds{worker=0}"] == stage.proxy.wall_ms / 1000 - 5


def test_the_format() -> None:
    """What Prometheus asks of names: each metric has a meaning and a type; counters, and nothing else, are totals."""
    stage = ring("a")
    say(stage.client(), "GET")
    text = render(stage.proxy, WorkerTotals()).decode()
    described = dict(re.findall(r"(?m)^# HELP (\w+) (.+)$", text))
    types = dict(re.findall(r"(?m)^# TYPE (\w+) (\w+)$", text))
    assert described.keys() == types.keys()
    assert len(re.findall(r"(?m)^# HELP ", text)) == len(described) > 50
    for name, kind in types.items():
        assert re.fullmatch(r"(kidoproxy|process|python_gc)(_[a-z]+)+", name)
        assert (kind == "counter") == name.endswith("_total"), name
    for name, labels in re.findall(r"(?m)^(\w+)(?:\{(.*)\})? \S+$", text):
        assert name in types or re.sub(r"_(bucket|count|sum)$", "", name) in types
        assert all(re.fullmatch(r"[a-z_]+", label) for label in re.findall(r'(\w+)="', labels))


def test_turns_of_the_loop() -> None:
    """How long the loop was busy at one go: a histogram, and what it adds up to."""
    stage = ring("a")
    for seconds in (0.0005, 0.004, 0.004, 3.0):
        stage.proxy.turn_durations.observe(seconds)
    found = samples(stage)
    assert found["kidoproxy_loop_turn_seconds_bucket{le=0.001,worker=0}"] == 1
    assert found["kidoproxy_loop_turn_seconds_bucket{le=0.005,worker=0}"] == 3
    assert found["kidoproxy_loop_turn_seconds_bucket{le=1.0,worker=0}"] == 3
    assert (
        found["kidoproxy_loop_turn_seconds_bucket{le=+Inf,worker=0}"]
        == found["kidoproxy_loop_turn_seconds_count{worker=0}"]
        == 4
    )
    assert round(found["kidoproxy_loop_turn_seconds_sum{worker=0}"], 6) == 3.0085


def test_channels() -> None:
    """How many names of each pool have subscribers, and how many messages these were sent."""
    stage = ring("a")
    assert samples(stage)["kidoproxy_messages_delivered_total"] == 0
    listening(stage, stage.client(), "news")
    stage.executor.unshared_connections[0].feed(b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nm\r\n", 0.0)
    found = samples(stage)
    assert found["kidoproxy_messages_delivered_total"] == 1
    assert found["kidoproxy_subscriptions{pool=cache}"] == 1


def test_the_nodes_of_a_ring() -> None:
    """Per node: whether it is up, what waits, what was answered."""
    stage = ring("a", "b")
    conn = stage.connection("a")
    client = stage.client()
    for _ in range(3):
        client.feed(request("GET", key_on(stage, "a")))
    conn.feed(b"$-1\r\n", 0.0)
    found = samples(stage)
    a, b = "{address=10.0.0.1:6379,node=a}", "{address=10.0.0.2:6379,node=b}"
    assert (found[f"kidoproxy_node_up{a}"], found[f"kidoproxy_node_up{b}"]) == (1, 0)
    assert found[f"kidoproxy_node_waiting{a}"] == 2
    assert found[f"kidoproxy_node_replies_total{a}"] >= 1
    conn.tick(1000.0)
    assert samples(stage)[f"kidoproxy_node_timeouts_total{a}"] == 2
    reconnects = conn.reconnects
    conn.start_connecting()
    conn.on_connected(1000.0, 1.0)
    conn.on_connection_lost("it closed the connection", 1000.0, False)
    assert samples(stage)[f"kidoproxy_node_reconnects_total{a}"] == reconnects + 1
    assert not any(name.startswith("kidoproxy_copy_in_sync") for name in found)


def test_dedicated_connections() -> None:
    """Clients that wait in a command which its node has, and the connections that they hold at each node."""
    stage = ring("a", "b")
    say(stage.client(), "BLPOP", key_on(stage, "a"), "0")
    assert samples(stage)["kidoproxy_blocked_clients{pool=cache}"] == 0
    dedicated = stage.executor.unshared_connections[0]
    dedicated.on_connected(0.0, 1.0)
    dedicated.feed(greet(dedicated, b"", 7), 0.0)
    found = samples(stage)
    assert found["kidoproxy_blocked_clients{pool=cache}"] == 1
    assert found["kidoproxy_node_dedicated_connections{address=10.0.0.1:6379,node=a}"] == 1
    assert found["kidoproxy_node_dedicated_connections{address=10.0.0.2:6379,node=b}"] == 0


def test_the_copies() -> None:
    """Per copy whether it is read, per pool what is known to be wrong."""
    stage = copies("a", "b")
    group = group_of(stage.nodes[0])
    assert group is not None
    stage.proxy.copy_groups = [group]
    group.mismatches = 4
    assert group.copy_of(stage.nodes[1]).state == BEHIND
    found = samples(stage)
    assert found["kidoproxy_copy_in_sync{node=a,pool=cache}"] == 1
    assert found["kidoproxy_copy_in_sync{node=b,pool=cache}"] == 0
    assert found["kidoproxy_copy_mismatches_total{pool=cache}"] == 4
    assert found["kidoproxy_copy_keys_to_repair{pool=cache}"] == 0
    assert found["kidoproxy_copy_missed_keys{node=b,pool=cache}"] == -1
    assert found["kidoproxy_copy_missed_keys{node=a,pool=cache}"] == 0
    assert found["kidoproxy_copy_sync_keys{node=b,pool=cache}"] == 0
    copy = group.copy_of(stage.nodes[1])
    copy.sync_progress = SyncProgress(0, 0.0)
    copy.sync_progress.begin_pass(10)
    copy.sync_progress.add(4)
    group.scrub.add_keys(7)
    group.scrub.add_difference(0, b"k")
    group.scrub.add_repaired(1)
    group.scrub.end("", 5000)
    copy.syncs_done, copy.syncs_failed, group.durability.failures = 3, 2, 1
    found = samples(stage)
    assert found["kidoproxy_copy_sync_keys{node=b,pool=cache}"] == 4
    assert found["kidoproxy_copy_sync_keys_expected{node=b,pool=cache}"] == 10
    assert found["kidoproxy_copy_syncs_total{node=b,pool=cache}"] == 3
    assert found["kidoproxy_copy_scrubbed_keys_total{pool=cache}"] == 7
    assert found["kidoproxy_copy_scrub_differences_total{pool=cache}"] == 1
    assert found["kidoproxy_copy_scrub_repairs_total{pool=cache}"] == 1
    assert found["kidoproxy_copy_scrub_last_end_seconds{pool=cache}"] == 5
    assert found["kidoproxy_copy_sync_failures_total{node=b,pool=cache}"] == 2
    assert found["kidoproxy_copy_record_failures_total{pool=cache}"] == 1
    assert found["kidoproxy_copy_other_owners_total{pool=cache}"] == 0
    group.ownership = Ownership(OwnerMark("cache", "id", 1, "host", "machine", 1, 1), False, lambda mark: False)
    group.ownership.sightings = 2
    assert samples(stage)["kidoproxy_copy_other_owners_total{pool=cache}"] == 2


def test_bytes_that_are_held() -> None:
    """For the clients of each pool, and for the connections to each node, dedicated ones too."""
    stage = ring("a")
    client = stage.client()
    node = stage.node("a")
    for_clients, for_nodes = (
        "kidoproxy_client_bytes{pool=cache}",
        f"kidoproxy_node_bytes{{address={node.address},node=a}}",
    )
    found = samples(stage)
    assert (found[for_clients], found[for_nodes]) == (0, 0)
    client.feed(b"SET {a}1 " + b"x" * 10_000 + b"\r\n*2\r\n$5\r\nhello")
    found = samples(stage)
    assert 10_000 < found[for_nodes] < 10_100
    assert 10_000 < found[for_clients] < 10_100


def test_prometheus_has_nothing_to_say() -> None:
    """Its own linter accepts every name, type and text, for rings and for copies."""
    for stage in (ring("a", "b"), copies("a", "b")):
        group = group_of(stage.nodes[0])
        stage.proxy.copy_groups += [group] if group is not None else []
        stage.ready()
        command = [needs("promtool"), "check", "metrics"]
        done = subprocess.run(
            command, input=render(stage.proxy, WorkerTotals()), capture_output=True, check=False, timeout=30
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")
