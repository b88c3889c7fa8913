"""What a conversation leaves behind when it ends or begins anew: nothing, here or at the nodes."""

from typing import TYPE_CHECKING

from kidoproxy.session import pubsub
from kidoproxy.session.house import REPLY_ON, REPLY_SKIP

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


def begin_anew(session: "ClientSession") -> None:
    """RESET: as if the client had just connected."""
    forget(session)
    session.leave_multi()
    if session.reply != REPLY_SKIP:
        session.reply = REPLY_ON
    session.each = False
    session.proto = 2
    session.db = 0
    session.name = b""
    session.user = session.pool.users.default
    session.authed = session.user.open
    session.settle()
