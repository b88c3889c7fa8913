"""Which of the copies in sync is asked for a read, and who is asked after it."""

from typing import Final

from kidoproxy.routes.topology import Node

#: The key's leader, the first in-sync node of the list, one after another, or who answers soonest.
READ_LEADER: Final = 0
READ_FIRST: Final = 1
READ_RANDOM: Final = 2
READ_NEAREST: Final = 3
READ_ORDERS: Final[dict[str, int]] = {
    "leader": READ_LEADER,
    "first": READ_FIRST,
    "random": READ_RANDOM,
    "nearest": READ_NEAREST,
}

#: Copies are equally near whose times differ by less: a part of the shortest, and so many seconds.
NEAR_RATIO: Final = 1.25
NEAR_SECONDS: Final = 0.0001


def in_read_order(order: int, nodes: list[Node], turn: int) -> list[Node]:
    """The nodes, which come in the order of the list; ``turn`` is another number for each read."""
    if order == READ_RANDOM:
        # In turn: as even as chance, and pure code has no source of random numbers.
        first = turn % len(nodes)
        return nodes[first:] + nodes[:first]
    return nearest_first(nodes, turn) if order == READ_NEAREST else nodes


def nearest_first(nodes: list[Node], turn: int) -> list[Node]:
    """Begin with a copy that answers soonest; those that are equally near take turns, so that none gets all reads."""
    answering = [node for node in nodes if node.live and not node.suspect and node.reply_seconds]
    if not answering:
        return nodes
    limit = min([node.reply_seconds for node in answering]) * NEAR_RATIO + NEAR_SECONDS
    near = [node for node in answering if node.reply_seconds <= limit]
    first = near[turn % len(near)]
    return [first, *[node for node in near if node is not first], *[node for node in nodes if node not in near]]
