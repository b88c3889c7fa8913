"""What a conversation leaves behind when it ends or begins anew: nothing, here or at the nodes."""

from typing import TYPE_CHECKING

from kidoproxy.session import pubsub

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


def abandon(session: "ClientSession") -> None:
    """What the client waits for will not be told: it goes without it, and its lanes are closed."""
    monitor = session.monitor
    if session.blocked is not None:
        session.blocked.abandon()
        session.ledger.forgive()
    elif monitor is not None and monitor.leg is not None:
        session.ledger.forgive()


def forget(session: "ClientSession") -> None:
    """It watches, monitors and listens to nothing any more."""
    session.unwatch()
    if session.monitor is not None:
        session.monitor.stop()
    pubsub.depart(session)
