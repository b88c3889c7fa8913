"""Walks over the plans of scripts: EVALSHA finds its text, what is loaded reaches absent nodes later.

An EVALSHA that a node answers with NOSCRIPT did not run. It is sent once more behind its text, but only if its
client has sent nothing since: what was sent since may have run, and would have run first. So that a client which
pipelines need not care, the text goes ahead of an EVALSHA that is not the last of its batch, once per connection
and batch.
"""

from typing import Final, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.errors import NODEDOWN, NodeFailure
from kidoproxy.exchange import Around, Exchange, Walk
from kidoproxy.ledger import Joint, Ledger, Leg
from kidoproxy.ledger_merged import Merged
from kidoproxy.link_school import Desk, remind
from kidoproxy.resp.open import is_error
from kidoproxy.routes.book import Book
from kidoproxy.routes.plan import Gather
from kidoproxy.routes.route import Ask
from kidoproxy.routes.topology import IN_SYNC, Node

NOSCRIPT: Final = b"-NOSCRIPT"


# -- EVALSHA ---------------------------------------------------------------------------------------------


@final
class Reciting(Walk):
    """The walk of one EVALSHA. ``call`` is its place in ``ledger``; ``more``: its client has sent more behind it."""

    def __init__(
        self, exchange: Exchange, book: Book, digest: bytes, raw: bytes, ledger: Ledger, call: Leg, more: bool
    ) -> None:
        super().__init__(exchange)
        self.book = book
        self.digest = digest
        self.raw = raw
        self.ledger = ledger
        self.call = call
        self.more = more

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """The text goes ahead if need be; copies get EVAL, which needs none."""
        if payload is self.raw:
            self.recite(node, proto, db, self.more)
            leg = Heal(self, leg, node, proto, db)
        self.exchange.send(node, leg, payload, proto, db)

    def recite(self, node: Node, proto: int, db: int, renew: bool) -> bool:
        """Send the text if it is known; False when it is not."""
        script = self.book.script(self.digest)
        if script is None:
            return False
        exchange = self.exchange
        link = exchange.link(node, proto, db)
        exchange.recited += remind(link, self.digest, script.text, proto, db, exchange.now, renew)
        return True

    def is_last(self) -> bool:
        """Whether its client has sent nothing since."""
        calls = self.ledger.calls
        return bool(calls) and calls[-1] is self.call


@final
class Heal(Around):
    """Around the leg of an EVALSHA: NOSCRIPT is answered with the text, once."""

    def __init__(self, wire: Reciting, parent: Leg, node: Node, proto: int, db: int) -> None:
        super().__init__(parent)
        self.wire = wire
        self.node = node
        self.proto = proto
        self.db = db
        self.tried = False
        self.begun = False

    def take(self, raw: bytes) -> None:
        """The reply; if the node has forgotten the script, the text and the request once more, by the old deadline."""
        wire = self.wire
        forgotten = raw.startswith(NOSCRIPT) and not self.begun
        if forgotten and not self.tried and wire.is_last() and self.recite():
            self.tried = True
            due = self.due
            wire.exchange.send(self.node, self, wire.raw, self.proto, self.db)
            self.due = due
            return
        if self.tried and not forgotten:
            wire.exchange.healed += 1
        self.parent.take(raw)

    def recite(self) -> bool:
        """Send the text again, whatever this connection has carried."""
        link = self.wire.exchange.link(self.node, self.proto, self.db)
        link.taught.pop(self.wire.digest, None)
        return self.wire.recite(self.node, self.proto, self.db, True)

    def cut(self, piece: bytes) -> None:
        """As its parent does; what follows is a part of the reply."""
        self.begun = True
        self.parent.cut(piece)


# -- SCRIPT LOAD and FUNCTION LOAD -----------------------------------------------------------------------


@final
class Loading(Walk):
    """The walk of a request that loads: a node that is down will be taught, so its absence spoils nothing."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        #: Nodes that do not have it, and the failures of those that were not reached at all.
        self.missed: list[Node] = []
        self.absent: list[NodeFailure] = []

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """Note how it goes."""
        self.exchange.send(node, Attendance(self, leg, node), payload, proto, db)

    def joint(self, plan: Gather, leg: Leg, spec: CommandSpec, ask: Ask) -> Joint:
        """The nodes of a ring are merged without those that are down."""
        if plan.group is not None:
            # A copy that is down and behind is not even asked.
            self.missed += [copy.node for copy in plan.group.copies if copy.state != IN_SYNC and not copy.node.live]
        elif not ask.each:
            return Present(self, leg, len(plan.plans), spec, ask.proto)
        return super().joint(plan, leg, spec, ask)

    def note(self, node: Node, failure: NodeFailure | None) -> None:
        """``node`` does not have it."""
        self.missed.append(node)
        if failure is None or failure.code != NODEDOWN or failure.maybe_ran:
            return
        if not any(link.ready() for link in self.exchange.links_of(node)):
            self.absent.append(failure)

    def catch_up(self) -> None:
        """It was loaded: whoever missed it is taught before it serves, and at once if it is there again."""
        for node in self.missed:
            node.school.behind = True
            for link in self.exchange.links_of(node):
                if link.ready():
                    node.school.attend(Desk(link))


@final
class Attendance(Leg):
    """Around the leg of one node: whether it has taken what is loaded."""

    def __init__(self, wire: Loading, parent: Leg, node: Node) -> None:
        super().__init__()
        self.wire = wire
        self.parent = parent
        self.node = node

    def take(self, raw: bytes) -> None:
        """Taken, or refused."""
        if is_error(raw):
            self.wire.note(self.node, None)
        self.parent.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """Not reached, or nobody knows."""
        self.wire.note(self.node, failure)
        self.parent.fail(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As its parent does."""
        self.parent.abort(failure, failed)

    def title(self) -> str:
        """Its parent's."""
        return self.parent.title()


@final
class Present(Joint):
    """Merged as ever, without the nodes that are down, as long as there are others."""

    def __init__(self, wire: Loading, parent: Leg, count: int, spec: CommandSpec, proto: int) -> None:
        super().__init__(parent, count)
        self.wire = wire
        self.spec = spec
        self.proto = proto

    def finish(self) -> None:
        """Hand on what counts."""
        failures = self.failures or [None] * len(self.replies)
        places = [at for at, failure in enumerate(failures) if failure is None or failure not in self.wire.absent]
        if not places:
            places = list(range(len(failures)))
        merged = Merged(self.parent, len(places), self.spec.rule, self.proto, self.spec.name, self.spec.write)
        for place, at in enumerate(places):
            failure = failures[at]
            if failure is None:
                merged.fill(place, self.replies[at])
            else:
                merged.fault(place, failure)
