"""Clients that wait on real copies: served in turn, each element once, and the copies are equal afterwards."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.live.contents import contents, equal, sync
from tests.live.proxies import RunningProxy, Starter
from tests.live.test_rings_of_copies import Nested
from tests.live.test_waiting import Asking, blocked, has_blocked
from tests.wait import eventually

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=[2, 3], ids=["two", "three"])
def proxy(serve_proxy: Starter, request: pytest.FixtureRequest) -> RunningProxy:
    """Two copies, or three."""
    return serve_proxy("copy", request.param)


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def client(proxy: RunningProxy, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of emptied nodes."""
    found = proxy.client(protocol=request.param)
    found.flushall()
    yield found
    assert blocked(found) == 0
    found.close()


@pytest.fixture
def ask(client: Any, proxy: RunningProxy) -> Callable[..., Asking]:
    """Asks in a thread, and returns when the proxy has it waiting."""

    def waits(*words: object) -> Asking:
        count = blocked(client)
        protocol = client.connection_pool.connection_kwargs["protocol"]
        found = Asking(lambda: proxy.client(protocol=protocol).execute_command(*words))
        eventually(lambda: blocked(client) == count + 1)
        return found

    return waits


def test_first_come_first_served(client: Any, proxy: RunningProxy, ask: Callable[..., Asking]) -> None:
    """One push wakes one, three elements wake three, in the order in which they came."""
    waiting = [ask("BLPOP", "other", "q", 20) for _ in range(5)]
    assert client.rpush("q", "0") == 1
    assert plain(waiting[0].answer()) == [b"q", 0]
    assert client.rpush("q", "1", "2", "3") == 3
    assert [plain(one.answer()) for one in waiting[1:4]] == [[b"q", 1], [b"q", 2], [b"q", 3]]
    assert blocked(client) == 1
    assert client.lpush("other", "4") == 1
    assert plain(waiting[4].answer()) == [b"other", 4]
    assert equal(proxy) == {}


@pytest.mark.parametrize(
    ("words", "fill", "reply"),
    [
        ("BRPOP q 20", "RPUSH q a b", [b"q", b"b"]),
        ("BLMOVE q t LEFT RIGHT 20", "RPUSH q a b", b"a"),
        ("BRPOPLPUSH q t 20", "RPUSH q a b", b"b"),
        ("BLMPOP 20 2 p q LEFT COUNT 2", "RPUSH q a b", [b"q", [b"a", b"b"]]),
        ("BZPOPMIN q 20", "ZADD q 1 a 2 b", [b"q", b"a", 1.0]),
        ("BZPOPMAX q 20", "ZADD q 1 a 2 b", [b"q", b"b", 2.0]),
        ("BZMPOP 20 2 p q MIN", "ZADD q 1 a 2 b", [b"q", [[b"a", 1.0]]]),
        ("BLPOP q 20", "RENAME filled q", [b"q", b"x"]),
        ("BLPOP q 20", "COPY filled q", [b"q", b"x"]),
        ("BLPOP q 20", "SORT filled ALPHA STORE q", [b"q", b"x"]),
        ("BLPOP q 20", "LMOVE filled q LEFT LEFT", [b"q", b"x"]),
        ("BLPOP q 20", "EVAL return(redis.call('rpush',KEYS[1],'x')) 1 q", [b"q", b"x"]),
        ("BLPOP q 20", "EVAL return(redis.call('rpush','q','x')) 1 other", [b"q", b"x"]),
    ],
)
def test_each_command(
    client: Any, proxy: RunningProxy, ask: Callable[..., Asking], words: str, fill: str, reply: Any
) -> None:
    """What a server would answer, whatever fills the key; all copies have popped the same."""
    client.rpush("filled", "x")
    asking = ask(*words.split())
    client.execute_command(*fill.split())
    assert plain(asking.answer()) == reply
    equal(proxy)


def plain(reply: Any) -> Any:
    """Lists, and scores as numbers, whatever a protocol and its client make of them."""
    if isinstance(reply, list | tuple):
        return [plain(item) for item in reply]
    return float(reply) if isinstance(reply, bytes) and reply.isdigit() else reply


