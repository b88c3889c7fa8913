"""What is asked: one `Workload` per row of the table, and the bytes that go with it.

Every key has one value, made from the key, and SET writes that same value again. So the whole reply
to every request is known beforehand, and a proxy that mixes up two answers cannot look fast.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * 1024
OK: Final = b"+OK\r\n"
NIL: Final = b"$-1\r\n"
BATCH_BYTES: Final = 64 * MIB  # prepared requests and replies of one workload take no more than this


@dataclass(frozen=True)
class Workload:
    """``clients`` connections, each with ``depth`` commands under way; ``width`` keys in each command."""

    name: str
    verb: str
    clients: int = 50
    depth: int = 1
    width: int = 1
    value_bytes: int = 64
    keys: int = 10_000
    hash: str = "ketama"
    quick: bool = True  # part of --quick
    bar: float = 1.0  # the CPU ratio that --check allows
    paced: bool = False  # at a quarter of what the first proxy can do, instead of as fast as each is answered
    absent: bool = False  # of keys that are not there

    @property
    def title(self) -> str:
        """The row's first cell."""
        parts = [f"{self.verb}{f' of {self.width}' if self.width > 1 else ''}, {size(self.value_bytes)}"]
        parts.append(f"{self.clients:,} client{'s' if self.clients > 1 else ''}".replace(",", " "))
        if self.depth > 1:
            parts.append(f"pipeline {self.depth}")
        if self.keys > 10_000:
            parts.append(f"{self.keys:,} keys".replace(",", " "))
        if self.hash != "ketama":
            parts.append(self.hash)
        if self.absent:
            parts.append("absent")
        if self.paced:
            parts.append("paced")
        return ", ".join(parts)


WORKLOADS: Final = (
    Workload("get", "GET"),
    Workload("set", "SET"),
    Workload("get-p16", "GET", depth=16, bar=0.65),
    Workload("set-p16", "SET", depth=16, bar=0.65),
    Workload("get-1", "GET", clients=1),
    Workload("get-1000", "GET", clients=1000),
    Workload("get-5000", "GET", clients=5000),
    Workload("mget", "MGET", width=10, bar=0.9),
    Workload("mset", "MSET", width=10, bar=0.9),
    Workload("get-1k", "GET", value_bytes=KIB, quick=False),
    Workload("set-1k", "SET", value_bytes=KIB, quick=False),
    Workload("get-64k", "GET", clients=20, value_bytes=64 * KIB, keys=1000),
    Workload("set-64k", "SET", clients=20, value_bytes=64 * KIB, keys=1000),
    Workload("get-1m", "GET", clients=10, value_bytes=MIB, keys=60),
    Workload("set-1m", "SET", clients=10, value_bytes=MIB, keys=60),
    Workload("get-fnv", "GET", hash="fnv1a_64", quick=False),
    Workload("get-p16-fnv", "GET", depth=16, hash="fnv1a_64", bar=0.65),
    Workload("get-p16-many", "GET", depth=16, keys=1_000_000, bar=0.65),
    Workload("get-paced", "GET", paced=True),
    Workload("set-paced", "SET", paced=True, quick=False),
    Workload("get-p16-paced", "GET", depth=16, paced=True, quick=False, bar=0.65),
    Workload("mget-paced", "MGET", width=10, paced=True, quick=False),
    Workload("get-absent", "GET", absent=True, quick=False),
    Workload("del", "DEL", width=8, absent=True),
    Workload("mget-p16", "MGET", width=10, depth=16, quick=False),
    Workload("mixed", "GET+SET"),
    Workload("mixed-paced", "GET+SET", paced=True, quick=False),
)


@dataclass(frozen=True)
class Batch:
    """What a client sends at once, and all that it must get for it."""

    request: bytes
    reply: bytes


def size(count: int) -> str:
    """A byte count as a person says it."""
    if count >= MIB:
        return f"{count // MIB} MiB"
    return f"{count // KIB} KiB" if count >= KIB else f"{count} B"


def frame(*argv: bytes) -> bytes:
    """A request as clients send it."""
    return b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in argv)


def key(number: int) -> bytes:
    """All keys are equally long, and so are all requests of one workload."""
    return b"bench:%010d" % number


def value(number: int, count: int) -> bytes:
    """The one value that this key ever has; it differs from its neighbours in every 16 bytes."""
    return (b"value-%09d;" % number * (count // 16 + 1))[:count]


def bulk(payload: bytes) -> bytes:
    """A value as the node answers it."""
    return b"$%d\r\n%b\r\n" % (len(payload), payload)


def command(load: Workload, numbers: list[int], verb: str = "") -> Batch:
    """One command of the workload over these keys."""
    verb = verb or load.verb
    names = [key(number + load.keys) if load.absent else key(number) for number in numbers]
    values = [value(number, load.value_bytes) for number in numbers]
    if verb in ("SET", "MSET"):
        pairs = [word for pair in zip(names, values, strict=True) for word in pair]
        return Batch(frame(verb.encode(), *pairs), OK)
    request = frame(verb.encode(), *names)
    if verb == "DEL":
        return Batch(request, b":0\r\n")
    head = b"*%d\r\n" % len(values) if verb == "MGET" else b""
    return Batch(request, head + b"".join(NIL if load.absent else bulk(each) for each in values))


def batches(load: Workload, seed: int = 1) -> list[Batch]:
    """Prepared batches over random keys, the same for every proxy; many for small values, few for large ones."""
    rng = random.Random(seed)
    command_bytes = load.width * (load.value_bytes + 200)
    many = max(4096, load.keys) // load.depth
    count = max(16, min(many, BATCH_BYTES // (command_bytes * load.depth)))
    return [_batch(load, rng) for _ in range(count)]


def _batch(load: Workload, rng: random.Random) -> Batch:
    # Of several verbs each comes as often: "GET+SET".
    verbs = rng.choices(load.verb.split("+"), k=load.depth)
    commands = [command(load, rng.sample(range(load.keys), load.width), verb) for verb in verbs]
    if load.depth == 1:
        return commands[0]
    return Batch(b"".join(each.request for each in commands), b"".join(each.reply for each in commands))


def preload(load: Workload) -> Iterator[Batch]:
    """SETs that give every key of the workload its value, a megabyte or a thousand keys at a time."""
    step = max(1, min(1000, MIB // load.value_bytes))
    for first in range(0, load.keys, step):
        numbers = range(first, min(load.keys, first + step))
        sets = [frame(b"SET", key(number), value(number, load.value_bytes)) for number in numbers]
        yield Batch(b"".join(sets), OK * len(sets))
