"""Queues whose keys must meet on one node: where a project's settings say on which Redis they are.

Celery needs no entry in INSTALLED_APPS, so its settings alone count; the others are looked for if their app is there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

Settings = Any  # django.conf.settings, or whatever has its attributes


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the project; ``keys`` are some of those that must meet, ``together`` is the set that sees to it."""

    library: str
    together: str
    url: str
    keys: tuple[str, ...]


_CELERY: Final = ("celery", "celery\x06\x163", "_kombu.binding.celery", "unacked", "unacked_index", "chord-unlock-1")
_RQ: Final = ("rq:queues", "rq:queue:default", "rq:workers", "rq:job:1", "rq:job:2", "rq:wip:default")
_DRAMATIQ: Final = ("dramatiq", "dramatiq:default", "dramatiq:default.msgs", "dramatiq:default.DQ", "dramatiq:x.XQ")
_HUEY: Final = ("huey.redis.site", "huey.schedule.site", "huey.results.site", "huey.counters.site")
_CHANNELS: Final = ("asgi:group:a", "asgi:group:b", "asgispecific.1!", "asgispecific.2!", "asgi:x", "asgi:y")


def queues(settings: Settings, apps: Iterable[str]) -> list[Queue]:
    """Those that the settings put on a Redis."""
    apps = {app.split(".")[0] for app in apps}
    found = [Queue("Celery", "@celery", url, _CELERY) for url in _celery_urls(settings)]
    for app, library, together, keys, urls in _LIBRARIES:
        if app in apps:
            found += [Queue(library, together, url, keys) for url in urls(settings)]
    return list(dict.fromkeys(found))


def _celery_urls(settings: Settings) -> Iterator[str]:
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        value = getattr(settings, name, None)
        urls = value.split(";") if isinstance(value, str) else value or ()
        yield from _redis_urls(*urls)


def _rq_urls(settings: Settings) -> Iterator[str]:
    for queue in (getattr(settings, "RQ_QUEUES", None) or {}).values():
        if queue.get("URL"):
            yield from _redis_urls(queue["URL"])
        elif queue.get("HOST"):
            yield _url(queue["HOST"], queue.get("PORT", 6379), queue.get("DB", 0), queue.get("PASSWORD"))
        elif isinstance(queue.get("USE_REDIS_CACHE"), str):
            yield from _redis_urls(settings.CACHES.get(queue["USE_REDIS_CACHE"], {}).get("LOCATION"))


def _dramatiq_urls(settings: Settings) -> Iterator[str]:
    for name, options in (("DRAMATIQ_BROKER", "OPTIONS"), ("DRAMATIQ_RESULT_BACKEND", "BACKEND_OPTIONS")):
        yield from _redis_urls((getattr(settings, name, None) or {}).get(options, {}).get("url"))


def _huey_urls(settings: Settings) -> Iterator[str]:
    """HUEY is missing (then it is the Redis of this machine), a table, or the queue itself."""
    huey = getattr(settings, "HUEY", None)
    if huey is None:
        huey = {}
    if not isinstance(huey, Mapping):
        # What redis-py made of its address; a queue in another storage has none.
        pool = getattr(getattr(huey, "storage", None), "pool", None)
        yield from _connection_urls(getattr(pool, "connection_kwargs", None))
    elif not huey.get("immediate") and "redis" in str(huey.get("huey_class", "huey.RedisHuey")).lower():
        # Django's part of huey takes what is in `connection` and what stands beside it alike.
        yield from _connection_urls({**huey, **(huey.get("connection") or {})})


def _connection_urls(connection: Mapping[str, Any] | None) -> Iterator[str]:
    """The address in redis-py's words: `url`, or `host`, `port`, `db` and `password`, or `path` of a unix socket."""
    if connection is None or connection.get("connection_pool") is not None:
        return
    if connection.get("url"):
        yield from _redis_urls(connection["url"])
    elif connection.get("path") or connection.get("unix_socket_path"):
        yield f"unix://{connection.get('path') or connection['unix_socket_path']}?db={connection.get('db') or 0}"
    else:
        host, port = connection.get("host") or "localhost", connection.get("port") or 6379
        yield _url(host, port, connection.get("db") or 0, connection.get("password"))


def _channels_urls(settings: Settings) -> Iterator[str]:
    for layer in (getattr(settings, "CHANNEL_LAYERS", None) or {}).values():
        for host in layer.get("CONFIG", {}).get("hosts", ()):
            address = host.get("address") if isinstance(host, Mapping) else host
            if isinstance(address, tuple | list):
                yield _url(address[0], address[1], 0, None)
            else:
                yield from _redis_urls(address)


#: App, library, set, keys, and where its addresses are.
_LIBRARIES: Final[tuple[tuple[str, str, str, tuple[str, ...], Callable[[Settings], Iterator[str]]], ...]] = (
    ("django_rq", "RQ", "@rq", _RQ, _rq_urls),
    ("django_dramatiq", "dramatiq", "@dramatiq", _DRAMATIQ, _dramatiq_urls),
    ("huey", "huey", "@huey", _HUEY, _huey_urls),
    ("channels", "channels_redis", "@channels_redis", _CHANNELS, _channels_urls),
)


def _redis_urls(*values: Any) -> Iterator[str]:
    """Those of them that are addresses of a Redis."""
    for value in values:
        if isinstance(value, str) and value.startswith(("redis://", "rediss://", "unix://")):
            yield value


def _url(host: str, port: Any, db: Any, password: Any) -> str:
    login = f":{quote(str(password), safe='')}@" if password else ""
    return f"redis://{login}{f'[{host}]' if ':' in host else host}:{port}/{db}"
