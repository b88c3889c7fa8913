# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
"""A cache for pools of one mode: it is told the proxy, or the nodes as in 2015, and makes sure of both."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.addresses import NodeAddress, parse_node, without_login
from kidoproxy.django.cache import KidoCache
from kidoproxy.django.copies import CopyClient
from kidoproxy.django.database import database_of
from kidoproxy.django.keys import WRITES
from kidoproxy.django.pool_check import ask_pool, check_pool, mismatch
from kidoproxy.django.proxies import ProxyAddress, find_proxies
from kidoproxy.django.replies import Replies

_SEPARATORS: Final = re.compile("[;,]")


class PoolCache(KidoCache):
    """What `RedisRing` and `RedisCopy` have in common.

    LOCATION is one URL, of the proxy, or a list of the nodes; then the proxy is found by them. Nothing is connected
    to before the cache is used; a proxy that is not there is redis-py's ConnectionError, at each use.
    """

    mode: ClassVar[str]
    #: Whether a write answers the list of what the nodes said, when LOCATION is one URL.
    lists_replies: ClassVar[bool]

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        name = type(self).__name__
        listed = _listed(server)
        self._nodes = [_node(name, text) for text in listed]
        self._proxies = [ProxyAddress("LOCATION", server)] if isinstance(server, str) else []
        if listed:
            db = database_of(name, listed, params)
            self._proxies = find_proxies(name, self.mode, self._nodes, params.get("OPTIONS", {}))
            params = params if db is None else {**params, "DB": db}
        for proxy in self._proxies:
            database_of(name, [proxy.url], params)
        super().__init__(self._proxies[0].url if self._proxies else "", params)
        self._lists_replies = self.lists_replies or bool(listed)
        if self._lists_replies:
            self._class = CopyClient
            self._nothing = Replies()

    def _place(self) -> str:
        return ", ".join(without_login(proxy.url) for proxy in self._proxies)

    def _connect(self) -> Any:
        """The client of the proxy, which has said that it is the right one."""
        name, nodes = type(self).__name__, [node.address for node in self._nodes]
        if len(self._proxies) > 1:
            self._proxies = [self._right_proxy(nodes)]
        proxy = self._proxies[0]
        self._servers = [proxy.url]
        client = self._client_at(proxy)
        check_pool(client.get_client(), proxy.url, proxy.source, name, self.mode, nodes)
        return client

    def _client_at(self, proxy: ProxyAddress) -> Any:
        return self._class([proxy.url], **{**proxy.options, **self._options})

    def _right_proxy(self, nodes: list[str]) -> ProxyAddress:
        """The one of several that says that it serves these nodes."""
        name, reasons = type(self).__name__, []
        for proxy in self._proxies:
            client = self._client_at(proxy).get_client()
            why = mismatch(ask_pool(client), name, self.mode, nodes)
            client.connection_pool.disconnect()
            if not why:
                return proxy
            reasons.append(f"\n  {proxy.source}: {without_login(proxy.url)} {why}")
        raise ImproperlyConfigured(f"{name}: no proxy of KIDOPROXY serves exactly these nodes:{''.join(reasons)}")

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> Replies | None:
        """As Django's, which keeps the answer to itself."""
        key = self.make_and_validate_key(key, version=version)
        replies: Replies | None = self._cache.set(key, value, self.get_backend_timeout(timeout))
        return replies

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> Replies | None:
        """As Django's, but each node says how many of the keys it had; None when there was nothing to delete."""
        if not keys:
            return None
        replies: Replies | None = self._cache.delete_many(
            [self.make_and_validate_key(key, version=version) for key in keys]
        )
        return replies

    def _client_for(self, name: str) -> Any:
        return self._cache.each_node_client() if self._lists_replies and name in WRITES else self.get_client()


class RedisRing(PoolCache):
    """For a pool in mode "ring". With a list of nodes a write answers a list: ``[True]``."""

    mode = "ring"
    lists_replies = False


class RedisCopy(PoolCache):
    """For a pool in mode "copy": a write answers what every node said, ``[True, True]``."""

    mode = "copy"
    lists_replies = True


def _listed(server: str | list[str]) -> list[str]:
    """The nodes that LOCATION lists; none if it is one address, which is that of the proxy."""
    if not isinstance(server, str):
        return list(server)
    parts = [part for part in _SEPARATORS.split(server) if part.strip()]
    return parts if len(parts) > 1 else []


def _node(backend: str, text: str) -> NodeAddress:
    try:
        return parse_node(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{backend}: an address in LOCATION {error}.") from None
