"""Changing the file of a running proxy, and clients that must not notice."""

import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.live.proxies import RunningProxy
from tests.wait import eventually


def rewrite(proxy: RunningProxy, change: Callable[[str], str]) -> None:
    """Another file in place of the first, in one step, as editors and deployments do it."""
    new = proxy.config.with_suffix(".new")
    new.write_text(change(proxy.config.read_text()))
    new.replace(proxy.config)


def more(proxy: RunningProxy, lines: str, head: str = "[pool.pool]") -> None:
    """The same file with more lines behind a heading."""
    rewrite(proxy, lambda text: text.replace(head, f"{head}\n{lines}"))


def replace(proxy: RunningProxy, old: str, new: str) -> None:
    assert old in proxy.config.read_text()
    rewrite(proxy, lambda text: text.replace(old, new))


def hang_up(proxy: RunningProxy) -> None:
    assert proxy.process is not None
    proxy.process.send_signal(signal.SIGHUP)


def reload(proxy: RunningProxy, event: str = "configuration applied", workers: int = 1) -> None:
    """Send SIGHUP, and wait until every worker has logged what came of it."""
    before = proxy.log().count(event)
    hang_up(proxy)
    eventually(lambda: proxy.log().count(event) >= before + workers)


class Load:
    """Clients of both protocols that work without a pause, and what went wrong."""

    def __init__(self, proxy: RunningProxy, count: int, prefix: str) -> None:
        self.prefix = prefix
        self.problems: list[Exception] = []
        self.rounds = [0] * count
        self.over = threading.Event()
        clients = [proxy.client(protocol=2 + number % 2) for number in range(count)]
        self.threads = [threading.Thread(target=self.work, args=(at, client)) for at, client in enumerate(clients)]

    def work(self, at: int, client: Any) -> None:
        try:
            with client.client() if at % 4 else client as one:
                while not self.over.is_set():
                    self.turn(at, one)
                    self.rounds[at] += 1
        except (AssertionError, redis.RedisError) as problem:
            self.problems.append(problem)

    def turn(self, at: int, client: Any) -> None:
        """Writes, reads, several keys, a pipeline, a transaction, something that blocks."""
        key = f"{self.prefix}{{{at}}}"
        assert client.set(f"{key}a", self.rounds[at])
        assert client.get(f"{key}a") == b"%d" % self.rounds[at]
        assert client.mset({f"{self.prefix}{at}:{number}": number for number in range(5)})
        pipe = client.pipeline(transaction=False)
        for number in range(20):
            pipe.get(f"{self.prefix}{at}:{number % 5}")
        assert pipe.execute() == [b"%d" % (number % 5) for number in range(20)]
        assert client.pipeline().set(f"{key}b", 1).incr(f"{key}b").execute() == [True, 2]
        if at == 0:
            assert client.blpop(f"{key}none", 0.01) is None


@contextmanager
def load(proxy: RunningProxy, count: int = 8, prefix: str = "") -> Iterator[Load]:
    """Clients work while the block runs, on keys of this prefix; afterwards none of them has seen an error."""
    made = Load(proxy, count, prefix)
    for thread in made.threads:
        thread.start()
    try:
        eventually(lambda: all(made.rounds) or made.problems)
        yield made
        seen = list(made.rounds)
        eventually(lambda: all(now > before for now, before in zip(made.rounds, seen, strict=True)) or made.problems)
    finally:
        made.over.set()
        for thread in made.threads:
            thread.join()
    assert made.problems == []


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as page:
        lines = page.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def counted(port: int, name: str, value: float) -> bool:
    return metric(port, name) == value
