"""Django's client for pages: while a node is down its keys are misses, and what is written to it is not kept.

Only what a page does with its cache is soft. Counters, locks, scripts, Redis's own commands and `clear` go past it.
"""

import errno
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kidoproxy.django.soft_failures import SoftFailures

#: The proxy's words for a node that gave no reply, behind what redis-py puts in front of them in a pipeline. A partial
#: write may have another cause, which then begins with the node's own word, as in ``(OOM ...``.
_NODE_FAILED: Final = re.compile(
    r"(?:^|: )((?:NODEDOWN|TIMEOUT|OVERLOADED|NOREPLICAS|PARTIAL(?!.*? \([A-Z]{2,} )) .*)", re.DOTALL
)
#: What redis-py says where TLS could not be agreed upon: a certificate that is not trusted, wanted or valid, a listener
#: without TLS. The end of a connection is none of these.
_TLS_REFUSED: Final = re.compile(r"\[(?:SSL|X509)(?:: (?!UNEXPECTED_EOF)\w+)?\]")
#: And of a certificate's file that cannot be read: nothing else that is done with a host and a port fails so, while a
#: socket's path may be gone.
_TLS_FILE: Final = re.compile(
    rf"Error (?:{errno.ENOENT}|{errno.EACCES}|{errno.EISDIR}|{errno.ENOTDIR}) connecting to [^/\s]+:\d+\. "
)
_PAUSED: Final = "the proxy could not be reached a moment ago"


class SoftClient:
    """Wraps the client that ``connect`` makes, which may fail. ``nothing`` is what a write in vain answers."""

    def __init__(self, connect: Callable[[], Any], failures: SoftFailures, nothing: Any) -> None:
        self._connect = connect
        self._failures = failures
        self._nothing = nothing
        self._connected: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # whoever copies an object looks for these before it has anything
        return getattr(self._client(), name)

    def _client(self) -> Any:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    # -- what a page does ----------------------------------------------------------------------------

    def get(self, key: str, default: Any) -> Any:
        return self._soft("get", default, key, default)

    def has_key(self, key: str) -> Any:
        return self._soft("has_key", False, key)

    def add(self, key: str, value: Any, timeout: int | None) -> Any:
        return self._soft("add", self._nothing, key, value, timeout)

    def set(self, key: str, value: Any, timeout: int | None) -> Any:
        return self._soft("set", self._nothing, key, value, timeout)

    def touch(self, key: str, timeout: int | None) -> Any:
        return self._soft("touch", self._nothing, key, timeout)

    def delete(self, key: str) -> Any:
        return self._soft("delete", self._nothing, key)

    def delete_many(self, keys: Iterable[str]) -> Any:
        # The proxy has asked the nodes that are there before it says that one is not.
        return self._soft("delete_many", self._nothing, keys)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Those that could be had: where one node is down, the others are asked key by key."""
        keys = list(keys)
        found: dict[str, Any] = self._soft("get_many", {}, keys, singly=lambda: self._get_each(keys))
        return found

    def _get_each(self, keys: list[str]) -> dict[str, Any]:
        replies = self._each(keys, lambda pipe, key: pipe.get(key))
        return {
            key: self._client()._serializer.loads(reply)
            for key, reply in replies.items()
            if reply is not None and not isinstance(reply, Exception)
        }

    def set_many(self, data: Mapping[str, Any], timeout: int | None) -> list[str]:
        """The keys that could not be set."""
        failed = self._soft("set_many", list(data), data, timeout, singly=lambda: self._set_each(data, timeout))
        return failed or []

    def _set_each(self, data: Mapping[str, Any], timeout: int | None) -> list[str]:
        def store(pipe: Any, key: str) -> None:
            if timeout == 0:
                pipe.delete(key)
            else:
                pipe.set(key, self._client()._serializer.dumps(data[key]), ex=timeout)

        return [key for key, reply in self._each(data, store).items() if isinstance(reply, Exception)]

    # -- how -----------------------------------------------------------------------------------------

    def _soft(self, operation: str, missed: Any, *args: Any, singly: Callable[[], Any] | None = None) -> Any:
        """The client's answer, or ``missed``; of several keys, what asking ``singly`` gives if it was a node."""
        from redis import exceptions

        if self._failures.is_paused():
            self._failures.note(operation, _PAUSED)
            return missed
        try:
            return getattr(self._client(), operation)(*args)
        except Exception as error:
            cause = outage(error)
            if cause is None:
                raise
            self._failures.note(operation, cause, unreachable=is_unreachable(error))
            return singly() if singly is not None and isinstance(error, exceptions.ResponseError) else missed

    def _each(self, keys: Iterable[str], ask: Callable[[Any, str], Any]) -> dict[str, Any]:
        """One command for each key, in one round trip; the reply of each, or its error if that is an outage."""
        keys = list(keys)
        pipe = self._client().get_client(None, write=True).pipeline(transaction=False)
        for key in keys:
            ask(pipe, key)
        try:
            replies = pipe.execute(raise_on_error=False)
        except Exception as error:
            if outage(error) is None:
                raise
            replies = [error] * len(keys)
        for reply in replies:
            if isinstance(reply, Exception) and outage(reply) is None:
                raise reply
        return dict(zip(keys, replies, strict=True))


def outage(error: Exception) -> str | None:
    """What is down, if that is what an error says; None for all other errors, which are for somebody to see."""
    from redis import exceptions

    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return None  # redis-py counts them among the lost connections; they are mistakes in the settings
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        text = str(error)
        if _TLS_REFUSED.search(text) or _TLS_FILE.match(text):
            return None  # so are these, and a site without a cache would not be told
        return text or type(error).__name__
    if isinstance(error, exceptions.ResponseError):
        found = _NODE_FAILED.search(str(error))
        return found.group(1) if found else None
    return None


def is_unreachable(error: Exception) -> bool:
    """Whether it was the proxy that was not there or said nothing, not one node behind it (which may say LOADING)."""
    from redis import exceptions

    lost = isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError)
    return lost and not isinstance(error, exceptions.BusyLoadingError)
