"""Memory: the peak while one large value passes, and what an idle client costs.

Both are measured on fresh processes, and are what the process itself holds (``VmHWM``, ``VmRSS``); the
socket buffers are the kernel's, are the same for every proxy, and are not in these figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.bench import gauge
from tests.bench.generator import Load, WrongAnswer
from tests.bench.stage import Processes, Proxy
from tests.bench.workloads import MIB, OK, Batch, Workload, bulk, command, frame, value

HUGE: Final = 256 * MIB
IDLE: Final = 1000
PATIENCE_MS: Final = 60_000  # the large value may take longer than a command's usual deadline
Start = Callable[[], Proxy]


@dataclass(frozen=True)
class Memory:
    """Bytes: before anything, the most during SET and then GET of the large value, per idle client."""

    proxy: str
    fresh: int = 0
    peak: int = 0
    per_client: float = 0.0
    note: str = ""


def measure(stage: Processes, start: Start, huge: int = HUGE, idle: int = IDLE) -> Memory:
    """Starts the proxy twice, once for each figure."""
    first = start()
    try:
        fresh = gauge.memory(first.pids(), "VmRSS")
        peak = pass_large(first, huge)
        stage.stop(first)
        stage.flush_nodes()
        second = start()
        per_client = hold_idle(second, idle)
        stage.stop(second)
    except (WrongAnswer, OSError) as error:
        return Memory(first.name, note=str(error))
    return Memory(first.name, fresh, peak, per_client)


def pass_large(proxy: Proxy, count: int) -> int:
    """The most memory held while a value of so many bytes went in and came out again."""
    payload = value(0, count)
    with Load(proxy.ports["ketama"]) as load:
        load.open(1, Batch(frame(b"SET", b"bench:large", payload), OK))
    with Load(proxy.ports["ketama"]) as load:
        load.open(1, Batch(frame(b"GET", b"bench:large"), bulk(payload)))
    return gauge.memory(proxy.pids(), "VmHWM")


def hold_idle(proxy: Proxy, count: int) -> float:
    """What each of so many clients costs that asked once and then stays; the first hundred only warm up."""
    once = Workload("idle", "SET", keys=1)
    with Load(proxy.ports["ketama"]) as warm, Load(proxy.ports["ketama"]) as load:
        warm.open(100, command(once, [0]))
        before = gauge.memory(proxy.pids(), "VmRSS")
        load.open(count, command(once, [0]))
        return (gauge.memory(proxy.pids(), "VmRSS") - before) / count
