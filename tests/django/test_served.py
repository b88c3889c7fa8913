# mypy: disable-error-code="import-untyped"
"""What a proxy says, read; with a real one in tests/live/test_django_checks.py."""

from typing import Any

import pytest
from django.core.cache import CacheHandler
from django.test.utils import override_settings

from kidoproxy.django.served import (
    REPLY_SECONDS,
    SECONDS,
    client_of,
    is_on_redis,
    made_cache,
    node_statuses,
    owners,
    proxy_info,
)


class Client:
    """Answers one thing."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply

    def execute_command(self, *argv: Any) -> Any:
        return self.reply


def test_owners() -> None:
    """The nodes of each key; a copy pool in a ring is all of its copies, in whatever order."""
    line = b"key: a at 1: 'a (x)' hashes to 2a, in the arc that ends at 2b -> "
    ring = [b"command: exists", line + b"n1 (10.0.0.1:6379)", line + b"n2 (10.0.0.2:6379)", b"asks: n1"]
    copies = [line + b"copies, in the key's order: a (in sync), b (behind)"]
    copies += [line + b"copies, in the key's order: b (behind), a (in sync)"]
    assert owners(Client(ring), ("a", "b")) == {frozenset({"n1"}), frozenset({"n2"})}
    assert owners(Client(copies), ("a", "b")) == {frozenset({"a", "b"})}


@pytest.mark.parametrize("row", [{b"name": b"n", b"state": b"up", b"links": 1}, [b"name", b"n", b"state", b"up"]])
def test_nodes_in_both_protocols(row: Any) -> None:
    """A map, or its keys and values in a list."""
    (node,) = node_statuses(Client([row]))
    assert (node.name, node.address, node.state, node.cause) == ("n", "", "up", "")


@pytest.mark.parametrize(
    "backend",
    ["django_redis.cache.RedisCache", "kidoproxy.django.KidoCache", "django.core.cache.backends.redis.RedisCache"],
)
def test_a_check_does_not_hang(backend: str) -> None:
    """The connection and each reply have a time limit, unless the settings have one."""
    conf: dict[str, Any] = {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1/0"}
    with override_settings(CACHES={"default": conf}):
        kwargs = client_of(made_cache("default")).connection_pool.connection_kwargs
    assert (kwargs["socket_connect_timeout"], kwargs["socket_timeout"]) == (SECONDS, REPLY_SECONDS)


def test_other_servers_and_caches(node: Any) -> None:
    """A plain Redis is no proxy, and a cache in memory is not on Redis."""
    assert proxy_info(node) is None
    conf = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    assert not is_on_redis(CacheHandler({"default": conf})["default"])
