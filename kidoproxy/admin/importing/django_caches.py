"""The pools behind Django's CACHES: of django-redisdb, django-kidoredis, django-redis, and of plain lists."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kidoproxy.admin.importing.imported import (
    FIRST_PORT,
    Imported,
    ImportedNode,
    ImportedPool,
    Setting,
    is_plainly_encoded,
    plain,
    pool_name,
    quoted,
    variable,
)
from kidoproxy.config.address import parse_url

_SHARD_CLIENTS: Final = ("ShardClient",)
_SEPARATORS: Final = re.compile("[;,]")
_DATABASE: Final = re.compile(r"/(\d+)$|[?&]db=(\d+)$")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a backend's servers are to each other."""

    mode: str
    settings: Mapping[str, Setting]
    lost: str = ""


_RING: Final = _Kind("ring", {"hash": "hash_ring", "tags": ""})
_SHARDS: Final = _Kind("ring", {"hash": "django_redis_shard"})
_COPY: Final = _Kind("copy", {})
_ONE: Final = _Kind("ring", {})
_REPLICAS: Final = _Kind(
    "copy",
    {},
    "was a primary and its replicas; end the replication at each replica (REPLICAOF NO ONE) before you serve",
)


def read_caches(caches: Mapping[str, Mapping[str, Any]], source: str) -> Imported:
    """The pools of the caches that are on Redis; two caches on the same servers share one."""
    imported = Imported()
    pools: dict[tuple[str, ...], ImportedPool] = {}
    for alias, conf in caches.items():
        place = f"{source}: CACHES[{quoted(alias)}]"
        if _names_a_proxy(conf):
            imported.notes.append(
                f"{place}: its LOCATION is the address of a proxy, whose nodes stand in the proxy's file (a node's "
                "would be in a list)"
            )
            continue
        locations = _locations(conf.get("LOCATION"))
        kind = _kind(conf, len(locations))
        if kind is None or not locations:
            imported.notes.append(f"{place}: is not on Redis ({conf.get('BACKEND')})")
            continue
        if _uses_sentinel(conf):
            imported.lost.append(f"{place}: is left out: Sentinel tells where its servers are; list them in LOCATION")
            continue
        # The shards' ring hashes the database with all the rest; others are told apart by their servers alone.
        servers = locations if kind is _SHARDS else [_DATABASE.sub("", text) for text in locations]
        key = (kind.mode, *map(str, kind.settings.items()), *servers)
        pool = pools.get(key)
        if pool is None:
            pool = _import_pool(alias, kind, locations, place, imported)
            if pool is None:
                continue
            _carry_options(pool, conf, place, imported)
            pools[key] = pool
        _say_location(pool, alias, conf, locations, place, imported)
    _check_shared(imported, source)
    return imported


def _names_a_proxy(conf: Mapping[str, Any]) -> bool:
    """Whether LOCATION is the address that our own backends take for a proxy's: a text, and no list.

    Whoever has given them the name of an old backend may mean either: there a text is what it was, the nodes.
    """
    return str(conf.get("BACKEND", "")).startswith("kidoproxy.") and isinstance(conf.get("LOCATION"), str)


def _kind(conf: Mapping[str, Any], servers: int) -> _Kind | None:
    backend = str(conf.get("BACKEND", "")).rpartition(".")
    package, name = backend[0].split(".")[0], backend[2]
    if package in ("redisdb", "kidoredis", "kidoproxy"):
        if name in ("RedisRing", "RedisCopy"):
            return {"RedisRing": _RING, "RedisCopy": _COPY}[name]
        return _ONE if servers == 1 else None
    if package == "django_redis" and str(conf.get("OPTIONS", {}).get("CLIENT_CLASS", "")).endswith(_SHARD_CLIENTS):
        return _SHARDS
    if package == "django_redis" or backend[0] == "django.core.cache.backends.redis":
        return _ONE if servers == 1 else _REPLICAS
    return None


def _uses_sentinel(conf: Mapping[str, Any]) -> bool:
    options = conf.get("OPTIONS", {})
    classes = (options.get("CLIENT_CLASS"), options.get("CONNECTION_FACTORY"), options.get("CONNECTION_POOL_CLASS"))
    return bool(options.get("SENTINELS")) or any("Sentinel" in str(name) for name in classes)


