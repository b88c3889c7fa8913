"""The pools of a nutcracker.yml. Its defaults, and what it hashes, are those of nutcracker 0.5."""

import re
from collections.abc import Mapping
from typing import Any, Final

from kidoproxy.admin.importing.imported import Imported, ImportedNode, ImportedPool, plain, pool_name, variable
from kidoproxy.config.address import parse_listen
from kidoproxy.resp.errors import ConfigError
from kidoproxy.routes.placement.hashes import NUTCRACKER_HASHES

#: nutcracker's hash -> ours, where keys stay. With one server any will do.
_HASHES: Final = {name: name for name in NUTCRACKER_HASHES} | {"md5": "ketama"}
_DEFAULT_HASH: Final = "fnv1a_64"
#: Keys that have no counterpart, and none is missed: the proxy has one connection per node, protocol and database.
_NOT_NEEDED: Final = frozenset(
    ("backlog", "preconnect", "server_connections", "server_failure_limit", "server_retry_timeout", "tcpkeepalive")
)
_KNOWN: Final = _NOT_NEEDED | frozenset(
    (
        "auto_eject_hosts", "client_connections", "distribution", "hash", "hash_tag", "listen", "redis", "redis_auth",
        "redis_db", "servers", "timeout",
    )
)  # fmt: skip
_SERVER: Final = re.compile(r"(?P<address>/\S+|\S+:\d+):(?P<weight>\d+)(?:\s+(?P<name>\S+))?")
#: What nutcracker does not hash of an address without a name.
_OMITTED_PORT: Final = ":11211"
_MOST_TIMEOUT_MS: Final = 600_000


def read_nutcracker(text: str, file: str) -> Imported:
    """The pools of the file's text. Raises ConfigError if it is no nutcracker.yml, or YAML cannot be read here."""
    tree = _parse(text, file)
    if not isinstance(tree, Mapping) or not any(
        isinstance(table, Mapping) and "servers" in table for table in tree.values()
    ):
        raise ConfigError([f"{file}: is no nutcracker.yml: no pool in it has servers"])
    imported = Imported()
    for name, table in tree.items():
        place = f"{file}: {name}"
        if not isinstance(table, Mapping) or "servers" not in table:
            imported.notes.append(f"{place}: has no servers, and is no pool")
            continue
        _import_pool(str(name), table, place, imported)
    return imported


def _parse(text: str, file: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError([f'{file}: to read YAML, install it first: pip install "kidoproxy[import]"']) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(
            [f"{file}: {where}is not YAML: {getattr(error, 'problem', None) or 'cannot be read'}"]
        ) from None


def _import_pool(name: str, table: Mapping[str, Any], place: str, imported: Imported) -> None:
    made = pool_name(name, [pool.name for pool in imported.pools])
    auth = f"${{{variable(made, 'password')}}}" if table.get("redis_auth") else ""
    servers = table.get("servers") or []
    nodes = [_node(str(server), auth, f"{place}: servers[{at}]", imported) for at, server in enumerate(servers)]
    why = _why_not(table, len(nodes)) if None not in nodes and nodes else "its servers cannot be read"
    listen = _listen(table.get("listen"))
    if not listen:
        why = why or f"its listen cannot be read: {table.get('listen')!r}"
    if why:
        imported.lost.append(f"{place}: is left out: {why}")
        return
    pool = ImportedPool(made, "ring", listen, [node for node in nodes if node is not None])
    if len(nodes) > 1:
        pool.settings["hash"] = _HASHES[str(table.get("hash", _DEFAULT_HASH))]
    pool.settings["tags"] = str(table.get("hash_tag") or "")
    _carry_options(pool, table, auth, place, imported)
    imported.pools.append(pool)


def _why_not(table: Mapping[str, Any], servers: int) -> str:
    """Why a pool cannot be served with its keys where they are; empty if it can."""
    if table.get("redis") is not True:
        return "it is for memcached (redis: true is missing)"
    if servers == 1:
        return ""
    distribution, key_hash = table.get("distribution", "ketama"), table.get("hash", _DEFAULT_HASH)
    if distribution != "ketama":
        return f"distribution: {distribution} is not served, and with ketama keys would move"
    if key_hash not in _HASHES:
        return f"hash: {key_hash} is none of nutcracker's ({', '.join(_HASHES)})"
    return ""


def _node(server: str, auth: str, place: str, imported: Imported) -> ImportedNode | None:
    """``host:port:weight [name]`` or ``/path:weight [name]``."""
    found = _SERVER.fullmatch(server.strip())
    if found is None or not 1 <= int(found["weight"]) <= 10_000:
        imported.lost.append(f'{place}: is not "host:port:weight name" with a weight from 1 to 10000')
        return None
    address = found["address"]
    if not address.startswith("/"):
        host, _, port = address.rpartition(":")
        address = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else address
    url = f"unix://{address}" if address.startswith("/") else f"redis://{address}"
    # Without a name nutcracker hashes the text of the address, which is the name that we give, too; only that of an
    # IPv6 address has the brackets, or none, that stand there.
    name = found["name"] or ("" if "[" not in address else found["address"].removesuffix(_OMITTED_PORT))
    return ImportedNode(plain(url), plain(name), int(found["weight"]), password=auth)


def _listen(value: Any) -> str:
    """``host:port`` or ``/path``, behind which there may be permissions."""
    text = str(value or "").split(" ")[0]
    text = f"unix://{text}" if text.startswith("/") else text
    try:
        return str(parse_listen(text))
    except ValueError:
        return ""


def _carry_options(pool: ImportedPool, table: Mapping[str, Any], auth: str, place: str, imported: Imported) -> None:
    timeout = table.get("timeout")
    if isinstance(timeout, int) and timeout > 0:
        pool.settings["timeout_ms"] = pool.settings["connect_timeout_ms"] = min(timeout, _MOST_TIMEOUT_MS)
    if table.get("auto_eject_hosts") is True:
        pool.settings["on_down"] = "miss"
        imported.lost.append(
            f'{place}: auto_eject_hosts: the keys of a server that is down are misses (on_down = "miss"); they do not '
            "move to another one"
        )
    if table.get("redis_db"):
        imported.lost.append(
            f"{place}: redis_db: {table['redis_db']}: clients have to choose it (redis://…/{table['redis_db']})"
        )
    if isinstance(table.get("client_connections"), int) and table["client_connections"] > 0:
        pool.max_clients = table["client_connections"]
    if auth:
        pool.settings["password"] = auth
        imported.notes.append(f"{place}: redis_auth: put it into the environment as {auth[2:-1]}")
    elif not parse_listen(pool.listen).is_loopback:
        pool.settings["protected"] = False
        imported.notes.append(f"{place}: {pool.listen} is open to everybody, as it was (protected = false)")
    if " " in str(table.get("listen")):
        imported.notes.append(f"{place}: the permissions behind listen are those of the process's umask now")
    for key in table:
        if key in _NOT_NEEDED:
            imported.notes.append(f"{place}: {key} has no counterpart, and is not needed")
        elif key not in _KNOWN:
            imported.lost.append(f"{place}: {key} is not known")
