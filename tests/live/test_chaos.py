"""Harm while many work: nodes die, fall silent and come back, connections are cut, and what was acknowledged is there.

Counters are incremented with WATCH, MULTI and EXEC, so that a lost update would be seen; elements go through queues
with BLMOVE, so that each is somewhere at any moment.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
import redis

from tests.badlink import BadLink
from tests.live.proxies import RunningProxy, Starter
from tests.live.test_waiting import Asking, has_blocked
from tests.wait import eventually

pytestmark = pytest.mark.live


class Tally:
    """What clients have seen of one counter: how often it was incremented, and how often nobody knows."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.sure = 0
        self.unknown = 0
        self.lost_races = 0
        self._lock = threading.Lock()

    def count(self, sure: int = 0, unknown: int = 0, lost: int = 0) -> None:
        """Note it."""
        with self._lock:
            self.sure += sure
            self.unknown += unknown
            self.lost_races += lost

    def fits(self, value: int) -> bool:
        """Whether the counter may stand there."""
        return self.sure <= value <= self.sure + self.unknown


def increment(client: Any, tally: Tally) -> bool:
    """One attempt as redis-py's `transaction` makes it; whether it is known to have been done."""
    pipe = client.pipeline()
    try:
        pipe.watch(tally.key)
        value = int(pipe.get(tally.key) or 0)
        pipe.multi()
        pipe.set(tally.key, value + 1)
    except redis.RedisError:
        pipe.reset()
        return False
    try:
        pipe.execute()
    except redis.WatchError:
        tally.count(lost=1)
        return False
    except redis.RedisError as problem:
        # Only what says so may have run.
        tally.count(unknown="unknown" in str(problem))
        return False
    finally:
        pipe.reset()
    tally.count(sure=1)
    return True


def work(proxy: RunningProxy, tally: Tally, times: int) -> None:
    """A client that wants to increment it so often; it ends with the proxy, also when the test has failed."""
    client = proxy.client(2)
    left = times
    while left and proxy.alive():
        left -= increment(client, tally)


def crowd(proxy: RunningProxy, tally: Tally, clients: int, times: int) -> list[Asking]:
    """So many of them, at work."""
    return [Asking(partial(work, proxy, tally, times)) for _ in range(clients)]


@contextmanager
def meanwhile(harm: Callable[[], None]) -> Iterator[None]:
    """Do harm again and again until the ``with`` is over; at least once."""
    over = threading.Event()

    def again() -> None:
        harm()
        while not over.is_set():
            harm()

    harming = Asking(again)
    try:
        yield
    finally:
        over.set()
        assert harming.answer() is None


def no_dedicated_connection_is_left(client: Any) -> bool:
    """Whether no client has a dedicated connection any more."""
    return all(row[row.index(b"lanes") + 1] == 0 for row in client.execute_command("PROXY", "NODES"))


def served(client: Any, key: str) -> bool:
    """Whether the key can be read."""
    try:
        client.get(key)
    except redis.RedisError:
        return False
    return True


def test_other_nodes_die(own_proxy: Starter) -> None:
    """20 clients count on a node that is well, while the others are killed, restarted and paused: nothing is lost."""
    proxy = own_proxy("ring", 3, timeout_ms=300, connect_timeout_ms=300)
    others = [proxy.keys_on(at, 1)[0] for at in (1, 2)]
    tally = Tally(proxy.keys_on(0, 1, "counter")[0])
    client = proxy.client(2)

    def harm() -> None:
        proxy.kill(1)
        proxy.pause(2)
        eventually(lambda: not served(client, others[0]))
        eventually(lambda: not served(client, others[1]))
        proxy.restart(1)
        proxy.resume(2)
        for key in others:
            eventually(partial(served, client, key))

    with meanwhile(harm):
        for asking in crowd(proxy, tally, 20, 10):
            assert asking.answer() is None
    assert tally.unknown == 0
    assert int(client.get(tally.key)) == tally.sure == 200
    eventually(lambda: no_dedicated_connection_is_left(client))