def _carry_options(pool: ImportedPool, conf: Mapping[str, Any], place: str, imported: Imported) -> None:
    """The login that all servers have, which one in a URL goes before; those of our own backends are for the proxy."""
    if str(conf.get("BACKEND", "")).startswith("kidoproxy."):
        return
    options = conf.get("OPTIONS", {})
    options = {**options, **(options.get("CONNECTION_POOL_KWARGS") or {})}
    user, secret = options.get("username") or options.get("USERNAME") or "", variable(pool.name, "password")
    has_password = bool(options.get("password") or options.get("PASSWORD"))
    without = [node for node in pool.nodes if has_password and not node.password]
    for node in without:
        node.username, node.password = node.username or plain(str(user)), f"${{{secret}}}"
    if without:
        imported.notes.append(f"{place}: OPTIONS has a password; put it into the environment as {secret}")
    tls = ", ".join(sorted(str(name) for name in options if str(name).startswith("ssl_")))
    if tls:
        imported.lost.append(f"{place}: OPTIONS: {tls}: what the pool has for it is ca_file and node_cert_file")


def _locations(value: Any) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in _SEPARATORS.split(value) if part.strip()]
    return [str(part) for part in value or ()]


def _import_pool(alias: str, kind: _Kind, locations: list[str], place: str, imported: Imported) -> ImportedPool | None:
    name = pool_name(alias, [pool.name for pool in imported.pools])
    nodes = [_node(text, name, at, kind, f"{place}: LOCATION[{at}]", imported) for at, text in enumerate(locations)]
    found = [node for node in nodes if node is not None]
    if len(found) < len(locations):
        imported.lost.append(f"{place}: is left out: without one of its servers its keys would move")
        return None
    pool = ImportedPool(name, kind.mode, _free_address(imported, found), found, dict(kind.settings))
    if kind.lost:
        imported.lost.append(f"{place}: {kind.lost}")
    imported.pools.append(pool)
    return pool


def _node(text: str, pool: str, at: int, kind: _Kind, place: str, imported: Imported) -> ImportedNode | None:
    url = f"unix://{text}" if text.startswith("/") else text if ":/" in text else f"redis://{text}"
    bare = _DATABASE.sub("", url)
    if bare.startswith("unix:/") and not bare.startswith("unix://"):
        bare = bare.replace("unix:", "unix://", 1)
    scheme, _, rest = bare.partition("://")
    login, _, address = rest.rpartition("@")
    try:
        parse_url(f"{scheme}://{address}")
    except ValueError as error:
        imported.lost.append(f"{place}: {error}")
        return None
    user, _, password = login.partition(":")
    node = ImportedNode(plain(f"{scheme}://{address}"), username=user)
    if password:
        secret = variable(pool, str(at), "password")
        node.password = f"${{{secret}}}"
        imported.notes.append(f"{place}: has a password; put it into the environment as {secret}")
    if kind is _SHARDS:
        # What the ring hashes is the text in LOCATION, with all that it has.
        hashed = text.replace(f":{password}@", f":{node.password}@", 1) if password else plain(text)
        node.name = hashed if hashed != node.url else ""
        if password and not is_plainly_encoded(password):
            imported.lost.append(f"{place}: its password is hashed as it is encoded there; write the URL into its name")
    return node


def _free_address(imported: Imported, nodes: list[ImportedNode]) -> str:
    taken = {node.url.rpartition(":")[2] for pool in imported.pools for node in pool.nodes}
    taken |= {node.url.rpartition(":")[2] for node in nodes}
    taken |= {pool.listen.rpartition(":")[2] for pool in imported.pools}
    return f"127.0.0.1:{next(port for port in range(FIRST_PORT, 65536) if str(port) not in taken)}"


def _say_location(
    pool: ImportedPool, alias: str, conf: Mapping[str, Any], locations: list[str], place: str, imported: Imported
) -> None:
    """Where the cache finds its pool from now on."""
    in_urls = {found[1] or found[2] for found in map(_DATABASE.search, locations) if found}
    options = conf.get("OPTIONS", {})
    db = conf.get("DB") or options.get("DB") or options.get("db") or (in_urls.pop() if len(in_urls) == 1 else 0)
    if in_urls:
        imported.lost.append(f"{place}: its servers have different databases ({', '.join(sorted(in_urls))})")
    # In one line, whatever it is.
    cache = f"CACHES[{quoted(alias)}]"
    pool.comments.append(f'{cache}: LOCATION = "redis://{pool.listen}/{db}"')
    if pool.settings.get("hash") == "django_redis_shard":
        pool.comments.append(f"{cache}: CLIENT_CLASS goes")


def _check_shared(imported: Imported, source: str) -> None:
    """A copy pool makes its servers equal: nobody else may keep anything there."""
    owners: dict[str, str] = {}
    for pool in imported.pools:
        for node in pool.nodes:
            other = owners.setdefault(node.url, pool.name)
            if other != pool.name and "copy" in {one.mode for one in imported.pools if one.name in (other, pool.name)}:
                imported.lost.append(
                    f"{source}: pool.{pool.name} and pool.{other} both have {node.url}: a copy pool needs servers of "
                    "its own, as it removes what the others do not have"
                )
