"""The nemesis: copies that can be harmed in every way, one round of load, harm and quiet, and what was wrong.

On a ring of copy pools all harm is done to one of them; places are those of its copies.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, Self

import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.badlink import BadLink
from tests.consistency.checker import check
from tests.consistency.findings import Problem
from tests.consistency.history import History
from tests.consistency.load import Load
from tests.consistency.pools import POOLS, PoolKind, RingOfCopies
from tests.consistency.promises import ALL, promised
from tests.live.contents import equal_nodes, states_by
from tests.live.proxies import RunningProxy, Starter
from tests.live.writers import fill
from tests.wait import eventually

#: Servers that may be told where to save, and to be lazy.
ARGS: Final = ("--enable-protected-configs", "yes", "--enable-debug-command", "yes")
DATABASES: Final = (0, 1, 5, 9)
#: Seconds until all is well again after the last harm, on a slow machine.
WELL_SECONDS: Final = 60.0
TIMEOUT_MS: Final = 1000
#: Seconds after which an acknowledged write has reached all copies, or is known to be missing: the deadline, and a bit.
LOSS_SECONDS: Final = TIMEOUT_MS / 1000 + 0.5
#: Seconds after which a client has noted what it was told before.
NOTED_SECONDS: Final = 0.1


class Cluster:
    """Copies that heal by themselves, with a bad network before each node; ``count`` of them in each shard."""

    def __init__(
        self, start: Starter, count: int, server: str = "auto", kind: PoolKind = POOLS["plain"], **options: Any
    ) -> None:
        self.links: list[BadLink] = []
        self.stack = ExitStack()
        self.kind = kind
        self.count = count
        settings: dict[str, Any] = {"heal": "auto", "timeout_ms": TIMEOUT_MS, "connect_timeout_ms": TIMEOUT_MS}
        settings |= dict(kind.options) | options
        if kind.shards > 1:
            settings["shards"] = kind.shards
        self.settings = settings
        self.proxy: RunningProxy = start(
            "copy",
            count * kind.shards,
            tcp=True,
            args=ARGS,
            through=self.through,
            servers=kind.servers(count, server, start.folder),
            kind=RingOfCopies if kind.shards > 1 else RunningProxy,
            **settings,
        )
        for at in range(len(self.links)):
            self.prepare(at)

    def through(self, urls: list[str]) -> list[str]:
        """What the proxy connects to."""
        self.links = [self.stack.enter_context(BadLink(url)) for url in urls]
        return [link.url for link in self.links]

    def prepare(self, at: int) -> None:
        """What is told to a node that was started."""
        if self.kind.is_lazy and at % self.count == 1:
            with redis.Redis.from_url(self.proxy.nodes.urls[at], protocol=2) as node:
                node.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")

    def another_proxy(self) -> RunningProxy:
        """Over the same copies, with a port and a record of its own; not started yet."""
        folder = Path(tempfile.mkdtemp(dir=self.proxy.folder))
        return type(self.proxy)(folder, "copy", self.proxy.urls, EmbeddedNodes(), **self.settings)

    def equal(self) -> None:
        """The copies of each shard hold the same."""
        urls = self.proxy.nodes.urls
        for at in range(0, len(urls), self.count):
            equal_nodes(urls[at : at + self.count], DATABASES)

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
        self.dice = random.Random(seed)
        self.count = cluster.count
        shard = self.dice.randrange(cluster.kind.shards) if cluster.kind.shards > 1 else 0
        self.first = shard * self.count
        self.links = cluster.links[self.first : self.first + self.count]
        self.names = self.proxy.names[self.first : self.first + self.count]
        self.scale = scale
        self.client = self.proxy.client(2, socket_timeout=30)
        self.watcher = self.proxy.client(3, socket_timeout=30)
        self.client.flushall()
        fill(self.proxy, filled)
        self.load = Load(self.proxy, seed, only, cluster.kind.shards, cluster.kind.is_mixed)
        #: A key of this shard for writes that are late.
        self.late = self.load.places.key_in(shard, "late")
        self.dead: set[int] = set()
        #: Copies that may have missed what was acknowledged with another ``ack`` than "all".
        self.harmed: set[int] = set()

    def some(self) -> int:
        """Any copy."""
        return self.dice.randrange(self.count)

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
        began = self.load.history.clock()
        self.links[at].refuse()
        self.proxy.kill(self.first + at)
        self.dead.add(at)
        if self.harmed - {at}:
            self.may_lose(began)
        self.harmed.add(at)

    def kill_and_restart(self, at: int) -> None:
        """SIGKILL; it is back at once, empty, and its address has never refused a connection."""
        self.load.epoch += 1
        self.proxy.kill(self.first + at)
        self.back(at)

    def kill_proxy(self) -> None:
        """SIGKILL."""
        began = self.load.history.clock()
        self.proxy.end(9)
        self.may_lose(began)

    def take_over(self) -> None:
        """Another proxy serves the copies from now on, and dies; then ours is started again."""
        began = self.load.history.clock()
        shards = self.cluster.kind.shards
        pools = ["pool"] if shards == 1 else [f"shard-{shard}" for shard in range(shards)]
        with self.cluster.another_proxy() as other:
            other.start(*[word for pool in pools for word in ("--take-over", pool)])
        self.proxy.end(9)
        self.may_lose(began)
        self.proxy.start()

    def may_lose(self, began: float) -> None:
        """With another ``ack`` than "all" what was acknowledged before such harm was done may be lost now."""
        if self.cluster.kind.ack != ALL:
            history = self.load.history
            history.losses.append((began - LOSS_SECONDS, history.clock() + NOTED_SECONDS))

    def back(self, at: int, from_disk: bool = False) -> None:
        """Started again: empty, or with what it had at its last `save`."""
        self.load.epoch += 1
        if from_disk:
            self.proxy.restart_from_disk(self.first + at)
        else:
            self.proxy.restart(self.first + at)
        self.cluster.prepare(self.first + at)
        if at in self.dead:
            self.links[at].accept()
            self.dead.discard(at)

    def save(self, at: int) -> None:
        """It writes its data to disk now."""
        self.proxy.save(self.first + at)

    def freeze(self, at: int) -> None:
        """SIGSTOP."""
        self.load.epoch += 1
        self.harmed.add(at)
        self.proxy.pause(self.first + at)

    def thaw(self, at: int) -> None:
        """SIGCONT."""
        self.load.epoch += 1
        self.proxy.resume(self.first + at)

    def bad(self, at: int) -> BadLink:
        """The network before it, to be told what to do wrong."""
        self.load.epoch += 1
        self.harmed.add(at)
        return self.links[at]

    def hold_a_write(self, at: int) -> None:
        """What is sent to it is on its way from now on: a write of a key that nobody else writes."""
        other = self.proxy.node_clients()[self.first + self.others(at)[0]]
        client = self.proxy.client(2, socket_timeout=30)
        over = self.load.crowd.over
        self.load.stop()
        self.bad(at).hold()
        self.load.crowd.join(lambda turn: over.wait() if turn else set_late(client, self.late))
        eventually(lambda: other.get(self.late) == b"early")
        self.load.resume()

    # -- what can be seen ---------------------------------------------------------------------------------------

    def states(self) -> list[str]:
        """Of each copy, as the proxy says."""
        return self.all_states()[self.first : self.first + self.count]

    def all_states(self) -> list[str]:
        """Those of other shards, too; nothing while it does not answer."""
        try:
            return states_by(self.watcher)
        except redis.RedisError:
            return [""] * len(self.proxy.names)

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
        eventually(lambda: set(self.all_states()) == {"in sync"}, WELL_SECONDS)
        self.harmed.clear()

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
        quiet(self.cluster)
        self.load.finish()
        kind, history = self.cluster.kind, self.load.history
        seen = History()
        seen.operations = promised(history.operations, kind.ack, history.losses)
        return check(seen, kind.skew)

    def repair(self) -> None:
        """Undo all harm that the scenario has left."""
        for at in range(self.count):
            if at in self.dead:
                self.back(at)
            self.thaw(at)
            self.links[at].heal()


def set_late(client: Any, key: str) -> None:
    """It is given up, or its proxy dies."""
    with suppress(redis.RedisError):
        client.set(key, "early")


def quiet(cluster: Cluster) -> None:
    """Wait until all copies are equal; keys may have to expire before, or to be repaired."""
    deadline = time.monotonic() + WELL_SECONDS / 4
    while True:
        try:
            cluster.equal()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            eventually(lambda: True)
        else:
            return
