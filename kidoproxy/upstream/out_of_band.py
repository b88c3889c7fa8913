"""SCRIPT KILL and FUNCTION KILL: requests that must not wait behind the script that they are to end.

A script that runs for too long holds up whatever waits on the shared connections, and a node that answers BUSY to all
but a few commands counts as down. It takes AUTH and a KILL, though, on a connection where nobody waits.
"""

from typing import final

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_set import connection_set_of
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.executor import DelegatingExecutor
from kidoproxy.upstream.states import DOWN


@final
class OutOfBandExecutor(DelegatingExecutor):
    """Sends on a connection past all others, which speaks RESP2, selects no database and tries a node that is down."""

    def __init__(self, pool: DedicatedPool) -> None:
        super().__init__(pool.executor)
        self.pool = pool

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """The replies are the same in both protocols: OK, or an error."""
        self.connection(node).submit(handler, payload, 2, 0, self.executor.now)

    def connection(self, node: Node) -> NodeConnection:
        """The one that is open, or a new one; it is not counted as leased."""
        connection_set = connection_set_of(node)
        conn = connection_set.out_of_band
        if conn is None or conn.state == DOWN:
            self.pool.close_out_of_band(connection_set)
            conn = self.executor.new_unshared(node, 2, 0, True)
            connection_set.out_of_band = conn
        return conn
