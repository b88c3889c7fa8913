"""What goes on a link ahead of all that has not been written yet, and whether anything has not."""

from typing import TYPE_CHECKING

from kidoproxy.errors import NODEDOWN
from kidoproxy.ledger import Leg
from kidoproxy.link_greeting import Waiting
from kidoproxy.link_states import DOWN, IDLE, READY

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink


def place_first(link: "NodeLink", leg: Leg, payload: bytes, now: float, replies: int = 1) -> None:
    """Send ``payload`` first, in the mode that the connection is in there, be the link held or not."""
    leg.due = now + link.login.timeout
    if link.state == READY:
        link.fifo[link.written : link.written] = [leg] * replies
        link.out.insert(0, payload)
        link.out_bytes += len(payload)
        link.mark()
    elif link.state == DOWN or link.probing:
        leg.fail(link.failure(NODEDOWN, link.cause, False))
    else:
        link.add_to_queue(Waiting(leg, payload, link.home_proto, link.home_db, replies))
        link.queue.insert(0, link.queue.pop())
        if link.state == IDLE:
            link.wake()


def has_sent(link: "NodeLink") -> bool:
    """Whether all that was placed has been handed to the socket."""
    return link.state == READY and not link.queue and not link.out
