# mypy: disable-error-code="import-untyped,untyped-decorator", disallow-subclassing-any=False
"""Django's own Redis backend, plus the commands that only Redis has, with Django's prefix and version on their keys.

Whatever Django's cache API defines is Django's; only names that it lacks become Redis commands.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import cached_property
from django.utils.module_loading import import_string

from kidoproxy.django.addresses import without_login
from kidoproxy.django.async_methods import TWINS, async_twin
from kidoproxy.django.database import database_of
from kidoproxy.django.django_redis_methods import DjangoRedisMethods
from kidoproxy.django.keys import KEY_PARAMETERS, with_made_keys
from kidoproxy.django.soft_client import SoftClient
from kidoproxy.django.soft_failures import soft_failures_at

#: Words of OPTIONS that are ours; all others are redis-py's.
OWN_OPTIONS: Final = frozenset(("CONFIG", "DB", "FAIL_SOFT", "POOL"))


class KidoCache(DjangoRedisMethods, RedisCache):
    """``caches["x"].zrange("key3", 1, 10)``: a cache on kidoproxy whose Redis commands are methods too.

    ``version=`` is understood by all of them. Values are sent as they are and come back as redis-py gives them.
    """

    _servers: list[str]
    _options: dict[str, Any]
    #: What a write answers that was not done as its node is down.
    _nothing: Any = False

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        super().__init__(server, params)
        if len(self._servers) != 1:
            # Django would write to the first and read from the others, which nobody here keeps alike.
            raise ImproperlyConfigured(
                f"{type(self).__name__}: LOCATION is the address of one kidoproxy, not of {len(self._servers)} "
                "servers; the nodes stand in the proxy's configuration."
            )
        self._fail_soft = self._options.get("FAIL_SOFT", False)
        if not isinstance(self._fail_soft, bool):
            raise ImproperlyConfigured(f'{type(self).__name__}: OPTIONS["FAIL_SOFT"] is True or False.')
        reverse = params.get("REVERSE_KEY_FUNCTION")
        self._reverse_key_function = import_string(reverse) if isinstance(reverse, str) else reverse
        db = database_of(type(self).__name__, self._servers, params)
        self._options = {name: value for name, value in self._options.items() if name not in OWN_OPTIONS}
        if db is not None:
            self._options["db"] = db

    @cached_property
    def _cache(self) -> Any:
        """Django's client, or ours around it, for which a node that is down is a miss."""
        if not self._fail_soft:
            return self._connect()
        return SoftClient(self._connect, soft_failures_at(self._place()), self._nothing)

    def _connect(self) -> Any:
        """Django's client; connections are made when they are needed."""
        return self._class(self._servers, **self._options)

    def _place(self) -> str:
        """The address, for people."""
        return without_login(self._servers[0])

    @property
    def soft_failures(self) -> dict[str, int]:
        """With FAIL_SOFT: operation -> how often it was a miss as a node was down, in this process."""
        return soft_failures_at(self._place()).counts()

    def get_client(self, *, write: bool = True) -> Any:
        """The redis-py client, for pipelines, pub/sub and all else that is no method here; it prefixes nothing."""
        return self._cache.get_client(None, write=write)

    def set_many(
        self, data: Mapping[str, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[str]:
        """As Django's; with FAIL_SOFT it answers which keys could not be set."""
        made = {self.make_and_validate_key(key, version=version): key for key in data}
        values = {made_key: data[key] for made_key, key in made.items()}
        failed = self._cache.set_many(values, self.get_backend_timeout(timeout)) if values else None
        return [made[key] for key in failed or ()]

    # Django's own of these go key by key; its `aincr` even reads, adds and writes, and so loses counts.

    async def aincr(self, key: str, delta: int = 1, version: int | None = None) -> Any:
        return await sync_to_async(self.incr, thread_sensitive=True)(key, delta, version)

    async def ahas_key(self, key: str, version: int | None = None) -> Any:
        return await sync_to_async(self.has_key, thread_sensitive=True)(key, version)

    async def aget_many(self, keys: Iterable[str], version: int | None = None) -> Any:
        return await sync_to_async(self.get_many, thread_sensitive=True)(keys, version)

    async def aset_many(self, data: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        return await sync_to_async(self.set_many, thread_sensitive=True)(data, *args, **kwargs)

    async def adelete_many(self, keys: Iterable[str], version: int | None = None) -> Any:
        return await sync_to_async(self.delete_many, thread_sensitive=True)(keys, version)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in TWINS:
            return async_twin(name, getattr(self, TWINS[name]))
        if name not in KEY_PARAMETERS:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}: neither Django's cache API nor the Redis "
                "commands whose key arguments are known here have it. get_client() gives the redis-py client."
            )

        def command(*args: Any, version: int | None = None, **kwargs: Any) -> Any:
            client = self._client_for(name)
            args, kwargs = with_made_keys(
                type(client), name, args, kwargs, lambda key: self.make_and_validate_key(key, version=version)
            )
            return getattr(client, name)(*args, **kwargs)

        command.__name__ = command.__qualname__ = name
        return command

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *KEY_PARAMETERS, *TWINS})

    def _client_for(self, name: str) -> Any:
        """The client whose method ``name`` is called."""
        return self.get_client()
