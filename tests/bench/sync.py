"""How long a returning copy takes: an empty node beside a full one, while writes go on at a steady pace.

The time runs from the moment at which the node is up again to its state "in sync". The latency of the writes is
measured before and during it, from a few clients that send each SET at its moment and wait for the reply; a write that
is late counts from when it was due. As everywhere here the proxy has a core of its own. Of two cores the nodes and the
clients share the other one; the node that comes back is the last to get it, as it would have a machine of its own.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from tests.bench import gauge
from tests.bench.copies import COPIES
from tests.bench.generator import Load
from tests.bench.rounds import percentile
from tests.bench.stage import Processes, Proxy
from tests.bench.workloads import Workload, preload

KEYS: Final = 1_000_000
VALUE_BYTES: Final = 100
WRITES_PER_S: Final = 2_000
CLIENTS: Final = 4
BEFORE_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 600.0
BAR_SECONDS: Final = 60.0
BAR_P99: Final = 2.0
IN_SYNC: Final = ["in sync", "in sync"]


@dataclass(frozen=True)
class SyncCost:
    """Seconds of wall clock, CPU of the proxy in them, p99 in ms of the writes before and during it."""

    keys: int
    seconds: float
    cpu_seconds: float
    before_p99_ms: float
    during_p99_ms: float
    worst_ms: float


@dataclass
class Writer:
    """Clients that write at a steady pace, until told to stop; `latencies` in seconds."""

    port: int
    keys: int
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._threads = [threading.Thread(target=self._write, args=[at], daemon=True) for at in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when the last reply is there."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def p99_ms(self) -> float:
        """Once it is stopped."""
        return percentile(sorted(self.latencies), 99) * 1000

    def _write(self, at: int) -> None:
        with redis.Redis(port=self.port, protocol=2) as client:
            client.ping()
            began = time.perf_counter()
            nth = at
            while not self._ended.is_set():
                nth += CLIENTS
                due = began + nth / WRITES_PER_S
                time.sleep(max(0.0, due - time.perf_counter()))
                self._write_one(client, nth, due)

    def _write_one(self, client: Any, nth: int, due: float) -> None:
        try:
            client.set(b"bench:%010d" % (nth * 7919 % self.keys), b"w" * VALUE_BYTES)
        except redis.RedisError:
            self.failed += 1
        self.latencies.append(time.perf_counter() - due)


def measure(stage: Processes, python: str, keys: int = KEYS) -> SyncCost:
    """Fills the pool, loses the second copy and brings it back empty."""
    stage.flush_nodes()
    proxy = stage.copies(python)
    try:
        _fill(proxy, keys)
        before = Writer(proxy.ports[COPIES], keys)
        # The states are asked for here, too: what that costs this process is no matter of the sync.
        until = time.monotonic() + BEFORE_SECONDS
        wait_for(proxy, lambda found: time.monotonic() >= until)
        before.stop()
        return _lose_and_sync(stage, proxy, keys, before)
    finally:
        stage.stop(proxy)


def _fill(proxy: Proxy, keys: int) -> None:
    load = Workload("sync", "SET", value_bytes=VALUE_BYTES, keys=keys)
    with Load(proxy.ports[COPIES]) as loader:
        for batch in preload(load):
            loader.open(1, batch)
            loader.run([batch], 0.0)


def _lose_and_sync(stage: Processes, proxy: Proxy, keys: int, before: Writer) -> SyncCost:
    port = stage.nodes[2]
    with redis.Redis(port=port) as node:
        node.shutdown(nosave=True)
    wait_for(proxy, lambda found: found != IN_SYNC)
    during = Writer(proxy.ports[COPIES], keys)
    stage.start_node(port, yields=True)
    pids = proxy.pids()
    cost, began = gauge.cost(pids), time.perf_counter()
    try:
        wait_for(proxy, lambda found: found == IN_SYNC)
        seconds = time.perf_counter() - began
        spent = gauge.cost(pids) - cost
    finally:
        during.stop()
    if before.failed or during.failed:
        raise RuntimeError(f"{before.failed} writes failed before the sync, {during.failed} during it")
    return SyncCost(keys, seconds, spent.cpu_ns / 1e9, before.p99_ms(), during.p99_ms(), max(during.latencies) * 1000)


def wait_for(proxy: Proxy, is_there: Callable[[list[str]], bool]) -> None:
    """Until the states of the copies are so. Raises `TimeoutError` when it takes far too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    with redis.Redis(port=proxy.ports[COPIES], protocol=2, decode_responses=True) as client:
        while time.monotonic() < until:
            if is_there(states(client)):
                return
            time.sleep(POLL_SECONDS)
    raise TimeoutError("the copy is not in the state that was waited for")


def states(client: Any) -> list[str]:
    """The state of each copy, as PROXY NODES says."""
    nodes = client.execute_command("PROXY", "NODES")
    return [_field(node, "state") for node in nodes]


def _field(node: list[str], name: str) -> str:
    return node[node.index(name) + 1]


def misses(cost: SyncCost) -> list[str]:
    """What --check complains about."""
    found = []
    if cost.seconds > BAR_SECONDS:
        found.append(f"sync: {cost.seconds:.0f} s, allowed are {BAR_SECONDS:.0f}")
    if cost.during_p99_ms > BAR_P99 * cost.before_p99_ms:
        found.append(f"sync: p99 {cost.during_p99_ms:.2f} ms, before it {cost.before_p99_ms:.2f}")
    return found
