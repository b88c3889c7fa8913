"""Copies that die, stop, run full and come back: no acknowledged write is lost, no stale copy is read."""

from typing import Final

import pytest
import redis

from tests.live.contents import Crowd, equal, is_behind, ordered, states, sync
from tests.live.proxies import Starter
from tests.live.writers import DATABASES, Acknowledged, Polite, Restless, answers, fill
from tests.wait import eventually

pytestmark = pytest.mark.live

BEHIND: Final = "in sync; it gets writes and is not read"


# -- a node that dies ----------------------------------------------------------------------------------------------


def test_killed_and_back_empty(own_proxy: Starter) -> None:
    """A node dies under writers and comes back empty: nobody gets an error, no acknowledged write is missed."""
    proxy = own_proxy("copy", 3)
    work = Acknowledged(proxy)
    with Crowd() as crowd:
        work.join(crowd)
        work.go_on(crowd, 400)
        proxy.kill(1)
        work.go_on(crowd)
        proxy.restart(1)
        eventually(is_behind(proxy, 1))
        work.go_on(crowd)
        with redis.Redis(port=proxy.port) as client:
            listed = client.execute_command("PROXY", "EACH", "GET", "w0:0")
            assert listed[0] == listed[2] == b"0"
            assert str(listed[1]).endswith(BEHIND)
        assert "in sync" in sync(proxy, 1)
        work.go_on(crowd)
    assert states(proxy) == ["in sync"] * 3
    assert work.errors == []
    assert len(equal(proxy)) == work.total()


def test_restarted_at_once(own_proxy: Starter) -> None:
    """A node that is back, empty, before the proxy has noticed: what waited for it is not answered by it."""
    proxy = own_proxy("copy", 2)
    work = Acknowledged(proxy)
    with Crowd() as crowd:
        work.join(crowd, readers=4)
        for at in (0, 1, 0, 1):
            work.go_on(crowd)
            proxy.kill(at)
            proxy.restart(at)
            eventually(is_behind(proxy, at))
            sync(proxy, at)
    assert work.errors == []
    assert len(equal(proxy)) == work.total()


def test_sync_under_writes(own_proxy: Starter) -> None:
    """Twenty thousand keys of all types come over while hot keys and several keys at once are written."""
    proxy = own_proxy("copy", 2)
    fill(proxy, 4500)
    proxy.kill(1)
    proxy.restart(1)
    work = Acknowledged(proxy, writers=1)
    with Crowd() as crowd:
        work.join(crowd, readers=1)
        for number in range(3):
            crowd.join(Restless(proxy, number).step)
        eventually(is_behind(proxy, 1))
        assert "in sync" in sync(proxy, 1)
        work.go_on(crowd, 20)
    assert states(proxy) == ["in sync"] * 2
    assert len(equal(proxy, (*DATABASES, 9))) > 20_000


def test_dies_while_it_is_synced(own_proxy: Starter) -> None:
    """A node that dies in the middle of its sync stays behind, the sync says why, and the next one succeeds."""
    proxy = own_proxy("copy", 2)
    fill(proxy, 2000)
    client = proxy.client()
    proxy.kill(1)
    client.set("k", "v")
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    assert client.execute_command("PROXY", "SYNC", "node-1") == b"OK"
    eventually(lambda: states(proxy)[1] == "syncing")
    proxy.kill(1)
    eventually(lambda: "sync failed: pool=pool node=node-1" in proxy.log())
    assert client.execute_command("PROXY", "SYNC")[b"node-1"].startswith(b"failed: ")
    assert client.get("k") == b"v"
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    sync(proxy, 1)
    equal(proxy, DATABASES)


