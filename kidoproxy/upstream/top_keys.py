"""The hottest and the largest keys of several nodes."""

from typing import Final, final

from kidoproxy.routes.topology import Node


@final
class HotKey:
    """A key of a node, how many samples it was at least, and which share of those of its node."""

    def __init__(self, key: bytes, node_name: str, count: int, share: float) -> None:
        self.key: Final = key
        self.node_name: Final = node_name
        self.count: Final = count
        self.share: Final = share


@final
class BigKey:
    """A key of a node, and the largest request or reply that there was for it, in bytes."""

    def __init__(self, key: bytes, node_name: str, size: int) -> None:
        self.key: Final = key
        self.node_name: Final = node_name
        self.size: Final = size


def hottest_keys(nodes: list[Node], count: int) -> list[HotKey]:
    """The keys that these nodes are asked for most, the hottest first."""
    found: list[HotKey] = []
    for node in nodes:
        sketch = node.traffic.hot_keys
        found += [HotKey(key, node.name, number, number / sketch.samples) for key, number in sketch.counts()]
    return sorted(found, key=lambda hot: -hot.count)[:count]


def biggest_keys(nodes: list[Node], count: int) -> list[BigKey]:
    """The keys with the largest requests and replies of these nodes, the largest first."""
    found: list[BigKey] = []
    for node in nodes:
        found += [BigKey(key, node.name, size) for key, size in node.traffic.big_keys.sizes.items()]
    return sorted(found, key=lambda big: -big.size)[:count]
