# mypy: disable-error-code="import-untyped"
"""Is this what the backend is for? The proxy is asked once in a process for its mode and its nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.addresses import parse_node, without_login

#: What was found to be right, by URL, mode and nodes: as many as the settings have caches.
_checked: set[tuple[str, str, tuple[str, ...]]] = set()

#: The backend for a mode.
RIGHT_BACKEND: Final = {"ring": "RedisRing", "copy": "RedisCopy"}


@dataclass(frozen=True, slots=True)
class ServedPool:
    """What a proxy says of itself."""

    name: str
    mode: str
    nodes: tuple[str, ...]


def ask_pool(client: Any) -> ServedPool | None:
    """The pool behind a redis-py client; None if that is no kidoproxy."""
    from redis.exceptions import NoPermissionError, ResponseError

    try:
        info = client.info("kidoproxy", "kidoproxynodes")
    except NoPermissionError:
        raise ImproperlyConfigured(
            "the proxy lets this user not run INFO, which says what it serves; allow +info"
        ) from None
    except ResponseError:
        return None  # a Redis before 7 takes one section
    if "kidoproxy_version" not in info:
        return None
    nodes: list[str] = []
    while (node := info.get(f"node{len(nodes)}")) is not None:
        nodes.append(_comparable(str(node["address"])))
    return ServedPool(str(info["pool"]), str(info["mode"]), tuple(nodes))


def check_pool(client: Any, url: str, source: str, backend: str, mode: str, nodes: Sequence[str]) -> None:
    """Raises ImproperlyConfigured unless a pool in this mode is there, of exactly these nodes if there are any.

    ``source``: where the URL was found.
    """
    key = (url, mode, tuple(nodes))
    if key in _checked:
        return
    why = mismatch(ask_pool(client), backend, mode, nodes)
    if why:
        more = " KIDOPROXY may also be a map of pools to their URLs." if source == "KIDOPROXY" else ""
        raise ImproperlyConfigured(f"{backend}: {without_login(url)} (by {source}) {why}{more}")
    _checked.add(key)


def mismatch(pool: ServedPool | None, backend: str, mode: str, nodes: Sequence[str]) -> str:
    """What is wrong with it, behind its address; empty if all is right."""
    if pool is None:
        return (
            "is not a kidoproxy but some other server. "
            f"{backend} needs the address of a kidoproxy; for one Redis there is Django's own backend, or KidoCache."
        )
    if pool.mode != mode:
        return (
            f'serves pool.{pool.name} in mode "{pool.mode}", and {backend} is for mode "{mode}". Take '
            f"{RIGHT_BACKEND.get(pool.mode, 'KidoCache')}, or KidoCache, which works on both."
        )
    if nodes and list(pool.nodes) != list(nodes):
        same = sorted(pool.nodes) == sorted(nodes)
        return (
            f"serves pool.{pool.name} with {'these nodes in another order' if same else 'other nodes'}: "
            f"{', '.join(pool.nodes)}. LOCATION has {', '.join(nodes)}."
        )
    return ""


def forget_checks() -> None:
    """Ask again at the next use: for tests that start another proxy at an old address."""
    _checked.clear()


def _comparable(address: str) -> str:
    try:
        return parse_node(address).address
    except ValueError:
        return address
