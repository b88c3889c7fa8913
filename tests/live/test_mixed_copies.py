"""Copies of two versions: an older server that reads no DUMPs of a newer one is repaired and synced all the same."""

from pathlib import Path
from typing import Any, Final

import pytest
import redis

from kidoproxy.admin.embedded import find_server
from tests.consistency.nodes import VariousNodes
from tests.live.contents import equal, states, sync
from tests.live.proxies import RunningProxy, Starter
from tests.live.same_copies import check_copies
from tests.live.test_scrub import scrub
from tests.needs import needs
from tests.wait import eventually

pytestmark = pytest.mark.live

#: Which copy is the older server.
OLDER: Final = 1


@pytest.fixture
def mixed(own_proxy: Starter) -> RunningProxy:
    """A copy pool of the embedded server and of the system's, an older one."""
    return own_proxy("copy", 2, servers=VariousNodes([find_server("embedded"), Path(needs("redis-server"))]))


def fill(client: Any) -> None:
    """Keys of every type, in the encodings of small and of large values; streams with all that they may have."""
    client.set("string", b"x\r\n\0")
    client.set("expires", 1, px=600_000)
    client.pfadd("log", *range(1000))
    for size in (3, 600):
        client.rpush(f"list:{size}", *range(size))
        client.sadd(f"numbers:{size}", *range(size))
        client.sadd(f"set:{size}", *(f"member {at}" for at in range(size)))
        client.hset(f"hash:{size}", mapping={f"field {at}": "" if at else "x" for at in range(size)})
        client.zadd(f"zset:{size}", {f"member {at}": at / 10 for at in range(size)} | {"i": float("inf")})
    for at in range(1, 200):
        client.xadd("stream", {"n": at, "m": ""}, id=f"{at}-1")
    for group, consumer, count in (("g", "c", 50), ("g", "d", 3), ("h", "c", 1)):
        if consumer == "c":
            client.xgroup_create("stream", group, 0)
        client.xreadgroup(group, consumer, {"stream": ">"}, count=count)
    client.xgroup_createconsumer("stream", "h", "idle")
    client.xack("stream", "g", "3-1")
    client.xdel("stream", "2-1", "60-1", "199-1")
    client.xgroup_create("empty", "g", 0, mkstream=True)
    client.xadd("trimmed", {"a": 1}, id="5-5")
    client.xgroup_create("trimmed", "g", 0)
    client.xreadgroup("g", "c", {"trimmed": ">"})
    client.xtrim("trimmed", 0)


def test_it_comes_back_empty(mixed: RunningProxy) -> None:
    """Whatever type: it is filled by contents, and then a scrub finds no difference between the two."""
    client = mixed.client(2)
    fill(client)
    with client.pipeline(transaction=False) as pipe:
        for at in range(3000):
            pipe.set(f"many:{at}", at)
        pipe.execute()
    mixed.restart(OLDER)
    sync(mixed, OLDER)
    check_copies(mixed, range(1))
    assert scrub(mixed, "--dry-run")[0] == 0


def test_single_keys_differ(mixed: RunningProxy) -> None:
    """Somebody wrote to the older one past the proxy: it is repaired, key by key, and stays in sync."""
    client = mixed.client(2)
    fill(client)
    with redis.Redis.from_url(mixed.nodes.urls[OLDER]) as node:
        names = [key.decode() for key in node.scan_iter()]
        for key in names:
            if mixed.name_of(key) != mixed.names[OLDER]:
                node.delete(key)
                node.rpush(key, "past the proxy")
    assert scrub(mixed)[0] == 1
    assert scrub(mixed)[0] == 0
    check_copies(mixed, range(1))
    assert sorted(key.decode() for _, key in equal(mixed)) == sorted(names)


def test_an_older_one_hears_decisions(mixed: RunningProxy) -> None:
    """A script that depends on chance sends whole values: where they are refused the copy is behind, and comes back."""
    client = mixed.client(2)
    client.sadd("from", *range(50))
    script = "return redis.call('sadd', KEYS[2], redis.call('srandmember', KEYS[1]))"
    for key in mixed.keys_on(1 - OLDER, 3):
        for _ in range(5):
            client.eval(script, 2, "from", key)
        eventually(lambda: states(mixed) == ["in sync", "in sync"])
    check_copies(mixed, range(1))
