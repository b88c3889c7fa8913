"""``python -m tests.bench``: kidoproxy beside nutcracker, as ratios.

Every figure is a ratio of two proxies measured in interleaved rounds of one run: same core, same
clients, same three nodes, same placement, same requests, every byte of every reply checked. A row reads:

* **µs**: CPU time of the proxy process per command, user and kernel, its children included;
* **CPU ratio**: the median of the rounds' ratios, and the middle half of them (spread); below 1 is cheaper;
* **throughput ratio**: above 1 is faster, as far as the clients' core lets it be seen;
* **p50 / p99 / p99.9**: from the moment a client sends (the whole pipeline) to the last byte of the answer, under
  full load: a closed loop, so more clients wait longer.

``--twin`` measures nutcracker against a second nutcracker: the harness's own noise, 1.00 when all is well.
``--against`` puts another build of kidoproxy in nutcracker's place: what a change costs, before it lands.
``--python`` names the interpreter whose kidoproxy is measured, such as that of a virtual environment with
the compiled wheel; without it the source tree is, with this interpreter.

A full run takes about five minutes, ``--quick`` one to two. Both ask for an otherwise idle machine.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from tests.bench import copies, memory, report, rivals, sync, workers
from tests.bench.rounds import Row, measure
from tests.bench.stage import Cores, Processes, Proxy
from tests.bench.workloads import WORKLOADS, Workload, batches

FLOORED = ("get", "set", "get-p16", "set-p16", "get-1000", "mget", "mset")


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    names = [*(each.name for each in WORKLOADS), "memory", "rivals", "workers", "copies", "sync"]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer workloads, short samples: one to two minutes")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", choices=names)
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each workload (9, quick: 3)")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of a sample (0.6, quick: 0.25)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round")
    parser.add_argument("--python", default="", metavar="PATH", help="the interpreter whose kidoproxy is measured")
    parser.add_argument(
        "--against", default="", metavar="PATH", help="compare with this interpreter's kidoproxy instead"
    )
    parser.add_argument("--twin", action="store_true", help="nutcracker against itself: the harness's noise")
    parser.add_argument("--floor", action="store_true", help="also uvloop answering +OK")
    parser.add_argument("--calls", action="store_true", help="also system calls per command")
    parser.add_argument("--check", action="store_true", help="exit status 1 when a ratio is above its bar")
    return parser.parse_args(argv)


def chosen(options: argparse.Namespace) -> list[Workload]:
    """The workloads that this run asks for."""
    if options.only:
        return [each for each in WORKLOADS if each.name in options.only]
    return [each for each in WORKLOADS if each.quick or not options.quick]


def unaffordable(load: Workload, proxies: int) -> str:
    """Why there are too few file descriptors for this many clients; empty when there are enough."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = load.clients * proxies + 200
    if limit < needed <= most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
    return f"skipped: needs {needed} file descriptors, the limit is {most}" if needed > most else ""


def run(stage: Processes, options: argparse.Namespace, base: str, mine: str) -> list[Row]:
    """All chosen workloads, one after another."""
    rounds = options.rounds or (3 if options.quick else 9)
    seconds = options.seconds or (0.25 if options.quick else 0.6)
    rival = stage.nutcracker(mine) if options.twin else stage.kidoproxy(options.python, mine)
    first = stage.kidoproxy(options.against, base) if options.against else stage.nutcracker(base)
    proxies = [first, rival]
    rows = []
    for load in chosen(options):
        stage.flush_nodes()
        extra = floors(stage, load) if options.floor else []
        note = unaffordable(load, len(proxies) + len(extra))
        rows.append(Row(load, note=note) if note else measure(load, proxies + extra, rounds, seconds))
        for floor in extra:
            stage.stop(floor)
        say(f"{load.name} ", sys.stderr)
    say("\n", sys.stderr)
    return rows


def floors(stage: Processes, load: Workload) -> list[Proxy]:
    """The floor's server for this workload, where a +OK is a fair comparison."""
    if load.name not in FLOORED:
        return []
    return [stage.floor(len(batches(load)[0].request) // load.depth)]


def say(text: str, stream: TextIO = sys.stdout) -> None:
    """Writes at once."""
    stream.write(text)
    stream.flush()


def main(argv: list[str]) -> int:
    """Runs and prints; the exit status."""
    options = arguments(argv)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    mine = "nutcracker-2" if options.twin else "kidoproxy"
    base = "before" if options.against else "nutcracker"
    cores = Cores.share(sorted(os.sched_getaffinity(0)))
    os.sched_setaffinity(0, cores.clients)
    every = not options.only
    missed: list[str] = []
    results: dict[str, object] = {"machine": report.machine(str(cores), options.python)}
    say(f"{results['machine']}\n\n")
    with (
        tempfile.TemporaryDirectory(prefix="kidoproxy-bench-") as directory,
        Processes(Path(directory), cores) as stage,
    ):
        stage.start_nodes()
        if every or chosen(options):
            rows = run(stage, options, base, mine)
            results["rows"] = [asdict(row) for row in rows]
            say(report.workloads(rows, base, mine) + "\n" + report.flatness(rows, [base, mine]))
            say(report.crowded(rows))
            say(report.floors(rows, base) if options.floor else "")
            say(report.calls(rows, [base, mine]) if options.calls else "")
            missed = report.misses(rows, base, mine) if options.check else []
        if every or "memory" in options.only:
            found = measure_memory(stage, options, mine)
            results["memory"] = [asdict(each) for each in found]
            say("\n" + report.memories(found))
        if (every or "rivals" in options.only) and not options.twin:
            missed += measure_rivals(stage, options, results)
        if "workers" in options.only and not options.twin:
            pair = workers.measure(stage, options.python, options.seconds or 1.0, options.rounds or 5)
            results["workers"] = asdict(pair)
            say("\n" + report.two_workers(pair))
        if "copies" in options.only and not options.twin:
            loads = [*copies.LOADS, *copies.transfers()]
            costs = copies.measure(stage, options.python, options.rounds or 5, loads)
            results["copies"] = [asdict(row) for row in costs]
            say("\n" + report.copies(costs))
            missed += copies.misses(costs) if options.check else []
        if "sync" in options.only and not options.twin:
            cost = sync.measure(stage, options.python)
            results["sync"] = asdict(cost)
            say("\n" + report.sync(cost))
            missed += sync.misses(cost) if options.check else []
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    say("".join(f"missed: {line}\n" for line in missed), sys.stderr)
    return 1 if missed else 0


def measure_rivals(stage: Processes, options: argparse.Namespace, results: dict[str, object]) -> list[str]:
    """The rows of redis-benchmark, and idle CPU; what --check complains about."""
    quick = options.quick
    rows = rivals.measure(stage, options.python, options.rounds or (2 if quick else 5), 5_000 if quick else 20_000)
    idle = rivals.measure_idle(stage, options.python, 3.0 if quick else 10.0)
    results["rivals"], results["idle"] = [asdict(row) for row in rows], asdict(idle)
    say("\n" + report.rivals(rows) + "\n" + report.idle(idle))
    return rivals.misses(rows, idle) if options.check else []


def measure_memory(stage: Processes, options: argparse.Namespace, mine: str) -> list[memory.Memory]:
    """Of both proxies, on fresh processes."""

    def rival() -> Proxy:
        if options.twin:
            return stage.nutcracker(mine)
        return stage.kidoproxy(options.python, mine, timeout_ms=memory.PATIENCE_MS)

    found = []
    for start in (stage.nutcracker, rival):
        stage.flush_nodes()
        found.append(memory.measure(stage, start))
    stage.flush_nodes()
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
