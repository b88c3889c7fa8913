"""An exception of ours costs the request whose reply was being handled, and nobody else.

A reply handler that raises is a bug, but neither its neighbours' nor the connection's: its client gets an error,
the bug is counted and told once (the net logs what `Node.mishap` keeps), and the link goes on with the next reply.
"""

from typing import TYPE_CHECKING

from kidoproxy.errors import BADREPLY, NodeFailure
from kidoproxy.ledger import AGAIN, ONCE, Leg
from kidoproxy.link_greeting import Waiting

if TYPE_CHECKING:
    from kidoproxy.link import NodeLink


def mishap(link: "NodeLink", leg: Leg | None, problem: Exception) -> None:
    """``leg`` has raised while it took its reply; None: what came was no reply, and nobody waits."""
    if leg is None:
        link.node.mishap("a push", problem)
        return
    leg.done = True
    name = leg.title()
    link.node.mishap(name, problem)
    cause = f"its reply to '{name}' could not be handled: {type(problem).__name__}; the proxy's log has more"
    abort(link, leg, link.failure(BADREPLY, cause, True), False)


def unasked(link: "NodeLink", now: float) -> None:
    """A reply too many: which one was it? Unless the link has been given up while its replies were handled."""
    if not link.drop:
        link.node.trouble("unasked reply")
        link.lost("it sent a reply that nobody asked for", now, False)


def fail(link: "NodeLink", leg: Leg, failure: NodeFailure) -> None:
    """Tell ``leg`` that there is no reply; whatever comes of it, the caller goes on with the next one."""
    leg.done = True
    try:
        leg.fail(failure)
    except Exception as problem:
        link.node.mishap(leg.title(), problem)
        abort(link, leg, failure, True)


def fail_all(link: "NodeLink", queue: list[Waiting], failure: NodeFailure) -> None:
    """None of these will be sent."""
    for waiting in queue:
        fail(link, waiting.leg, failure)


def lose(
    link: "NodeLink", waiting: list[Leg], written: int, failure: NodeFailure, unsent: NodeFailure, once_more: bool
) -> list[Waiting]:
    """The connection of these is lost, ``written`` of them were sent: the reads that are to be asked ``once_more``."""
    again: list[Waiting] = []
    for at, leg in enumerate(waiting):
        payload = leg.payload
        if leg.done:
            continue
        if leg.tries == AGAIN and payload is not None and once_more:
            leg.tries = ONCE
            again.append(Waiting(leg, payload, link.home_proto, link.home_db, 1))
        else:
            fail(link, leg, failure if at < written else unsent)
    return again


def deafen(link: "NodeLink", failure: NodeFailure) -> None:
    """Whoever listens hears that the connection is gone."""
    if link.ear is not None:
        try:
            link.ear.deaf(failure)
        except Exception as problem:
            link.node.mishap("a listener", problem)


def abort(link: "NodeLink", leg: Leg, failure: NodeFailure, failed: bool) -> None:
    """The last resort; if it raises as well, nobody is left who could be told."""
    try:
        leg.abort(failure, failed)
    except Exception as problem:
        link.node.mishap(leg.title(), problem)
