"""The harness's own arithmetic and bytes: a benchmark that miscounts is worse than none."""

import os
import socket
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.bench import gauge, report, workloads
from tests.bench.__main__ import arguments, chosen
from tests.bench.generator import Load, WrongAnswer
from tests.bench.memory import Memory
from tests.bench.rounds import Figure, Row, percentile, plain
from tests.bench.stage import Cores
from tests.bench.workers import Workers
from tests.bench.workloads import OK, WORKLOADS, Batch, Workload


def figure(cpu_us: float, rate: float = 1000.0) -> Figure:
    return Figure(100, cpu_us, rate, 1.0, 2.0, 3.0, 1.25, 1.5, 0.1)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([1.0, 2.0], 50, 1.0),
        ([1.0, 2.0], 51, 2.0),
        ([float(each) for each in range(1, 101)], 99, 99.0),
        ([float(each) for each in range(1, 101)], 100, 100.0),
        ([1.0, 2.0, 3.0], 0, 1.0),
    ],
)
def test_percentile_is_a_value_that_was_measured(values: list[float], percent: float, expected: float) -> None:
    """The nearest rank: so many percent of the values are not above it."""
    assert percentile(values, percent) == expected


def test_percentile_of_nothing_is_refused() -> None:
    """A sample without a reply has no latency, not a latency of zero."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_ratios_pair_the_rounds() -> None:
    """A ratio is taken within a round, where both proxies met the same disturbance."""
    row = Row(Workload("get", "GET"), {"a": [figure(10), figure(20)], "b": [figure(5), figure(20)]})
    assert row.ratios("b", "a", lambda each: each.cpu_us) == [0.5, 1.0]
    assert row.median("a", lambda each: each.cpu_us) == 15.0


def test_quartiles_of_few_values_are_their_ends() -> None:
    """Three rounds have no middle half worth the name."""
    assert report.quartiles([1.0, 2.0, 9.0]) == (1.0, 9.0)
    assert report.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)


def test_table_of_workloads() -> None:
    """One line per workload; a row that could not be measured says why in its last cell."""
    rows = [
        Row(Workload("get", "GET", clients=1000), {"n": [figure(20.0)], "k": [figure(15.0, 1500.0)]}),
        Row(Workload("x", "SET"), {"n": [], "k": []}, "k: closed"),
    ]
    lines = report.workloads(rows, "n", "k").splitlines()
    assert lines[1].startswith("| --- | --: |")
    assert lines[2] == (
        "| GET, 64 B, 1 000 clients | 20.0 | 15.0 | **0.75** | 0.75-0.75 | 1.50 "
        "| 1.00 / 2.00 / 3.00 | 1.00 / 2.00 / 3.00 |"
    )
    assert lines[3].endswith("| k: closed |")
    assert {line.count("|") for line in lines} == {9}


def test_a_crowded_core_is_said() -> None:
    """Throughput measured beside somebody else's work is not shown without a warning."""
    quiet, busy = figure(10.0), replace(figure(10.0), waited=0.4)
    assert report.crowded([Row(Workload("get", "GET"), {"k": [quiet]})]) == ""
    assert report.crowded([]) == ""
    assert "for 40% of the time" in report.crowded([Row(Workload("get", "GET"), {"k": [busy, busy, quiet]})])


def test_misses_name_what_is_too_dear() -> None:
    """--check speaks of a CPU ratio above the workload's bar, and of a row that could not be measured."""
    fair = Row(Workload("get", "GET", bar=0.8), {"n": [figure(10.0)], "k": [figure(8.0)]})
    dear = Row(Workload("set", "SET", bar=0.8), {"n": [figure(10.0)], "k": [figure(9.0)]})
    broken = Row(Workload("x", "SET"), {"n": [], "k": []}, "k: closed")
    assert report.misses([fair, dear, broken], "n", "k") == ["set: CPU ratio 0.90, allowed is 0.80", "x: k: closed"]


def test_flatness_needs_both_rows() -> None:
    """The cost with 5 000 clients over that with 50 is said when both were measured."""
    few = Row(Workload("get", "GET"), {"k": [figure(10.0)]})
    many = Row(Workload("get-5000", "GET"), {"k": [figure(12.0)]})
    assert report.flatness([few], ["k"]) == ""
    assert report.flatness([few, many], ["k"]).endswith("k 1.20.\n")


def test_small_tables() -> None:
    """Memory in MiB and KiB, calls per command, the floor's ratio, the capacity of two workers."""
    mib = workloads.MIB
    assert "| k | 20 | 300 | 4.5 |" in report.memories([Memory("k", 20 * mib, 300 * mib, 4608.0)])
    assert "| k | - | - | no reply |" in report.memories([Memory("k", note="no reply")])
    row = Row(Workload("get", "GET"), {"n": [figure(20.0)], "floor": [figure(5.0)]})
    assert "| 1.25 / 1.50 / 0.10 |" in report.calls([row], ["n"])
    assert "| 5.00 | 0.25 |" in report.floors([row], "n")
    assert "| 10.0 | 10.0 / 11.1 | 1.90x |" in report.two_workers(Workers(10.0, [10.0, 11.111]))


@pytest.mark.parametrize(("value", "text"), [(2.345, "2.35"), (14.26, "14.3"), (321.4, "321")])
def test_microseconds_have_three_digits(value: float, text: str) -> None:
    """No figure pretends to more than was measured."""
    assert report.micros(value) == text