@pytest.mark.parametrize("harm", ["cut", "stall", "cut_after", "trickle"])
def test_own_link_is_bad(own_proxy: Starter, harm: str) -> None:
    """The same over a network that cuts, stalls, trickles, or cuts within a reply: what is unknown is said to be."""
    with ExitStack() as stack:
        conns: list[BadLink] = []

        def through(urls: list[str]) -> list[str]:
            conns.extend([stack.enter_context(BadLink(url)) for url in urls])
            return [conn.url for conn in conns]

        proxy = own_proxy("ring", 1, tcp=True, through=through, timeout_ms=200, connect_timeout_ms=200)
        tally = Tally("counter")
        client = proxy.client(2)
        numbers = itertools.count()

        def once() -> None:
            before = tally.sure
            if harm == "stall":
                conns[0].stall()
                eventually(lambda: not served(client, tally.key))
                conns[0].heal()
            elif harm == "cut":
                conns[0].cut()
            elif harm == "trickle":
                conns[0].trickle(1 + next(numbers) % 3)
                conns[0].cut()
            else:
                conns[0].cut_after(next(numbers) % 40)
            eventually(lambda: tally.sure > before + 4 or all(not asking.is_alive() for asking in working), 20)

        working: list[Asking] = []
        working += crowd(proxy, tally, 8, 8)
        with meanwhile(once):
            for asking in working:
                assert asking.answer() is None
        conns[0].heal()
        eventually(lambda: served(client, tally.key))
        assert tally.sure == 64
        assert tally.fits(int(client.get(tally.key))), (client.get(tally.key), tally.sure, tally.unknown)
        eventually(lambda: no_dedicated_connection_is_left(client))


def test_copies_count(own_proxy: Starter) -> None:
    """8 clients count on two copies: nothing is lost, no outcome is unknown, and the copies are equal."""
    proxy = own_proxy("copy", 2)
    eventually(lambda: in_sync(proxy) == 2)
    tally = Tally("counter")
    for asking in crowd(proxy, tally, 8, 12):
        assert asking.answer() is None
    assert (tally.sure, tally.unknown) == (96, 0)
    assert [node.get("counter") for node in proxy.node_clients()] == [b"96", b"96"]


@pytest.mark.parametrize("at", [0, 1])
def test_a_copy_dies_while_they_count(own_proxy: Starter, at: int) -> None:
    """One of two copies is killed in the middle: the other one has all that was acknowledged."""
    proxy = own_proxy("copy", 2, timeout_ms=500)
    eventually(lambda: in_sync(proxy) == 2)
    tally = Tally("counter")
    working = crowd(proxy, tally, 8, 12)
    eventually(lambda: tally.sure > 25)
    proxy.kill(at)
    for asking in working:
        assert asking.answer() is None
    assert tally.sure == 96
    value = int(proxy.node_clients()[1 - at].get("counter"))
    assert tally.fits(value), (value, tally.sure, tally.unknown)
    assert int(proxy.client().get("counter")) == value


def in_sync(proxy: RunningProxy) -> int:
    """How many copies may be read."""
    rows = proxy.client(2).execute_command("PROXY", "NODES")
    return sum(row[row.index(b"state") + 1] == b"in sync" for row in rows)


