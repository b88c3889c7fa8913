"""The figures as Markdown: the machine's line, the table of workloads, the table of memory."""

import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.copies import POOLS, CopyRow
from tests.bench.memory import Memory
from tests.bench.rivals import Idle, RivalRow
from tests.bench.rounds import Figure, Row
from tests.bench.stage import ROOT, node_binary
from tests.bench.sync import SyncCost
from tests.bench.workers import Workers
from tests.bench.workloads import MIB

CROWDED: Final = 0.03  # share of the time; the proxy's own core should be nearly always free
TAIL_BAR: Final = 1.1  # p99 is noisier than CPU time


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column reads left, the others are numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [header, rule, *rows])


def workloads(rows: list[Row], base: str, mine: str) -> str:
    """CPU, throughput and latency of both, and the ratio of ours to the other's; small is good but for throughput."""
    header = ["workload", f"{base} µs", f"{mine} µs", "CPU ratio", "spread", "throughput ratio"]
    header += [f"{base} p50 / p99 / p99.9 ms", f"{mine} p50 / p99 / p99.9 ms"]
    return table(header, [_cells(row, base, mine) for row in rows])


def _cells(row: Row, base: str, mine: str) -> list[str]:
    if row.note or not row.figures[mine]:
        return [row.load.title, *["-"] * 6, row.note or "not run"]
    cpu = row.ratios(mine, base, lambda each: each.cpu_us)
    rate = row.ratios(mine, base, lambda each: each.rate)
    low, high = quartiles(cpu)
    return [
        row.load.title,
        micros(row.median(base, lambda each: each.cpu_us)),
        micros(row.median(mine, lambda each: each.cpu_us)),
        f"**{statistics.median(cpu):.2f}**",
        f"{low:.2f}-{high:.2f}",
        f"{statistics.median(rate):.2f}",
        latency(row, base),
        latency(row, mine),
    ]


def latency(row: Row, proxy: str) -> str:
    """Medians of the samples' p50, p99 and p99.9."""
    reads: list[Callable[[Figure], float]] = [
        lambda each: each.p50_ms,
        lambda each: each.p99_ms,
        lambda each: each.p999_ms,
    ]
    return " / ".join(f"{row.median(proxy, read):.2f}" for read in reads)


def micros(value: float) -> str:
    """Three digits are enough."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def quartiles(ordered: list[float]) -> tuple[float, float]:
    """The middle half of sorted values."""
    if len(ordered) < 4:
        return ordered[0], ordered[-1]
    cut = statistics.quantiles(ordered, n=4, method="inclusive")
    return cut[0], cut[2]


def flatness(rows: list[Row], proxies: list[str]) -> str:
    """How much dearer a command is for 5 000 clients than for 50; empty unless both were measured."""
    by_name = {row.load.name: row for row in rows if not row.note}
    if "get" not in by_name or "get-5000" not in by_name:
        return ""
    found = []
    for proxy in proxies:
        few, many = (by_name[name].median(proxy, lambda each: each.cpu_us) for name in ("get", "get-5000"))
        found.append(f"{proxy} {many / few:.2f}")
    return f"Cost per command with 5 000 clients over 50 clients: {', '.join(found)}.\n"


def crowded(rows: list[Row]) -> str:
    """A warning when the proxies' core was not theirs alone: then only the CPU column means something."""
    shares = [each.waited for row in rows for figures in row.figures.values() for each in figures]
    typical = statistics.median(shares) if shares else 0.0
    if typical < CROWDED:
        return ""
    return (
        f"Not a quiet machine: for {typical:.0%} of the time something else had the proxy's core. "
        "Throughput and latency suffer from that by chance, CPU time hardly.\n"
    )


def misses(rows: list[Row], base: str, mine: str) -> list[str]:
    """What --check complains about: a CPU ratio above its bar, a p99 above the other's, a row without figures."""
    found = []
    for row in rows:
        if row.note or not row.figures[mine]:
            found.append(f"{row.load.name}: {row.note or 'not run'}")
            continue
        cpu = statistics.median(row.ratios(mine, base, lambda each: each.cpu_us))
        tail = statistics.median(row.ratios(mine, base, lambda each: each.p99_ms))
        if cpu > row.load.bar:
            found.append(f"{row.load.name}: CPU ratio {cpu:.2f}, allowed is {row.load.bar:.2f}")
        if tail > TAIL_BAR:
            found.append(f"{row.load.name}: p99 ratio {tail:.2f}, allowed is {TAIL_BAR:.2f}")
    return found


def calls(rows: list[Row], proxies: list[str]) -> str:
    """System calls per command: where most of an unpipelined command's cost lies."""
    header = ["per command", *[f"{proxy} reads / writes / sleeps" for proxy in proxies]]
    lines = []
    for row in rows:
        if not row.note:
            lines.append([row.load.title, *[_calls(row, proxy) for proxy in proxies]])
    return table(header, lines)


