"""The members of a pool: nodes and other pools, with their names.

The stable name of a node is the one given, else what nutcracker would hash: ``host:port``, only ``host``
for port 11211, ``/path:`` for a socket; of a master behind Sentinel its name there. A pool is named after itself.
What the ring hashes is this name, but for two placements that we inherited: ``hash_ring`` hashes the position in the
list, and ``django_redis_shard`` the URL as it stood in Django's settings.
"""

from dataclasses import replace
from typing import Final

from kidoproxy.config.address import POOL_PREFIX, Address, NodeUrl, parse_url
from kidoproxy.config.model import Member, NodeConfig, PoolRef, SentinelGroup, Tls
from kidoproxy.config.problems import Location, Problems
from kidoproxy.config.schema import NodeTable, PoolTable
from kidoproxy.config.secret_files import SecretFiles
from kidoproxy.config.sentinel_url import is_sentinel_url, parse_sentinel_url

#: This ring has no weights.
_DJANGO_REDIS_SHARD: Final = "django_redis_shard"
#: nutcracker leaves this port out of a name.
_NUTCRACKER_SILENT_PORT: Final = 11211


class MemberBuilder:
    """Builds the members of the pool that ``table`` describes; ``tls`` is for those of rediss://."""

    def __init__(self, table: PoolTable, tls: Tls, files: SecretFiles, problems: Problems) -> None:
        self.table = table
        self.tls = tls
        self.files = files
        self.problems = problems

    def members(self, location: Location) -> tuple[Member, ...]:
        """All of them, in the order of the file; ``location`` is that of the list."""
        return tuple(self._member(node, index, (*location, index)) for index, node in enumerate(self.table.nodes))

    def _member(self, node: NodeTable, index: int, location: Location) -> Member:
        if self.table.mode == "copy" and "weight" in node.model_fields_set:
            self.problems.add(location, "'weight' has no meaning in a copy pool")
        if self.table.hash == _DJANGO_REDIS_SHARD and "weight" in node.model_fields_set:
            self.problems.add(location, f"'weight' has no meaning with hash = \"{_DJANGO_REDIS_SHARD}\"")
        if node.name is not None and not node.name.isprintable():
            self.problems.add((*location, "name"), "has a character that cannot be shown")
        if node.url.startswith(POOL_PREFIX):
            return self._pool_ref(node, index, location)
        sentinels: SentinelGroup | None = None
        try:
            if is_sentinel_url(node.url):
                url, sentinels = parse_sentinel_url(node.url)
            else:
                url = parse_url(node.url)
        except ValueError as error:
            self.problems.add(location, str(error))
            # Keeps its place in the list, so that later lines count right; this configuration is never used.
            return NodeConfig(f"nodes[{index}]", Address(path=f"nodes[{index}]"))
        if sentinels is not None and self.table.mode == "copy":
            self.problems.add(
                location, 'is a master that Sentinel watches, and copies are kept equal by the proxy; use mode = "ring"'
            )
        return self._node(node, url, sentinels, index, location)

    def _pool_ref(self, node: NodeTable, index: int, location: Location) -> Member:
        for key in ("username", "password", "password_file", "server_hostname"):
            if key in node.model_fields_set:
                self.problems.add(location, f"'{key}' has no meaning for a pool")
        pool = node.url.removeprefix(POOL_PREFIX)
        name = node.name or pool
        return PoolRef(name, pool, node.weight, _ring_name(self.table, index, name, name))

    def _node(
        self, node: NodeTable, url: NodeUrl, sentinels: SentinelGroup | None, index: int, location: Location
    ) -> Member:
        if url.password and (node.password or node.password_file):
            self.problems.add(location, "has a password in its URL and another one beside it")
        if url.username and node.username:
            self.problems.add(location, "has a user in its URL and another one beside it")
        password = self.files.secret(node.password, node.password_file, location) or url.password
        username = node.username or url.username
        if username and not password and node.password_file is None:
            self.problems.add(location, "has a user but no password")
        name = node.name or default_node_name(url.address)
        return NodeConfig(
            name=name,
            address=url.address,
            weight=node.weight,
            username=username,
            password=password,
            tls=self._tls(node, url, location),
            ring_name=_ring_name(self.table, index, name, node.name or node.url),
            sentinels=sentinels,
        )

    def _tls(self, node: NodeTable, url: NodeUrl, location: Location) -> Tls | None:
        if not url.tls and node.server_hostname:
            tls_scheme = "sentinels" if url.address.service else "rediss"
            self.problems.add(location, f"'server_hostname' has no meaning: the node is not {tls_scheme}://")
        if node.server_hostname and url.tls:
            return replace(self.tls, server_hostname=node.server_hostname)
        return self.tls if url.tls else None


def default_node_name(address: Address) -> str:
    """The name nutcracker gives a server that has none, so that its rings can be taken over."""
    if address.is_unix:
        return f"{address.path}:"
    if address.service:
        return address.service
    return address.host if address.port == _NUTCRACKER_SILENT_PORT else str(address)


def _ring_name(table: PoolTable, index: int, name: str, as_listed: str) -> str:
    if table.hash == "hash_ring":
        return str(index)
    return as_listed if table.hash == _DJANGO_REDIS_SHARD else name
