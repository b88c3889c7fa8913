# mypy: disable-error-code="import-untyped"
"""``manage.py check --deploy --tag caches``: what of the caches and queues does not fit the proxy that is there.

The numbers are stable: who has looked at one of them puts it into SILENCED_SYSTEM_CHECKS.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.addresses import without_login
from kidoproxy.django.cache import KidoCache
from kidoproxy.django.pool_check import forget_checks
from kidoproxy.django.queues import Queue, queues
from kidoproxy.django.served import (
    NO_ADDRESS,
    client_at,
    client_of,
    is_on_redis,
    made_cache,
    node_statuses,
    owners,
    proxy_info,
)

#: What each number means; the page has the same table.
MEANINGS: Final = {
    "E001": "The proxy, or the Redis, of a cache or a queue cannot be reached, or does not let the site in.",
    "E002": "The proxy is there and does not serve what the backend is for: another mode, other nodes, or no proxy.",
    "E003": "The database does not exist there.",
    "E004": "The settings of a cache contradict each other.",
    "W001": "KidoCache is connected to a server that is no kidoproxy.",
    "W002": "A queue is on a ring whose `together` does not keep its keys on one node.",
    "W003": "A node of the pool is down or behind.",
    "W004": "Pickles without KEY_PREFIX and with VERSION 1: other sites and releases in this database read them.",
    "W005": "Two caches have the same keys and different serializers.",
}
#: Serializers that read each other's values.
_PICKLES: Final = (
    "django.core.cache.backends.redis.RedisSerializer",
    "django_redis.serializers.pickle.PickleSerializer",
    "kidoproxy.django.MigrationSerializer",
    "kidoproxy.django.migration.MigrationSerializer",
)


def check_caches(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Each cache on Redis is asked for once; the proxy says what it serves."""
    forget_checks()
    return [message for alias in settings.CACHES for message in _check_cache(alias)]


def check_queues(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The proxy is asked where some keys of each queue live."""
    return [message for queue in queues(settings, installed_apps()) for message in _check_queue(queue)]


def check_values(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Who else reads what a cache has written. Nobody is asked."""
    found: list[CheckMessage] = []
    writers: dict[tuple[Any, ...], tuple[str, str]] = {}
    for alias in settings.CACHES:
        cache = _made(alias)
        if isinstance(cache, Exception) or not is_on_redis(cache):
            continue
        conf = settings.CACHES[alias]
        serializer = _serializer(conf)
        if serializer.endswith("pickle") and not cache.key_prefix and cache.version == 1:
            found.append(_message("W004", alias, "", "Set KEY_PREFIX to the site, and VERSION to the release."))
        place = str(conf.get("LOCATION")), str(conf.get("DB")), cache.key_prefix, cache.version, str(cache.key_func)
        first, other = writers.setdefault(place, (alias, serializer))
        if other != serializer:
            hint = f'CACHES["{first}"] uses {other}, this one {serializer}. Give them different KEY_PREFIXes.'
            found.append(_message("W005", alias, "", hint))
    return found


# -- one cache -----------------------------------------------------------------------------------------


def _made(alias: str) -> Any:
    """The cache, or why there is none."""
    try:
        return made_cache(alias)
    except ImproperlyConfigured as error:
        return error


def _check_cache(alias: str) -> Iterator[CheckMessage]:
    from redis.exceptions import RedisError, ResponseError

    cache = _made(alias)
    if isinstance(cache, Exception):
        yield _message("E004", alias, str(cache))
        return
    if not is_on_redis(cache):
        return
    client = None
    try:
        client = client_of(cache)
        info = proxy_info(client)
        client.execute_command("DBSIZE")
        if info is None and isinstance(cache, KidoCache):
            yield _message("W001", alias, "", "Everything works that one Redis can do; LOCATION names it.")
        for node in node_statuses(client) if info is not None else ():
            if not node.is_well:
                why = f": {node.cause}" if node.cause else ""
                yield _message("W003", alias, f"{node.name} ({node.address}) is {node.state}{why}")
    except ImproperlyConfigured as error:
        yield _message("E002", alias, str(error))
    except ResponseError as error:
        number = "E003" if "DB index" in str(error) else "E001"
        yield _message(number, alias, str(error), "Choose a database below `databases` of the pool.")
    except (RedisError, OSError) as error:
        yield _message("E001", alias, str(error), "Is it running? kidoproxy serve --config FILE starts it.")
    except ValueError:
        yield _message("E001", alias, f"LOCATION: {NO_ADDRESS}")
    finally:
        if client is not None:
            client.connection_pool.disconnect()


def _serializer(conf: Mapping[str, Any]) -> str:
    """Who writes the values: "pickle", if it is a plain pickle, whichever backend makes it."""
    options = conf.get("OPTIONS", {})
    named = options.get("serializer") or options.get("SERIALIZER") or "pickle"
    path = named if isinstance(named, str) else f"{named.__module__}.{getattr(named, '__qualname__', named)}"
    path = "pickle" if path in _PICKLES else path
    return f"{options['COMPRESSOR']} of {path}" if "COMPRESSOR" in options else path


def installed_apps() -> list[str]:
    """The Python paths of the site's apps."""
    return [config.name for config in apps.get_app_configs()]


# -- one queue -----------------------------------------------------------------------------------------


def _check_queue(queue: Queue) -> Iterator[CheckMessage]:
    from redis.exceptions import RedisError

    place = f"{queue.library} at {without_login(queue.url)}"
    try:
        with client_at(queue.url) as client:
            info = proxy_info(client)
            if info is None or info["mode"] != "ring" or len(owners(client, queue.keys)) < 2:
                return
    except (RedisError, OSError) as error:
        yield Error(f"{place}: {MEANINGS['E001']} {error}", id="kidoproxy.E001")
        return
    except ValueError:
        yield Error(f"{queue.library}: {MEANINGS['E001']} Its URL: {NO_ADDRESS}", id="kidoproxy.E001")
        return
    hint = f'Add together = ["{queue.together}"] to pool.{info["pool"]} of the proxy\'s file, or use a pool of its own.'
    yield Warning(f"{place}: {MEANINGS['W002']}", hint=hint, id="kidoproxy.W002")


def _message(number: str, alias: str, more: str, hint: str | None = None) -> CheckMessage:
    kind = Error if number.startswith("E") else Warning
    return kind(f'CACHES["{alias}"]: {MEANINGS[number]} {more}'.rstrip(), hint=hint, id=f"kidoproxy.{number}")
