"""The addresses of nodes as they stand in Django's settings, in the form in which the proxy writes them."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

DEFAULT_PORT: Final = 6379
_SCHEMES: Final = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node: ``address`` is what is compared, ``url`` what a configuration may hold. Neither has a password."""

    address: str
    url: str
    username: str = ""
    has_password: bool = False
    db: int | None = None


def parse_node(text: str) -> NodeAddress:
    """``host``, ``host:port``, ``[::1]:port``, ``/path``, ``redis://…``, ``rediss://…`` or ``unix://…``.

    Raises ValueError with a sentence that does not repeat the text, for it may hold a password.
    """
    text = text.strip()
    if text.startswith("/"):
        text = f"unix://{text}"
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("unix", text[5:]) if text.startswith("unix:/") else ("redis", text)
    if scheme not in _SCHEMES:
        raise ValueError(f'has the scheme "{scheme}"; known are {", ".join(_SCHEMES)}')
    userinfo, _, place = rest.rpartition("@")
    username, _, password = userinfo.partition(":")
    address, url, db = _unix(place) if scheme == "unix" else _tcp(scheme, place)
    return NodeAddress(address, url, username, bool(password), db)


def _unix(place: str) -> tuple[str, str, int | None]:
    path, _, query = place.partition("?")
    if not path.startswith("/"):
        raise ValueError("needs the absolute path of a socket")
    return f"unix://{path}", f"unix://{path}", _db_in_query(query)


def _tcp(scheme: str, place: str) -> tuple[str, str, int | None]:
    parts = urlsplit(f"//{place}")
    if parts.netloc.count(":") > 1 and "[" not in parts.netloc:
        raise ValueError('has an IPv6 address that needs brackets, as in "[::1]:6379"')
    host, port = parts.hostname, parts.port
    if not host:
        raise ValueError("has no host")
    host_port = f"[{host}]:{port or DEFAULT_PORT}" if ":" in host else f"{host}:{port or DEFAULT_PORT}"
    path_db = int(parts.path[1:]) if re.fullmatch(r"/\d+", parts.path) else None
    query_db = _db_in_query(parts.query)
    return host_port, f"{scheme}://{host_port}", path_db if query_db is None else query_db


def _db_in_query(query: str) -> int | None:
    found = parse_qs(query).get("db")
    return int(found[0]) if found else None


def without_login(url: str) -> str:
    """The URL without user and password, for a person to read."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
