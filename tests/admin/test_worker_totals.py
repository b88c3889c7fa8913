"""What several workers come to on one page."""

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from kidoproxy.admin.worker_totals import Snapshot, WorkerTotals, decode_snapshot, take_snapshot


def counted(identity: str, commands: float, clients: float = 0, up: float = 1, **errors: float) -> Snapshot:
    """What a worker counts."""
    by_code = CounterMetricFamily("kidoproxy_errors", "Errors.", labels=["pool", "code"])
    for code, count in errors.items():
        by_code.add_metric(["cache", code], count)
    nodes = GaugeMetricFamily("kidoproxy_node_up", "1 while up.", labels=["node"])
    nodes.add_metric(["a"], up)
    turns = HistogramMetricFamily(
        "kidoproxy_loop_turn_seconds", "Turns.", buckets=[("1.0", 1), ("+Inf", 2)], sum_value=3
    )
    families: list[Metric] = [
        CounterMetricFamily("kidoproxy_commands", "Commands.", value=commands),
        GaugeMetricFamily("kidoproxy_clients", "Clients.", value=clients),
        by_code,
        nodes,
        turns,
        GaugeMetricFamily("kidoproxy_build_info", "Always 1.", value=1),
        CounterMetricFamily("process_cpu_seconds", "CPU.", value=commands / 10),
    ]
    return take_snapshot(identity, families)


def page(totals: WorkerTotals, own: Snapshot) -> dict[str, float]:
    """``name{label=value}`` of all samples."""
    found: dict[str, float] = {}
    for family in totals.families(own):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            assert f"{sample.name}{{{labels}}}" not in found
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_alone() -> None:
    """A process alone is worker 0."""
    found = page(WorkerTotals(), counted("1", 10, 2, ERR=1))
    assert found == {
        "kidoproxy_commands_total{}": 10,
        "kidoproxy_clients{}": 2,
        "kidoproxy_errors_total{code=ERR,pool=cache}": 1,
        "kidoproxy_node_up{node=a}": 1,
        "kidoproxy_loop_turn_seconds_bucket{le=1.0,worker=0}": 1,
        "kidoproxy_loop_turn_seconds_bucket{le=+Inf,worker=0}": 2,
        "kidoproxy_loop_turn_seconds_count{worker=0}": 2,
        "kidoproxy_loop_turn_seconds_sum{worker=0}": 3,
        "kidoproxy_build_info{}": 1,
        "process_cpu_seconds_total{worker=0}": 1,
        "kidoproxy_worker_up{worker=0}": 1,
    }


def test_two_workers() -> None:
    """Counters and sizes are sums, a node is up if it is for both, and what is of a process stays apart."""
    totals = WorkerTotals()
    totals.take_answers({1: counted("2", 5, 3, 0, ERR=2, TIMEOUT=1).encode()})
    found = page(totals, counted("1", 10, 2, ERR=1))
    assert found["kidoproxy_commands_total{}"] == 15
    assert found["kidoproxy_clients{}"] == 5
    assert found["kidoproxy_errors_total{code=ERR,pool=cache}"] == 3
    assert found["kidoproxy_errors_total{code=TIMEOUT,pool=cache}"] == 1
    assert found["kidoproxy_node_up{node=a}"] == 0
    assert found["kidoproxy_build_info{}"] == 1
    assert found["kidoproxy_loop_turn_seconds_count{worker=1}"] == 2
    assert (found["process_cpu_seconds_total{worker=0}"], found["process_cpu_seconds_total{worker=1}"]) == (1, 0.5)
    assert (found["kidoproxy_worker_up{worker=0}"], found["kidoproxy_worker_up{worker=1}"]) == (1, 1)


@pytest.mark.parametrize("answer", [None, b"", b'["2", [["kidoproxy_com'])
def test_a_worker_that_does_not_answer(answer: bytes | None) -> None:
    """What it had counted still counts, for counters never fall; how it is nobody knows."""
    totals = WorkerTotals()
    own = counted("1", 10, 2)
    totals.take_answers({1: answer})
    assert page(totals, own)["kidoproxy_worker_up{worker=1}"] == 0
    totals.take_answers({1: counted("2", 5, 3, 0).encode()})
    totals.take_answers({1: answer})
    found = page(totals, own)
    assert found["kidoproxy_commands_total{}"] == 15
    assert (found["kidoproxy_clients{}"], found["kidoproxy_node_up{node=a}"]) == (2, 1)
    assert (found["kidoproxy_worker_up{worker=0}"], found["kidoproxy_worker_up{worker=1}"]) == (1, 0)
    assert "process_cpu_seconds_total{worker=1}" not in found


def test_a_worker_that_is_replaced() -> None:
    """The new one begins at nothing, and the sum goes on from what the old one had."""
    totals = WorkerTotals()
    own = counted("1", 10)
    totals.take_answers({1: counted("2", 5, TIMEOUT=1).encode()})
    totals.take_answers({1: counted("3", 1).encode()})
    found = page(totals, own)
    assert found["kidoproxy_commands_total{}"] == 16
    assert found["kidoproxy_errors_total{code=TIMEOUT,pool=cache}"] == 1
    assert found["process_cpu_seconds_total{worker=1}"] == 0.1


def test_a_first_worker_that_is_replaced() -> None:
    """It does not know what was counted before: all begins at nothing, so that nothing looks like a sudden rise."""
    totals = WorkerTotals(replaces=True)
    totals.take_answers({1: counted("2", 1000).encode()})
    assert page(totals, counted("9", 1))["kidoproxy_commands_total{}"] == 1
    totals.take_answers({1: counted("2", 1005).encode()})
    assert page(totals, counted("9", 1))["kidoproxy_commands_total{}"] == 6


def test_a_snapshot_travels() -> None:
    """What was encoded is what is decoded."""
    snapshot = counted("1", 10, 2, ERR=1)
    found = decode_snapshot(snapshot.encode())
    assert found is not None
    assert (found.identity, found.families) == (snapshot.identity, snapshot.families)


def test_histograms_of_all_workers_never_fall() -> None:
    """What is no process's own is summed, and a worker that is gone still counts in it."""
    totals = WorkerTotals()

    def counted_times(identity: str, count: int) -> Snapshot:
        seconds = HistogramMetricFamily("kidoproxy_request_seconds", "Times.", labels=["pool"])
        seconds.add_metric(["cache"], [("1.0", count), ("+Inf", count)], count / 2)
        return take_snapshot(identity, [seconds])

    for identity, count in (("2", 4), ("3", 1)):
        totals.take_answers({1: counted_times(identity, count).encode()})
    found = page(totals, counted_times("1", 2))
    assert found["kidoproxy_request_seconds_bucket{le=+Inf,pool=cache}"] == 7
    assert found["kidoproxy_request_seconds_sum{pool=cache}"] == 3.5
