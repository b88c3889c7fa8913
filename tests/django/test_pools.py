# mypy: disable-error-code="import-untyped"
"""`RedisRing` and `RedisCopy` find their proxy, and are what they were in 2015."""

from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured
from django.test.utils import override_settings

from tests.django.canned import CannedNode, pool_info
from tests.django.test_cache import make

NODES = ["localhost:6379", "localhost:6380"]
OK = b"*1\r\n+OK\r\n"


def test_one_address_on_the_wrong_pool(canned: CannedNode, node_url: str) -> None:
    """A ring for RedisCopy, copies for RedisRing, a plain Redis for either: an error at the first use."""
    with pytest.raises(ImproperlyConfigured, match=r'RedisRing: .* serves pool.copys in mode "copy"'):
        make(canned.url, "RedisRing").get("k")
    canned.info = pool_info("ring")
    with pytest.raises(ImproperlyConfigured, match=r"RedisCopy: .* Take RedisRing"):
        make(canned.url, "RedisCopy").set("k", 1)
    for backend in ("RedisRing", "RedisCopy"):
        with pytest.raises(ImproperlyConfigured, match="is not a kidoproxy"):
            make(node_url, backend).get("k")


def test_a_ring_at_one_address(canned: CannedNode) -> None:
    """It is a KidoCache: it answers plainly."""
    canned.info = pool_info("ring")
    canned.replies = [b"+OK\r\n", b":1\r\n", b":1\r\n", b":1\r\n"]
    ring = make(canned.url, "RedisRing")
    assert ring.set("k", 1) is None
    assert ring.delete_many(["k"]) is None
    assert ring.delete("k") is True
    assert ring.zadd("z", {"a": 1}) == 1


@pytest.mark.parametrize(
    "location", [NODES, tuple(NODES), "localhost:6379,localhost:6380", "redis://localhost:6379;localhost:6380"]
)
def test_a_list_of_nodes(canned: CannedNode, location: Any) -> None:
    """The proxy that serves them is asked, and a write on a ring is the list of one that it was."""
    canned.info = pool_info("ring", *NODES)
    canned.replies = [OK, b"$1\r\n1\r\n", b"*1\r\n:1\r\n", b"*2\r\n:1\r\n:2\r\n", b"*1\r\n:1\r\n"]
    with override_settings(KIDOPROXY=canned.url):
        ring = make("", "RedisRing", LOCATION=location, OPTIONS={"DB": 2, "protocol": 2})
        assert ring.set("k", 1) == [True]
        assert ring.get("k") == 1
        assert ring.delete("k") == [True]
        assert ring.delete_many(["a", "b", "c"]) == [1, 2]
        assert ring.zadd("z", {"a": 1}) == [1]
    assert [argv[0] for argv in canned.asked] == [b"PROXY", b"GET", b"PROXY", b"PROXY", b"PROXY"]
    assert ring.get_client().connection_pool.connection_kwargs["db"] == 2


def test_the_proxy_serves_others(canned: CannedNode) -> None:
    """What the setting names is asked whether it is so."""
    canned.info = pool_info("copy", "elsewhere:1")
    with override_settings(KIDOPROXY=canned.url):
        cache = make("", "RedisCopy", LOCATION=NODES)
        with pytest.raises(ImproperlyConfigured, match=r"other nodes: elsewhere:1\. LOCATION has localhost:6379"):
            cache.set("k", 1)


def test_one_of_several_proxies(canned: CannedNode) -> None:
    """Of a map the one is taken that serves these nodes."""
    with CannedNode() as other:
        canned.info, other.info = pool_info("copy", "elsewhere:1"), pool_info("copy", *NODES)
        other.replies = [b"*2\r\n+OK\r\n+OK\r\n"]
        with override_settings(KIDOPROXY={"a": canned.url, "b": other.url}):
            assert make("", "RedisCopy", LOCATION=NODES).set("k", 1) == [True, True]
            lost = make("", "RedisCopy", LOCATION=["localhost:1", "localhost:2"])
            with pytest.raises(ImproperlyConfigured, match=r"(?s)KIDOPROXY\['a'\]: .*KIDOPROXY\['b'\]: "):
                lost.get("k")


def test_by_the_file(canned: CannedNode, tmp_path: Path) -> None:
    """The file gives the address and the password; what runs there must be what the file says."""
    port = canned.url.rpartition(":")[2]
    file = tmp_path / "k.toml"
    file.write_text(f'[pool.x]\nlisten = "127.0.0.1:{port}"\nmode = "copy"\npassword = "pw"\nnodes = {NODES}\n')
    canned.info = pool_info("copy", *NODES)
    canned.replies = [b"*2\r\n+OK\r\n+OK\r\n"]
    cache = make("", "RedisCopy", LOCATION=NODES, OPTIONS={"CONFIG": str(file), "protocol": 3})
    assert cache.set("k", 1) == [True, True]
    assert cache.get_client().connection_pool.connection_kwargs["password"] == "pw"


def test_mistakes_in_settings(canned: CannedNode) -> None:
    """They are found when the cache is made: an address, or databases that differ."""
    with override_settings(KIDOPROXY=f"{canned.url}/1"):
        with pytest.raises(ImproperlyConfigured, match="an address in LOCATION has the scheme"):
            make("", "RedisRing", LOCATION=["http://h", "b:1"])
        with pytest.raises(ImproperlyConfigured, match="DB says 2, LOCATION says 1"):
            make("", "RedisRing", LOCATION=NODES, DB=2)


def test_a_proxy_that_is_down() -> None:
    """Is a lost connection, not a mistake in the settings; the next use tries again."""
    cache = make("redis://127.0.0.1:1", "RedisCopy", OPTIONS={"retry": None})
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            cache.get("k")
