# mypy: disable-error-code="import-untyped"
"""`KidoCache` on one plain node: Django's API as it was, and Redis's commands with Django's keys."""

import copy
from typing import Any

import pytest
from django.core.cache import CacheHandler
from django.core.cache.backends.base import InvalidCacheBackendError
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django import KidoCache


def make(url: str, backend: str = "KidoCache", **settings: Any) -> Any:
    """The cache that Django makes of these settings."""
    conf = {"BACKEND": f"kidoproxy.django.{backend}", "LOCATION": url, **settings}
    return CacheHandler({"default": conf})["default"]


@pytest.fixture(params=[2, 3])
def cache(request: pytest.FixtureRequest, node_url: str, node: Any) -> Any:
    """A cache on the real node, on RESP2 and RESP3."""
    return make(node_url, KEY_PREFIX="site", VERSION=7, OPTIONS={"protocol": request.param})


def test_is_django_s_backend(cache: Any, node: Any) -> None:
    """Django's own API is Django's own: the same keys, pickles and return values."""
    stock = RedisCache(cache._servers, {"KEY_PREFIX": "site", "VERSION": 7})
    assert isinstance(cache, RedisCache)
    cache.set("a", {"b": [1]}, 60)
    assert stock.get("a") == {"b": [1]}
    assert cache.add("n", 1)
    assert cache.incr("n") == 2
    assert node.get("site:7:n") == b"2"
    assert cache.get_many(["a", "n", "none"]) == {"a": {"b": [1]}, "n": 2}
    assert not cache.add("n", 1)


def test_redis_s_commands_have_django_s_keys(cache: Any, node: Any) -> None:
    """A Redis command is a method; its keys get prefix and version, its values are sent as they are."""
    assert cache.zadd("key3", {f"m{i}": i for i in range(12)}) == 12
    assert cache.zrange("key3", 1, 10) == [f"m{i}".encode() for i in range(1, 11)]
    assert cache.hset("h", mapping={"f": "v"}) == 1
    assert cache.lpush("l", "b", "a") == 2
    assert cache.sadd("s1", "x") == cache.sadd("s2", "y") == 1
    assert set(cache.sunion(["s1", "s2"])) == {b"x", b"y"}
    assert cache.incrbyfloat("f", 1.5) == 1.5
    assert cache.rename("f", "g") is True
    assert cache.mset({"m1": 1, "m2": 2}) is True
    assert cache.mget("m1", "m2", "none") == [b"1", b"2", None]
    assert cache.eval("return KEYS[1]", 1, "k", "arg") == b"site:7:k"
    assert set(node.keys("*")) == {b"site:7:" + key for key in (b"key3", b"h", b"l", b"s1", b"s2", b"g", b"m1", b"m2")}


def test_version(cache: Any, node: Any) -> None:
    """``version=`` is understood by Redis's commands as by Django's own."""
    cache.rpush("l", "other", version=2)
    assert cache.lrange("l", 0, -1) == []
    assert cache.lrange("l", 0, -1, version=2) == [b"other"]
    assert node.exists("site:2:l")


def test_keys_in_answers_are_redis_s_own(cache: Any) -> None:
    """Patterns of Redis's own commands and the keys in an answer carry the prefix, as in Redis."""
    cache.sadd("s", "v")
    assert list(cache.scan_iter(match="site:7:*")) == [b"site:7:s"]
    cache.rpush("l", "v")
    assert list(cache.blpop("l", timeout=1)) == [b"site:7:l", b"v"]


def test_helpers(cache: Any) -> None:
    """Locks and iterators of redis-py work on prefixed keys."""
    with cache.lock("lock", timeout=5):
        assert cache.exists("lock") == 1
    assert cache.exists("lock") == 0
    cache.hset("h", mapping={"a": "1", "b": "2"})
    assert dict(cache.hscan_iter("h")) == {b"a": b"1", b"b": b"2"}
    assert cache.bitfield("bits").incrby("u8", 0, 5).execute() == [5]


def test_unknown_names(cache: Any) -> None:
    """What is not known to be safe is refused with a sentence that says what to do."""
    for name in ("pipeline", "execute_command", "watch", "no_such_command"):
        with pytest.raises(AttributeError, match=rf"{name}.*get_client\(\)"):
            getattr(cache, name)
    assert {"zrange", "get_or_set"} <= set(dir(cache))
    assert "pipeline" not in dir(cache)
    assert isinstance(copy.copy(cache), KidoCache)


def test_the_client(cache: Any, node: Any) -> None:
    """`get_client` gives redis-py itself, with which ``make_key`` writes the keys."""
    with cache.get_client().pipeline() as pipe:
        pipe.set(cache.make_key("a"), 1).incr(cache.make_key("a"))
        assert pipe.execute() == [True, 2]
    assert cache.get("a") == 2


def test_a_database_and_one_address(node_url: str, node: Any) -> None:
    """DB beside LOCATION names the database; a list of nodes is refused, for they stand elsewhere."""
    cache = make(node_url, DB=3)
    cache.set("a", 1)
    assert node.dbsize() == 0
    assert cache.get_client().connection_pool.connection_kwargs["db"] == 3
    with pytest.raises(ImproperlyConfigured, match="DB says 3, LOCATION says 4"):
        make(f"{node_url}/4", DB=3)
    with pytest.raises(
        (ImproperlyConfigured, InvalidCacheBackendError), match="the address of one kidoproxy, not of 2"
    ):
        make("", LOCATION=["redis://a:6379", "redis://b:6379"])


async def test_async(cache: Any) -> None:
    """Django's async methods are there."""
    await cache.aset("a", 1)
    assert await cache.aget("a") == 1
    assert await cache.aadd("a", 2) is False
    assert await cache.aincr("a") == 2
    assert await cache.aget_many(["a"]) == {"a": 2}
    await cache.aset_many({"b": 3})
    assert await cache.aget_or_set("c", 4) == 4
    await cache.adelete_many(["a", "b"])
    await cache.aclear()
    assert not await cache.ahas_key("c")
