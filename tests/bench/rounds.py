"""Interleaved samples of one workload, turned into one row.

The proxies take turns, in an order that alternates from round to round (A B, B A, …), so that whatever
else the machine does hits both. Each round gives one ratio; the row shows their median and quartiles.
The connections of all proxies stay open through all rounds: no figure holds the cost of connecting.
"""

import math
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from tests.bench import gauge
from tests.bench.generator import Load, WrongAnswer
from tests.bench.stage import Proxy
from tests.bench.workloads import OK, Batch, Workload, batches, preload

#: A paced workload asks for this share of what the first proxy of the run could do.
PACED_SHARE: Final = 0.25


@dataclass(frozen=True)
class Figure:
    """What one sample showed, per command; latencies in milliseconds, of a whole batch.

    ``waited`` is the share of the sample in which the proxy was ready to run and something else had its core.
    """

    commands: int
    cpu_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    reads: float
    writes: float
    sleeps: float
    waited: float = 0.0


@dataclass
class Row:
    """One workload: the figures of each proxy, in the order of the rounds. ``note`` says why there are none."""

    load: Workload
    figures: dict[str, list[Figure]] = field(default_factory=dict)
    note: str = ""

    def median(self, proxy: str, read: Callable[[Figure], float]) -> float:
        """The middle of one proxy's figures."""
        return statistics.median(read(each) for each in self.figures[proxy])

    def ratios(self, proxy: str, base: str, read: Callable[[Figure], float]) -> list[float]:
        """One ratio per round, sorted."""
        pairs = zip(self.figures[proxy], self.figures[base], strict=True)
        return sorted(read(mine) / read(theirs) for mine, theirs in pairs)


def measure(load: Workload, proxies: list[Proxy], rounds: int, seconds: float) -> Row:
    """Loads the keys through the first proxy, then lets all take turns; a wrong answer becomes the row's note."""
    prepared = batches(load)
    row = Row(load, {proxy.name: [] for proxy in proxies})
    with ExitStack() as stack:
        groups = []
        asked, pace = proxies[0].name, 0.0
        try:
            fill(load, proxies[0])
            for proxy in proxies:
                asked = proxy.name
                todo = plain(prepared, load) if asked == "floor" else prepared
                group = stack.enter_context(Load(proxy.ports[load.hash]))
                group.open(load.clients, todo[0])
                warm = group.run(todo, min(0.2, seconds))
                groups.append((proxy, group, todo))
                if load.paced and not pace:
                    pace = warm.batches / warm.seconds * PACED_SHARE
            for nth in range(rounds):
                for proxy, group, todo in groups if nth % 2 == 0 else groups[::-1]:
                    asked = proxy.name
                    row.figures[asked].append(sample(proxy, group, todo, load.depth, seconds, pace))
        except (WrongAnswer, OSError) as error:
            row.note = f"{asked}: {error}"
    return row


def fill(load: Workload, proxy: Proxy) -> None:
    """Gives every key its value, through the proxy."""
    with Load(proxy.ports[load.hash]) as loader:
        for batch in preload(load):
            loader.open(1, batch)
            loader.run([batch], 0.0)


def sample(proxy: Proxy, group: Load, todo: list[Batch], depth: int, seconds: float, pace: float = 0.0) -> Figure:
    """One proxy's turn, and what it cost; ``pace`` batches a second, 0: as fast as it answers."""
    pids = proxy.pids()
    before = gauge.cost(pids)
    result = group.run_paced(todo, seconds, pace) if pace else group.run(todo, seconds)
    spent = gauge.cost(pids) - before
    count = result.batches * depth
    result.latencies.sort()
    return Figure(
        commands=count,
        cpu_us=spent.cpu_ns / 1000 / count,
        rate=count / result.seconds,
        p50_ms=percentile(result.latencies, 50) * 1000,
        p99_ms=percentile(result.latencies, 99) * 1000,
        p999_ms=percentile(result.latencies, 99.9) * 1000,
        reads=spent.reads / count,
        writes=spent.writes / count,
        sleeps=spent.sleeps / count,
        waited=spent.waited_ns / 1e9 / result.seconds,
    )


def plain(prepared: list[Batch], load: Workload) -> list[Batch]:
    """The same requests for the floor, which answers +OK to everything."""
    return [replace(each, reply=OK * load.depth) for each in prepared]


def percentile(ordered: list[float], percent: float) -> float:
    """The smallest of these sorted values that is not below so many percent of them."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