def test_groups(client: Any, proxy: RunningProxy, ask: Callable[..., Asking]) -> None:
    """Each consumer group gets the entry, in a group one consumer; pending lists agree on all copies."""
    for group in ("g", "h"):
        client.xgroup_create("s", group, mkstream=True)
    read = "XREADGROUP GROUP {} {} BLOCK 20000 STREAMS s >"
    first, second, other = (ask(*read.format(*names).split()) for names in (("g", "1"), ("g", "2"), ("h", "3")))
    client.xadd("s", {"f": "v"}, id="1-1")
    assert b"1-1" in repr(first.answer()).encode()
    assert b"1-1" in repr(other.answer()).encode()
    assert blocked(client) == 1
    client.xadd("s", {"f": "v"}, id="1-2")
    assert b"1-2" in repr(second.answer()).encode()
    pending = [
        [(row["message_id"], row["consumer"]) for row in node.xpending_range("s", "g", "-", "+", 10)]
        for node in proxy.node_clients()
    ]
    assert pending == [[(b"1-1", b"1"), (b"1-2", b"2")]] * len(pending)


def test_groups_that_vanish(client: Any, ask: Callable[..., Asking]) -> None:
    """Who waits for a stream that is deleted hears of it."""
    client.xgroup_create("s", "g", mkstream=True)
    asking = ask("XREADGROUP", "GROUP", "g", "c", "BLOCK", 20000, "STREAMS", "s", ">")
    client.delete("s")
    assert "NOGROUP" in str(asking.answer())


def test_how_waiting_ends(client: Any, proxy: RunningProxy, ask: Callable[..., Asking]) -> None:
    """By its time-out, CLIENT UNBLOCK, CLIENT KILL or the end of the client: then nothing is popped for it."""
    assert client.blpop("q", 0.1) is None
    for words, said in (("TIMEOUT", "None"), ("ERROR", "UNBLOCKED")):
        asking = ask("BLPOP", "q", 0)
        row = next(row for row in client.client_list() if row["flags"] == "b")
        assert client.client_unblock(row["id"], words == "ERROR")
        assert said in str(asking.answer())
    asking = ask("BLPOP", "q", 0)
    row = next(row for row in client.client_list() if row["flags"] == "b")
    client.client_kill_filter(_id=row["id"])
    assert isinstance(asking.answer(), redis.ConnectionError)
    gone = proxy.client().connection_pool.get_connection()
    gone.send_command("BLPOP", "q", 0)
    eventually(lambda: blocked(client) == 1)
    gone.disconnect()
    eventually(lambda: blocked(client) == 0)
    assert client.rpush("q", "x") == 1
    assert equal(proxy)[(0, b"q")][1] == [b"x"]


def test_past_the_proxy(client: Any, proxy: RunningProxy, ask: Callable[..., Asking]) -> None:
    """What is written to the nodes themselves is noticed soon."""
    asking = ask("BLPOP", "q", 20)
    for node in proxy.node_clients():
        node.rpush("q", "x")
    assert plain(asking.answer()) == [b"q", b"x"]
    assert equal(proxy) == {}


# -- harm ------------------------------------------------------------------------------------------------


