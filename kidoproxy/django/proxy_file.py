# mypy: disable-error-code="import-untyped"
"""What Django has to know of the proxy's file: the pools, their nodes, and where they listen.

`kidoproxy check` is what finds mistakes in such a file; here it is only read, and the proxy's core is not imported.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.addresses import parse_node

#: ``${NAME}``, and ``$${`` for a plain ``${``, as the proxy reads them.
_VARIABLE: Final = re.compile(r"\$(\$\{)|\$\{([^}]*)\}")
#: How a listener is written that stays plain beside those that speak TLS.
_PLAIN: Final = "redis://"
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "[::1]"}


@dataclass(frozen=True, slots=True)
class FilePool:
    """One pool; ``url`` is empty if there is nothing that could be connected to."""

    name: str
    mode: str
    nodes: list[str]
    listen: str
    url: str
    table: Mapping[str, Any]


def read_pools(path: Path) -> list[FilePool]:
    """The pools of a file, in its order. Raises ImproperlyConfigured if it is none."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["pool"]
        return [_pool(name, tables) for name in tables]
    except OSError as error:
        raise ImproperlyConfigured(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ImproperlyConfigured(f"{path}: is no configuration of kidoproxy; see: kidoproxy check {path}") from None


def _pool(name: str, tables: Mapping[str, Any]) -> FilePool:
    table = tables[name]
    listen = table.get("listen", "")
    listen = listen if isinstance(listen, str) else next(iter(listen), "")
    nodes = _nodes(name, tables, ())
    return FilePool(
        name, table.get("mode", ""), nodes, listen, _url(listen, "cert_file" in table.get("tls", {})), table
    )


def _nodes(name: str, tables: Mapping[str, Any], above: tuple[str, ...]) -> list[str]:
    """The addresses of the nodes of a pool, and of those pools that it is made of."""
    if name in above:
        raise ValueError("a cycle of pools")
    found: list[str] = []
    for node in tables[name]["nodes"]:
        url = node if isinstance(node, str) else node["url"]
        if url.startswith("pool:"):
            found += _nodes(url.removeprefix("pool:"), tables, (*above, name))
        else:
            found.append(parse_node(_with_variables(url)).address)
    return found


def _url(listen: str, tls: bool) -> str:
    if listen.startswith("unix:"):
        return f"unix://{listen.removeprefix('unix:').removeprefix('//')}"
    if listen.startswith(_PLAIN):
        listen, tls = listen.removeprefix(_PLAIN), False
    host, _, port = listen.rpartition(":")
    if not host or port in ("", "0"):
        return ""
    return f"{'rediss' if tls else 'redis'}://{_EVERY_ADDRESS.get(host, host)}:{port}"


def password_of(backend: str, pool: FilePool, path: Path) -> str:
    """What the pool's clients must say; empty if the file asks for nothing."""
    password_file = pool.table.get("password_file")
    try:
        if password_file:
            return (path.parent / str(password_file)).read_text(encoding="utf-8").rstrip("\r\n")
        return _with_variables(str(pool.table.get("password", "")), missing_is_error=True)
    except OSError as error:
        why = f"its password_file cannot be read: {error.strerror}"
    except KeyError as error:
        why = f"its password is in the environment variable {error.args[0]}, which is not set here"
    raise ImproperlyConfigured(
        f'{backend}: pool.{pool.name} of {path}: {why}. OPTIONS = {{"password": …}} comes first, if it is given.'
    )


def _with_variables(text: str, missing_is_error: bool = False) -> str:
    def value_of(match: re.Match[str]) -> str:
        if match.group(1):
            return "${"
        name = match.group(2)
        return os.environ[name] if missing_is_error else os.environ.get(name, "")

    return _VARIABLE.sub(value_of, text)