def test_both_die(own_proxy: Starter) -> None:
    """The last copy in sync never leaves: while it is away there is an error, and no answer from the other one."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    proxy.kill(1)
    client.set("k", 2)
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    proxy.pause(0)
    for words in (("GET", "k"), ("SET", "k", 3), ("GET", "k")):
        with pytest.raises(redis.ResponseError, match=r"TIMEOUT|NODEDOWN|NOREPLICAS"):
            client.execute_command(*words)
    proxy.resume(0)
    eventually(lambda: answers(client))
    assert client.get("k") in (b"2", b"3")
    proxy.kill(0)
    proxy.restart(0)
    eventually(lambda: answers(client))
    assert client.get("k") is None
    client.set("k", 4)
    sync(proxy, 1)
    assert equal(proxy)[(0, b"k")][1] == b"4"


def test_the_last_one_is_back_empty(own_proxy: Starter) -> None:
    """The one that is behind may hold more than the last one in sync that came back empty: a person decides."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.mset({f"k{number}": 1 for number in range(100)})
    full = proxy.node_clients()[1]
    full.config_set("maxmemory", 1)
    client.set("k1", 2)
    full.config_set("maxmemory", 0)
    proxy.kill(0)
    proxy.restart(0)
    eventually(lambda: "no copy is trusted: pool=pool" in proxy.log())
    with pytest.raises(redis.ResponseError, match="NOREPLICAS no copy can be trusted: node-0 is empty"):
        client.get("k1")
    assert full.dbsize() == 100
    said = ordered(proxy, 1, "--trust", "--yes")
    assert "node-1 has 100 keys; it missed writes; will be served" in said
    assert client.get("k2") == b"1"
    client.set("k1", 3)
    sync(proxy, 0)
    assert len(equal(proxy)) == 100


# -- a sync that hurts nobody, ends, and empties nobody ---------------------------------------------------------


def test_large_values(own_proxy: Starter) -> None:
    """Hashes of twenty thousand fields come over while clients go on: none of them hears of it, and it ends well."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    for number in range(40):
        client.hset(f"hash:{number}", mapping={f"field:{at}": f"value-{at}" for at in range(20_000)})
    proxy.kill(1)
    client.set("k", 1)
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    with Crowd() as crowd:
        for number in range(4):
            crowd.join(Polite(proxy, number).step)
        assert "in sync" in sync(proxy, 1)
    assert states(proxy) == ["in sync"] * 2
    assert len(equal(proxy)) >= 41


def test_other_databases(own_proxy: Starter) -> None:
    """A database that only one copy has ends the sync with that reason; the good copy does not notice."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    proxy.nodes.kill(1)
    client.set("k", 2)
    proxy.nodes.restart(1, ["--databases", "64"])
    with redis.Redis.from_url(proxy.nodes.urls[1], db=50, protocol=2) as far:
        far.set("far", 1)
    eventually(is_behind(proxy, 1))
    before = client.execute_command("PROXY", "NODES")[0][b"reconnects"]
    client.execute_command("PROXY", "SYNC", "node-1")
    eventually(lambda: "do not both have database 50" in proxy.log())
    for turn in range(20):
        client.set("k", turn)
        assert client.get("k") == b"%d" % turn
    assert client.execute_command("PROXY", "NODES")[0][b"reconnects"] == before
    assert states(proxy) == ["in sync", "behind"]


def test_cancel(own_proxy: Starter) -> None:
    """A sync is ended by a word, says so, and can be requested again."""
    proxy = own_proxy("copy", 2)
    fill(proxy, 2000)
    proxy.kill(1)
    proxy.client().set("k", 1)
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    # While the copy stands still the sync cannot be over before it is cancelled.
    proxy.pause(1)
    proxy.client().execute_command("PROXY", "SYNC", "node-1")
    eventually(lambda: states(proxy)[1] == "syncing")
    assert proxy.client().execute_command("PROXY", "SYNC", "node-1", "CANCEL") == b"OK"
    proxy.resume(1)
    assert states(proxy)[1] == "behind"
    assert proxy.client().execute_command("PROXY", "SYNC")[b"node-1"] == b"failed: cancelled"
    sync(proxy, 1)
    equal(proxy, DATABASES)


def test_min_in_sync(own_proxy: Starter) -> None:
    """With fewer copies than wanted writes are refused and reads go on."""
    proxy = own_proxy("copy", 2, min_in_sync=2)
    client = proxy.client()
    client.set("k", 1)
    proxy.pause(0)
    with pytest.raises(
        redis.ResponseError, match="NOREPLICAS the write was applied on node-1 only, 2 copies are wanted"
    ):
        client.set("k", 2)
    with pytest.raises(redis.ResponseError, match=r"NOREPLICAS Not enough good replicas to write\."):
        client.set("k", 3)
    assert client.get("k") == b"2"
    proxy.kill(0)
    proxy.restart(0)
    eventually(is_behind(proxy, 0))
    sync(proxy, 0)
    assert client.set("k", 4)
    assert equal(proxy)[(0, b"k")][1] == b"4"
