"""A second generator and other rivals: what ``redis-benchmark``, which everybody knows, finds.

Our own generator checks every byte; this one is somebody else's. Its rows name what kidoproxy is compared with:
nutcracker, Envoy where ``envoy`` is installed, and for RESP3 and TLS, which nutcracker has not, kidoproxy itself in
RESP2 without TLS. Idle CPU is a row, too: what 50 clients that say nothing cost in a second.
"""

import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from tests.bench import gauge
from tests.bench.copies import PROGRAM, CopyLoad, ask
from tests.bench.generator import Load, WrongAnswer
from tests.bench.stage import Processes, Proxy
from tests.bench.workloads import Batch, frame

KEY: Final = "bench:__rand_int__"
IDLE_CLIENTS: Final = 50
#: Milliseconds of CPU in a second with idle clients: one per cent of a core.
IDLE_BAR: Final = 10.0
PLAIN: Final = "ketama"


def loads(count: int) -> list[CopyLoad]:
    """GET and SET, alone and sixteen at a time."""
    verbs = {"GET": ["GET", KEY], "SET": ["SET", KEY, "v" * 64]}
    return [
        CopyLoad(f"{verb}{', pipeline 16' if depth > 1 else ''}", argv, 0.0, count=count * depth, depth=depth)
        for depth in (1, 16)
        for verb, argv in verbs.items()
    ]


@dataclass(frozen=True)
class Side:
    """A proxy, the port that is asked, and what redis-benchmark is told beside the command."""

    proxy: Proxy
    port: int
    flags: tuple[str, ...] = ()

    def sample(self, load: CopyLoad) -> float:
        """CPU µs of the proxy per command."""
        before = gauge.cost(self.proxy.pids())
        ask(self.port, load, self.flags)
        return (gauge.cost(self.proxy.pids()) - before).cpu_ns / 1000 / load.count


@dataclass
class RivalRow:
    """µs per command of the other and of kidoproxy, one of each per round."""

    title: str
    other: str
    other_us: list[float] = field(default_factory=list)
    mine_us: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios; below 1 kidoproxy is cheaper."""
        return statistics.median(mine / other for mine, other in zip(self.mine_us, self.other_us, strict=True))


@dataclass(frozen=True)
class Idle:
    """Milliseconds of CPU in a second of each proxy, while its clients say nothing."""

    nutcracker_ms: float
    mine_ms: float


def measure(stage: Processes, python: str, rounds: int, count: int) -> list[RivalRow]:
    """All rows; the proxies are started for them and ended."""
    if shutil.which(PROGRAM) is None:
        return [RivalRow("all", "", note=f"{PROGRAM} is not installed")]
    stage.flush_nodes()
    mine, tls = stage.kidoproxy(python), stage.tls_listener(python)
    others = [stage.nutcracker()] + ([stage.envoy()] if shutil.which("envoy") else [])
    plain = Side(mine, mine.ports[PLAIN])
    rows = [
        compare(load.name, other.name, Side(other, other.ports[PLAIN]), plain, load, rounds)
        for other in others
        for load in loads(count)
    ]
    for load in loads(count):
        if load.name.startswith("GET"):
            rows.append(compare(f"{load.name}, RESP3", "RESP2", plain, Side(mine, plain.port, ("-3",)), load, rounds))
            if tls is not None:
                encrypted = Side(tls, tls.ports["tls"], ("--tls", "--insecure"))
                rows.append(compare(f"{load.name}, TLS", "plain", plain, encrypted, load, rounds))
    for proxy in [mine, *others, *([tls] if tls is not None else [])]:
        stage.stop(proxy)
    return rows


def compare(title: str, other: str, base: Side, mine: Side, load: CopyLoad, rounds: int) -> RivalRow:
    """Interleaved rounds of both, after one that only warms up."""
    row = RivalRow(title, other)
    try:
        for side in (base, mine):
            side.sample(load)
        for nth in range(rounds):
            for side in (base, mine) if nth % 2 == 0 else (mine, base):
                (row.other_us if side is base else row.mine_us).append(side.sample(load))
    except (WrongAnswer, OSError) as error:
        row.note = str(error)
    return row


def measure_idle(stage: Processes, python: str, seconds: float) -> Idle:
    """What the proxies spend on clients that have asked once and say nothing."""
    proxies = [stage.nutcracker(), stage.kidoproxy(python)]
    spent = []
    with ExitStack() as stack:
        for proxy in proxies:
            load = stack.enter_context(Load(proxy.ports[PLAIN]))
            load.open(IDLE_CLIENTS, Batch(frame(b"GET", b"absent"), b"$-1\r\n"))
        before = [gauge.cost(proxy.pids()).cpu_ns for proxy in proxies]
        time.sleep(seconds)
        for proxy, earlier in zip(proxies, before, strict=True):
            spent.append((gauge.cost(proxy.pids()).cpu_ns - earlier) / 1e6 / seconds)
    for proxy in proxies:
        stage.stop(proxy)
    return Idle(*spent)


def misses(rows: Sequence[RivalRow], idle: Idle | None) -> list[str]:
    """What --check complains about: a row without figures, an idle proxy that is busy."""
    found = [f"{PROGRAM}, {row.title}: {row.note}" for row in rows if row.note]
    if idle is not None and idle.mine_ms > IDLE_BAR:
        found.append(f"idle: {idle.mine_ms:.1f} ms of CPU a second, allowed are {IDLE_BAR:.0f}")
    return found
