"""Two worker processes against one: how much more the proxy can carry.

On a machine with few cores two workers cannot each have a core while clients and nodes need theirs too,
and on one core they only take turns. So each worker is asked alone, by clients that the kernel gave to
that worker, and their speeds are added: what they carry together when each has a core of its own. What
they do to each other by sharing memory and the kernel's locks is not in this figure.
"""

import re
import socket
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from tests.bench import gauge
from tests.bench.generator import Load
from tests.bench.rounds import fill
from tests.bench.stage import Processes, Proxy
from tests.bench.workloads import Batch, Workload, batches, frame

LOAD: Final = Workload("workers", "GET")
PID: Final = re.compile(rb"process_id:(\d+)\r\n")


@dataclass(frozen=True)
class Workers:
    """CPU per command of the only worker, and of each of two."""

    one_us: float
    two_us: list[float]

    @property
    def capacity(self) -> float:
        """How many times as many commands two workers can carry."""
        return sum(self.one_us / each for each in self.two_us)


def measure(stage: Processes, python: str, seconds: float, rounds: int) -> Workers:
    """Interleaved rounds of all three, as everywhere."""
    stage.flush_nodes()
    single = stage.kidoproxy(python, "workers-1")
    double = stage.kidoproxy(python, "workers-2", workers=2)
    fill(LOAD, single)
    todo = batches(LOAD)
    with ExitStack() as stack:
        groups = [(single, _only(stack, single, todo[0], 0))]
        groups += [(double, _only(stack, double, todo[0], pid)) for pid in double.pids()[1:]]
        costs: list[list[float]] = [[] for _ in groups]
        for _ in range(rounds):
            for nth, (proxy, load) in enumerate(groups):
                pids = proxy.pids()
                before = gauge.cost(pids)
                count = load.run(todo, seconds).batches
                costs[nth].append((gauge.cost(pids) - before).cpu_ns / 1000 / count)
    stage.stop(single)
    stage.stop(double)
    one, *two = [statistics.median(each) for each in costs]
    return Workers(one, two)


def _only(stack: ExitStack, proxy: Proxy, first: Batch, pid: int) -> Load:
    load = stack.enter_context(Load(proxy.ports[LOAD.hash]))
    load.open(LOAD.clients, first, served_by(pid) if pid else None)
    return load


def served_by(pid: int) -> Callable[[socket.socket], bool]:
    """Whether this process is at the other end; the proxy's INFO says who it is."""

    def fits(sock: socket.socket) -> bool:
        sock.setblocking(True)
        sock.sendall(frame(b"INFO", b"server"))
        with sock.makefile("rb") as told:
            text = told.read(int(told.readline()[1:]) + 2)
        sock.setblocking(False)
        found = PID.search(text)
        return found is not None and int(found[1]) == pid

    return fits
