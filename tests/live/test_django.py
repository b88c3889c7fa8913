# mypy: disable-error-code="import-untyped"
"""Django's cache API through the proxy: Django's own backend and ours, on a ring of three and on two copies."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
import redis
from django.contrib.sessions.backends.base import CreateError
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import CacheHandler, caches
from django.test.utils import override_settings

from tests.live.django_backends import COPY, KIDO, RING, STOCK
from tests.live.proxies import RunningProxy, Starter

# redis-py warns of commands that Redis has replaced by others; our users call them all the same.
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:.*deprecated")]

NODES: Final = {"ring": 3, "copy": 2}
#: The backends for each mode.
IN_RINGS: Final = [("ring", backend) for backend in (STOCK, KIDO, RING)]
IN_COPIES: Final = [("copy", backend) for backend in (STOCK, KIDO, COPY)]


class JSONSerializer:
    """A serializer as Django's settings may name one."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


@pytest.fixture(scope="module")
def pools(serve_proxy: Starter) -> Callable[[str], RunningProxy]:
    """The running proxy of a mode, started when it is first asked for."""
    running: dict[str, RunningProxy] = {}

    def pool(mode: str) -> RunningProxy:
        if mode not in running:
            running[mode] = serve_proxy(mode, NODES[mode])
        return running[mode]

    return pool


@pytest.fixture
def make(pools: Callable[[str], RunningProxy]) -> Callable[..., Any]:
    """Makes the cache that Django makes of such settings, on an emptied pool."""

    def cache(mode: str, backend: str, options: dict[str, Any], db: int = 1, **conf: Any) -> Any:
        proxy = pools(mode)
        for node in proxy.node_clients():
            node.flushall()
        conf |= {"BACKEND": backend, "LOCATION": f"redis://127.0.0.1:{proxy.port}/{db}", "OPTIONS": options}
        return CacheHandler({"default": conf})["default"]

    return cache


@pytest.fixture(
    params=[
        pytest.param((mode, backend, protocol), id=f"{mode}-{backend.rsplit('.', 1)[1]}-RESP{protocol}")
        for mode, backend in (*IN_RINGS, *IN_COPIES)
        for protocol in (2, 3)
    ]
)
def cache(request: pytest.FixtureRequest, make: Callable[..., Any]) -> Iterator[Any]:
    """Every backend, on every kind of pool, with both protocols. ``said`` is what it should answer to a write."""
    mode, backend, protocol = request.param
    made = make(mode, backend, {"protocol": protocol})
    made.mode = mode
    made.said = (lambda reply: [reply] * NODES[mode]) if backend == COPY else (lambda reply: reply)
    yield made
    made._cache.get_client(write=True).connection_pool.disconnect()


