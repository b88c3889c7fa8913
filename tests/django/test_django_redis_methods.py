# mypy: disable-error-code="import-untyped"
"""What django-redis users call on their cache: the same arguments and answers, on Django's keys."""

import datetime
import inspect
from typing import Any, Final

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test.utils import override_settings
from django_redis.client import DefaultClient

from kidoproxy.django.django_redis_methods import DjangoRedisMethods, in_batches
from tests.django.test_cache import make

NAMES: Final = (
    "delete_pattern", "expire", "expire_at", "iter_keys", "keys", "lock", "make_pattern", "persist", "pexpire",
    "pexpire_at", "pttl", "ttl",
)  # fmt: skip


@pytest.fixture
def cache(node_url: str, node: Any) -> Any:
    """A cache whose prefix has what patterns give a meaning to."""
    return make(node_url, KEY_PREFIX="a*[b]?\\", VERSION=7)


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name: str) -> None:
    """Positional arguments mean what they mean in django-redis; ``client``, which is inside of it, is no argument."""
    ours = list(inspect.signature(getattr(DjangoRedisMethods, name)).parameters)
    theirs = [name for name in inspect.signature(getattr(DefaultClient, name)).parameters if name != "client"]
    # What stands behind these is given by name; 5.4 and 6.0 do not have it in the same order.
    assert ours[: len(theirs)][:5] == theirs[:5]
    assert set(theirs) <= set(ours)


def test_patterns(cache: Any, node: Any) -> None:
    """A pattern is of this cache and version; the keys come back as they were given."""
    cache.set_many({"user:1": 1, "user:2": 2, "page:\u017c": 3})
    cache.set("user:3", 3, version=8)
    node.set("aXb?\\:7:user:4", "another prefix, which the pattern would take if it were not escaped")
    assert sorted(cache.keys("user:*")) == ["user:1", "user:2"]
    assert sorted(cache.iter_keys("*")) == ["page:\u017c", "user:1", "user:2"]
    assert list(cache.iter_keys("user:*", itersize=1, version=8)) == ["user:3"]
    assert cache.keys("user:?", 8) == ["user:3"]


def test_delete_pattern(cache: Any, node: Any) -> None:
    """What matches goes, whatever the size of the steps; the answer is how many there were."""
    cache.set_many({f"k{number}": number for number in range(25)} | {"other": 1})
    cache.set("k1", 1, version=8)
    assert cache.delete_pattern("k*", itersize=4) == 25
    assert cache.delete_pattern("k*") == 0
    assert cache.keys("*") == ["other"]
    with override_settings(DJANGO_REDIS_SCAN_ITERSIZE=2):
        assert cache.delete_pattern("k*", 8) == 1
    node.set("plain:7:x", 1)
    assert cache.delete_pattern("*", prefix="plain") == 1


def test_time_to_live(cache: Any) -> None:
    """None is for ever and 0 is not there, as in django-redis."""
    cache.set("k", 1, timeout=None)
    assert (cache.ttl("k"), cache.pttl("k")) == (None, None)
    assert (cache.ttl("none"), cache.pttl("none")) == (0, 0)
    assert cache.expire("k", 100)
    assert 90 < cache.ttl("k") <= 100
    assert cache.ttl("k", 8) == 0
    assert cache.pexpire("k", datetime.timedelta(seconds=50))
    assert 40_000 < cache.pttl("k") <= 50_000
    assert not cache.expire("k", 60, nx=True)
    assert cache.persist("k")
    assert not cache.persist("k", version=8)
    later = datetime.datetime.now() + datetime.timedelta(hours=1)
    assert cache.expire_at("k", later)
    assert 3500 < cache.ttl("k") <= 3600
    assert cache.pexpire_at("k", later - datetime.timedelta(minutes=30))
    assert 1700 < cache.ttl("k") <= 1800


def test_locks(cache: Any) -> None:
    """A lock has the version, and waits as it is told to."""
    with cache.lock("lock", 8, timeout=5):
        assert cache.has_key("lock", 8)
        assert not cache.has_key("lock")
        assert not cache.lock("lock", version=8, blocking_timeout=0.02, sleep=0.01).acquire()
        assert not cache.lock("lock", version=8, blocking=False).acquire()
    assert not cache.has_key("lock", 8)


def suffixed(key: str, prefix: str, version: int) -> str:
    return f"{version}/{key}/{prefix}"


def key_of_suffixed(key: str) -> str:
    return key.split("/")[1]


def test_other_key_functions(node_url: str, node: Any) -> None:
    """What a KEY_FUNCTION puts in front is known; of more REVERSE_KEY_FUNCTION tells, by its path or itself."""
    bare = make(node_url, KEY_FUNCTION="kidoproxy.django.bare_key")
    bare.set("a:b:c", 1)
    assert bare.keys("a:*") == ["a:b:c"]
    here = f"{__name__}.key_of_suffixed"
    for reverse in (here, key_of_suffixed):
        cache = make(node_url, KEY_FUNCTION=f"{__name__}.suffixed", REVERSE_KEY_FUNCTION=reverse, KEY_PREFIX="p")
        cache.set("x", 1)
        assert cache.keys("*") == ["x"]
    with pytest.raises(ImproperlyConfigured, match="REVERSE_KEY_FUNCTION"):
        make(node_url, KEY_FUNCTION=f"{__name__}.suffixed", KEY_PREFIX="p").keys("*")
    with pytest.raises(ValueError, match="no key of this cache in version 1"):
        make(node_url, KEY_PREFIX="p").reverse_key(b"q:1:x")


def test_batches() -> None:
    """All items, in lists of that size."""
    assert list(in_batches(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]
