"""Requests that must not wait behind others: SCRIPT KILL and FUNCTION KILL."""

from typing import final

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.dedicated import DedicatedPool
from kidoproxy.upstream.executor import DelegatingExecutor
from kidoproxy.upstream.server import server_of
from kidoproxy.upstream.states import DOWN


@final
class OutOfBandExecutor(DelegatingExecutor):
    """Puts each leg on a link past all others: for SCRIPT KILL and FUNCTION KILL.

    A script that runs for too long holds up whatever waits on the shared links, and a node that answers BUSY to all
    but a few words is down for us. It takes AUTH and a KILL, though, on a connection where nobody waits; so this
    link speaks RESP2, selects nothing, and is tried whatever is known of the node.
    """

    def __init__(self, pool: DedicatedPool) -> None:
        super().__init__(pool.executor)
        self.pool = pool

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """The replies are the same in both protocols: OK, or an error."""
        self.connection(node).submit(handler, payload, 2, 0, self.executor.now)

    def connection(self, node: Node) -> NodeConnection:
        """The one that is open, or a new one; it is not counted, and it tries a node that is down."""
        server = server_of(node)
        conn = server.out_of_band
        if conn is None or conn.state == DOWN:
            self.pool.close_out_of_band(server)
            conn = self.executor.new_unshared(node, 2, 0, True)
            server.out_of_band = conn
        return conn
