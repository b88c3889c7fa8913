# mypy: disable-error-code="import-untyped"
"""Django's cache on nodes that are down."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import CacheHandler, caches
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import override_settings
from django.views.decorators.cache import cache_page

from tests.live.django_backends import COPY, KIDO, STOCK
from tests.live.proxies import RunningProxy, Starter

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:.*deprecated")]


def test_copy_with_a_node_down(own_proxy: Starter) -> None:
    """A node that is down is an error in its place; the write stands, reads go on."""
    proxy = own_proxy("copy", 2)
    conf = {"BACKEND": COPY, "LOCATION": f"redis://127.0.0.1:{proxy.port}"}
    cache = CacheHandler({"default": conf})["default"]
    assert cache.set("a", 1) == [True, True]
    proxy.kill(1)
    replies = cache.set("b", 2)
    assert replies[0] is True
    assert isinstance(replies[1], redis.ResponseError)
    assert replies
    assert cache.get_many(["a", "b"]) == {"a": 1, "b": 2}


def test_ring_with_a_node_down(own_proxy: Starter) -> None:
    """On a ring a node that is down costs its own keys an error, and no others."""
    proxy = own_proxy("ring", 3)
    conf = {"BACKEND": KIDO, "LOCATION": f"redis://127.0.0.1:{proxy.port}"}
    cache = CacheHandler({"default": conf})["default"]
    keys = [f"k{i}" for i in range(30)]
    cache.set_many(dict.fromkeys(keys, 1))
    lost = {key.decode()[3:] for key in proxy.node_clients()[1].keys("*")}
    proxy.kill(1)
    for key in keys:
        if key in lost:
            with pytest.raises(redis.ResponseError):
                cache.get(key)
        else:
            assert cache.get(key) == 1


# -- a node that is down, where that is a miss ----------------------------------------------------------------------


@pytest.fixture(params=[STOCK, "django_redis.cache.RedisCache"])
def bereft(request: pytest.FixtureRequest, own_proxy: Starter) -> Iterator[tuple[Any, list[str]]]:
    """Django's cache on a ring that misses one of its three nodes (``on_down = "miss"``), and keys that lived there."""
    proxy = own_proxy("ring", 3, on_down="miss", timeout_ms=10_000)
    conf = {"default": {"BACKEND": request.param, "LOCATION": f"{proxy.url}/1"}}
    with override_settings(CACHES=conf, SESSION_CACHE_ALIAS="default", ALLOWED_HOSTS=["testserver"]):
        yield bereaved(proxy, caches["default"])
        caches["default"].close()
        # django-redis keeps its connections unless it is told otherwise.
        client = caches["default"].client if hasattr(caches["default"], "client") else caches["default"]._cache
        client.get_client(write=True).connection_pool.disconnect()


def bereaved(proxy: RunningProxy, cache: Any) -> tuple[Any, list[str]]:
    """The cache when it has lost its node."""
    lost = [key for key in map(str, range(100)) if proxy.name_of(cache.make_key(key)) == proxy.names[0]]
    cache.set_many(dict.fromkeys(map(str, range(100)), "before"))
    proxy.kill(0)
    return cache, lost


def test_a_node_is_missed(bereft: tuple[Any, list[str]]) -> None:
    """All that a page does with its cache works; what lived on the node is computed, and not kept."""
    cache, lost = bereft
    assert len(lost) > 10
    for key in lost[:3]:
        assert cache.get(key, "nothing") == "nothing"
        assert cache.get_or_set(key, lambda: "computed", 60) == "computed"
        assert cache.get_or_set(key, "again") == "again"
        assert not cache.add(key, "added")
        assert not cache.touch(key, 60)
        assert not cache.delete(key)
        assert not cache.has_key(key)
        cache.set(key, "lost", 60)
        assert cache.get(key) is None
        # Nothing that could be counted up; django-redis tries a script, and then what is not there.
        with pytest.raises((ValueError, TypeError)):
            cache.incr(key)
    cache.set_many(dict.fromkeys(map(str, range(100)), "after"), 60)
    cache.delete_many(lost)
    assert cache.get_many(map(str, range(100))) == {key: "after" for key in map(str, range(100)) if key not in lost}


@pytest.mark.usefixtures("bereft")
def test_a_page_of_a_missed_node() -> None:
    """``cache_page`` and sessions: a visitor gets every page, and may have to log in again; nobody sees an error."""

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"page {request.path}")

    view: Any = cache_page(60)(page)

    for number in range(30):
        for _ in range(2):
            response = view(RequestFactory().get(f"/{number}"))
            assert (response.status_code, response.content) == (200, f"page /{number}".encode())
    for _ in range(20):
        session = SessionStore()
        session["user"] = 1
        session.save()
        again = SessionStore(session.session_key)
        assert again.get("user") == 1
        again["more"] = 2
        again.save()
        assert SessionStore(session.session_key).get("more") == 2
