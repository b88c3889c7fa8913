"""What a server has been told to unblock, and the dedicated connections that must not overtake that.

CLIENT UNBLOCK goes over a shared connection, so a request on another connection may reach the server before it.
`hold_behind_unblocks` keeps such a request back until all that was told before has been answered.
"""

from typing import final

from kidoproxy.upstream.connection import NodeConnection


@final
class HeldConnection:
    """A connection that is held until every unblocking with a number up to ``last_unblock`` is over."""

    def __init__(self, connection: NodeConnection, last_unblock: int) -> None:
        self.connection = connection
        self.last_unblock = last_unblock


@final
class UnblockOrder:
    """For one server: what it was told to unblock and may still be blocked there, in the order of the telling."""

    def __init__(self) -> None:
        self.last_number = 0
        self.unfinished: dict[int, bool] = {}
        self.held_connections: list[HeldConnection] = []

    def start(self) -> int:
        """The server is being told to unblock something; returns the number to `finish` it with."""
        self.last_number += 1
        self.unfinished[self.last_number] = True
        return self.last_number

    def hold_behind_unblocks(self, connection: NodeConnection) -> None:
        """Keep back what is sent on ``connection`` from now on until all unblocking begun so far is over."""
        if self.unfinished and not connection.held:
            self.held_connections.append(HeldConnection(connection, self.last_number))
            connection.hold()

    def finish(self, number: int, now: float) -> None:
        """Number ``number`` is not blocked any more; connections that were held only for it or before it go on.

        A number that is not unfinished (0: the server was never told) changes nothing.
        """
        if not self.unfinished.pop(number, False):
            return
        first_unfinished = next(iter(self.unfinished), self.last_number + 1)
        held_connections = self.held_connections
        self.held_connections = [entry for entry in held_connections if entry.last_unblock >= first_unfinished]
        for entry in held_connections:
            if entry.last_unblock < first_unfinished:
                entry.connection.unhold(now)
