# mypy: disable-error-code="import-untyped"
"""What a proxy says to Django's own tools: which pool, which nodes, who would be asked for a key."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.core.cache import CacheHandler

#: For what redis-py does not read as an address; its own words may hold a part of the password.
NO_ADDRESS: Final = "its address cannot be read; it is redis://host:port/database, rediss://… or unix:///path"
#: A check must not hang; a proxy on the same machine answers in less than a thousandth of that.
SECONDS: Final = 3
#: For a reply; longer, as a proxy waits for its nodes.
REPLY_SECONDS: Final = 10
_OWNERS: Final = re.compile(r"(\S+) \(")
#: Where the classes of caches on Redis are defined.
_REDIS_BACKENDS: Final = ("django.core.cache.backends.redis", "django_redis.", "kidoproxy.django.")


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One line of PROXY NODES."""

    name: str
    address: str
    state: str
    cause: str

    @property
    def is_well(self) -> bool:
        """Whether it serves; a copy that is behind, or not known yet, is up and does not."""
        return self.state in ("up", "in sync")


def is_on_redis(cache: Any) -> bool:
    """Whether the backend is Django's for Redis, django-redis, ours, or derived from one of these."""
    return any(base.__module__.startswith(_REDIS_BACKENDS) for base in type(cache).__mro__)


def made_cache(alias: str) -> Any:
    """A cache of the settings, new; one on Redis does not wait long for a connection, nor for a reply."""
    cache = CacheHandler(settings.CACHES)[alias]
    conf = settings.CACHES[alias]
    if not is_on_redis(cache):
        return cache
    limits: dict[str, Any] = {"socket_connect_timeout": SECONDS, "socket_timeout": REPLY_SECONDS}
    if hasattr(type(cache), "client"):
        limits = {word.upper(): seconds for word, seconds in limits.items()}
    return CacheHandler({"default": {**conf, "OPTIONS": {**limits, **conf.get("OPTIONS", {})}}})["default"]


def client_of(cache: Any) -> Any:
    """The redis-py client of a cache, whichever backend it is."""
    client = getattr(cache, "client", None)
    return client.get_client(write=True) if client is not None else cache._cache.get_client(None, write=True)


@contextmanager
def client_at(url: str) -> Iterator[Any]:
    """A client for this URL that does not wait long."""
    from redis import Redis

    with Redis.from_url(url, socket_connect_timeout=SECONDS, socket_timeout=SECONDS) as client:
        yield client


def proxy_info(client: Any) -> dict[str, Any] | None:
    """``INFO kidoproxy``; None if that is some other server. Raises redis-py's errors."""
    from redis.exceptions import NoPermissionError, ResponseError

    try:
        info: dict[str, Any] = client.info("kidoproxy")
    except NoPermissionError:
        raise
    except ResponseError:
        return None
    return info if "kidoproxy_version" in info else None


def node_statuses(client: Any) -> list[NodeStatus]:
    """The nodes of the pool, in its order."""
    return [
        NodeStatus(*(_text(row.get(name, "")) for name in ("name", "address", "state", "cause")))
        for row in map(_texts, client.execute_command("PROXY NODES"))
    ]


def route_lines(client: Any, *argv: Any) -> list[str]:
    """What PROXY ROUTE says of a command; nothing is sent to a node."""
    return [_text(line) for line in client.execute_command("PROXY ROUTE", *argv)]


def owners(client: Any, keys: tuple[str, ...]) -> set[frozenset[str]]:
    """The names of the nodes on which these keys live; of a copy pool in the ring all of them."""
    explained = (line for line in route_lines(client, "EXISTS", *keys) if line.startswith("key: "))
    return {frozenset(_OWNERS.findall(line.rpartition(" -> ")[2])) for line in explained}


def _texts(row: Any) -> dict[str, Any]:
    pairs = row.items() if isinstance(row, Mapping) else zip(row[::2], row[1::2], strict=True)
    return {_text(key): value for key, value in pairs}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
