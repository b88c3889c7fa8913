"""Two worker processes against one: how much more the proxy can carry.

On a machine with few cores two workers cannot each have a core while clients and nodes need theirs too,
so the capacity is computed, not run into: a command costs so much CPU with one worker and so much with
two, and the kernel deals the clients out more or less evenly. Capacity is one core's worth of commands of
the busiest worker, divided by its share of them: ``(µs of one / µs of two) / share of the busiest``.
"""

import statistics
from dataclasses import dataclass

from tests.bench import gauge
from tests.bench.generator import Load
from tests.bench.rounds import fill
from tests.bench.stage import Proxy, Stage
from tests.bench.workloads import Workload, batches

LOAD = Workload("workers", "GET", clients=200)


@dataclass(frozen=True)
class Workers:
    """CPU per command with one and with two workers, and the busiest worker's share of it with two."""

    one_us: float
    two_us: float
    share: float

    @property
    def capacity(self) -> float:
        """How many times as many commands two workers can carry."""
        return self.one_us / self.two_us / self.share


def measure(stage: Stage, python: str, seconds: float, rounds: int) -> Workers:
    """Interleaved rounds of both, as everywhere."""
    stage.flush_nodes()
    pair = [stage.kidoproxy(python, f"workers-{count}", workers=count) for count in (1, 2)]
    fill(LOAD, pair[0])
    todo = batches(LOAD)
    costs: list[list[float]] = [[], []]
    shares: list[float] = []
    with Load(pair[0].ports[LOAD.hash]) as one, Load(pair[1].ports[LOAD.hash]) as two:
        for load in (one, two):
            load.open(LOAD.clients, todo[0])
        for _ in range(rounds):
            for nth, load in enumerate((one, two)):
                pids = pair[nth].pids()
                before = [gauge.cost([pid]).cpu_ns for pid in pids]
                count = load.run(todo, seconds).batches
                spent = [gauge.cost([pid]).cpu_ns - earlier for pid, earlier in zip(pids, before, strict=True)]
                costs[nth].append(sum(spent) / 1000 / count)
                if nth == 1:
                    shares.append(max(spent) / sum(spent))
    _end(stage, pair)
    return Workers(statistics.median(costs[0]), statistics.median(costs[1]), statistics.median(shares))


def _end(stage: Stage, pair: list[Proxy]) -> None:
    for proxy in pair:
        stage.stop(proxy)
