"""What a node has been told to unblock, and the lanes that must not overtake that."""

from typing import final

from kidoproxy.upstream.connection import NodeConnection


@final
class HeldConnection:
    """A lane that is held until what was told with a number up to ``after`` is over."""

    def __init__(self, connection: NodeConnection, last_unblock: int) -> None:
        self.connection = connection
        self.last_unblock = last_unblock


@final
class UnblockOrder:
    """By node: what it was told to unblock and may still wait there, in the order of the telling."""

    def __init__(self, node_count: int) -> None:
        self.last_number = 0
        self.unfinished: list[dict[int, bool]] = [{} for _ in range(node_count)]
        self.held_connections: list[list[HeldConnection]] = [[] for _ in range(node_count)]

    def start(self, node_index: int) -> int:
        """The node is being told; the number of that."""
        self.last_number += 1
        self.unfinished[node_index][self.last_number] = True
        return self.last_number

    def hold_behind_unblocks(self, connection: NodeConnection) -> None:
        """What is placed on this lane from now on must not reach its node before what that has been told already.

        Lanes are connections of their own, so the lane is held until then.
        """
        node_index = connection.node.index
        if self.unfinished[node_index] and not connection.held:
            self.held_connections[node_index].append(HeldConnection(connection, self.last_number))
            connection.hold()

    def finish(self, node_index: int, number: int, now: float) -> None:
        """That one does not wait any more, whether it was told to or not; lanes that were held for it go on."""
        unfinished = self.unfinished[node_index]
        if unfinished.pop(number, False):
            first_unfinished = next(iter(unfinished), self.last_number + 1)
            held_connections = self.held_connections[node_index]
            self.held_connections[node_index] = [
                entry for entry in held_connections if entry.last_unblock >= first_unfinished
            ]
            for entry in held_connections:
                if entry.last_unblock < first_unfinished:
                    entry.connection.unhold(now)
