"""All connections to one node, and how to log in to it. A set is added to an executor, or dropped, as a whole.

The routes know the `Node`, which carries its set without looking inside; `connection_set_of` is the way from one to the
other. Shared connections are kept by (protocol, database). Dedicated ones are either leased (counted, and known to
their `Lease`) or free: clean, and kept for whoever asks next.
"""

from typing import cast, final

from kidoproxy.routes.topology import Node, NodeConnectionSet
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.unblock_order import UnblockOrder


@final
class ConnectionSet(NodeConnectionSet):
    """The connections to ``node``; ``options`` say how to log in, and how patient to be."""

    def __init__(self, node: Node, options: ConnectionOptions) -> None:
        self.node = node
        self.options = options
        #: The shared connections, at ``2 * database + protocol - 2``; a node of a copy pool has one, at 0.
        self.shared: list[NodeConnection | None] = []
        #: How many dedicated connections sessions have, and the clean ones that nobody has.
        self.leased_count = 0
        self.free_dedicated: list[NodeConnection] = []
        #: Until when free ones are kept: a rush leaves many, and they are closed when nobody wants them.
        self.keep_free_until = 0.0
        #: A connection past all others, for when the server may answer nobody else; see `OutOfBandExecutor`.
        self.out_of_band: NodeConnection | None = None
        self.unblock_order = UnblockOrder()
        node.connection_set = self

    def shared_connections(self) -> list[NodeConnection]:
        """The shared connections that have been asked for so far, open or not."""
        return [conn for conn in self.shared if conn is not None]

    def replace_options(self, options: ConnectionOptions, unshared: list[NodeConnection]) -> None:
        """From now on talk to the node so; connections that are open keep the login with which they were made.

        ``unshared``: the connections that the executor keeps beside the sets, of all nodes.
        """
        self.options.replace(options)
        for conn in self.shared_connections() + unshared:
            if conn.node is self.node:
                conn.set_max_bytes(options.max_queue_bytes)


def connection_set_of(node: Node) -> ConnectionSet:
    """The connections to a node that belongs to an executor."""
    return cast(ConnectionSet, node.connection_set)
