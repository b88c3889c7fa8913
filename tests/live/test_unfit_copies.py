"""Copies that are silent, full or not to be written to: they cost themselves alone, and no acknowledged write."""

import time

import pytest
import redis

from tests.live.contents import Crowd, equal, is_behind, states, sync
from tests.live.proxies import Starter
from tests.live.writers import Acknowledged
from tests.wait import eventually

pytestmark = pytest.mark.live


def test_paused(own_proxy: Starter) -> None:
    """A silent node costs each writer the deadline once; back again it is not read, for it may lack writes."""
    proxy = own_proxy("copy", 2, timeout_ms=300)
    work = Acknowledged(proxy)
    slow: list[float] = []
    with Crowd() as crowd:
        work.join(crowd)
        work.go_on(crowd)
        proxy.pause(1)
        client = proxy.client()
        for number in range(50):
            started = time.monotonic()
            client.set(f"mine:{number}", number)
            slow.append(time.monotonic() - started)
        work.go_on(crowd)
        proxy.resume(1)
        eventually(is_behind(proxy, 1))
        work.go_on(crowd)
        sync(proxy, 1)
        work.go_on(crowd)
    assert len([seconds for seconds in slow if seconds > 0.25]) == 1
    assert work.errors == []
    equal(proxy)


def test_one_runs_full(own_proxy: Starter) -> None:
    """A copy without memory is behind, in transactions too; the pool serves on, and the copy can come back."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    full = proxy.node_clients()[0]
    client.mset({f"k{number}": 1 for number in range(20)})
    full.config_set("maxmemory", 1)
    with client.pipeline(transaction=True) as pipe:
        assert pipe.set("k0", 2).get("k0").execute() == [True, b"2"]
    assert states(proxy) == ["behind", "in sync"]
    assert client.mget([f"k{number}" for number in range(3)]) == [b"2", b"1", b"1"]
    full.config_set("maxmemory", 0)
    sync(proxy, 0)
    full.config_set("maxmemory", 1)
    with client.pipeline(transaction=False) as pipe:
        for number in range(20):
            pipe.set(f"k{number}", 3).get(f"k{number}")
        assert pipe.execute() == [True, b"3"] * 20
    assert states(proxy) == ["behind", "in sync"]
    full.config_set("maxmemory", 0)
    sync(proxy, 0)
    equal(proxy)


def test_all_run_full(own_proxy: Starter) -> None:
    """If no copy took the write it is refused, in Redis's words, and nobody is behind."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    for node in proxy.node_clients():
        node.config_set("maxmemory", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("k", 2)
    assert client.get("k") == b"1"
    assert states(proxy) == ["in sync"] * 2


def test_read_only(own_proxy: Starter) -> None:
    """A copy that somebody made a replica takes no writes: it is behind."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    proxy.node_clients()[1].execute_command("REPLICAOF", "127.0.0.1", 1)
    assert client.set("k", 2)
    assert client.get("k") == b"2"
    assert states(proxy) == ["in sync", "behind"]
