# mypy: disable-error-code="import-untyped"
"""What a proxy says of itself, and what is made of it."""

from typing import Any

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.pool_check import ServedPool, ask_pool, check_pool, mismatch
from tests.django.canned import CannedNode, pool_info


@pytest.fixture(params=[2, 3])
def client(request: pytest.FixtureRequest, canned: CannedNode) -> Any:
    """A client of the canned node."""
    with redis.Redis.from_url(canned.url, protocol=request.param) as made:
        yield made


def test_what_it_says(client: Any, canned: CannedNode) -> None:
    """Pool, mode and nodes, in order."""
    addresses = ("10.0.0.1:6379", "[::1]:1", "unix:///run/a.sock")
    canned.info = pool_info("ring", *addresses)
    assert ask_pool(client) == ServedPool("rings", "ring", addresses)


def test_other_servers(client: Any, canned: CannedNode, node: Any) -> None:
    """A Redis has no such section, and an old one not even two of them."""
    canned.info = b"# Server\r\nredis_version:7.0.0\r\n"
    assert ask_pool(client) is None
    assert ask_pool(node) is None


@pytest.mark.parametrize(
    ("pool", "why"),
    [
        (None, "not a kidoproxy"),
        (ServedPool("p", "ring", ("a:1",)), 'pool.p in mode "ring", and RedisCopy is for mode "copy". Take RedisRing'),
        (ServedPool("p", "copy", ("b:1", "a:1")), "in another order: b:1, a:1. LOCATION has a:1, b:1"),
        (ServedPool("p", "copy", ("a:1",)), "other nodes: a:1"),
        (ServedPool("p", "copy", ("a:1", "b:1")), ""),
    ],
)
def test_mismatch(pool: ServedPool | None, why: str) -> None:
    """Another server, another mode, other nodes, another order; or nothing is wrong."""
    said = mismatch(pool, "RedisCopy", "copy", ["a:1", "b:1"])
    assert why in said
    assert bool(said) == bool(why)


def test_is_asked_once(client: Any, canned: CannedNode) -> None:
    """What was right is not asked again; what was wrong is, for it may have been put right."""
    url = f"redis://user:secret@{canned.url.partition('//')[2]}"
    canned.info = pool_info("ring", "a:1")
    with pytest.raises(ImproperlyConfigured) as error:
        check_pool(client, url, "KIDOPROXY", "RedisCopy", "copy", ["a:1"])
    assert f"{canned.url} (by KIDOPROXY) serves pool.rings" in str(error.value)
    assert str(error.value).endswith("KIDOPROXY may also be a map of pools to their URLs.")
    assert "secret" not in str(error.value)
    canned.info = pool_info("copy", "a:1")
    check_pool(client, url, "KIDOPROXY", "RedisCopy", "copy", ["a:1"])
    canned.info = b""
    check_pool(client, url, "KIDOPROXY", "RedisCopy", "copy", ["a:1"])


def test_a_user_who_may_not_ask() -> None:
    """It is said which right is missing; nothing is taken for granted."""

    class Refused:
        """A client whose user may not INFO."""

        def info(self, *sections: str) -> Any:
            raise redis.exceptions.NoPermissionError("this user has no permissions")

    with pytest.raises(ImproperlyConfigured, match=r"allow \+info"):
        ask_pool(Refused())
