# mypy: disable-error-code="import-untyped"
"""`RedisRing` and `RedisCopy` with a list of nodes, as their settings were in 2015, over real proxies."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import CacheHandler
from django.core.exceptions import ImproperlyConfigured
from django.test.utils import override_settings

from tests.live.django_backends import COPY, RING
from tests.live.proxies import RunningProxy, Starter

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:.*deprecated")]

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def ring(serve_proxy: Starter) -> RunningProxy:
    """The ring of old over three nodes."""
    return serve_proxy("ring", 3, tcp=True, hash="hash_ring")


@pytest.fixture(scope="module")
def copies(serve_proxy: Starter) -> RunningProxy:
    """Two copies, which listen on sockets."""
    return serve_proxy("copy", 2)


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes caches, and closes them."""
    made: list[Any] = []

    def cache(backend: str, location: Any, db: int = 0, **options: Any) -> Any:
        conf = {"BACKEND": backend, "LOCATION": location, "DB": db, "OPTIONS": options}
        made.append(CacheHandler({"default": conf})["default"])
        return made[-1]

    yield cache
    for each in made:
        if "_cache" in vars(each):
            each.get_client().connection_pool.disconnect()


def without_scheme(proxy: RunningProxy) -> list[str]:
    """The nodes as the ancestor wrote them."""
    return [url.partition("://")[2] for url in proxy.urls]


@pytest.mark.parametrize("known_by", ["file", "url", "map"])
def test_ring(ring: RunningProxy, copies: RunningProxy, make: Make, known_by: str) -> None:
    """Each key stands on one node, and a write answers ``[True]``, however the proxy was found."""
    known = {"file": None, "url": ring.url, "map": {"pages": copies.url, "data": ring.url}}[known_by]
    with override_settings(KIDOPROXY=known, KIDOPROXY_CONFIG=str(ring.config)):
        cache = make(RING, without_scheme(ring), db=2)
        for number in range(30):
            assert cache.set(f"k{number}", number) == [True]
        assert cache.get_many([f"k{number}" for number in range(30)]) == {f"k{number}": number for number in range(30)}
        assert cache.zadd("z", {"one": 1}) == [1]
        assert cache.zrange("z", 0, -1) == [b"one"]
        assert cache.incr("k1") == [2]
        assert sum(cache.delete_many(["k1", "k2", "k3"])) == 3
        sizes = []
        for node in ring.node_clients():
            node.execute_command("SELECT", 2)
            sizes.append(node.dbsize())
        assert sum(sizes) == 28
        assert min(sizes) > 0
        assert all(cache.clear())


def test_copies(copies: RunningProxy, make: Make) -> None:
    """Each key stands on every node, and a write answers for each."""
    with override_settings(KIDOPROXY=copies.url):
        cache = make(COPY, copies.urls)
        assert cache.set("key1", 2) == [True, True]
        assert cache.zadd("myzset", {"one": 1}) == [1, 1]
        assert cache.zrange("myzset", 0, -1) == [b"one"]
        assert [node.get(":1:key1") for node in copies.node_clients()] == [b"2", b"2"]
        assert cache.clear() == [True, True]


def test_by_the_file_through_sockets(copies: RunningProxy, make: Make) -> None:
    """Nodes may be sockets, written as paths."""
    cache = make(COPY, [url.removeprefix("unix://") for url in copies.urls], CONFIG=str(copies.config))
    assert cache.set("key1", 2) == [True, True]


def test_the_wrong_backend(ring: RunningProxy, copies: RunningProxy, make: Make) -> None:
    """A pool of the other mode, and a server that is no proxy, are told in words."""
    with pytest.raises(ImproperlyConfigured, match=r'RedisCopy: .* in mode "ring"'):
        make(COPY, ring.url).set("k", 1)
    with pytest.raises(ImproperlyConfigured, match=r'RedisRing: .* in mode "copy"'):
        make(RING, copies.url).set("k", 1)
    with override_settings(KIDOPROXY=ring.url), pytest.raises(ImproperlyConfigured, match='mode "ring"'):
        make(COPY, ring.urls).set("k", 1)
    with override_settings(KIDOPROXY=ring.urls[0]), pytest.raises(ImproperlyConfigured, match="not a kidoproxy"):
        make(RING, ring.urls).get("k")


def test_nodes_of_another_proxy(ring: RunningProxy, make: Make) -> None:
    """One node less, or another order, is not the same ring."""
    with override_settings(KIDOPROXY=ring.url):
        with pytest.raises(ImproperlyConfigured, match="with other nodes"):
            make(RING, ring.urls[:2]).get("k")
        with pytest.raises(ImproperlyConfigured, match="in another order"):
            make(RING, ring.urls[::-1]).get("k")


def test_old_values(ring: RunningProxy, make: Make) -> None:
    """What the ancestor wrote to its nodes is found where it lies and read as what it was; a rewrite is Django's."""
    conf = {"KEY_FUNCTION": "kidoproxy.django.bare_key", "LOCATION": without_scheme(ring), "BACKEND": RING}
    options = {"serializer": "kidoproxy.django.MigrationSerializer", "CONFIG": str(ring.config)}
    cache: Any = CacheHandler({"default": {**conf, "OPTIONS": options}})["default"]
    old = {f"text{number}": b"some words" for number in range(20)}
    old |= {f"pickle{number}": pickle.dumps([number, "x"], number % 3) for number in range(20)}
    names = dict(zip(ring.names, ring.node_clients(), strict=True))
    for key, value in old.items():
        names[ring.name_of(key)].set(key, value)
    assert cache.get_many(old) == {
        **{f"text{number}": "some words" for number in range(20)},
        **{f"pickle{number}": [number, "x"] for number in range(20)},
    }
    assert cache.set("text1", ["new"]) == [True]
    assert cache.get("text1") == ["new"]
    assert all(cache.clear())
    cache.get_client().connection_pool.disconnect()