@pytest.mark.parametrize(("count", "text"), [(64, "64 B"), (1024, "1 KiB"), (65536, "64 KiB"), (1 << 20, "1 MiB")])
def test_sizes(count: int, text: str) -> None:
    """Sizes are said in the unit that fits."""
    assert workloads.size(count) == text


@pytest.mark.parametrize("load", [load for load in WORKLOADS if "+" not in load.verb], ids=lambda load: load.name)
def test_requests_of_a_workload_are_equally_long(load: Workload) -> None:
    """The floor counts requests by their bytes, and every round must ask for as much as the others."""
    small = workloads.batches(Workload(load.name, load.verb, 1, load.depth, load.width, 64, 50))
    assert len({len(each.request) for each in small}) == 1
    assert len({len(each.reply) for each in small}) == 1
    assert [each.reply for each in plain(small[:1], load)] == [OK * load.depth]


def test_what_is_loaded_is_what_is_expected() -> None:
    """GET and MGET expect the very bytes that the load has SET, and other keys have other values."""
    load = Workload("mget", "MGET", width=2, value_bytes=20, keys=3)
    sets = b"".join(batch.request for batch in workloads.preload(load))
    asked = workloads.command(load, [2, 0])
    assert asked.reply == b"*2\r\n$20\r\nvalue-000000002;valu\r\n$20\r\nvalue-000000000;valu\r\n"
    assert workloads.frame(b"SET", b"bench:0000000002", b"value-000000002;valu") in sets
    assert sets.count(b"*3\r\n") == 3


def test_names_are_unique() -> None:
    """--only means one row."""
    assert len({load.name for load in WORKLOADS}) == len(WORKLOADS)
    assert len({load.title for load in WORKLOADS}) == len(WORKLOADS)


def test_quick_and_only() -> None:
    """--quick leaves rows out, --only takes exactly what it names."""
    assert len(chosen(arguments(["--quick"]))) < len(chosen(arguments([]))) == len(WORKLOADS)
    assert [load.name for load in chosen(arguments(["--only", "mset", "--only", "get", "--quick"]))] == ["get", "mset"]
    assert chosen(arguments(["--only", "memory"])) == []


@pytest.mark.parametrize(
    ("available", "text"),
    [
        ([0], "proxy on core 0, clients on 0, nodes on 0"),
        ([0, 1], "proxy on core 1, clients on 0, nodes on 0"),
        ([7, 2, 5, 3], "proxy on core 3, clients on 2, nodes on 5,7"),
    ],
)
def test_the_proxy_has_a_core_of_its_own(available: list[int], text: str) -> None:
    """From two cores on nobody shares with the proxy."""
    assert str(Cores.share(available)) == text


def test_gauge_counts_our_own_work() -> None:
    """CPU time and system calls of a process grow with what it does; memory is in bytes."""
    pids = gauge.family(os.getpid())[:1]
    before = gauge.cost(pids)
    total, out = 0, os.open(os.devnull, os.O_WRONLY)
    for each in range(300_000):
        total += each
    os.write(out, b"x")
    os.close(out)
    spent = gauge.cost(pids) - before
    assert spent.cpu_ns > 1_000_000
    assert spent.writes >= 1
    assert gauge.memory(pids, "VmHWM") >= gauge.memory(pids, "VmRSS") > 1_000_000


def test_fields_of_proc() -> None:
    """Lines without a leading number are left out."""
    assert gauge.fields("Name:\tx\nVmRSS:\t  12 kB\nempty:\n") == {"VmRSS": 12}


def answering(say: bytes) -> int:
    """A server for one client: says the same, in two pieces, to whatever it receives; ends with the client."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        # A client that has what it wanted may reset the connection.
        with suppress(ConnectionResetError), listener, listener.accept()[0] as peer:
            while peer.recv(1 << 20):
                peer.sendall(say[:3])
                peer.sendall(say[3:])

    threading.Thread(target=serve, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def test_generator_counts_whole_replies() -> None:
    """A reply in pieces counts once, when its last byte is there."""
    batch = Batch(b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")
    with Load(answering(b"+PONG\r\n")) as load:
        load.open(1, batch)
        handler = load.run([batch], 0.05)
    assert handler.batches == len(handler.latencies) > 0
    assert handler.seconds >= 0.05


def test_a_paced_generator_keeps_its_rate() -> None:
    """So many batches leave as are due, whatever the connections are doing."""
    batch = Batch(b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n")
    with Load(answering(b"+PONG\r\n")) as load:
        load.open(1, batch)
        sample = load.run_paced([batch], 0.1, 200.0)
    assert sample.batches == len(sample.latencies) == 20


def test_a_paced_workload_asks_for_keys_as_any_other() -> None:
    """Absent keys are none of those that were loaded; of two verbs both come."""
    absent = workloads.command(Workload("del", "DEL", width=2, keys=5, absent=True), [0, 4])
    assert b"bench:0000000005" in absent.request
    assert b"bench:0000000009" in absent.request
    assert absent.reply == b":0\r\n"
    assert workloads.command(Workload("get", "GET", keys=5, absent=True), [0]).reply == b"$-1\r\n"
    mixed = workloads.batches(Workload("mixed", "GET+SET", keys=50))
    assert {batch.request[8:11] for batch in mixed} == {b"GET", b"SET"}


def test_generator_refuses_another_answer() -> None:
    """A single wrong byte ends the measurement."""
    with Load(answering(b"+PANG\r\n")) as load, pytest.raises(WrongAnswer, match="instead of b'"):
        load.open(1, Batch(b"x", b"+PONG\r\n"))