class Queue:
    """A reliable queue: what is taken stands in the consumer's own list until it is done."""

    def __init__(self, proxy: RunningProxy, name: str, total: int) -> None:
        self.proxy = proxy
        self.name = name
        self.total = total
        self.lock = threading.Lock()
        self.pushed: set[bytes] = set()
        self.doubtful: set[bytes] = set()
        self.done: dict[bytes, int] = {}

    def produce(self, number: int, count: int) -> None:
        """Push so many; what failed is pushed again under another name."""
        client = self.proxy.client(2)
        names = itertools.count()
        while count and self.proxy.alive():
            element = b"%d:%d" % (number, next(names))
            try:
                client.lpush(self.name, element)
            except redis.RedisError:
                with self.lock:
                    self.doubtful.add(element)
                continue
            count -= 1
            with self.lock:
                self.pushed.add(element)

    def consume(self, number: int) -> None:
        """Take, do, forget; after an error look first at what was taken before."""
        client = self.proxy.client(2)
        mine = f"{self.name}:{number}"
        while not self.is_done() and self.proxy.alive():
            try:
                for element in client.lrange(mine, 0, -1):
                    self.finish(client, mine, element)
                while (found := client.blmove(self.name, mine, 0.1, "RIGHT", "LEFT")) is not None:
                    self.finish(client, mine, found)
            except redis.RedisError:
                continue

    def finish(self, client: Any, mine: str, element: bytes) -> None:
        """The work, and then the note that it is done."""
        with self.lock:
            self.done[element] = self.done.get(element, 0) + 1
        client.lrem(mine, 1, element)

    def is_done(self) -> bool:
        """Whether everything that was pushed has been done."""
        with self.lock:
            return len(self.pushed) == self.total and self.pushed <= set(self.done)


def run(queue: Queue, harm: Callable[[], None], consumers: int) -> None:
    """Two producers and so many consumers, while harm is done; then all is accounted for."""
    with meanwhile(harm):
        producing = [Asking(partial(queue.produce, number, queue.total // 2)) for number in range(2)]
        consuming = [Asking(partial(queue.consume, number)) for number in range(consumers)]
        for asking in producing + consuming:
            assert asking.answer() is None
    assert queue.pushed <= set(queue.done) <= queue.pushed | queue.doubtful


def test_queue_while_other_nodes_die(own_proxy: Starter) -> None:
    """Each element is done exactly once while other nodes are killed and come back."""
    proxy = own_proxy("ring", 2, timeout_ms=300, connect_timeout_ms=300)
    name = proxy.keys_on(0, 1, "queue")[0]
    queue = Queue(proxy, "{" + name + "}", 400)
    other = proxy.keys_on(1, 1)[0]
    client = proxy.client(2)

    def harm() -> None:
        proxy.kill(1)
        eventually(lambda: not served(client, other))
        proxy.restart(1)
        eventually(lambda: served(client, other))

    run(queue, harm, 6)
    assert not queue.doubtful
    assert set(queue.done.values()) == {1}
    assert client.llen(queue.name) == 0
    eventually(lambda: has_blocked(client, 0) and no_dedicated_connection_is_left(client))


def test_queue_over_a_bad_link(own_proxy: Starter) -> None:
    """Connections are cut under consumers that wait: no element is lost, and none is left where nobody looks."""
    with ExitStack() as stack:
        conns: list[BadLink] = []

        def through(urls: list[str]) -> list[str]:
            conns.extend([stack.enter_context(BadLink(url)) for url in urls])
            return [conn.url for conn in conns]

        proxy = own_proxy("ring", 1, tcp=True, through=through, timeout_ms=300, connect_timeout_ms=300)
        queue = Queue(proxy, "{q}", 300)
        client = proxy.client(2)

        def harm() -> None:
            before = len(queue.done)
            conns[0].cut()
            eventually(lambda: served(client, "x"))
            eventually(lambda: len(queue.done) > before + 5 or queue.is_done(), 20)

        run(queue, harm, 6)
        eventually(lambda: served(client, "x"))
        assert client.llen(queue.name) == 0
        eventually(lambda: has_blocked(client, 0) and no_dedicated_connection_is_left(client))


def test_consumers_are_killed(own_proxy: Starter) -> None:
    """CLIENT KILL of consumers that wait: what they were given stands in their own lists, and nowhere else."""
    proxy = own_proxy("ring", 1)
    queue = Queue(proxy, "{q}", 300)
    client = proxy.client(2)

    def harm() -> None:
        for row in client.client_list():
            if "b" in row["flags"]:
                client.client_kill_filter(_id=row["id"])

    run(queue, harm, 6)
    assert not queue.doubtful
    assert client.llen(queue.name) == 0
    eventually(lambda: has_blocked(client, 0) and no_dedicated_connection_is_left(client))
