# mypy: disable-error-code="import-untyped"
"""django-redis through the proxy, unchanged: on a ring of three and on two copies, with RESP2 and RESP3."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
import redis
from django.conf import settings
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import CacheHandler
from django.test.utils import override_settings
from django_redis.cache import RedisCache

from tests.live.proxies import RunningProxy, Starter

if not settings.configured:
    settings.configure()

pytestmark = pytest.mark.live

sets_and_hashes = pytest.mark.skipif(not hasattr(RedisCache, "hset"), reason="django-redis has them since 6.0")
BACKEND: Final = "django_redis.cache.RedisCache"
NODES: Final = {"ring": 3, "copy": 2}
MODES: Final = [(mode, protocol) for mode in NODES for protocol in (2, 3)]


@pytest.fixture(scope="module")
def pools(serve_proxy: Starter) -> Callable[[str], RunningProxy]:
    """The running proxy of a mode, started when it is first asked for."""
    running: dict[str, RunningProxy] = {}

    def pool(mode: str) -> RunningProxy:
        if mode not in running:
            running[mode] = serve_proxy(mode, NODES[mode])
        return running[mode]

    return pool


@pytest.fixture(params=MODES, ids=[f"{mode}-RESP{protocol}" for mode, protocol in MODES])
def make(request: pytest.FixtureRequest, pools: Callable[[str], RunningProxy]) -> Callable[..., Any]:
    """Makes the cache that Django makes of such settings, on an emptied pool of every kind, with both protocols."""
    mode, protocol = request.param
    for node in pools(mode).node_clients():
        node.flushall()

    def cache(options: dict[str, Any] | None = None, **conf: Any) -> Any:
        options = {"CONNECTION_POOL_KWARGS": {"protocol": protocol}, **(options or {})}
        url = f"redis://127.0.0.1:{pools(mode).port}/1"
        made: Any = CacheHandler({"default": {"BACKEND": BACKEND, "LOCATION": url, "OPTIONS": options, **conf}})
        found = made["default"]
        found.mode = mode
        return found

    return cache


@pytest.fixture
def cache(make: Callable[..., Any]) -> Any:
    """The cache with django-redis's defaults."""
    return make()


def test_cache_api(cache: Any) -> None:
    """Django's cache API, django-redis's additions to it included."""
    assert cache.set("a", {"x": [1]}) is True
    assert cache.get("a") == {"x": [1]}
    assert cache.set("a", 2, nx=True) is False
    assert cache.add("a", 2) is False
    assert cache.add("b", 2) is True
    assert cache.has_key("b")
    assert cache.get_or_set("c", lambda: 3) == 3
    assert cache.get_many(["a", "b", "c", "none"]) == {"a": {"x": [1]}, "b": 2, "c": 3}
    assert cache.delete("b") == 1
    assert cache.delete("b") == 0
    cache.set("gone", 1, timeout=0)
    assert cache.get("gone") is None
    cache.clear()
    assert cache.keys("*") == []


def test_many(cache: Any) -> None:
    """Many keys at once, wherever they live."""
    data = {f"ключ{i}": [i] for i in range(60)}
    cache.set_many(data, timeout=100)
    assert cache.get_many(data) == data
    assert all(90 < cache.ttl(key) <= 100 for key in data)
    assert cache.delete_many([*data][:10]) == 10
    assert len(cache.get_many(data)) == 50


def test_spread(cache: Any, pools: Callable[[str], RunningProxy]) -> None:
    """On a ring every key stands on one node and every node has some; copies all stand on both."""
    cache.set_many({f"k{i}": i for i in range(100)})
    sizes = []
    for node in pools(cache.mode).node_clients():
        node.execute_command("SELECT", 1)
        sizes.append(node.dbsize())
    if cache.mode == "copy":
        assert sizes == [100, 100]
    else:
        assert sum(sizes) == 100
        assert min(sizes) > 0


def test_incr(cache: Any) -> None:
    """Counting runs a script; it counts right, negative and beyond what Redis counts."""
    cache.set("n", 1)
    assert cache.incr("n") == 2
    assert cache.incr("n", 10) == 12
    assert cache.decr("n", 20) == -8
    assert cache.get("n") == -8
    with pytest.raises(ValueError, match="not found"):
        cache.incr("none")
    cache.set("big", 2**63 - 1)
    assert cache.incr("big") == 2**63
    cache.set("m", 0)
    # If its script is answered with an error django-redis reads, adds and writes, and so loses counts.
    client, errors = cache.client.get_client(write=True), []
    evaluate = client.eval

    def noted(*args: Any) -> Any:
        try:
            return evaluate(*args)
        except redis.ResponseError as error:
            errors.append(str(error))
            raise

    client.eval = noted
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: cache.incr("m"), range(100)))
    assert (errors, cache.get("m")) == ([], 100)


def test_expiry(cache: Any) -> None:
    """ttl, pttl, persist, expire and their kin."""
    cache.set("t", 1, timeout=100)
    assert 90 < cache.ttl("t") <= 100
    assert 90_000 < cache.pttl("t") <= 100_000
    assert cache.persist("t") is True
    assert cache.ttl("t") is None
    assert cache.expire("t", 50) is True
    assert 40 < cache.ttl("t") <= 50
    assert cache.pexpire("t", 70_500)
    assert 60_000 < cache.pttl("t") <= 70_500
    assert cache.touch("t", 200) is True
    assert 190 < cache.ttl("t") <= 200
    assert cache.touch("t", None) is True
    assert cache.ttl("t") is None
    assert cache.ttl("none") == 0
    assert cache.expire("none", 5) is False


