"""Clients that wait on a real ring: they are served, who gives up leaves nothing behind, nothing is lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def proxy(serve_proxy: Starter) -> RunningProxy:
    """A ring of three."""
    return serve_proxy("ring", 3)


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def client(proxy: RunningProxy, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of emptied nodes."""
    found = proxy.client(protocol=request.param)
    found.flushall()
    yield found
    found.close()


class Asking(threading.Thread):
    """Asks in a thread of its own; `answer` waits for what comes of it."""

    def __init__(self, request_context: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.ask = request_context
        self.said: Any = None
        self.start()

    def run(self) -> None:
        """Keep the answer, or the error."""
        try:
            self.said = self.ask()
        except redis.RedisError as problem:
            self.said = problem

    def answer(self) -> Any:
        """What came of it."""
        self.join(20)
        assert not self.is_alive()
        return self.said


def blocked(client: Any) -> int:
    """How many clients of the proxy wait in a command."""
    count: int = client.info("clients")["blocked_clients"]
    return count


def has_blocked(client: Any, count: int) -> bool:
    """Whether just so many wait."""
    return blocked(client) == count


def leased(proxy: RunningProxy, at: int) -> int:
    """How many connections of the proxy wait in a command at this node."""
    return sum("b" in row["flags"] for row in proxy.node_clients()[at].client_list())


def test_pop_that_waits(client: Any, proxy: RunningProxy) -> None:
    """It is served as soon as something comes, and not before."""
    asking = Asking(lambda: proxy.client().blpop(["{q}1", "{q}2"], 20))
    eventually(lambda: blocked(client) == 1)
    assert client.rpush("{q}2", "x", "y") == 2
    assert list(asking.answer()) == [b"{q}2", b"x"]
    assert client.lrange("{q}2", 0, -1) == [b"y"]
    assert client.blpop("none", 0.05) is None
    assert client.bzpopmin("none", 0.05) is None
    assert client.blmove("{q}2", "{q}3", 1) == b"y"


def test_first_come_first_served(client: Any, proxy: RunningProxy) -> None:
    """The node keeps the order in which clients began to wait."""
    waiting = []
    for count in range(1, 6):
        waiting.append(Asking(lambda: proxy.client().blpop("line", 20)))
        eventually(partial(has_blocked, client, count))
    client.rpush("line", *range(5))
    assert [asking.answer()[1] for asking in waiting] == [b"0", b"1", b"2", b"3", b"4"]


def test_client_that_goes(client: Any, proxy: RunningProxy) -> None:
    """The node does not pop for somebody who is gone."""
    at = proxy.names.index(proxy.name_of("gone"))
    raw = proxy.raw()
    raw.sendall(b"BLPOP gone 0\r\n")
    eventually(lambda: leased(proxy, at) == 1)
    raw.close()
    eventually(lambda: leased(proxy, at) == 0)
    client.rpush("gone", "x")
    assert client.lrange("gone", 0, -1) == [b"x"]


def test_client_that_is_killed(client: Any, proxy: RunningProxy) -> None:
    """CLIENT KILL ends the waiting at the node, too."""
    at = proxy.names.index(proxy.name_of("gone"))
    with proxy.raw() as raw:
        raw.sendall(b"CLIENT SETNAME victim\r\nBLPOP gone 0\r\n")
        eventually(lambda: leased(proxy, at) == 1)
        number = next(row["id"] for row in client.client_list() if row["name"] == "victim")
        assert client.client_kill_filter(_id=number) == 1
        assert raw.recv(100) == b"+OK\r\n"
        assert raw.recv(100) == b""
    eventually(lambda: leased(proxy, at) == 0)


@pytest.mark.parametrize("error", [False, True])
def test_unblock(client: Any, proxy: RunningProxy, error: bool) -> None:
    """CLIENT UNBLOCK: as if the time were over, or an error that says so."""
    waiting = proxy.client()
    number = waiting.client_id()
    asking = Asking(lambda: waiting.blpop("q", 0))
    eventually(lambda: blocked(client) == 1)
    assert client.client_unblock(number, error=error)
    said = asking.answer()
    assert "UNBLOCKED" in str(said) if error else said is None
    assert not client.client_unblock(number)


def test_streams_of_several_nodes(client: Any, proxy: RunningProxy) -> None:
    """XREAD waits on several nodes at once; the first entry ends it."""
    names = [proxy.keys_on(at, 1, "stream")[0] for at in range(3)]
    asking = Asking(lambda: proxy.client(2).xread(dict.fromkeys(names, "$"), block=20000))
    eventually(lambda: sum(leased(proxy, at) for at in range(3)) == 3)
    entry = client.xadd(names[1], {"f": "v"})
    assert asking.answer() == [[names[1].encode(), [(entry, {b"f": b"v"})]]]
    eventually(lambda: sum(leased(proxy, at) for at in range(3)) == 0)
    client.xadd(names[0], {"f": "w"})
    found = proxy.client(2).xread(dict.fromkeys(names, 0))
    assert [row[0] for row in found] == [names[0].encode(), names[1].encode()]


def test_group_over_several_nodes_gets_everything_once(client: Any, proxy: RunningProxy) -> None:
    """Consumers that wait on streams of three nodes are given every entry, each once, however the nodes race."""
    names = [proxy.keys_on(at, 1, "stream")[0] for at in range(3)]
    for name in names:
        client.xgroup_create(name, "g", mkstream=True)
    total = 300
    got: list[tuple[bytes, bytes]] = []
    lock = threading.Lock()

    def consume(number: int) -> None:
        own = proxy.client(2)
        while len(got) < total:
            for name, entries in own.xreadgroup("g", f"c{number}", dict.fromkeys(names, ">"), count=3, block=100) or []:
                with lock:
                    got.extend((name, entry) for entry, _ in entries)

    consumers = [Asking(partial(consume, number)) for number in range(4)]
    added = [(names[at % 3].encode(), client.xadd(names[at % 3], {"n": at})) for at in range(total)]
    for consumer in consumers:
        assert consumer.answer() is None
    assert sorted(got) == sorted(added)


def test_monitor(client: Any, proxy: RunningProxy) -> None:
    """The stream shows what reaches any node."""
    keys = [proxy.keys_on(at, 1)[0] for at in range(3)]
    with proxy.client().monitor() as stream:
        for key in keys:
            client.set(key, "x")
        seen: set[str] = set()
        for row in stream.listen():
            seen |= {key for key in keys if row["command"] == f"SET {key} x"}
            if len(seen) == 3:
                break
    eventually(lambda: not any("O" in row["flags"] for node in proxy.node_clients() for row in node.client_list()))


def test_pause(client: Any, proxy: RunningProxy) -> None:
    """Writes wait until they are let go; reads do not."""
    client.client_pause(60_000, all=False)
    asking = Asking(lambda: proxy.client().set("a", 1))
    assert client.get("a") is None
    assert asking.is_alive()
    client.client_unpause()
    assert asking.answer() is True


def test_wait_with_replicas(own_proxy: Starter) -> None:
    """WAIT tells how many replicas of each node have this client's writes, though shared connections sent them."""
    with EmbeddedNodes() as spare:
        replicas: list[Any] = [redis.Redis.from_url(url) for url in spare.start(2, tcp=True)]
        proxy = own_proxy("ring", 2, tcp=True)
        client = proxy.client()
        assert client.wait(0, 10) == 0
        for at, counted in ((0, 0), (1, 1)):
            host_and_port = proxy.nodes.urls[at].removeprefix("redis://").split(":")
            replicas[at].execute_command("REPLICAOF", *host_and_port)
            eventually(partial(is_up, replicas[at]))
            key = proxy.keys_on(at, 1)[0]
            assert client.set(key, 1)
            # The fewest of any node count: the second node has none at first.
            assert client.wait(1, 20_000 * counted or 50) == counted
        assert replicas[1].get(key) == b"1"
        for replica in replicas:
            replica.close()


def is_up(replica: Any) -> bool:
    """Whether it follows its master."""
    up: bool = replica.info("replication")["master_link_status"] == "up"
    return up


@pytest.mark.parametrize("harm", ["kill", "pause"])
def test_node_that_goes(own_proxy: Starter, harm: str) -> None:
    """Who waits on a node that dies, or falls silent, hears of it; who waits on another does not."""
    proxy = own_proxy("ring", 3)
    mine, other = proxy.keys_on(0, 1)[0], proxy.keys_on(1, 1)[0]
    client = proxy.client()
    hurt, spared = Asking(lambda: proxy.client().blpop(mine, 0)), Asking(lambda: proxy.client().blpop(other, 0))
    watching = proxy.client().pipeline()
    watching.watch(mine)
    eventually(lambda: blocked(client) == 2)
    getattr(proxy, harm)(0)
    assert "NODEDOWN" in str(hurt.answer())
    assert spared.is_alive()
    client.rpush(other, "x")
    assert spared.answer()[1] == b"x"
    watching.multi()
    watching.set(mine, 1)
    with pytest.raises((redis.WatchError, redis.ResponseError)):
        watching.execute()


def test_end_while_clients_wait(own_proxy: Starter) -> None:
    """At the end of the process who waits is let go, as if the time were over, and nothing is lost."""
    proxy = own_proxy("ring", 1)
    client = proxy.client()
    asking = Asking(lambda: proxy.client().blpop("q", 0))
    eventually(lambda: blocked(client) == 1)
    assert proxy.end(signal.SIGTERM) == 0
    assert str(asking.answer()) == "None", proxy.log()
    assert "drain time is over" not in proxy.log()
