"""The URL of a master that Sentinel watches: ``sentinel://[user:password@]h1:26379,h2:26379/NAME``.

The user and the password in it are those of the sentinels; the master has its own, beside the URL. ``sentinels://``
speaks TLS, to the sentinels and to the master. A complaint never repeats the URL: it may hold a password.
"""

from typing import Final
from urllib.parse import unquote

from kidoproxy.config.address import DATABASE_IN_URL, Address, NodeUrl, parse_host_and_port, split_userinfo
from kidoproxy.config.model import SentinelGroup
from kidoproxy.config.secret import Secret

PREFIXES: Final = ("sentinel://", "sentinels://")
SENTINEL_PORT: Final = 26379
#: Each is asked by each worker.
MAX_SENTINELS: Final = 31
#: Those that Sentinel itself allows.
_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
_MAX_NAME_LENGTH: Final = 255
_EXAMPLE: Final = '"sentinel://h1:26379,h2:26379,h3:26379/mymaster"'


def is_sentinel_url(text: str) -> bool:
    return text.startswith(PREFIXES)


def parse_sentinel_url(text: str) -> tuple[NodeUrl, SentinelGroup]:
    """The node, whose address is the group's, and the group. Raises ValueError with a sentence without the URL."""
    scheme, _, rest = text.partition("://")
    username, password, place = split_userinfo(rest)
    if username and not password:
        raise ValueError("has a user of its sentinels but no password")
    place, _, query = place.partition("?")
    hosts, _, service = place.partition("/")
    if query not in ("", "db=0"):
        raise ValueError(_query_problem(query))
    if not service:
        raise ValueError(f"has no name of a master behind its sentinels; write {_EXAMPLE}")
    if not set(service) <= _NAME_CHARACTERS or len(service) > _MAX_NAME_LENGTH:
        raise ValueError('has a name of a master that Sentinel does not allow: letters, digits, ".", "-" and "_"')
    group = SentinelGroup(service, _addresses(hosts), unquote(username), Secret(unquote(password)))
    # Sorted: the order of the sentinels means nothing.
    address = Address(host=",".join(map(str, group.addresses)), service=service)
    return NodeUrl(address, tls=scheme == "sentinels"), group


def _addresses(hosts: str) -> tuple[Address, ...]:
    texts = hosts.split(",")
    if not all(texts):
        raise ValueError(f"has an empty place in its list of sentinels; write {_EXAMPLE}")
    found = tuple(sorted([parse_host_and_port(text, SENTINEL_PORT) for text in texts], key=str))
    if len(found) > MAX_SENTINELS:
        raise ValueError(f"names {len(found)} sentinels; at most {MAX_SENTINELS} are asked")
    if len(set(found)) < len(found):
        raise ValueError("names a sentinel twice; each has one vote")
    return found


def _query_problem(query: str) -> str:
    if query.startswith("db="):
        return DATABASE_IN_URL.replace("the path", '"?db="')
    return "has a query or a fragment, which mean nothing here"