def test_keys_and_patterns(cache: Any) -> None:
    """`keys`, `iter_keys` and `delete_pattern` see the keys of all nodes, each once."""
    names = {f"user:{i}" for i in range(150)}
    cache.set_many(dict.fromkeys(names, 1))
    cache.set("other", 1)
    assert sorted(cache.keys("user:*")) == sorted(names)
    assert set(cache.iter_keys("user:*")) == names
    assert set(cache.iter_keys("user:*", itersize=1000)) == names
    assert cache.delete_pattern("user:1*") == len({name for name in names if name.startswith("user:1")})
    assert set(cache.keys("user:*")) == {name for name in names if not name.startswith("user:1")}
    assert cache.delete_pattern("none*") == 0
    assert cache.get("other") == 1


def test_lock(cache: Any) -> None:
    """A lock is held by one, and free after."""
    with cache.lock("resource", timeout=10) as lock:
        assert lock.owned()
        assert not cache.lock("resource", timeout=10).acquire(blocking=False)
    assert cache.lock("resource", timeout=10).acquire(blocking=False)


def test_versions(cache: Any) -> None:
    """A value moves to the next version, expiry and all."""
    cache.set("v", "one", timeout=100)
    assert cache.incr_version("v") == 2
    assert cache.get("v") is None
    assert cache.get("v", version=2) == "one"
    assert 90 < cache.ttl("v", version=2) <= 100


@sets_and_hashes
def test_sets(cache: Any) -> None:
    """Sets; those that are put together meet on one node by their tag."""
    assert cache.sadd("{s}1", "a", "b", 3) == 3
    assert cache.sadd("{s}2", "b", "c") == 2
    assert cache.smembers("{s}1") == {"a", "b", 3}
    assert cache.scard("{s}1") == 3
    assert cache.sismember("{s}1", "a")
    assert cache.sdiff("{s}1", "{s}2") == {"a", 3}
    assert cache.sinter("{s}1", "{s}2") == {"b"}
    assert cache.sunion("{s}1", "{s}2") == {"a", "b", "c", 3}
    assert cache.sinterstore("{s}3", "{s}1", "{s}2") == 1
    assert cache.smove("{s}1", "{s}3", "a")
    assert set(cache.sscan_iter("{s}3")) == {"a", "b"}
    assert cache.srem("{s}3", "a") == 1
    assert cache.srem("{s}3", "b") == 1
    assert cache.smembers("{s}3") == set()


@sets_and_hashes
@pytest.mark.parametrize("act", ["spop", "extend", "reacquire"])
def test_chance_and_time(cache: Any, pools: Callable[[str], RunningProxy], act: str) -> None:
    """What depends on chance or on the clock is done alike on all copies, or refused with the reason."""
    cache.sadd("s", *range(20))
    lock = cache.lock("resource", timeout=10)
    assert lock.acquire()
    calls = {"spop": lambda: cache.spop("s"), "extend": lambda: lock.extend(10), "reacquire": lock.reacquire}
    refusal = refused(calls[act])
    assert not refusal or (cache.mode == "copy" and "is not served here" in refusal)
    assert lock.owned()
    assert cache.scard("s") == (19 if act == "spop" and not refusal else 20)
    if cache.mode == "copy":
        first, second = (members(node, cache.make_key("s")) for node in pools("copy").node_clients())
        assert first == second


def refused(pending: Callable[[], Any]) -> str:
    """The error that the call gets, or nothing."""
    try:
        pending()
    except redis.ResponseError as error:
        return str(error)
    return ""


def members(node: Any, key: str) -> Any:
    """What a node itself has in the set."""
    node.execute_command("SELECT", 1)
    return node.smembers(str(key))


@sets_and_hashes
def test_hashes(cache: Any) -> None:
    """Hashes."""
    assert cache.hset("h", "f", [1]) == 1
    assert cache.hset("h", "g", 2) == 1
    assert cache.hlen("h") == 2
    assert set(cache.hkeys("h")) == {"f", "g"}
    assert cache.hexists("h", "f")
    assert cache.hdel("h", "f") == 1
    assert not cache.hexists("h", "f")


@pytest.mark.parametrize("compressor", ["zlib.ZlibCompressor", "lzma.LzmaCompressor"])
@pytest.mark.parametrize("serializer", ["pickle.PickleSerializer", "json.JSONSerializer"])
def test_compressors_and_serializers(make: Callable[..., Any], compressor: str, serializer: str) -> None:
    """What is compressed and serialised by other means is binary to us, and comes back."""
    cache = make(
        {"COMPRESSOR": f"django_redis.compressors.{compressor}", "SERIALIZER": f"django_redis.serializers.{serializer}"}
    )
    values = {f"k{i}": {"text": "zażółć " * i} for i in range(30)}
    cache.set_many(values)
    assert cache.get_many(values) == values
    assert cache.get("k29") == values["k29"]


def test_sessions(make: Callable[..., Any], pools: Callable[[str], RunningProxy]) -> None:
    """Sessions in django-redis."""
    mode = make().mode
    conf = {"BACKEND": BACKEND, "LOCATION": f"redis://127.0.0.1:{pools(mode).port}/1"}
    with override_settings(CACHES={"default": conf}):
        store: Any = SessionStore()
        store["user"] = 42
        store.save()
        assert SessionStore(store.session_key)["user"] == 42
        store.delete()
        assert not store.exists(store.session_key)


@sets_and_hashes
def test_keys_that_do_not_meet(make: Callable[..., Any]) -> None:
    """What would need keys of several nodes is refused by name on a ring, and done on copies."""
    cache = make()
    names = [f"set{i}" for i in range(20)]
    for name in names:
        cache.sadd(name, name)
    if cache.mode == "copy":
        assert cache.sunion(*names) == set(names)
    else:
        with pytest.raises(redis.ResponseError, match="don't hash to the same node"):
            cache.sunion(*names)
