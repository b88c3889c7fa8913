"""Requests that may wait, asked so that they do not: in a transaction a server answers them with what is there now.

For a client that has hung up: what it has sent is still run, but nothing may wait for it.
"""

from typing import Final, final

from kidoproxy.errors import NodeFailure
from kidoproxy.exchange import Around, Exchange, Walk
from kidoproxy.ledger import Call, Leg
from kidoproxy.link_first import place_first
from kidoproxy.resp.build import command
from kidoproxy.resp.open import is_error, is_null, items
from kidoproxy.routes.topology import Node

MULTI: Final = command([b"MULTI"])
EXEC: Final = command([b"EXEC"])
#: How the error begins that CLIENT UNBLOCK makes.
UNBLOCKED: Final = b"-UNBLOCKED"
#: MULTI, the request, EXEC.
REPLIES: Final = 3


@final
class Outcome:
    """What came of a request that may wait. ``ending``: its client has hung up, so nothing waits for it any more."""

    def __init__(self) -> None:
        self.ending = False
        #: A node had something to say at once, be it an error.
        self.got = False

    def heard(self, raw: bytes) -> None:
        """What one node says: null, if there was nothing, and an error of its own if it was unblocked."""
        self.got = self.got or not (is_null(raw) or raw.startswith(UNBLOCKED))

    def gave_up(self) -> bool:
        """Whether the client had to wait when it hung up."""
        return self.ending and not self.got


@final
class ForWaiting(Around):
    """A client's place, for a request that may wait: who hung up while it had to is told nothing."""

    def __init__(self, outcome: Outcome, call: Call) -> None:
        super().__init__(call)
        self.outcome = outcome
        self.call = call

    def take(self, raw: bytes) -> None:
        """The whole reply."""
        self.call.quiet = self.call.quiet or self.outcome.gave_up()
        self.call.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """There is none."""
        self.call.quiet = self.call.quiet or self.outcome.gave_up()
        self.call.fail(failure)


@final
class AtOnce(Walk):
    """Puts each leg into a transaction of its own, on the shared links."""

    def __init__(self, exchange: Exchange, outcome: Outcome) -> None:
        super().__init__(exchange)
        self.outcome = outcome

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """One contiguous ``MULTI request EXEC``, ahead of what others have sent in this turn.

        Where a link serves several databases it keeps its place, for the link may be in another one there.
        """
        link = self.exchange.link(node, proto, db)
        whole = MULTI + payload + EXEC
        if node.group is None:
            place_first(link, Unwrapped(self.outcome, leg), whole, self.exchange.now, REPLIES)
        else:
            link.place(Unwrapped(self.outcome, leg), whole, proto, db, self.exchange.now, REPLIES)


@final
class Unwrapped(Around):
    """Takes the request's own reply out of what EXEC says."""

    def __init__(self, outcome: Outcome, parent: Leg) -> None:
        super().__init__(parent)
        self.outcome = outcome
        self.missing = REPLIES
        self.refused = b""

    def take(self, raw: bytes) -> None:
        """The first error is the reply: what was not queued is not run."""
        self.missing -= 1
        if is_error(raw) and not self.refused:
            self.refused = raw
        if self.missing == 0:
            found = [] if self.refused else items(raw)
            reply = found[0] if found else self.refused or raw
            self.outcome.heard(reply)
            self.parent.take(reply)

    def fail(self, failure: NodeFailure) -> None:
        """There is no reply, and that is an answer, too."""
        self.outcome.got = True
        self.parent.fail(failure)

    def can_cut(self) -> bool:
        """It is part of another reply."""
        return False
