# mypy: disable-error-code="import-untyped"
"""Which proxy serves the nodes of LOCATION: by the settings ``KIDOPROXY``, or by the proxy's own file.

Nothing is asked here; `kidoproxy.django.pool_check` asks the proxy that was found whether it is so.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from kidoproxy.django.addresses import NodeAddress
from kidoproxy.django.hints import HOW_TO_NAME, start_hint
from kidoproxy.django.proxy_file import FilePool, password_of, read_pools


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """A proxy that may serve the nodes; ``source`` says where it was found."""

    source: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)


def find_proxies(
    backend: str, mode: str, nodes: Sequence[NodeAddress], options: Mapping[str, Any]
) -> list[ProxyAddress]:
    """One that the file or the setting names, or all of the setting's that come into question."""
    pool = options.get("POOL")
    if "CONFIG" not in options:
        known = getattr(settings, "KIDOPROXY", None)
        if isinstance(known, str):
            return [ProxyAddress("KIDOPROXY", known)]
        if known is not None:
            return _from_map(backend, known, pool)
    path = options.get("CONFIG") or getattr(settings, "KIDOPROXY_CONFIG", None) or os.environ.get("KIDOPROXY_CONFIG")
    if not path:
        raise ImproperlyConfigured(
            f"{backend}: LOCATION is a list of nodes, and no proxy is known that serves them. "
            + start_hint(mode, nodes, "kidoproxy.toml", ())
            + HOW_TO_NAME
        )
    return [_from_file(backend, mode, nodes, Path(path), pool)]


def _from_map(backend: str, known: Any, pool: str | None) -> list[ProxyAddress]:
    if not isinstance(known, Mapping) or not known:
        raise ImproperlyConfigured("KIDOPROXY is the URL of a proxy, or a map of pools to their URLs.")
    if pool is not None and pool not in known:
        raise ImproperlyConfigured(f'{backend}: OPTIONS["POOL"] is {pool!r}; KIDOPROXY has {", ".join(known)}.')
    names = known if pool is None else [pool]
    return [ProxyAddress(f"KIDOPROXY[{name!r}]", known[name]) for name in names]


def _from_file(backend: str, mode: str, nodes: Sequence[NodeAddress], path: Path, pool: str | None) -> ProxyAddress:
    pools = read_pools(path)
    wanted = [node.address for node in nodes]
    same = [found for found in pools if found.nodes == wanted and pool in (None, found.name)]
    fitting = [found for found in same if found.mode == mode]
    if len(fitting) > 1:
        names = ", ".join(found.name for found in fitting)
        raise ImproperlyConfigured(
            f'{backend}: several pools of {path} have these nodes: {names}; name one in OPTIONS["POOL"].'
        )
    if not fitting:
        raise ImproperlyConfigured(f"{backend}: " + _why_none(backend, mode, nodes, path, pools, same))
    found = fitting[0]
    if not found.url:
        raise ImproperlyConfigured(
            f"{backend}: pool.{found.name} of {path} has these nodes, but no address that Django could connect to; "
            'give it one, as in listen = "127.0.0.1:6380".'
        )
    password = password_of(backend, found, path)
    return ProxyAddress(f"pool.{found.name} of {path}", found.url, {"password": password} if password else {})


def _why_none(
    backend: str,
    mode: str,
    nodes: Sequence[NodeAddress],
    path: Path,
    pools: Sequence[FilePool],
    same: Sequence[FilePool],
) -> str:
    """A sentence for the nearest miss: the wrong mode, another order, or no such nodes at all."""
    if same:
        right = "RedisCopy" if same[0].mode == "copy" else "RedisRing"
        return f'pool.{same[0].name} of {path} has these nodes in mode "{same[0].mode}": that is {right}.'
    wanted = [node.address for node in nodes]
    for found in pools:
        if sorted(found.nodes) == sorted(wanted):
            return (
                f"pool.{found.name} of {path} has these nodes in another order; write LOCATION in the order "
                f"{', '.join(found.nodes)}."
            )
    listed = "; ".join(f"pool.{found.name}: {', '.join(found.nodes) or 'none'}" for found in pools) or "no pools"
    taken = [found.listen for found in pools]
    return f"no pool of {path} has exactly the nodes {', '.join(wanted)} (it has {listed}). " + start_hint(
        mode, nodes, str(path), taken
    )
