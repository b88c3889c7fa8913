"""A node whose address has become another one: its connections go there, and what was sent is answered where it went.

A shared connection takes no more requests, and is made anew when all that it has sent is answered; what comes meanwhile
waits for that, so each client's requests keep their order. A dedicated one that nothing waits for is closed: then it is
free, or its session watches keys, whose EXEC is answered with null, or a monitor, which begins again. One that blocks
goes on to its end. A shared connection that is only being greeted is given up: the former server may be silent.
"""

from typing import Final

from kidoproxy.routes.topology import Node
from kidoproxy.upstream.disconnect import follow_node, lose_connection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.states import DOWN, HANDSHAKING, READY

NODE_MOVED: Final = "it has moved to another address"


def move_connections(executor: Executor, node: Node, now: float) -> None:
    """Whoever opens sockets knows the new address, and begins attempts anew that are under way."""
    node.note_replaced(NODE_MOVED)
    for conn in executor.all_connections():
        if conn.node is not node:
            continue
        if conn.state == DOWN or (conn.state == HANDSHAKING and not conn.dedicated):
            follow_node(conn, NODE_MOVED, now)
        elif conn.state == READY and conn.dedicated and not conn.in_flight_count():
            lose_connection(conn, NODE_MOVED, now, True)
        elif conn.state == READY:
            conn.tick(now)