VALUES: Final = [
    None,
    True,
    0,
    -7,
    1.5,
    "",
    "zażółć gęślą jaźń",
    b"\x00\r\n\xff",
    {"a": [1, (2, 3)], "b": {4}},
    list(range(1000)),
    "x" * 300_000,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_values(cache: Any, value: Any) -> None:
    """Whatever can be pickled comes back as it was."""
    cache.set("value", value)
    assert cache.get("value", default="nothing") == value
    assert "value" in cache


@pytest.mark.parametrize("key", ["klucz:żółw", "日本語", "k" * 247, "{tag}key", "{}", "a}b{c", "%s:*?[a]"])
def test_keys(cache: Any, key: str) -> None:
    """Any key that Django lets pass is served: other scripts, 250 characters, braces, patterns."""
    assert len(cache.make_key("k" * 247)) == 250
    assert cache.get(key) is None
    cache.set(key, key)
    assert cache.get(key) == key
    assert cache.get_many([key, "other"]) == {key: key}
    assert cache.delete(key) == cache.said(True)
    assert not cache.has_key(key)


def test_add_and_delete(cache: Any) -> None:
    """A key is added once; a missing key is not deleted."""
    assert cache.add("a", 1) == cache.said(True)
    refused = cache.add("a", 2)
    assert refused == cache.said(False)
    assert not refused
    assert cache.get("a") == 1
    assert cache.delete("a") == cache.said(True)
    assert cache.delete("a") == cache.said(False)
    assert cache.get("a", "gone") == "gone"
    assert cache.add("brief", 1, timeout=0)
    assert cache.get("brief") is None


def test_timeouts(cache: Any) -> None:
    """Timeouts reach the nodes: seconds, for ever, at once; `touch` changes them."""
    ttl = cache._cache.get_client().ttl
    key = cache.make_key("t")
    cache.set("t", 1, timeout=100)
    assert 90 < ttl(key) <= 100
    assert cache.touch("t", 1000) == cache.said(True)
    assert 990 < ttl(key) <= 1000
    assert cache.touch("t", None) == cache.said(True)
    assert ttl(key) == -1
    cache.set("t", 2)
    assert 290 < ttl(key) <= 300
    cache.set("t", 3, timeout=None)
    assert ttl(key) == -1
    assert cache.touch("t", 0) == cache.said(True)
    assert cache.get("t") is None
    cache.set("t", 4, timeout=0)
    cache.set("t", 5, timeout=-1)
    assert cache.get("t") is None
    assert cache.touch("none", 5) == cache.said(False)


def test_counters(cache: Any) -> None:
    """`incr` and `decr` count; a missing key is a ValueError."""
    cache.set("n", 41)
    assert cache.incr("n") == cache.said(42)
    assert cache.incr("n", 8) == cache.said(50)
    assert cache.decr("n", 60) == cache.said(-10)
    assert cache.get("n") == -10
    with pytest.raises(ValueError, match="not found"):
        cache.incr("none")


def test_many(cache: Any) -> None:
    """Many keys at once, on whatever nodes they live, with their timeouts."""
    data = {f"k{i}": [i] for i in range(60)}
    assert cache.set_many(data, timeout=100) == []
    assert cache.get_many([*data, "none"]) == data
    client = cache._cache.get_client()
    assert all(90 < client.ttl(cache.make_key(key)) <= 100 for key in data)
    assert cache.set_many({"x": 1, "y": 2}, timeout=None) == []
    assert client.ttl(cache.make_key("x")) == -1
    assert cache.set_many({}) == []
    cache.delete_many(["k0", "k1", "k2", "none"])
    assert cache.get_many(data) == {key: data[key] for key in list(data)[3:]}


def test_get_or_set(cache: Any) -> None:
    """A default, or what a callable returns, is stored when there was nothing."""
    assert cache.get_or_set("d", lambda: 7) == 7
    assert cache.get_or_set("d", 8) == 7


def test_versions(cache: Any) -> None:
    """Versions are apart, and a value can move from one to the next."""
    cache.set("v", "one", version=1)
    cache.set("v", "two", version=2)
    assert (cache.get("v"), cache.get("v", version=2)) == ("one", "two")
    assert cache.incr_version("v", 2) == 3
    assert (cache.get("v"), cache.get("v", version=3)) == (None, "one")
    assert cache.decr_version("v", version=3) == 2
    assert cache.get("v", version=2) == "one"


def test_clear(cache: Any) -> None:
    """`clear` empties the database of this cache on every node, and no other."""
    cache.set_many({f"k{i}": i for i in range(30)})
    other = cache._cache._servers[0].removesuffix("/1")
    with redis.Redis.from_url(f"{other}/2") as client:
        client.set("kept", "v")
        assert cache.clear() == cache.said(True)
        assert cache._cache.get_client().dbsize() == 0
        assert client.get("kept") == b"v"


def test_keys_are_where_they_belong(cache: Any, pools: Callable[[str], RunningProxy]) -> None:
    """On a ring each key stands on one node and every node has some; copies all stand on both, byte for byte."""
    cache.set_many({f"k{i}": i for i in range(100)})
    found = []
    for node in pools(cache.mode).node_clients():
        node.execute_command("SELECT", 1)
        found.append({key: node.get(key) for key in node.keys("*")})
    everything = {cache.make_key(f"k{i}").encode(): str(i).encode() for i in range(100)}
    if cache.mode == "copy":
        assert found == [everything, everything]
    else:
        assert sum(map(len, found)) == 100
        assert min(map(len, found)) > 0
        assert {key: value for part in found for key, value in part.items()} == everything


def test_threads(cache: Any) -> None:
    """A cache is used from many threads at once, and counts right."""
    cache.set("n", 0)
    gate = threading.Barrier(8)

    def work(number: int) -> bool:
        gate.wait()
        for i in range(25):
            cache.incr("n")
            cache.set(f"t{number}:{i}", (number, i))
        return all(cache.get(f"t{number}:{i}") == (number, i) for i in range(25))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))
    assert cache.get("n") == 200


def test_async(cache: Any) -> None:
    """Django's async methods."""

    async def story() -> None:
        await cache.aset("a", 1)
        assert await cache.aget("a") == 1
        assert not await cache.aadd("a", 2)
        assert await cache.aincr("a") == cache.said(2)
        await cache.aset_many({"b": 3, "c": 4})
        assert await cache.aget_many(["a", "b", "c"]) == {"a": 2, "b": 3, "c": 4}
        assert await cache.adelete("b")
        await cache.aclear()
        assert not await cache.ahas_key("c")

    asyncio.run(story())


@pytest.mark.parametrize(("mode", "backend"), [*IN_RINGS, *IN_COPIES])
def test_serializer(make: Callable[..., Any], mode: str, backend: str) -> None:
    """Another serializer of the settings works as with any Redis."""
    cache = make(mode, backend, {"serializer": f"{__name__}.JSONSerializer"})
    cache.set("j", {"a": [1, 2]})
    assert cache.get("j") == {"a": [1, 2]}
    assert cache._cache.get_client().get(cache.make_key("j")) == b'{"a": [1, 2]}'


