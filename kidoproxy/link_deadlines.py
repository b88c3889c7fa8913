"""Deadlines on a ready link: who gets TIMEOUT, when a silent node is given up, when it is asked for a sign of life."""

from typing import TYPE_CHECKING, Final

from kidoproxy import limits
from kidoproxy.errors import TIMEOUT
from kidoproxy.ledger import Dropped, Leg
from kidoproxy.link_greeting import Waiting

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink

PING: Final = b"*1\r\n$4\r\nPING\r\n"


def tick_ready(link: "NodeLink", now: float) -> None:
    """Answer overdue legs; a node that says nothing at all is given up; an idle one is asked for a sign."""
    fifo = link.fifo
    if link.head == len(fifo):
        if now - link.heard > limits.PROBE_SECONDS and link.open and not link.lane:
            link.place(Dropped(), PING, link.proto, link.db, now)
        return
    at = link.head
    overdue = 0.0
    patient = now + 2 * link.login.timeout
    while at < len(fifo):
        leg = fifo[at]
        at += 1
        if leg.due >= now:
            if leg.due > patient:
                continue
            break
        overdue = max(overdue, now - leg.due)
        if not leg.done:
            late(link, leg, True)
    if overdue >= link.login.timeout and now - link.heard >= 2 * link.login.timeout:
        link.lost(f"no reply for {round((now - link.heard) * 1000)} ms", now, True)


def late(link: "NodeLink", leg: Leg, written: bool) -> None:
    """Its client gets TIMEOUT now; a reply that still comes is dropped by its position."""
    leg.done = True
    link.timeouts += 1
    leg.fail(link.failure(TIMEOUT, f"no reply in {round(link.login.timeout * 1000)} ms", written))


def expire_queue(link: "NodeLink", now: float) -> None:
    """Deadlines of what waits for the link."""
    kept: list[Waiting] = []
    queue = link.take_queue()
    for waiting in queue:
        if waiting.leg.due < now:
            late(link, waiting.leg, False)
        else:
            kept.append(waiting)
    link.put_queue(kept + link.queue)