def _calls(row: Row, proxy: str) -> str:
    reads, writes = row.median(proxy, lambda each: each.reads), row.median(proxy, lambda each: each.writes)
    return f"{reads:.2f} / {writes:.2f} / {row.median(proxy, lambda each: each.sleeps):.2f}"


def memories(found: list[Memory]) -> str:
    """Peak and per client."""
    header = ["memory", "fresh MiB", "peak MiB, 256 MiB value", "KiB per idle client"]
    return table(header, [_memory(each) for each in found])


def _memory(each: Memory) -> list[str]:
    if each.note:
        return [each.proxy, "-", "-", each.note]
    return [each.proxy, f"{each.fresh / MIB:.0f}", f"{each.peak / MIB:.0f}", f"{each.per_client / 1024:.1f}"]


def machine(cores: str, python: str) -> str:
    """What it ran on, and with which versions; ``python`` is as for `Processes.kidoproxy`."""
    node = _said([node_binary(), "--version"])
    version = re.search(r"v=(\S+)", node)
    said = [
        f"{cpu_model()}, {os.cpu_count()} cores",
        f"Linux {platform.release()}",
        _said([python or sys.executable, "-m", "kidoproxy", "version"], ROOT if not python else None).replace(
            "\n", ", "
        ),
        _said(["nutcracker", "--version"]).split("\n")[0].removeprefix("This is "),
        f"{Path(node_binary()).name} {version[1] if version else '?'}",
        cores,
    ]
    return "; ".join(said)


def cpu_model() -> str:
    """As the kernel names it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(argv: list[str], home: Path | None = None) -> str:
    if shutil.which(argv[0]) is None:
        return "?"
    with TemporaryDirectory() as nowhere:  # where no source tree shadows what is installed
        done = subprocess.run(argv, cwd=home or nowhere, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip() if done.returncode == 0 else "?"


def floors(rows: list[Row], base: str) -> str:
    """The floor under every proxy on uvloop: its cost and the ratio to the same base."""
    lines = []
    for row in rows:
        if not row.note and "floor" in row.figures:
            ratio = statistics.median(row.ratios("floor", base, lambda each: each.cpu_us))
            lines.append([row.load.title, micros(row.median("floor", lambda each: each.cpu_us)), f"{ratio:.2f}"])
    return table(["floor: uvloop answering +OK", "µs", "CPU ratio"], lines)


def two_workers(pair: Workers) -> str:
    """The cost of each and what follows."""
    two = " / ".join(micros(each) for each in pair.two_us)
    return table(
        ["one worker µs", "two workers µs, each asked alone", "capacity"],
        [[micros(pair.one_us), two, f"{pair.capacity:.2f}x"]],
    )


def copies(rows: Sequence[CopyRow]) -> str:
    """CPU, throughput and p99 of a ring of one and of two copies, and the ratio of what they cost."""
    header = [
        "on copies",
        "ring µs",
        "copies µs",
        "CPU ratio",
        "commands a second, ring / copies",
        "p99 ms, ring / copies",
    ]
    return table(header, [_copy_cells(row) for row in rows])


def _copy_cells(row: CopyRow) -> list[str]:
    if row.note:
        return [row.load.name, *["-"] * 4, row.note]
    cpu, rate, p99 = ([statistics.median(each[pool]) for pool in POOLS] for each in (row.cpu_us, row.rate, row.p99_ms))
    return [
        row.load.name,
        *map(micros, cpu),
        f"**{row.ratio:.2f}**",
        f"{rate[0]:.0f} / {rate[1]:.0f}",
        f"{p99[0]:.2f} / {p99[1]:.2f}",
    ]


def rivals(rows: Sequence[RivalRow]) -> str:
    """What redis-benchmark finds, row by row."""
    return table(["redis-benchmark, 50 clients", "beside", "its µs", "kidoproxy µs", "CPU ratio"], [*map(_rival, rows)])


def _rival(row: RivalRow) -> list[str]:
    if row.note:
        return [row.title, row.other, "-", "-", row.note]
    other, mine = (statistics.median(each) for each in (row.other_us, row.mine_us))
    return [row.title, row.other, micros(other), micros(mine), f"**{row.ratio:.2f}**"]


def idle(cost: Idle) -> str:
    """CPU of proxies that have nothing to do."""
    cells = [f"{each:.2f}" for each in (cost.nutcracker_ms, cost.mine_ms)]
    return table(["CPU with 50 idle clients, ms a second", "nutcracker", "kidoproxy"], [["", *cells]])


def sync(cost: SyncCost) -> str:
    """The time a returning copy took, and what the clients felt of it."""
    header = ["sync of an empty copy", "s", "CPU s of the proxy", "p99 ms before / during", "worst ms"]
    tails = f"{cost.before_p99_ms:.2f} / {cost.during_p99_ms:.2f}"
    cells = [f"{cost.seconds:.1f}", f"{cost.cpu_seconds:.1f}", tails, f"{cost.worst_ms:.0f}"]
    return table(header, [[f"{cost.keys:,} keys".replace(",", " "), *cells]])
