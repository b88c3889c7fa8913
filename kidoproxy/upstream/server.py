"""One server: how to log in to it, and every connection to it. A server is added or dropped as a whole.

The routes know its `Node`, which carries the server without looking inside; `server_of` is the way from one to the
other. Shared connections are kept by (protocol, database). Dedicated ones are either leased (counted, and known to
their `Lease`) or idle: clean, and kept for whoever asks next.
"""

from typing import cast, final

from kidoproxy.routes.topology import Node, NodeServer
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.unblock_order import UnblockOrder


@final
class Server(NodeServer):
    """The server that ``node`` stands for in the routes; ``options`` say how to log in, and how patient to be."""

    def __init__(self, node: Node, options: ConnectionOptions) -> None:
        self.node = node
        self.options = options
        #: The shared connections, at ``2 * database + protocol - 2``; a node of a copy pool has one, at 0.
        self.shared: list[NodeConnection | None] = []
        #: How many dedicated connections sessions have, and the clean ones that nobody has.
        self.leased = 0
        self.idle: list[NodeConnection] = []
        #: Until when idle ones are kept: a rush leaves many, and they are closed when nobody wants them.
        self.idle_until = 0.0
        #: A connection past all others, for when the server may answer nobody else; see `OutOfBandExecutor`.
        self.out_of_band: NodeConnection | None = None
        self.unblock_order = UnblockOrder()
        node.server = self

    def shared_connections(self) -> list[NodeConnection]:
        """The shared connections that have been asked for so far, open or not."""
        return [conn for conn in self.shared if conn is not None]


def server_of(node: Node) -> Server:
    """The server of a node that belongs to an executor."""
    return cast(Server, node.server)
