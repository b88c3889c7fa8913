"""A proxy over copies that is started again: it knows, or finds out, which copies may be read, before it reads them."""

import threading
from typing import Any

import pytest
import redis

from tests.live.contents import equal, states, sync
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live


def refuse_writes(node: Any) -> None:
    """A node misses what comes now."""
    node.config_set("maxmemory", 1)


def test_restart_while_behind(own_proxy: Starter) -> None:
    """A restarted proxy knows who was behind: that copy is mended from the other one, and never read before."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.mset({f"k{number}": 1 for number in range(30)})
    node = proxy.node_clients()[0]
    refuse_writes(node)
    client.mset({f"k{number}": 2 for number in range(30)})
    proxy.restart_proxy()
    client = proxy.client()
    assert client.mget([f"k{number}" for number in range(30)]) == [b"2"] * 30
    assert states(proxy) == ["behind", "in sync"]
    node.config_set("maxmemory", 0)
    eventually(lambda: states(proxy) == ["in sync"] * 2)
    assert "OOM" in proxy.log()
    equal(proxy)


def test_start_compares(own_proxy: Starter) -> None:
    """What differs when the proxy starts is mended before it is read, record or not."""
    proxy = own_proxy("copy", 2)
    proxy.client().mset({f"k{number}": 1 for number in range(300)})
    for record in (True, False):
        proxy.end()
        second = proxy.node_clients()[1]
        second.mset({f"k{number}": "wrong" for number in range(0, 300, 7)})
        second.set("too much", 1)
        second.delete("k5", "k6")
        if not record:
            for path in (proxy.folder / "state").iterdir():
                path.unlink()
        proxy.start()
        assert proxy.client().mget([f"k{number}" for number in range(300)]) == [b"1"] * 300
        assert states(proxy) == ["in sync"] * 2
        assert len(equal(proxy)) == 300


def test_node_restarted_while_the_proxy_is_down(own_proxy: Starter) -> None:
    """A node that came back empty while nobody looked is not trusted, not even when the other one is not there yet."""
    proxy = own_proxy("copy", 2)
    proxy.client().set("k", 1)
    proxy.end()
    proxy.kill(0)
    proxy.restart(0)
    proxy.pause(1)
    proxy.start()
    client = proxy.client()
    with pytest.raises(redis.ResponseError, match=r"NODEDOWN node-1|TIMEOUT node-1"):
        client.get("k")
    proxy.resume(1)
    eventually(lambda: states(proxy) == ["in sync"] * 2, 20)
    assert client.get("k") == b"1"
    equal(proxy)


def test_corrupt_record(own_proxy: Starter) -> None:
    """A record that cannot be read is told, and the copies are compared as if there were none."""
    proxy = own_proxy("copy", 2)
    proxy.client().set("k", 1)
    (record,) = (proxy.folder / "state").glob("copies-*.json")
    for text in ("{", '{"behind": 5}', "[]", "\x00"):
        proxy.end()
        record.write_text(text)
        proxy.start()
        assert f"state unreadable: file={record}" in proxy.log()
        assert proxy.client().get("k") == b"1"


def test_proxy_killed_under_writers(own_proxy: Starter) -> None:
    """The proxy itself dies: what it had acknowledged is there afterwards, and the copies are equal again."""
    proxy = own_proxy("copy", 2)
    acked = [-1]
    over = threading.Event()

    def work() -> None:
        with redis.Redis(port=proxy.port) as client:
            try:
                while not over.is_set():
                    client.set(f"k{acked[0] + 1}", 1)
                    acked[0] += 1
            except redis.RedisError:
                return

    writer = threading.Thread(target=work)
    writer.start()
    eventually(lambda: acked[0] > 200)
    proxy.restart_proxy(9)
    over.set()
    writer.join()
    assert proxy.client().exists(*[f"k{number}" for number in range(acked[0] + 1)]) == acked[0] + 1
    eventually(lambda: states(proxy) == ["in sync"] * 2)
    equal(proxy)


# -- all of them die -------------------------------------------------------------------------------------------


#: Servers that may be told where to save.
SAVES = ("--enable-protected-configs", "yes")


@pytest.mark.parametrize("proxy_too", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_all_die_and_one_is_back(own_proxy: Starter, first: int, proxy_too: bool) -> None:
    """The one that is back with data serves at once; ordering its sync empties nobody."""
    proxy = own_proxy("copy", 2, args=SAVES)
    proxy.client().mset({f"k{number}": 1 for number in range(1000)})
    for at in (0, 1):
        proxy.save(at)
    proxy.kill(0)
    proxy.kill(1)
    if proxy_too:
        proxy.restart_proxy()
    proxy.restart_from_disk(first)
    eventually(lambda: answered(proxy) == b"1")
    client = proxy.client()
    with pytest.raises(redis.ResponseError, match="is in sync already"):
        client.execute_command("PROXY", "SYNC", proxy.names[first])
    other = 1 - first
    with pytest.raises(redis.ResponseError, match="no sync"):
        client.execute_command("PROXY", "SYNC", proxy.names[other], "REFILL")
    assert client.dbsize() == 1000
    proxy.restart(other)
    if proxy_too:
        # What differs at the start is compared unasked.
        eventually(lambda: states(proxy) == ["in sync"] * 2, 20)
    else:
        eventually(lambda: states(proxy)[other] == "behind")
        sync(proxy, other)
    assert len(equal(proxy)) == 1000


@pytest.mark.parametrize("first", [0, 1])
def test_all_die_and_one_is_back_empty(own_proxy: Starter, first: int) -> None:
    """It does not serve while the other one may have the data; when that is back it serves, and nothing was lost."""
    proxy = own_proxy("copy", 2, args=SAVES)
    proxy.client().mset({f"k{number}": 1 for number in range(1000)})
    other = 1 - first
    proxy.save(other)
    proxy.kill(0)
    proxy.kill(1)
    proxy.restart(first)
    eventually(lambda: "no copy is trusted: pool=pool" in proxy.log())
    with pytest.raises(redis.ResponseError, match="NOREPLICAS no copy can be trusted"):
        proxy.client().get("k1")
    with pytest.raises(redis.ResponseError, match="no copy is trusted"):
        proxy.client().execute_command("PROXY", "SYNC", proxy.names[first], "REFILL")
    proxy.restart_from_disk(other)
    eventually(lambda: answered(proxy) == b"1")
    sync(proxy, first)
    assert len(equal(proxy)) == 1000


def answered(proxy: RunningProxy) -> bytes | None:
    """What a read says; nothing while nobody answers."""
    try:
        value: bytes | None = proxy.client(protocol=2).get("k1")
    except redis.RedisError:
        return None
    return value
