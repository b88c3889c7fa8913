# mypy: disable-error-code="import-untyped"
"""The checks of ``manage.py check --deploy``; those that need a proxy are in tests/live/test_django_checks.py."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import pytest
from django.core import checks
from django.test.utils import override_settings

from kidoproxy.django.checks import MEANINGS, check_caches, check_queues, check_values
from tests.django.canned import CannedNode, pool_info
from tests.ports import free_port

KIDO = "kidoproxy.django.KidoCache"
STOCK = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"

django.setup()


def ids(check: Callable[..., list[checks.CheckMessage]], **caches: dict[str, Any]) -> list[str]:
    """What a check finds with these caches."""
    with override_settings(CACHES=caches):
        return [str(message.id).removeprefix("kidoproxy.") for message in check(None)]


@pytest.mark.sources
def test_the_page_has_every_number() -> None:
    """The table of the page says what `MEANINGS` says; no number goes or changes its meaning unseen."""
    page = (Path(__file__).parents[2] / "kidoproxy/django/README.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"(?m)^\| `kidoproxy\.([EW]\d+)` \| (.*?) \|", page)) == MEANINGS


@pytest.mark.parametrize("backend", [KIDO, STOCK, DJANGO_REDIS])
def test_nobody_is_there(backend: str) -> None:
    """Whichever backend it is: the line names the cache."""
    caches = {"default": {"BACKEND": backend, "LOCATION": f"redis://127.0.0.1:{free_port()}/0"}}
    assert ids(check_caches, **caches) == ["E001"]
    with override_settings(CACHES=caches):
        assert 'CACHES["default"]' in check_caches(None)[0].msg


def test_a_plain_redis(node_url: str) -> None:
    """It may be meant; a database that is not there is not."""
    assert ids(check_caches, a={"BACKEND": KIDO, "LOCATION": node_url}) == ["W001"]
    assert ids(check_caches, a={"BACKEND": STOCK, "LOCATION": node_url}) == []
    assert ids(check_caches, a={"BACKEND": DJANGO_REDIS, "LOCATION": f"{node_url}/999"}) == ["E003"]
    assert ids(check_caches, a={"BACKEND": "kidoproxy.django.RedisRing", "LOCATION": node_url}) == ["E002"]
    assert ids(check_caches, a={"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}) == []


def test_the_wrong_mode(canned: CannedNode) -> None:
    """A RedisRing on copies."""
    canned.info = pool_info("copy", "127.0.0.1:1")
    assert ids(check_caches, a={"BACKEND": "kidoproxy.django.RedisRing", "LOCATION": canned.url}) == ["E002"]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("backend", ["RedisRing", "RedisCopy"])
def test_soft_caches_are_checked_as_hard(canned: CannedNode, node_url: str, backend: str, soft: bool) -> None:
    """FAIL_SOFT is for pages: what is wrong is told, and nothing is raised."""
    options = {"OPTIONS": {"FAIL_SOFT": soft}}
    conf = {"BACKEND": f"kidoproxy.django.{backend}", **options}
    assert ids(check_caches, a={**conf, "LOCATION": node_url}) == ["E002"]
    assert ids(check_caches, a={**conf, "LOCATION": f"redis://127.0.0.1:{free_port()}"}) == ["E001"]
    canned.info = pool_info("other", "127.0.0.1:1")
    assert ids(check_caches, a={**conf, "LOCATION": canned.url}) == ["E002"]


def test_settings_that_contradict_each_other() -> None:
    """They are told before anybody is asked."""
    conf = {"BACKEND": KIDO, "LOCATION": "redis://127.0.0.1:1/3", "DB": 4}
    assert ids(check_caches, a=conf) == ["E004"]
    assert ids(check_values, a=conf) == []


@pytest.mark.parametrize("backend", [KIDO, STOCK, DJANGO_REDIS])
def test_pickles_of_others(backend: str) -> None:
    """A prefix or a version keeps them apart, and a serializer that is no pickle may be read by anybody."""
    conf = {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1/0"}
    option = "SERIALIZER" if backend == DJANGO_REDIS else "serializer"
    assert ids(check_values, a=conf) == ["W004"]
    assert ids(check_values, a={**conf, "KEY_PREFIX": "site"}) == []
    assert ids(check_values, a={**conf, "VERSION": 7}) == []
    assert ids(check_values, a={**conf, "OPTIONS": {option: "django_redis.serializers.json.JSONSerializer"}}) == []


def test_two_serializers() -> None:
    """The same keys, and one cannot read what the other has written."""
    one = {"BACKEND": KIDO, "LOCATION": "redis://127.0.0.1:1/0", "KEY_PREFIX": "site"}
    other = {**one, "BACKEND": DJANGO_REDIS, "OPTIONS": {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"}}
    assert ids(check_values, a=one, b={**one, "BACKEND": DJANGO_REDIS}) == []
    assert ids(check_values, a=one, b=other) == ["W005"]
    assert ids(check_values, a=one, b={**other, "KEY_PREFIX": "other"}) == []


def test_queues_elsewhere(node_url: str) -> None:
    """A queue on a plain Redis is well; one that cannot be reached is not."""
    with override_settings(CELERY_BROKER_URL=node_url):
        assert check_queues(None) == []
    with override_settings(CELERY_BROKER_URL=f"redis://:secret@127.0.0.1:{free_port()}/0"):
        (message,) = check_queues(None)
    assert message.id == "kidoproxy.E001"
    assert "secret" not in message.msg


@pytest.mark.parametrize("backend", [KIDO, STOCK, DJANGO_REDIS, "kidoproxy.django.RedisCopy"])
@pytest.mark.parametrize("location", ["127.0.0.1:6379", "redis://:pass/word@127.0.0.1:6379/0"])
def test_an_address_that_cannot_be_read(backend: str, location: str) -> None:
    """It is one finding among the others, and repeats nothing of what may be a password."""
    caches: dict[str, dict[str, Any]] = {
        "a": {"BACKEND": backend, "LOCATION": location},
        "b": {"BACKEND": KIDO, "LOCATION": "redis://h/1", "DB": 2},
    }
    assert ids(check_caches, **caches) == ["E001", "E004"]
    with override_settings(CACHES=caches):
        assert "pass" not in check_caches(None)[0].msg


def test_a_queue_whose_address_cannot_be_read() -> None:
    """As with caches."""
    with override_settings(CELERY_BROKER_URL="redis://:pass/word@127.0.0.1:6379/0"):
        (message,) = check_queues(None)
    assert message.id == "kidoproxy.E001"
    assert "pass" not in message.msg
