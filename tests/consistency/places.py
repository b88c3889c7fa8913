"""Which copies hold a key: all of them, or on a ring of copy pools those of its shard."""

from tests.live.proxies import RunningProxy


class Places:
    """Of a pool with so many shards, each with as many copies."""

    def __init__(self, proxy: RunningProxy, shards: int) -> None:
        self.count = len(proxy.names) // shards
        self.shards = shards
        self.names = proxy.names
        self.client = proxy.client(2, socket_timeout=20)
        self.shard_by_key: dict[str, int] = {}

    def nodes_of(self, key: str) -> range:
        """The places of its copies."""
        shard = self.shard_of(key)
        return range(shard * self.count, (shard + 1) * self.count)

    def shard_of(self, key: str) -> int:
        """As the proxy says it, once for each key: `PROXY ROUTE` names a node that it would ask."""
        if self.shards == 1:
            return 0
        if key not in self.shard_by_key:
            said = repr(self.client.execute_command("PROXY", "ROUTE", "GET", key))
            at = next(at for at, name in enumerate(self.names) if name in said)
            self.shard_by_key[key] = at // self.count
        return self.shard_by_key[key]

    def key_in(self, shard: int, prefix: str) -> str:
        """A key that lives there."""
        return next(key for key in (f"{prefix}{number}" for number in range(1000)) if self.shard_of(key) == shard)
