"""Where somebody listens: ``host:port``, ``[::1]:port`` or ``unix:///path``; and the URLs of nodes.

A complaint about a URL never repeats it: it may hold a password.
"""

import ipaddress
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote, urlsplit

from kidoproxy.config.secret import NO_SECRET, Secret

DEFAULT_PORT: Final = 6379
#: ``sun_path`` of Linux is 108 bytes with its zero, that of macOS 104.
MAX_SOCKET_PATH_BYTES: Final = 103
POOL_PREFIX: Final = "pool:"
_PLAIN_PREFIX: Final = "redis://"

DATABASE_IN_URL: Final = (
    "a database cannot be part of a node: clients choose it with SELECT, and the proxy passes it on; drop the path"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address, or a unix socket when ``path`` is not empty. Its string is how a person would write it.

    With a ``service`` it stands for a master that Sentinel watches under that name: ``host`` lists the sentinels.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    service: str = ""
    #: Of a listener: plain whatever the pool's certificate. Two who differ in this alone are at one place.
    plain: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        if self.service:
            return f"sentinel://{self.host}/{self.service}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_unix(self) -> bool:
        """Whether this is a socket in the file system."""
        return bool(self.path)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect: a socket, 127.0.0.0/8, ::1 (mapped addresses too), localhost.

        Any other name may mean anything, whatever it resolves to at this moment.
        """
        if self.is_unix or self.host.lower().rstrip(".") == "localhost":
            return True
        try:
            ip = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        return (mapped or ip).is_loopback


@dataclass(frozen=True, slots=True)
class NodeUrl:
    """What a node's URL says, taken apart."""

    address: Address
    tls: bool = False
    username: str = ""
    password: Secret = NO_SECRET


def parse_listen(text: str) -> Address:
    """An address to listen on; port 0 lets the system choose. Raises ValueError with a sentence."""
    if text.startswith("unix:"):
        return _parse_unix(text)
    if text.startswith(_PLAIN_PREFIX):
        return replace(parse_listen(text.removeprefix(_PLAIN_PREFIX)), plain=True)
    if "://" in text:
        raise ValueError('is a URL; listen takes "host:port", "[::1]:port", "redis://host:port" or "unix:///path"')
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError('needs a host and a port, for example "127.0.0.1:6380"')
    if host == "*":
        raise ValueError('has "*" for a host; write "0.0.0.0" for every IPv4 address, "[::]" for IPv6')
    return Address(_parse_host(host), _parse_port(port, minimum=0))


def parse_url(text: str) -> NodeUrl:
    """The URL of a node. Raises ValueError with a sentence that does not repeat the URL."""
    if text.startswith("unix:"):
        return NodeUrl(_parse_unix(text))
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError('is not a URL; write "redis://host:port", "rediss://…", "unix:///path" or "pool:name"')
    if scheme not in ("redis", "rediss"):
        raise ValueError(f'has the scheme "{scheme}"; known are "redis", "rediss", "sentinel", "sentinels" and "unix"')
    return _parse_redis_url(scheme, rest)


def split_userinfo(rest: str) -> tuple[str, str, str]:
    """User and password, as they are encoded, and what stands behind them in a URL."""
    # By hand up to the host: a password with "/" or "#" in it must be named as such, not cut in silence.
    userinfo, at, host_part = rest.rpartition("@")
    if at and any(char in userinfo for char in "/?#@"):
        raise ValueError("has a character in its user or password that must be percent-encoded (/ ? # @)")
    username, _, password = userinfo.partition(":")
    return username, password, host_part


def _parse_redis_url(scheme: str, rest: str) -> NodeUrl:
    username, password, host_part = split_userinfo(rest)
    parts = urlsplit(f"{scheme}://{host_part}")
    if parts.query or parts.fragment:
        raise ValueError("has a query or a fragment, which mean nothing here")
    if parts.path not in ("", "/", "/0"):
        raise ValueError(DATABASE_IN_URL)
    address = parse_host_and_port(parts.netloc, DEFAULT_PORT)
    return NodeUrl(address, scheme == "rediss", unquote(username), Secret(unquote(password)))


def parse_host_and_port(netloc: str, default_port: int) -> Address:
    """The address in a URL. Raises ValueError with a sentence that does not repeat a password."""
    bracket = netloc.rfind("]")
    host, colon, port = netloc.rpartition(":") if netloc.rfind(":") > bracket else (netloc, "", "")
    if not host:
        raise ValueError("has no host")
    return Address(_parse_host(host), _parse_port(port, minimum=1) if colon else default_port)


def _parse_host(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1]
    if "," in text:
        raise ValueError("has a comma; each address is a text of its own in the list")
    if ":" in text or "[" in text or "]" in text:
        if text.count(":") == 1 and "[" not in text and "]" not in text:
            raise ValueError('has two ports; write "host:port" (a weight is written as { url = "…", weight = 2 })')
        raise ValueError('has an IPv6 address that needs brackets: "[::1]:6379"')
    if any(char.isspace() for char in text):
        raise ValueError("has a space in its host")
    if not text.isprintable():
        raise ValueError("has a character in its host that cannot be shown")
    return text


def _parse_port(text: str, minimum: int) -> int:
    if text.strip() != text:
        raise ValueError("has a space around its port")
    if not text.isascii() or not text.isdigit() or not minimum <= int(text) <= 65535:
        raise ValueError(f'has the port "{text}"; a port is a number from {minimum} to 65535')
    return int(text)


def _parse_unix(text: str) -> Address:
    path = text.removeprefix("unix://")
    if path == text or not path.startswith("/"):
        raise ValueError('needs an absolute path after three slashes: "unix:///run/redis.sock"')
    if not path.isprintable():
        raise ValueError("has a character in its path that cannot be shown")
    if "?" in path or "@" in path:
        raise ValueError('has a "?" or "@" in its path; give username and password in a table { url, password }')
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(
            f"has a path of {len(path.encode())} bytes; a socket's path has at most {MAX_SOCKET_PATH_BYTES}"
        )
    return Address(path=path)
