# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
"""Django's own Redis backend, plus the commands that only Redis has, with Django's prefix and version on their keys.

Whatever Django's cache API defines is Django's, unchanged; only names that it lacks become Redis commands.
"""

from collections.abc import Callable
from typing import Any, Final

from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.database import database_of
from kidoproxy.django.keys import KEY_PARAMETERS, with_made_keys

#: Words of OPTIONS that are ours; all others are redis-py's.
OWN_OPTIONS: Final = frozenset(("CONFIG", "DB", "POOL"))


class KidoCache(RedisCache):
    """``caches["x"].zrange("key3", 1, 10)``: a cache on kidoproxy whose Redis commands are methods too.

    ``version=`` is understood by all of them. Values are sent as they are and come back as redis-py gives them.
    """

    _servers: list[str]
    _options: dict[str, Any]
    _cache: Any

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        super().__init__(server, params)
        if len(self._servers) != 1:
            # Django would write to the first and read from the others, which nobody here keeps alike.
            raise ImproperlyConfigured(
                f"{type(self).__name__}: LOCATION is the address of one kidoproxy, not of {len(self._servers)} "
                "servers; the nodes stand in the proxy's configuration."
            )
        db = database_of(type(self).__name__, self._servers, params)
        self._options = {name: value for name, value in self._options.items() if name not in OWN_OPTIONS}
        if db is not None:
            self._options["db"] = db

    def get_client(self, *, write: bool = True) -> Any:
        """The redis-py client, for pipelines, pub/sub and all else that is no method here; it prefixes nothing."""
        return self._cache.get_client(None, write=write)

    def __getattr__(self, name: str) -> Callable[..., Any]:
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
        return sorted({*super().__dir__(), *KEY_PARAMETERS})

    def _client_for(self, name: str) -> Any:
        """The client whose method ``name`` is called."""
        return self.get_client()
