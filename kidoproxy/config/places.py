"""Tables and keys that stand at the wrong place of the file."""

from collections.abc import Mapping
from typing import Any

from kidoproxy.config.problems import Problems
from kidoproxy.config.schema import PoolTable, ProxyTable


def check_places(tree: Mapping[str, Any], problems: Problems) -> bool:
    """Note what stands at the wrong place of the file, one line for each place; whether there is any."""
    before = len(problems.lines)
    bare = [key for key in tree if key in PoolTable.model_fields and not _is_pool(tree[key])]
    if bare:
        stand = "stand" if len(bare) > 1 else "stands"
        problems.add((), f"{', '.join(bare)} {stand} outside of any pool; write a line [pool.NAME] above")
    for key, value in tree.items():
        if key not in ("pool", "proxy") and _is_pool(value):
            problems.add((key,), f"is a pool at the wrong place; write [pool.{key}]")
        elif key in ProxyTable.model_fields and key not in bare:
            problems.add((key,), "belongs under a line [proxy]")
    _check_pools(tree, problems)
    return len(problems.lines) > before


def _check_pools(tree: Mapping[str, Any], problems: Problems) -> None:
    pools, proxy = tree.get("pool"), tree.get("proxy")
    if isinstance(pools, list):
        problems.add(("pool",), "must be a table, not a list; write [pool.NAME], and not [[pool]]")
    elif _is_pool(pools):
        problems.add(("pool",), "has no name; write [pool.NAME] instead of [pool]")
    if isinstance(proxy, Mapping) and "pool" in proxy:
        problems.add(("proxy", "pool"), "is at the wrong place; write [pool.NAME], without proxy")


def _is_pool(value: object) -> bool:
    return isinstance(value, Mapping) and any(
        key in value and not isinstance(value[key], Mapping) for key in ("nodes", "listen", "mode")
    )
