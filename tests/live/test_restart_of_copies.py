"""A proxy over copies that is started again: it knows, or finds out, which copies may be read, before it reads them."""

import threading
from typing import Any

import pytest
import redis

from tests.live.contents import equal, states
from tests.live.proxies import Starter
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