class Consumers:
    """Producers and consumers of several queues; every element must be consumed once, or be in its queue."""

    def __init__(self, proxy: Any, consumers: int, keys: list[str]) -> None:
        self.proxy = proxy
        self.keys = keys
        self.over = threading.Event()
        self.consumed: Counter[bytes] = Counter()
        self.pushed: list[bytes] = []
        self.doubtful_pushes: set[bytes] = set()
        self.doubtful_pops = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.consume, args=(at,)) for at in range(consumers)]
        self.threads += [threading.Thread(target=self.produce, args=(at,)) for at in range(2)]
        for thread in self.threads:
            thread.start()

    def consume(self, at: int) -> None:
        """Pop in one of several ways."""
        client = self.proxy.client(protocol=2 + at % 2)
        keys = self.keys[at % len(self.keys) :] + self.keys[: at % len(self.keys)]
        while not self.over.is_set():
            try:
                reply = client.blpop(keys, 0.3) if at % 3 else client.execute_command("BLMPOP", 0.3, 1, keys[0], "LEFT")
            except redis.RedisError as problem:
                with self.lock:
                    self.doubtful_pops += "unknown" in str(problem)
                continue
            if reply:
                with self.lock:
                    self.consumed[reply[1] if at % 3 else reply[1][0]] += 1

    def produce(self, number: int) -> None:
        """Push to them in turn."""
        client = self.proxy.client()
        turn = 0
        while not self.over.is_set():
            turn += 1
            element = b"%d.%d" % (number, turn)
            try:
                client.rpush(self.keys[turn % len(self.keys)], element)
            except redis.RedisError as problem:
                if "unknown" in str(problem):
                    self.doubtful_pushes.add(element)
            else:
                self.pushed.append(element)

    def stop(self) -> None:
        """All threads end."""
        self.over.set()
        for thread in self.threads:
            thread.join(20)

    def check(self) -> None:
        """Nothing is popped twice; what is neither popped nor there was popped by an answer that was lost."""
        client = self.proxy.client()
        left = Counter(element for key in self.keys for element in client.lrange(key, 0, -1))
        seen = self.consumed + left
        assert [element for element, count in seen.items() if count > 1] == []
        assert len(set(self.pushed) - set(seen)) <= self.doubtful_pops
        assert set(seen) - set(self.pushed) <= self.doubtful_pushes
        assert len(self.consumed) > 100


def flow(consumers: Consumers, count: int = 300) -> None:
    """So many more elements are consumed."""
    goal = len(consumers.consumed) + count
    eventually(lambda: len(consumers.consumed) > goal, 30)


QUEUES = ["q1", "q2", "q3"]


@pytest.mark.parametrize("harm", ["kill", "pause"])
def test_a_node_fails(own_proxy: Starter, harm: str) -> None:
    """A copy dies, or falls silent, while many wait: nobody's waiting ends, and the others are equal afterwards."""
    proxy = own_proxy("copy", 3, timeout_ms=300)
    idle = [Asking(partial(proxy.client().blpop, ["idle"], 30))]
    for count in (1, 2, 3):
        eventually(partial(has_blocked, proxy.client(), count))
        idle.append(Asking(partial(proxy.client().blpop, ["idle"], 30)))
    consumers = Consumers(proxy, 6, QUEUES)
    flow(consumers)
    getattr(proxy, harm)(0)
    flow(consumers)
    consumers.stop()
    consumers.check()
    assert proxy.client().rpush("idle", "1", "2", "3", "4") == 4
    assert [one.answer()[1] for one in idle] == [b"1", b"2", b"3", b"4"]
    assert contents(proxy.nodes.urls[1]) == contents(proxy.nodes.urls[2])
    if harm == "pause":
        proxy.resume(0)


def test_every_node_dies_once(own_proxy: Starter) -> None:
    """A copy dies and is synced, then the other one: each element is consumed once, and both are equal."""
    proxy = own_proxy("copy", 2, timeout_ms=300)
    consumers = Consumers(proxy, 6, QUEUES)
    for at in (0, 1):
        flow(consumers)
        proxy.kill(at)
        flow(consumers)
        proxy.restart(at)
        sync(proxy, at)
    flow(consumers)
    consumers.stop()
    consumers.check()
    equal(proxy)


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Nested]:
    """A ring of two copy pools with two nodes each."""
    with EmbeddedNodes() as nodes, Nested(tmp_path, "ring", nodes.start(4), nodes) as found:
        yield found.start()


def test_ring_of_copies(nested: Nested) -> None:
    """Every shard has its own lines, and loses a node without anybody noticing."""
    consumers = Consumers(nested, 6, [f"{{tag}}{name}" for name in QUEUES])
    flow(consumers)
    nested.kill(0)
    nested.kill(3)
    flow(consumers)
    consumers.stop()
    consumers.check()
    client = nested.client()
    for key in (f"key{number}" for number in range(8)):
        asking = Asking(partial(nested.client().blpop, key, 20))
        eventually(partial(has_blocked, client, 1))
        assert client.rpush(key, "x") == 1
        assert plain(asking.answer()) == [key.encode(), b"x"]
