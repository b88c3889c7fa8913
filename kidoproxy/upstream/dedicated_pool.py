"""Dedicated connections: one session has one to itself for a while, for what would hold up or confuse others.

A connection that comes back clean is kept for whoever asks next. One whose connection died, whose client went away
while it waited, or of which anything is in doubt is closed, and never leased again. How many may be leased at a time is
bounded for each server, so that no client can use up what the others need.
"""

from collections.abc import Callable
from typing import final

from kidoproxy.resp import limits
from kidoproxy.resp.errors import NODEDOWN, OVERLOADED, NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_set import ConnectionSet, connection_set_of
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.health import DOWN_CAUSE, NO_CONNECTION_CAUSE
from kidoproxy.upstream.states import DOWN
from kidoproxy.upstream.waiting import WaitingRequests


@final
class DedicatedPool:
    """Leases dedicated connections; those to one node, leased or free, are counted in its `ConnectionSet`."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.max_per_node = limits.DEDICATED_PER_NODE
        #: Whether another socket may be opened; None: always.
        self.has_free_socket: Callable[[], bool] | None = None
        #: By number, in the order in which they began.
        self.leases: dict[int, Lease] = {}
        self.last_lease_number = 0
        #: Called once, at the next tick.
        self.at_next_tick: list[Callable[[], None]] = []
        #: Requests that need none, as they wait in the proxy.
        self.waiting = WaitingRequests(executor)

    def unavailable_failure(self, node: Node) -> NodeFailure | None:
        """Why none can be leased now; None if one can. A node that is down is not tested by anybody's request."""
        if not node.live:
            return NodeFailure(NODEDOWN, node.name, node.address, node.cause, False)
        connection_set = connection_set_of(node)
        if connection_set.leased_count >= self.max_per_node:
            cause = f"all of its {self.max_per_node} lanes are in use"
            return NodeFailure(OVERLOADED, node.name, node.address, cause, False)
        if self.has_free_socket is not None and not connection_set.free_dedicated and not self.has_free_socket():
            cause = "no file is left for another connection; raise the limit of open files"
            return NodeFailure(OVERLOADED, node.name, node.address, cause, False)
        return None

    def find_refusal(self, node: Node) -> NodeFailure | None:
        """`unavailable_failure` for a client's request, which counts."""
        failure = self.unavailable_failure(node)
        if failure is not None:
            node.count_failure(DOWN_CAUSE if failure.code == NODEDOWN else NO_CONNECTION_CAUSE)
        return failure

    def acquire(self, node: Node, proto: int, db: int) -> "Lease":
        """Lease a connection to ``node``, for which `unavailable_failure` had no objection."""
        connection_set = connection_set_of(node)
        connection_set.leased_count += 1
        while connection_set.free_dedicated:
            conn = connection_set.free_dedicated.pop()
            if conn.state != DOWN and conn.role_changes_seen == node.role_changes:
                return self.new_lease(connection_set, conn)
            self.executor.close_unshared(conn)
        return self.new_lease(connection_set, self.executor.new_unshared(node, proto, db, True))

    def new_lease(self, connection_set: ConnectionSet, conn: NodeConnection) -> "Lease":
        self.last_lease_number += 1
        lease = Lease(self, connection_set, conn, self.last_lease_number)
        self.leases[lease.number] = lease
        return lease

    def release(self, lease: "Lease") -> None:
        """The connection is clean: no handler waits on it, and nothing that was said there lives on."""
        del self.leases[lease.number]
        connection_set = lease.connection_set
        connection_set.leased_count -= 1
        lease.connection.push_handler = None
        connection_set.free_dedicated.append(lease.connection)
        connection_set.keep_free_until = self.executor.now + limits.IDLE_DEDICATED_SECONDS

    def close(self, lease: "Lease") -> None:
        """The connection must not be used again; handlers that wait on it hear nothing more."""
        del self.leases[lease.number]
        lease.connection_set.leased_count -= 1
        self.executor.close_unshared(lease.connection)

    def close_out_of_band(self, connection_set: ConnectionSet) -> None:
        """Close the connection of `OutOfBandExecutor`, if there is one."""
        conn = connection_set.out_of_band
        if conn is not None:
            connection_set.out_of_band = None
            self.executor.close_unshared(conn)

    def tick(self, now: float) -> None:
        """Call whom we promised to call, end what has waited long enough, close what nobody wants.

        What leads to nodes that are known to be down is given up.
        """
        calls = self.at_next_tick
        self.at_next_tick = []
        for call in calls:
            call()
        self.waiting.tick(now)
        for connection_set in self.executor.connection_sets:
            self.close_unneeded(connection_set, now)
        for lease in list(self.leases.values()):
            conn = lease.connection
            if conn.state != DOWN and not conn.node.live:
                conn.on_connection_lost(conn.node.cause, now, True)

    def close_unneeded(self, connection_set: ConnectionSet, now: float) -> None:
        """Close the out-of-band connection once it has been answered, and free ones that are too many or too old."""
        if connection_set.out_of_band is not None and connection_set.out_of_band.pending_count() == 0:
            self.close_out_of_band(connection_set)
        keep_count = limits.IDLE_DEDICATED_PER_NODE if now <= connection_set.keep_free_until else 0
        for conn in connection_set.free_dedicated[keep_count:]:
            self.executor.close_unshared(conn)
        del connection_set.free_dedicated[keep_count:]


@final
class Lease:
    """One dedicated connection that a session has. It ends once, by whichever of its methods is called first."""

    def __init__(self, pool: DedicatedPool, connection_set: ConnectionSet, conn: NodeConnection, number: int) -> None:
        self.pool = pool
        self.connection_set = connection_set
        self.connection = conn
        self.number = number
        self.ended = False

    def release(self) -> None:
        """Give the connection back for others to use: nothing that was said there lives on."""
        if not self.ended:
            self.ended = True
            self.pool.release(self)

    def close(self) -> None:
        """Close the connection: it is in doubt."""
        if not self.ended:
            self.ended = True
            self.pool.close(self)
