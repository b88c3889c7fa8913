"""Requests that must not wait behind others: SCRIPT KILL and FUNCTION KILL."""

from typing import final

from kidoproxy.exchange import Walk
from kidoproxy.exchange_lanes import Lanes
from kidoproxy.ledger import Leg
from kidoproxy.link import NodeLink
from kidoproxy.link_states import DOWN
from kidoproxy.routes.topology import Node


@final
class PastAll(Walk):
    """Puts each leg on a link past all others: for SCRIPT KILL and FUNCTION KILL.

    A script that runs for too long holds up whatever waits on the shared links, and a node that answers BUSY to all
    but a few words is down for us. It takes AUTH and a KILL, though, on a connection where nobody waits; so this
    link speaks RESP2, selects nothing, and is tried whatever is known of the node.
    """

    def __init__(self, lanes: Lanes) -> None:
        super().__init__(lanes.exchange)
        self.lanes = lanes

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """The replies are the same in both protocols: OK, or an error."""
        self.link(node).place(leg, payload, 2, 0, self.exchange.now)

    def link(self, node: Node) -> NodeLink:
        """The one that is open, or a new one; it is not counted, and it tries a node that is down."""
        lanes = self.lanes
        link = lanes.past_all[node.index]
        if link is None or link.state == DOWN:
            lanes.hang_up(node.index)
            link = self.exchange.other_link(node, 2, 0, True)
            lanes.past_all[node.index] = link
        return link
