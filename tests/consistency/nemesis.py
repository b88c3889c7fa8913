"""The nemesis: copies that can be harmed in every way, one round of load, harm and quiet, and what was wrong."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final, Self

import redis

from tests.badlink import BadLink
from tests.consistency.checker import Problem, check
from tests.consistency.load import Load
from tests.live.contents import equal, states_by
from tests.live.proxies import RunningProxy, Starter
from tests.live.writers import fill
from tests.wait import eventually

#: Servers that may be told where to save.
SAVES: Final = ("--enable-protected-configs", "yes")
DATABASES: Final = (0, 1, 5, 9)
#: Seconds until all is well again after the last harm, on a slow machine.
WELL_SECONDS: Final = 60.0
TIMEOUT_MS: Final = 1000


class Cluster:
    """A copy pool that heals by itself, with a bad network before each node."""

    def __init__(self, start: Starter, count: int, server: str = "auto", **options: Any) -> None:
        self.links: list[BadLink] = []
        self.stack = ExitStack()
        settings = {"heal": "auto", "timeout_ms": TIMEOUT_MS, "connect_timeout_ms": TIMEOUT_MS, **options}
        self.proxy: RunningProxy = start(
            "copy", count, server=server, tcp=True, args=SAVES, through=self.through, **settings
        )

    def through(self, urls: list[str]) -> list[str]:
        """What the proxy connects to."""
        self.links = [self.stack.enter_context(BadLink(url)) for url in urls]
        return [link.url for link in self.links]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stack.close()
        self.proxy.stop()


class Trial:
    """One round. `load` is on while the scenario runs; ``dice`` decide what it leaves open, ``scale`` how long."""

    def __init__(self, cluster: Cluster, seed: int, only: Sequence[str] = (), scale: int = 1, filled: int = 0) -> None:
        self.cluster = cluster
        self.proxy = cluster.proxy
        self.links = cluster.links
        self.dice = random.Random(seed)
        self.scale = scale
        self.client = self.proxy.client(2, socket_timeout=30)
        self.watcher = self.proxy.client(3, socket_timeout=30)
        self.client.flushall()
        fill(self.proxy, filled)
        self.load = Load(self.proxy, seed, only)
        self.dead: set[int] = set()

    @property
    def count(self) -> int:
        """How many copies there are."""
        return len(self.links)

    def others(self, at: int) -> list[int]:
        """All nodes but this one, in any order."""
        found = [other for other in range(self.count) if other != at]
        self.dice.shuffle(found)
        return found

    def go_on(self, operations: int = 40) -> None:
        """Wait for so many more operations."""
        self.load.go_on(operations * self.scale)

    # -- harm --------------------------------------------------------------------------------------------------

    def kill(self, at: int) -> None:
        """SIGKILL; its address refuses connections."""
        self.load.epoch += 1
        self.links[at].refuse()
        self.proxy.kill(at)
        self.dead.add(at)

    def back(self, at: int, from_disk: bool = False) -> None:
        """Started again: empty, or with what it had at its last `save`."""
        self.load.epoch += 1
        if from_disk:
            self.proxy.restart_from_disk(at)
        else:
            self.proxy.restart(at)
        if at in self.dead:
            self.links[at].accept()
            self.dead.discard(at)

    def save(self, at: int) -> None:
        """It writes its data to disk now."""
        self.proxy.save(at)

    def freeze(self, at: int) -> None:
        """SIGSTOP."""
        self.load.epoch += 1
        self.proxy.pause(at)

    def thaw(self, at: int) -> None:
        """SIGCONT."""
        self.load.epoch += 1
        self.proxy.resume(at)

    def bad(self, at: int) -> BadLink:
        """The network before it, to be told what to do wrong."""
        self.load.epoch += 1
        return self.links[at]

    def hold_a_write(self, at: int) -> None:
        """What is sent to it is on its way from now on: a write of a key that nobody else writes."""
        other = self.proxy.node_clients()[self.others(at)[0]]
        client = self.proxy.client(2, socket_timeout=30)
        over = self.load.crowd.over
        self.load.stop()
        self.bad(at).hold()
        self.load.crowd.join(lambda turn: over.wait() if turn else set_late(client))
        eventually(lambda: other.get("late") == b"early")
        self.load.resume()

    # -- what can be seen ---------------------------------------------------------------------------------------

    def states(self) -> list[str]:
        """Of each copy, as the proxy says; nothing while it does not answer."""
        try:
            return states_by(self.watcher)
        except redis.RedisError:
            return [""] * self.count

    def until(self, at: int, *wanted: str) -> None:
        """Wait until the copy is in one of these states."""
        eventually(lambda: self.states()[at] in wanted, WELL_SECONDS)

    def until_missed(self, at: int) -> None:
        """Wait until it is not in sync any more."""
        self.until(at, "behind", "down", "syncing")

    def until_stuck(self, clients: int = 4) -> None:
        """Wait until so many clients wait for a reply."""
        eventually(lambda: self.load.crowd.problems or self.load.open_calls() >= clients, WELL_SECONDS)

    def until_well(self) -> None:
        """Wait until all are in sync."""
        eventually(lambda: self.states() == ["in sync"] * self.count, WELL_SECONDS)

    # -- the round ------------------------------------------------------------------------------------------------

    def play(self, scenario: Callable[["Trial"], None]) -> list[Problem]:
        """Load, harm, quiet; the problems that are in its history. Copies that are not equal in the end fail it."""
        with self.load:
            self.go_on()
            try:
                scenario(self)
            finally:
                self.repair()
            self.until_well()
            self.load.resume()
            self.go_on()
        self.until_well()
        quiet(self.proxy)
        self.load.finish()
        return check(self.load.history)

    def repair(self) -> None:
        """Undo all harm that the scenario has left."""
        for at in range(self.count):
            if at in self.dead:
                self.back(at)
            self.thaw(at)
            self.links[at].heal()


def set_late(client: Any) -> None:
    """It is given up, or its proxy dies."""
    with suppress(redis.RedisError):
        client.set("late", "early")


def quiet(proxy: RunningProxy) -> None:
    """Wait until all copies are equal; keys may have to expire before, or to be repaired."""
    deadline = time.monotonic() + WELL_SECONDS / 4
    while True:
        try:
            equal(proxy, DATABASES)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            eventually(lambda: True)
        else:
            return
