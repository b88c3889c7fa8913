"""Everything that a server holds, as values that can be compared: copies are equal when these are."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import redis

from tests.live.proxies import RunningProxy, environment

#: How many keys are asked for at once.
CHUNK: Final = 500

_READS: Final[dict[bytes, Callable[[Any, bytes], object]]] = {
    b"string": lambda pipe, key: pipe.get(key),
    b"list": lambda pipe, key: pipe.lrange(key, 0, -1),
    b"set": lambda pipe, key: pipe.smembers(key),
    b"hash": lambda pipe, key: pipe.hgetall(key),
    b"zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
    b"stream": lambda pipe, key: pipe.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 0),
}
#: Of a stream: when a node delivered an entry or saw a consumer is its own affair, and so is how it stores them.
_TIMES: Final = (b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes")


def stream(info: Any) -> Any:
    """What XINFO STREAM FULL says, without times: entries, ids, groups, and who has how often been given what."""
    if not isinstance(info, list):
        return info
    if info and isinstance(info[0], bytes) and len(info) % 2 == 0 and info[0] in (b"length", b"name"):
        pairs = {info[at]: info[at + 1] for at in range(0, len(info), 2) if info[at] not in _TIMES}
        # A pending entry is (id, consumer, time, count) of a group, and (id, time, count) of a consumer.
        for name in (b"pel", b"pending"):
            if isinstance(pairs.get(name), list):
                pairs[name] = [[*entry[:-2], entry[-1]] for entry in pairs[name]]
        return {name: stream(value) for name, value in pairs.items()}
    return [stream(each) for each in info]


def asked(node: Any, keys: Sequence[bytes], name: str) -> list[Any]:
    """One question about each key."""
    pipe = node.pipeline(transaction=False)
    for key in keys:
        pipe.execute_command(name, key)
    found: list[Any] = pipe.execute()
    return found


def values(node: Any, keys: Sequence[bytes], kinds: Sequence[bytes]) -> list[Any]:
    """What each key holds, read as its type is read."""
    pipe = node.pipeline(transaction=False)
    for key, kind in zip(keys, kinds, strict=True):
        _READS[kind](pipe, key)
    found: list[Any] = pipe.execute()
    return [stream(value) if kind == b"stream" else value for value, kind in zip(found, kinds, strict=True)]


def contents(url: str, databases: Iterable[int] = (0,)) -> dict[tuple[int, bytes], tuple[bytes, Any, int]]:
    """By database and key: type, value and the moment of expiry."""
    found = {}
    for db in databases:
        with redis.Redis.from_url(url, db=db, protocol=2) as client:
            keys = sorted(client.scan_iter(count=CHUNK))
            for at in range(0, len(keys), CHUNK):
                for key, what in chunk(client, keys[at : at + CHUNK]):
                    found[(db, key)] = what
    return found


def chunk(node: Any, keys: list[bytes]) -> list[tuple[bytes, tuple[bytes, Any, int]]]:
    """Some keys of one database; those that have expired since are left out."""
    kinds = dict(zip(keys, asked(node, keys, "TYPE"), strict=True))
    alive = [key for key in keys if kinds[key] in _READS]
    held = values(node, alive, [kinds[key] for key in alive])
    moments = asked(node, alive, "PEXPIRETIME")
    return [(key, (kinds[key], value, moment)) for key, value, moment in zip(alive, held, moments, strict=True)]


def equal(proxy: RunningProxy, databases: Iterable[int] = (0,)) -> dict[tuple[int, bytes], tuple[bytes, Any, int]]:
    """All nodes hold the same; what they hold. The complaint names the keys."""
    return equal_nodes(proxy.nodes.urls, databases)


def equal_nodes(urls: Iterable[str], databases: Iterable[int]) -> dict[tuple[int, bytes], tuple[bytes, Any, int]]:
    """The same of these nodes."""
    databases = list(databases)
    first, *others = [contents(url, databases) for url in urls]
    for other in others:
        differ = [(place, first.get(place), other.get(place)) for place in first | other]
        differ = [(place, mine, theirs) for place, mine, theirs in differ if mine != theirs]
        assert not differ, (len(differ), differ[:5])
    return first


# -- the states of copies -----------------------------------------------------------------------------------------


def states(proxy: RunningProxy) -> list[str]:
    """What PROXY NODES says of each node."""
    with redis.Redis(port=proxy.port, protocol=3) as client:
        return states_by(client)


def states_by(client: Any) -> list[str]:
    """The same, asked by a client that speaks RESP3."""
    return [row[b"state"].decode() for row in client.execute_command("PROXY", "NODES")]


def is_behind(proxy: RunningProxy, at: int) -> Callable[[], bool]:
    """Whether a node is there and not in sync; to be waited for."""
    return lambda: states(proxy)[at] == "behind"


def sync(proxy: RunningProxy, at: int) -> str:
    """``kidoproxy sync``: returns when the node is in sync; what it said."""
    words = [sys.executable, "-m", "kidoproxy", "sync", "--config", str(proxy.config), "pool", proxy.names[at]]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ordered(proxy: RunningProxy, at: int, *options: str) -> str:
    """``kidoproxy sync`` with options; what it said."""
    words = [sys.executable, "-m", "kidoproxy", "sync", "--config", str(proxy.config), "pool", proxy.names[at]]
    done = subprocess.run(
        [*words, *options], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- writers --------------------------------------------------------------------------------------------------------


class Crowd:
    """Threads that do something again and again until the ``with`` is over; what any of them raises, it raises."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []
        self.problems: list[BaseException] = []

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.problems, self.problems

    def join(self, step: Callable[[int], object]) -> None:
        """One more thread: calls ``step`` with 0, 1, 2, …"""

        def work() -> None:
            turn = 0
            while not self.over.is_set() and not self.problems:
                try:
                    step(turn)
                except BaseException as problem:  # noqa: BLE001
                    self.problems.append(problem)
                turn += 1

        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()


def is_served(proxy: RunningProxy, at: int, protocol: int) -> bool:
    """Whether it answers clients of this protocol: each has a connection of its own, which comes back by itself."""
    try:
        return bool(proxy.client(protocol).execute_command("PROXY", "NODE", proxy.names[at], "EXISTS", "k") == 0)
    except redis.ResponseError:
        return False
