# mypy: disable-error-code="import-untyped"
"""``manage.py check --deploy`` and ``manage.py kidoproxy`` beside a proxy, in what state it may be."""

import io
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.core.management import CommandError, call_command
from django.test.utils import override_settings

from kidoproxy.django.checks import check_caches, check_queues
from tests.live.django_backends import COPY, KIDO, STOCK
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

assert STOCK  # Django has settings once this is imported
pytestmark = pytest.mark.live
django.setup()


@pytest.fixture(scope="module")
def ring(serve_proxy: Starter) -> RunningProxy:
    """A ring without `together`."""
    return serve_proxy("ring", 3, databases=4)


@pytest.fixture
def site(ring: RunningProxy) -> Iterator[dict[str, Any]]:
    """A site with our app, and its caches."""
    caches = {
        "default": {"BACKEND": KIDO, "LOCATION": f"redis://127.0.0.1:{ring.port}/1", "KEY_PREFIX": "site"},
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
    with override_settings(CACHES=caches, INSTALLED_APPS=["kidoproxy.django"]):
        yield caches


def run(*args: str, **options: Any) -> list[str]:
    """What the command says."""
    out = io.StringIO()
    call_command("kidoproxy", *args, stdout=out, **options)
    return out.getvalue().splitlines()


def test_all_is_well(site: dict[str, Any], ring: RunningProxy) -> None:
    """The status has each cache, its pool and its nodes; there is nothing to complain of."""
    assert check_caches(None) == []
    lines = run()
    assert lines[0] == f"default: {KIDO}"
    assert lines[1] == f"  127.0.0.1:{ring.port} database 1: pool.pool, a ring pool"
    assert [line.split()[:2] for line in lines[2:5]] == [[name, "up"] for name in ring.names]
    assert lines[5] == "local: django.core.cache.backends.locmem.LocMemCache, which is not on Redis"


def test_where_a_key_lives(site: dict[str, Any], ring: RunningProxy) -> None:
    """With prefix and version, as the proxy itself says."""
    assert run("page:1")[0] == "page:1: site:1:page:1"
    assert f"-> {ring.name_of('site:1:page:1')} (" in run("page:1")[1]
    assert run("page:1", "--key-version", "7")[0] == "page:1: site:7:page:1"
    assert f"-> {ring.name_of('raw')} (" in run("raw", "--raw")[1]
    with pytest.raises(CommandError, match="not on Redis"):
        run("k", "--cache", "local")
    with pytest.raises(CommandError, match="no cache 'other'"):
        run("--cache", "other")


def test_the_wrong_database_and_mode(site: dict[str, Any], ring: RunningProxy) -> None:
    """Each by its number; the status says so, too, and ends with 1."""
    site["default"]["LOCATION"] = f"redis://127.0.0.1:{ring.port}/4"
    assert [message.id for message in check_caches(None)] == ["kidoproxy.E003"]
    site["default"] |= {"LOCATION": ring.url, "BACKEND": COPY}
    assert [message.id for message in check_caches(None)] == ["kidoproxy.E002"]
    with pytest.raises(CommandError, match="not well: default"):
        run()


def test_a_queue_needs_together(site: dict[str, Any], own_proxy: Starter, ring: RunningProxy) -> None:
    """A broker on a ring without its set is told which; with it all is well."""
    with override_settings(CELERY_BROKER_URL=ring.url):
        (message,) = check_queues(None)
    assert message.id == "kidoproxy.W002"
    assert '"@celery"' in str(message.hint)
    together = own_proxy("ring", 3, together=["@celery", "@rq", "@dramatiq", "@huey", "@channels_redis"])
    apps = ["django_rq", "django_dramatiq", "huey.contrib.djhuey", "channels"]
    for url, wanted in ((together.url, set()), (ring.url, {"Celery", "RQ", "dramatiq", "huey", "channels_redis"})):
        with (
            override_settings(
                CELERY_BROKER_URL=url,
                RQ_QUEUES={"default": {"URL": url}},
                DRAMATIQ_BROKER={"OPTIONS": {"url": url}},
                HUEY={"connection": {"url": url}},
                CHANNEL_LAYERS={"default": {"CONFIG": {"hosts": [url]}}},
            ),
            pytest.MonkeyPatch.context() as patch,
        ):
            # The libraries' own apps are not installed here; their names are all that counts.
            patch.setattr("kidoproxy.django.checks.installed_apps", lambda: apps)
            assert {message.msg.split()[0] for message in check_queues(None)} == wanted


def test_a_node_is_down(site: dict[str, Any], own_proxy: Starter) -> None:
    """It is named; the pages go on, so it is a warning."""
    proxy = own_proxy("copy", 2)
    site["default"]["LOCATION"] = proxy.url
    proxy.kill(1)
    eventually(lambda: [message.id for message in check_caches(None)] == ["kidoproxy.W003"], 30)
    (message,) = check_caches(None)
    assert message.id == "kidoproxy.W003"
    assert proxy.names[1] in message.msg
    with pytest.raises(CommandError, match="not well: default"):
        run()
    proxy.stop()
    assert [message.id for message in check_caches(None)] == ["kidoproxy.E001"]
    with pytest.raises(CommandError, match="default"):
        run("key")
