# mypy: disable-error-code="import-untyped"
"""FAIL_SOFT on real pools: a node that is killed, frozen or restarted costs misses, and no page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.cache import CacheHandler, caches
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import override_settings
from django.views.decorators.cache import cache_page

from tests.certificates import Authority
from tests.live.django_backends import COPY, KIDO
from tests.live.proxies import RunningProxy, Starter

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore:.*deprecated")]

PEM = Path(__file__).parents[1] / "net" / "localhost.pem"
KEYS = [f"k{number}" for number in range(60)]


@pytest.fixture(params=[("ring", KIDO), ("copy", COPY)], ids=["ring", "copy"])
def pool(request: pytest.FixtureRequest, own_proxy: Starter) -> Iterator[tuple[RunningProxy, Any]]:
    """A pool that says that a node is down, and a cache for which that is a miss."""
    mode, backend = request.param
    proxy = own_proxy(mode, 3 if mode == "ring" else 2, timeout_ms=300)
    conf = {"default": {"BACKEND": backend, "LOCATION": proxy.url, "OPTIONS": {"FAIL_SOFT": True, "retry": None}}}
    with override_settings(CACHES=conf, ALLOWED_HOSTS=["testserver"]):
        cache = caches["default"]
        yield proxy, cache
        cache.get_client().connection_pool.disconnect()


def pages_lost(count: int) -> int:
    """How many of so many pages, each asked for twice, were not what they should be."""

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"page {request.path}")

    view: Any = cache_page(60)(page)
    lost = 0
    for number in range(count):
        for _ in range(2):
            response = view(RequestFactory().get(f"/{number}"))
            lost += response.content != f"page /{number}".encode()
    return lost


@pytest.mark.parametrize("harm", ["kill", "pause"])
def test_a_node_of_a_ring(own_proxy: Starter, harm: str) -> None:
    """What lives on the other nodes is found, also when it is asked for together; the rest is missed and counted."""
    proxy = own_proxy("ring", 3, timeout_ms=200)
    conf = {"default": {"BACKEND": KIDO, "LOCATION": proxy.url, "OPTIONS": {"FAIL_SOFT": True}}}
    with override_settings(CACHES=conf):
        cache: Any = caches["default"]
        cache.set_many(dict.fromkeys(KEYS, 1))
        here = {key for key in KEYS if proxy.name_of(cache.make_key(key)) != proxy.names[0]}
        gone = [key for key in KEYS if key not in here]
        getattr(proxy, harm)(0)
        assert cache.get_many(KEYS) == dict.fromkeys(here, 1)
        assert sorted(cache.set_many(dict.fromkeys(KEYS, 2), 60)) == sorted(gone)
        assert cache.get(gone[0], "miss") == "miss"
        assert cache.get_or_set(gone[0], lambda: "computed") == "computed"
        assert not cache.add(gone[0], 1)
        cache.delete_many([gone[0], *here])
        assert not any(key in cache for key in here)
        assert cache.soft_failures["get_many"] == cache.soft_failures["set_many"] == 1
        with pytest.raises(redis.ResponseError, match=r"NODEDOWN|TIMEOUT"):
            cache.incr(gone[0])
        if harm == "pause":
            proxy.resume(0)
        cache.get_client().connection_pool.disconnect()


def test_no_page_is_lost(pool: tuple[RunningProxy, Any]) -> None:
    """Killed, frozen, restarted, all nodes at once: each page is served."""
    proxy, cache = pool
    assert pages_lost(10) == 0
    proxy.kill(0)
    assert pages_lost(20) == 0
    proxy.restart(0)
    proxy.pause(1)
    assert pages_lost(6) == 0
    proxy.resume(1)
    for at in range(len(proxy.names)):
        proxy.kill(at)
    assert pages_lost(10) == 0
    assert cache.soft_failures["get"] > 0


def test_no_page_is_lost_without_the_proxy(pool: tuple[RunningProxy, Any]) -> None:
    """Nor when the proxy itself is gone."""
    proxy, _ = pool
    assert pages_lost(3) == 0
    proxy.end()
    assert pages_lost(10) == 0


def test_tls_that_is_not_agreed_upon(own_proxy: Starter, tmp_path: Path) -> None:
    """A certificate that is not trusted, not there or not shown is a mistake of the settings, and no outage."""
    own, other = str(PEM), tmp_path / "other.pem"
    Authority(tmp_path, "other")
    listener = {"cert_file": own, "key_file": own, "client_ca_file": own}
    proxy = own_proxy("ring", 1, tls=listener)
    shown = {"ssl_certfile": own, "ssl_keyfile": own}
    good: dict[str, Any] = {"ssl_ca_certs": own, **shown}
    wrong: list[dict[str, Any]] = [
        {"ssl_ca_certs": str(other), **shown},
        {"ssl_ca_certs": str(tmp_path / "none.pem"), **shown},
        {"ssl_ca_certs": own},
    ]

    def cache(options: dict[str, Any]) -> Any:
        location = f"rediss://localhost:{proxy.port}"
        conf = {"BACKEND": KIDO, "LOCATION": location, "OPTIONS": {"FAIL_SOFT": True, "retry": None, **options}}
        return CacheHandler({"default": conf})["default"]

    served = cache(good)
    served.set("k", 1)
    assert served.get("k") == 1
    for options in wrong:
        with pytest.raises(redis.ConnectionError):
            cache(options).get("k")
    assert served.soft_failures == {}
    proxy.end()
    assert served.get("k", "miss") == "miss"
    assert served.soft_failures == {"get": 1}
