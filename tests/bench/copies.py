"""What copies cost: a pool of two copies beside a ring of one node, in the same process of the same build.

``redis-benchmark`` asks both pools the same, in interleaved rounds; what is compared is the CPU time of the proxy per
command. The bars are those that the project promises: a write to two copies costs at most 1.7 times one to a ring,
a command that is decided, or that waits, at most 2.5 times.
"""

import csv
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from tests.bench import gauge
from tests.bench.generator import WrongAnswer
from tests.bench.stage import Processes, Proxy

PROGRAM: Final = "redis-benchmark"
RING: Final = "ring"
COPIES: Final = "copies"
POOLS: Final = (RING, COPIES)
CLIENTS: Final = 50
KEYS: Final = 1_000
TRANSFERRED: Final = (1_000, 100_000, 1_000_000)
#: Where a table lies in memory is chance, so the leader decides, and the others are told the value.
DECIDED: Final = "return redis.call('SETRANGE', KEYS[1], 0, string.sub(tostring({}), 1, 1))"
EXPIRING: Final = "local n = redis.call('INCR', KEYS[1]) redis.call('EXPIRE', KEYS[1], ARGV[1]) return n"

Prepare = Callable[[Any, int], None]


def nothing(client: Any, count: int) -> None:
    """Needs no data."""


def elements(add: str) -> Prepare:
    """One collection of at least so many elements."""

    def prepare(client: Any, count: int) -> None:
        client.delete("bench:elements")
        for first in range(0, count + CLIENTS, 1_000):
            client.execute_command(add, "bench:elements", *range(first, first + 1_000))

    return prepare


def sets(client: Any, count: int) -> None:
    """As many sets as there are random keys, in none of which a sample finds the end."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(KEYS):
            pipe.sadd(f"bench:set:{number:012}", *range(4 * count // KEYS))
            if number % 100 == 99:
                pipe.execute()


def value_of(size: int) -> Prepare:
    """One string of so many bytes."""

    def prepare(client: Any, count: int) -> None:
        client.set("bench:value", b"v" * size)

    return prepare


@dataclass(frozen=True)
class CopyLoad:
    """One row: what is asked, so many times in a sample; ``bar`` is the CPU ratio to a ring that is promised."""

    name: str
    argv: Sequence[str]
    bar: float = 1.7
    prepare: Prepare = nothing
    count: int = 20_000
    clients: int = CLIENTS
    depth: int = 1


LOADS: Final = (
    CopyLoad("GET", ["GET", "bench:string:__rand_int__"], 1.05),
    CopyLoad("SET", ["SET", "bench:string:__rand_int__", "v" * 64]),
    CopyLoad("SET, pipeline 16", ["SET", "bench:string:__rand_int__", "v" * 64], count=100_000, depth=16),
    CopyLoad("SET with EX", ["SET", "bench:string:__rand_int__", "v" * 64, "EX", "100"]),
    CopyLoad("INCR", ["INCR", "bench:counter:__rand_int__"]),
    CopyLoad("LPUSH", ["LPUSH", "bench:list:__rand_int__", "v" * 64]),
    CopyLoad("XADD *", ["XADD", "bench:stream:__rand_int__", "*", "field", "v" * 64], 2.5),
    CopyLoad("SPOP", ["SPOP", "bench:set:__rand_int__"], 2.5, sets),
    CopyLoad("SPOP, all of one set", ["SPOP", "bench:elements"], 2.5, elements("SADD")),
    CopyLoad("BLPOP, element there", ["BLPOP", "bench:elements", "1"], 2.5, elements("RPUSH")),
    CopyLoad("EVAL of INCR and EXPIRE", ["EVAL", EXPIRING, "1", "bench:limit:__rand_int__", "100"], 2.5),
)


def transfers() -> list[CopyLoad]:
    """The effect of what a leader decided, sent as the whole value."""
    argv = ["EVAL", DECIDED, "1", "bench:value"]
    return [
        CopyLoad(f"state of {size:,} bytes".replace(",", " "), argv, 0.0, value_of(size), 400, clients=1)
        for size in TRANSFERRED
    ]


@dataclass
class CopyRow:
    """CPU µs per command, commands a second and p99 in ms of each pool, one of each per round."""

    load: CopyLoad
    cpu_us: dict[str, list[float]] = field(default_factory=lambda: {pool: [] for pool in POOLS})
    rate: dict[str, list[float]] = field(default_factory=lambda: {pool: [] for pool in POOLS})
    p99_ms: dict[str, list[float]] = field(default_factory=lambda: {pool: [] for pool in POOLS})
    note: str = ""

    @property
    def ratio(self) -> float:
        """How much dearer copies are: the median of the rounds."""
        pairs = zip(self.cpu_us[COPIES], self.cpu_us[RING], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def measure(stage: Processes, python: str, rounds: int, loads: Sequence[CopyLoad]) -> list[CopyRow]:
    """All rows; the proxy is started for them and ended."""
    stage.flush_nodes()
    proxy = stage.copies(python)
    try:
        with clients(proxy) as asked:
            return [_row(proxy, load, rounds, asked) for load in loads]
    finally:
        stage.stop(proxy)


@contextmanager
def clients(proxy: Proxy) -> Iterator[dict[str, Any]]:
    """A client of each pool."""
    made = {pool: redis.Redis(port=proxy.ports[pool], protocol=2) for pool in POOLS}
    try:
        yield made
    finally:
        for client in made.values():
            client.close()


def _row(proxy: Proxy, load: CopyLoad, rounds: int, asked: dict[str, Any]) -> CopyRow:
    row = CopyRow(load)
    try:
        for nth in range(rounds):
            for pool in POOLS if nth % 2 == 0 else POOLS[::-1]:
                load.prepare(asked[pool], load.count)
                _sample(proxy, pool, load, row)
    except (WrongAnswer, redis.RedisError, OSError) as error:
        row.note = str(error)
    return row


def _sample(proxy: Proxy, pool: str, load: CopyLoad, row: CopyRow) -> None:
    pids = proxy.pids()
    before = gauge.cost(pids)
    rate, p99_ms = ask(proxy.ports[pool], load)
    row.cpu_us[pool].append((gauge.cost(pids) - before).cpu_ns / 1000 / load.count)
    row.rate[pool].append(rate)
    row.p99_ms[pool].append(p99_ms)


def ask(port: int, load: CopyLoad, flags: Sequence[str] = ()) -> tuple[float, float]:
    """Commands a second and p99 in ms, as redis-benchmark says; `WrongAnswer` at the first error reply.

    ``flags`` are for redis-benchmark itself.
    """
    shape = ["-c", str(load.clients), "-n", str(load.count), "-P", str(load.depth), "-r", str(KEYS), "--csv"]
    argv = [PROGRAM, "-p", str(port), *flags, *shape, *load.argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode or "Error from server" in done.stdout + done.stderr:
        raise WrongAnswer((done.stdout + done.stderr).strip()[-300:])
    found = next(csv.DictReader(line for line in done.stdout.splitlines() if line.startswith('"')))
    return float(found["rps"]), float(found["p99_latency_ms"])


def misses(rows: Sequence[CopyRow]) -> list[str]:
    """What --check complains about."""
    found = [f"copies, {row.load.name}: {row.note}" for row in rows if row.note]
    return found + [
        f"copies, {row.load.name}: CPU ratio {row.ratio:.2f}, allowed is {row.load.bar:.2f}"
        for row in rows
        if not row.note and row.load.bar and row.ratio > row.load.bar
    ]
