"""A master that three real sentinels watch looks like one Redis that never moves: whoever dies, only time is lost."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from tests.live.proxies import RunningProxy, Starter
from tests.live.sentinel_trio import NODE_PASSWORD, SENTINEL_PASSWORD, SentinelTrio
from tests.live.test_check import check, pool
from tests.needs import needs
from tests.wait import eventually

pytestmark = pytest.mark.live

#: Errors that a client may hear while there is no master; what a write became of, it may not know.
NODE_ERRORS: Final = ("NODEDOWN", "TIMEOUT", "READONLY")
WORKERS: Final = 4
#: A failover takes about a second; one that its sentinels give up, for they have not agreed, is tried again later.
FAILOVER_SECONDS: Final = 30.0


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[SentinelTrio]:
    folder = tmp_path / "trio"
    folder.mkdir()
    with SentinelTrio(folder, needs("redis-server")) as made:
        yield made


@pytest.fixture
def proxy(trio: SentinelTrio, own_proxy: Starter) -> RunningProxy:
    return own_proxy("ring", 0, through=lambda _: [trio.url], node={"password": NODE_PASSWORD})


def node_field(client: Any, name: str) -> Any:
    """What PROXY NODES says of the only node."""
    return client.execute_command("PROXY", "NODES")[0][name.encode()]


def is_at(client: Any, trio: SentinelTrio, at: int) -> bool:
    """Whether the proxy has followed the master there, and serves."""
    address = node_field(client, "address") == b"127.0.0.1:%d" % trio.ports[at]
    return bool(address and node_field(client, "state") == b"up")


class Writers:
    """Clients that count up keys of their own, and read each back: what they were told, in their order."""

    def __init__(self, proxy: RunningProxy) -> None:
        self.stopped = threading.Event()
        self.acknowledged: dict[str, list[tuple[float, int]]] = {}
        self.wrong: list[str] = []
        self.errors = 0
        self.threads = [
            threading.Thread(target=self.write, args=(proxy.client(protocol=2 + at % 2), f"counter:{at}"))
            for at in range(WORKERS)
        ]
        for thread in self.threads:
            thread.start()

    def write(self, client: Any, key: str) -> None:
        """A pipeline of a write, a read and an echo: replies of others, or in another order, show."""
        told = self.acknowledged.setdefault(key, [])
        number = 0
        while not self.stopped.is_set():
            number += 1
            replies = client.pipeline(transaction=False)
            replies.set(key, number).get(key).echo(f"{key} {number}")
            written, read, echo = replies.execute(raise_on_error=False)
            if echo != f"{key} {number}".encode():
                self.wrong.append(f"{key} {number} heard {echo!r}")
            if written is True:
                told.append((time.monotonic(), number))
                if isinstance(read, bytes) and int(read) != number:
                    self.wrong.append(f"{key} was {read!r} behind {number}")
            for reply in (written, read):
                self.errors += isinstance(reply, Exception)
                if isinstance(reply, Exception) and not str(reply).startswith(NODE_ERRORS):
                    self.wrong.append(f"{key}: {reply}")

    def stop(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def are_served(self, since: float) -> bool:
        """Whether each of them has written since then."""
        return all(told and told[-1][0] > since for told in self.acknowledged.values())


def test_the_master_is_killed_under_load(trio: SentinelTrio, proxy: RunningProxy) -> None:
    """Writes go on at the new master; each is read back by its own client, and none of those is lost."""
    client = proxy.client()
    writers = Writers(proxy)
    try:
        eventually(lambda: writers.are_served(0.0))
        trio.kill("server-0")
        eventually(lambda: is_at(client, trio, 1), FAILOVER_SECONDS)
        moved_at = time.monotonic()
        eventually(lambda: writers.are_served(moved_at))
    finally:
        writers.stop()
    assert writers.wrong == []
    for key, told in writers.acknowledged.items():
        assert int(trio.node(1).get(key)) >= told[-1][1]
    assert (node_field(client, "failovers"), node_field(client, "sentinels")[:9]) == (1, b"agreed, 3")
    assert proxy.log().count("master has moved") == 1
    assert NODE_PASSWORD not in proxy.log()
    assert SENTINEL_PASSWORD not in proxy.log()

    # The old master comes back as it was, a master, until the sentinels see it: nobody writes to it.
    trio.start_server(0)
    client.set("after", "1")
    eventually(lambda: trio.node(0).info("replication")["role"] == "slave")
    assert trio.node(1).get("after") == "1"
    assert is_at(client, trio, 1)


def test_a_failover_by_hand(trio: SentinelTrio, proxy: RunningProxy) -> None:
    """Who blocks or watches hears of it as of a lost node; the old master, which still takes writes, gets none."""
    client = proxy.client()
    client.set("key", "before")
    blocked: list[str] = []

    def block() -> None:
        with pytest.raises(redis.ResponseError) as error:
            proxy.client().blpop("nothing", 30)
        blocked.append(str(error.value))

    thread = threading.Thread(target=block)
    thread.start()
    watching = proxy.client(protocol=2).pipeline()
    watching.watch("key")
    watching.multi()
    watching.set("key", "never")
    listener = proxy.client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe("news")
    eventually(lambda: node_field(client, "lanes") == 2)
    trio.failover()
    eventually(lambda: is_at(client, trio, 1), FAILOVER_SECONDS)

    thread.join()
    assert blocked[0].startswith("NODEDOWN"), blocked
    with pytest.raises((redis.WatchError, redis.ResponseError)):
        watching.execute()
    client.set("key", "after")
    assert trio.node(1).get("key") == "after"
    eventually(lambda: client.publish("news", "hello"))
    eventually(lambda: (message := listener.get_message()) and message["data"] == b"hello")
    eventually(lambda: trio.node(0).info("replication")["role"] == "slave")
    eventually(lambda: trio.node(0).get("key") == "after")


def test_sentinels_that_are_down_cost_nothing(trio: SentinelTrio, own_proxy: Starter, tmp_path: Path) -> None:
    """With two of three a failover is followed, by each worker; with none the master that is known is kept."""
    options: dict[str, Any] = {"node": {"password": NODE_PASSWORD}, "proxy": {"workers": 2}}
    proxy = own_proxy("ring", 0, through=lambda _: [trio.url], **options)
    clients = [proxy.client() for _ in range(8)]
    trio.kill("sentinel-2")
    eventually(lambda: all(node_field(client, "sentinels") == b"agreed, 2 of 3 sentinels" for client in clients))
    trio.failover()
    eventually(lambda: all(is_at(client, trio, 1) for client in clients), FAILOVER_SECONDS)
    result = check(tmp_path, pool([f'{{ url = "{trio.url}", password = "{NODE_PASSWORD}" }}']))
    assert result.exit_code == 1
    assert f"2 of 3 sentinels name 127.0.0.1:{trio.ports[1]}" in result.output
    assert f"! sentinel 127.0.0.1:{trio.sentinel_ports[2]} connection refused" in result.output
    assert "PASSWORD" not in result.output

    trio.kill("sentinel-0")
    trio.kill("sentinel-1")
    eventually(lambda: all(node_field(client, "sentinels") == b"kept, 0 of 3 sentinels" for client in clients))
    for at, client in enumerate(clients):
        assert client.set(f"key:{at}", 1)
    assert trio.node(1).dbsize() == len(clients)


def test_a_master_that_is_made_a_replica_under_load(trio: SentinelTrio, own_proxy: Starter) -> None:
    """It refuses what it is sent: nobody hears of it, if the sentinels have named another one by the deadline."""
    options: dict[str, Any] = {"node": {"password": NODE_PASSWORD}, "timeout_ms": 10_000}
    proxy = own_proxy("ring", 0, through=lambda _: [trio.url], **options)
    client = proxy.client()
    writers = Writers(proxy)
    try:
        eventually(lambda: writers.are_served(0.0))
        trio.failover()
        eventually(lambda: trio.node(1).info("replication")["role"] == "master")
        trio.node(0).replicaof("127.0.0.1", trio.ports[1])
        eventually(lambda: is_at(client, trio, 1), FAILOVER_SECONDS)
        moved_at = time.monotonic()
        eventually(lambda: writers.are_served(moved_at))
    finally:
        writers.stop()
    assert (writers.wrong, writers.errors) == ([], 0)
    for key, told in writers.acknowledged.items():
        assert int(trio.node(1).get(key)) >= told[-1][1]