@pytest.mark.parametrize(("mode", "backend"), [*IN_RINGS, *IN_COPIES])
def test_sessions(make: Callable[..., Any], pools: Callable[[str], RunningProxy], mode: str, backend: str) -> None:
    """Sessions live in the cache: created once, saved, cycled, flushed."""
    make(mode, backend, {})
    url = f"redis://127.0.0.1:{pools(mode).port}/1"
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": url}}):
        store: Any = SessionStore()
        store["user"] = 42
        store.create()
        store.save()
        key = store.session_key
        assert SessionStore(key)["user"] == 42
        assert store.exists(key)
        taken: Any = SessionStore(key)
        with pytest.raises(CreateError):
            taken.save(must_create=True)
        store.cycle_key()
        assert store.session_key != key
        assert SessionStore(store.session_key)["user"] == 42
        store.flush()
        assert not store.exists(key)
        caches["default"].clear()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("mode", ["ring", "copy"])
def test_redis_s_commands(make: Callable[..., Any], mode: str, protocol: int) -> None:
    """Redis's own commands on the cache object: prefixed keys, several keys that meet, versions, locks."""
    cache = make(mode, KIDO, {"protocol": protocol}, KEY_PREFIX="site")
    cache.zadd("key3", {f"m{i}": i for i in range(12)})
    assert cache.zrange("key3", 1, 10) == [f"m{i}".encode() for i in range(1, 11)]
    assert cache.hset("h", mapping={"f": "v", "g": "w"}) == 2
    assert cache.hgetall("h") == {b"f": b"v", b"g": b"w"}
    assert cache.lpush("l", "c", "b", "a") == 3
    assert cache.lrange("l", 0, -1) == [b"a", b"b", b"c"]
    assert cache.incrbyfloat("f", 2.5) == 2.5
    assert cache.sadd("{s}1", "x") == cache.sadd("{s}2", "y") == 1
    assert set(cache.sunion("{s}1", "{s}2")) == {b"x", b"y"}
    assert cache.rename("{s}1", "{s}3") is True
    assert cache.mset({f"m{i}": i for i in range(20)}) is True
    assert cache.mget([f"m{i}" for i in range(20)]) == [str(i).encode() for i in range(20)]
    assert cache.unlink(*(f"m{i}" for i in range(20))) == 20
    assert cache.setex("e", 50, "v", version=9) is True
    assert 40 < cache.ttl("e", version=9) <= 50
    assert cache.eval("return redis.call('hget', KEYS[1], ARGV[1])", 1, "h", "f") == b"v"
    with cache.lock("lock", timeout=5):
        assert cache.exists("lock") == 1
    assert cache.exists("lock") == 0
    assert (
        sorted(cache.iter_keys("*", itersize=2))
        == sorted(cache.keys("*"))
        == sorted(["key3", "h", "l", "f", "{s}2", "{s}3"])
    )
    assert cache.delete_pattern("{s}*", itersize=1) == 2
    assert set(cache.scan_iter("*")) == {
        b"site:1:key3", b"site:1:h", b"site:1:l", b"site:1:f", b"site:9:e",
    }  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3])
def test_copy_answers_for_each_node(
    make: Callable[..., Any], pools: Callable[[str], RunningProxy], protocol: int
) -> None:
    """A write on copies answers what every node said; the reads after it are plain."""
    cache = make("copy", COPY, {"protocol": protocol}, db=0)
    assert cache.set("key1", 2) == [True, True]
    assert cache.zadd("myzset", {"one": 1}) == [1, 1]
    assert cache.zadd("myzset", {"one": 1, "two": 2, "three": 3}) == [2, 2]
    assert cache.zrange("myzset", 0, -1) == [b"one", b"two", b"three"]
    assert [(member, score) for member, score in cache.zrange("myzset", 0, 0, withscores=True)] == [(b"one", 1.0)]
    assert cache.hset("h", mapping={"f": "v"}) == [1, 1]
    assert cache.lpush("l", "a", "b") == [2, 2]
    assert cache.lpop("l") == [b"b", b"b"]
    assert cache.sadd("s", "x") == [1, 1]
    assert cache.incrbyfloat("f", 0.5) == [0.5, 0.5]
    assert cache.mset({"a": 1, "b": 2}) == [True, True]
    assert cache.rename("a", "c") == [True, True]
    assert cache.expire("c", 50) == [True, True]
    assert cache.persist("c") == [True, True]
    assert cache.setnx("c", 1) == [False, False]
    assert cache.getset("c", "new") == [b"1", b"1"]
    assert cache.delete_many(["b", "c"]) == [2, 2]
    assert cache.delete_pattern("h*") == 1
    cache.hset("h", mapping={"f": "v"})
    assert cache.mget("b", "h2") == [None, None]
    with pytest.raises(redis.ResponseError, match="wrong kind of value"):
        cache.lpush("h", "v")
    for node in pools("copy").node_clients():
        assert node.zrange(":1:myzset", 0, -1) == [b"one", b"two", b"three"]
