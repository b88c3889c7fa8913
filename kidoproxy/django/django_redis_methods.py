# mypy: disable-error-code="import-untyped"
"""What django-redis adds to Django's cache, with its arguments and answers: patterns, timeouts, locks."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured

#: What a pattern gives a meaning to.
_SPECIAL: Final = re.compile(r"([*?\[\]\\])")
#: No key of anybody's: it shows what a KEY_FUNCTION puts around a key.
_MARK: Final = "\x00"
#: How many keys a node looks at in one step of a scan, unless DJANGO_REDIS_SCAN_ITERSIZE or ``itersize`` says.
ITERSIZE: Final = 1000


class DjangoRedisMethods:
    """For a cache with Django's ``make_key`` and a redis-py client. Keys are Django's, without prefix and version."""

    default_timeout: Any
    key_func: Any
    key_prefix: str
    version: int
    get_client: Any
    make_and_validate_key: Any
    _client_for: Any
    #: REVERSE_KEY_FUNCTION of the settings.
    _reverse_key_function: Any = None

    def make_pattern(self, pattern: str, version: int | None = None, prefix: str | None = None) -> str:
        """The pattern that Redis is asked: only what the caller wrote has wildcards."""
        prefix = self.key_prefix if prefix is None else prefix
        version = self.version if version is None else version
        return str(self.key_func(pattern, _escaped(prefix), _escaped(str(version))))

    def reverse_key(self, key: str | bytes, version: int | None = None) -> str:
        """Django's key of Redis's: by REVERSE_KEY_FUNCTION, or without what KEY_FUNCTION has put in front."""
        text = key.decode(errors="surrogateescape") if isinstance(key, bytes) else key
        if self._reverse_key_function:
            return str(self._reverse_key_function(text))
        version = self.version if version is None else version
        front, mark, behind = self.key_func(_MARK, self.key_prefix, version).partition(_MARK)
        if not mark or behind:
            raise ImproperlyConfigured(
                "KEY_FUNCTION does more than to put something in front of a key: REVERSE_KEY_FUNCTION has to say how "
                "a key is read back."
            )
        if not text.startswith(front):
            raise ValueError(f"{text!r} is no key of this cache in version {version}")
        return text[len(front) :]

    def keys(self, search: str, version: int | None = None) -> list[str]:
        """All keys that match, at once: `iter_keys` does not hold up the nodes for it."""
        found = self.get_client().keys(self.make_pattern(search, version))
        return [self.reverse_key(key, version) for key in found]

    def iter_keys(self, search: str, itersize: int | None = None, version: int | None = None) -> Iterator[str]:
        """The keys that match, step by step; one that comes or goes meanwhile may be missing."""
        pattern = self.make_pattern(search, version)
        found = self.get_client().scan_iter(match=pattern, count=_itersize(itersize))
        return (self.reverse_key(key, version) for key in found)

    def delete_pattern(
        self, pattern: str, version: int | None = None, prefix: str | None = None, itersize: int | None = None
    ) -> int:
        """Delete the keys that match; the answer is how many were there."""
        client, count = self.get_client(), _itersize(itersize)
        found = client.scan_iter(match=self.make_pattern(pattern, version, prefix), count=count)
        return sum(client.delete(*keys) for keys in in_batches(found, count))

    def ttl(self, key: str, version: int | None = None) -> int | None:
        """Seconds to live; None if for ever, 0 if it is not there."""
        return _time_left(self.get_client().ttl(self.make_and_validate_key(key, version=version)))

    def pttl(self, key: str, version: int | None = None) -> int | None:
        """Milliseconds to live; None if for ever, 0 if it is not there."""
        return _time_left(self.get_client().pttl(self.make_and_validate_key(key, version=version)))

    def expire(self, key: str, timeout: Any, version: int | None = None, **flags: bool) -> Any:
        """Live for ``timeout`` seconds or a timedelta from now; ``flags`` are Redis's: nx, xx, gt, lt."""
        return self._with_timeout("expire", key, timeout, version, **flags)

    def pexpire(self, key: str, timeout: Any, version: int | None = None, **flags: bool) -> Any:
        """Live for ``timeout`` milliseconds or a timedelta from now."""
        return self._with_timeout("pexpire", key, timeout, version, **flags)

    def expire_at(self, key: str, when: Any, version: int | None = None, **flags: bool) -> Any:
        """Live until ``when``, seconds since 1970 or a datetime."""
        return self._with_timeout("expireat", key, when, version, **flags)

    def pexpire_at(self, key: str, when: Any, version: int | None = None, **flags: bool) -> Any:
        """Live until ``when``, milliseconds since 1970 or a datetime."""
        return self._with_timeout("pexpireat", key, when, version, **flags)

    def persist(self, key: str, version: int | None = None) -> Any:
        """Live for ever; whether it had a time to live."""
        return self._client_for("persist").persist(self.make_and_validate_key(key, version=version))

    def lock(
        self,
        key: str,
        version: int | None = None,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
        **more: Any,
    ) -> Any:
        """redis-py's Lock on this key."""
        return self.get_client().lock(
            self.make_and_validate_key(key, version=version),
            timeout=timeout,
            sleep=sleep,
            blocking=blocking,
            blocking_timeout=blocking_timeout,
            thread_local=thread_local,
            **more,
        )

    def _with_timeout(self, name: str, key: str, timeout: Any, version: int | None, **flags: bool) -> Any:
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        made = self.make_and_validate_key(key, version=version)
        return getattr(self._client_for(name), name)(made, timeout, **flags)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _itersize(asked: int | None) -> int:
    configured: int = getattr(settings, "DJANGO_REDIS_SCAN_ITERSIZE", ITERSIZE)
    return asked or configured


def _time_left(reply: int) -> int | None:
    return None if reply == -1 else max(reply, 0)


def in_batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Lists of ``size`` of them, the last one shorter."""
    while batch := list(islice(items, size)):
        yield batch
