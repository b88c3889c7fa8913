"""One soak: samples of what the proxy's processes hold, and what is wrong with them.

A proxy that has warmed up holds as much after an hour as after a minute. Memory is compared between the second quarter
of the time and the last one; files and threads are counted when all clients have gone, before and after.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from kidoproxy.resp.limits import IDLE_DEDICATED_SECONDS
from tests.live.proxies import RunningProxy
from tests.processes import PROC, descendants, threads
from tests.soak.load import Crowd
from tests.wait import eventually

MIB: Final = 1 << 20
#: What the interpreter's arenas and the kernel's counting of pages may sway by.
SWAY_BYTES: Final = 3 * MIB
#: A machine on which much else runs is no failure.
OPTIONS: Final[dict[str, Any]] = {"timeout_ms": 10_000}
WARM_UP_SECONDS: Final = 5.0
SAMPLES: Final = 40
#: Until the proxy has noticed that its clients have gone.
PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Kind:
    """A pool that is tried."""

    name: str
    mode: str
    nodes: int
    workers: int = 1


#: Copies have one worker.
POOLS: Final = (Kind("ring", "ring", 3), Kind("ring of two workers", "ring", 3, 2), Kind("copies", "copy", 2))


@dataclass(frozen=True)
class Holdings:
    """Of all processes of a proxy: bytes of memory, open files, threads."""

    memory: int
    files: int
    threads: int


@dataclass(frozen=True)
class Soak:
    """What came of it."""

    turns: int
    problems: list[str]
    at_rest: Holdings  # after the warm-up
    at_work: list[Holdings]
    at_end: Holdings

    def growth(self) -> int:
        """Bytes, from the second quarter of the time to the last one."""
        quarter = len(self.at_work) // 4
        early, late = self.at_work[quarter : 2 * quarter], self.at_work[-quarter:]
        return int(median(each.memory for each in late) - median(each.memory for each in early))

    def leaks(self) -> list[str]:
        """What has grown, a line each."""
        found = []
        if self.growth() > SWAY_BYTES:
            found.append(f"memory grew by {self.growth() / MIB:.1f} MiB while it worked")
        if self.at_end.files > self.at_rest.files:
            found.append(f"{self.at_end.files} open files without clients, {self.at_rest.files} at the beginning")
        if self.at_end.threads > self.at_rest.threads:
            found.append(f"{self.at_end.threads} threads, {self.at_rest.threads} at the beginning")
        return found


def holdings(pid: int) -> Holdings:
    """What the process and its workers hold now."""
    pids = [pid, *descendants(pid)]
    memory = sum(_memory(each) for each in pids)
    files = sum(len(list((PROC / str(each) / "fd").iterdir())) for each in pids)
    return Holdings(memory, files, sum(len(threads(each)) for each in pids))


def _memory(pid: int) -> int:
    """Anonymous memory: what is mapped from files is shared, and does not leak."""
    for line in Path(PROC, str(pid), "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no RssAnon of process {pid}")


def rest(proxy: RunningProxy, asking: Any) -> Holdings:
    """What it holds when all clients but ``asking`` have gone, and connections that they had alone are given up."""
    eventually(lambda: asking.info("clients")["connected_clients"] == 1, PATIENCE_SECONDS)
    time.sleep(IDLE_DEDICATED_SECONDS + 2)
    return holdings(proxy.pid)


def play(proxy: RunningProxy, seconds: float, clients: int, seed: int) -> Soak:
    """Warm up, rest, work for so long while samples are taken, rest."""
    asking = proxy.client(protocol=2)
    crowd = Crowd(proxy.port, clients, seed)
    time.sleep(WARM_UP_SECONDS)
    crowd.stop()
    at_rest = rest(proxy, asking)
    crowd = Crowd(proxy.port, clients, seed + 1)
    at_work = []
    for _ in range(SAMPLES):
        time.sleep(seconds / SAMPLES)
        at_work.append(holdings(proxy.pid))
    crowd.stop()
    return Soak(crowd.turns, crowd.problems, at_rest, at_work, rest(proxy, asking))
