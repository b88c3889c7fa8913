# mypy: disable-error-code="import-untyped", disallow-subclassing-any=False
"""Django's client, asking each node: a write answers what every node said, ``[True, True]``; a read answers plainly."""

from collections.abc import Callable, Iterable
from typing import Any

from django.core.cache.backends.redis import RedisCacheClient

from kidoproxy.django.replies import Replies


class CopyClient(RedisCacheClient):
    """Django's client, with its writes asked of each node. Reads and ``set_many`` are Django's own."""

    def each_node_client(self) -> Any:
        """The client that asks each node."""
        from kidoproxy.django.each import EachNodeRedis

        return EachNodeRedis(connection_pool=self._get_connection_pool(write=True))

    def add(self, key: str, value: Any, timeout: int | None) -> Replies:
        added = _map_replies(
            self.each_node_client().set(key, self._serializer.dumps(value), ex=timeout or None, nx=True), bool
        )
        if timeout == 0 and added:
            # Whether it could be added was the question; nothing is kept.
            self.each_node_client().delete(key)
        return added

    def set(self, key: str, value: Any, timeout: int | None) -> Replies:
        if timeout == 0:
            # Removed or not there to remove: nothing is stored, which is what was asked.
            return _map_replies(self.each_node_client().delete(key), lambda _: True)
        return _map_replies(self.each_node_client().set(key, self._serializer.dumps(value), ex=timeout), bool)

    def touch(self, key: str, timeout: int | None) -> Replies:
        client = self.each_node_client()
        return _map_replies(client.persist(key) if timeout is None else client.expire(key, timeout), bool)

    def delete(self, key: str) -> Replies:
        return _map_replies(self.each_node_client().delete(key), bool)

    def incr(self, key: str, delta: int) -> Replies:
        if not self.get_client(key).exists(key):
            raise ValueError(f"Key '{key}' not found.")
        replies: Replies = self.each_node_client().incr(key, delta)
        return replies

    def delete_many(self, keys: Iterable[str]) -> Replies:
        replies: Replies = self.each_node_client().delete(*keys)
        return replies

    def clear(self) -> Replies:
        return _map_replies(self.each_node_client().flushdb(), bool)


def _map_replies(replies: Replies, convert: Callable[[Any], Any]) -> Replies:
    """The replies as Django's API means them; errors stay what they are."""
    return type(replies)(reply if isinstance(reply, Exception) else convert(reply) for reply in replies)
