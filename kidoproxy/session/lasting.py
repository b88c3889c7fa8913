"""Commands whose work grows with all the data that a node has: FLUSHDB of a large cache takes seconds.

The nodes are asked first how much they have, then the command is sent to all of them in one go, with the time that so
much may take; nodes that say nothing are not waited for. Until it is answered its nodes count as busy, not as silent,
on all their connections. The client's next request waits, as it would at a server.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.errors import TIMEOUT, NodeFailure
from kidoproxy.exchange import Around, Exchange, Walk
from kidoproxy.ledger import Leg
from kidoproxy.link_greeting import parse_info, text_of
from kidoproxy.resp.build import command
from kidoproxy.resp.open import is_error
from kidoproxy.resp.requests import Request
from kidoproxy.resp.scan import string2ll
from kidoproxy.routes.route import Ask
from kidoproxy.routes.topology import Node

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

LASTING: Final = (b"flushdb", b"flushall", b"keys", b"save", b"memory|purge")
INFO: Final = COMMANDS[b"info"]
DBSIZE: Final = COMMANDS[b"dbsize"]
HOW_MUCH: Final = [b"INFO", b"memory"]
HOW_MANY: Final = [b"DBSIZE"]
#: What a node frees or looks through in a second, when it is slow.
BYTES_PER_SECOND: Final = 10_000_000
KEYS_PER_SECOND: Final = 100_000
#: Nothing is given more than this, whatever nodes say of themselves.
MOST_SECONDS: Final = 600.0


def begins(session: "ClientSession", spec: CommandSpec, request: Request, leg: Leg) -> bool:
    """Whether this is such a command; it is under way then."""
    if spec.name not in LASTING:
        return False
    sized = Sized(session, spec, request, leg)
    sized.ask(INFO, HOW_MUCH)
    session.wait_if_owed()
    return True


@final
class Sized(Leg):
    """Waits for how much there is, then sends the command."""

    def __init__(self, session: "ClientSession", spec: CommandSpec, request: Request, parent: Leg) -> None:
        super().__init__()
        self.session = session
        self.spec = spec
        self.request = request
        self.parent = parent
        self.each = session.ask.each
        self.asked = b""

    def ask(self, spec: CommandSpec, argv: list[bytes]) -> None:
        """Ask all nodes, as for a client of RESP2."""
        session = self.session
        self.asked = spec.name
        quiet = Ask(session.db, 2, False, False, session.ask.now_ms)
        request = Request(argv, command(argv))
        session.exchange.scatter(session.pool.root.plan(spec, request, quiet), Answered(self), request.raw, spec, quiet)

    def take(self, raw: bytes) -> None:
        """An error means that the nodes' user may not ask; how many keys there are says almost as much."""
        if not is_error(raw):
            self.go(seconds(self.asked, raw))
        elif self.asked == INFO.name:
            self.ask(DBSIZE, HOW_MANY)
        else:
            self.go(0.0)

    def fail(self, failure: NodeFailure) -> None:
        """The command itself will say what is wrong, where, and what it did elsewhere."""
        self.go(0.0)

    def go(self, patience: float) -> None:
        """Send it, for whoever asked, in the way in which it was asked."""
        session = self.session
        ask = session.ask
        each, ask.each = ask.each, self.each
        plan = session.plan(self.spec, self.request)
        Patient(session.exchange, patience).scatter(plan, self.parent, self.request.raw, self.spec, ask)
        ask.each = each


@final
class Answered(Leg):
    """One question of a `Sized`, which may ask two."""

    def __init__(self, sized: Sized) -> None:
        super().__init__()
        self.sized = sized

    def take(self, raw: bytes) -> None:
        """Passed on."""
        self.sized.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """Passed on."""
        self.sized.fail(failure)


def seconds(asked: bytes, raw: bytes) -> float:
    """How long the command may take beside its deadline, from what the nodes say."""
    if asked == INFO.name:
        said = string2ll(parse_info(text_of(raw)).get(b"used_memory", b""))
        return min(max(said or 0, 0) / BYTES_PER_SECOND, MOST_SECONDS)
    said = string2ll(raw[1:-2])
    return min(max(said or 0, 0) / KEYS_PER_SECOND, MOST_SECONDS)


@final
class Patient(Walk):
    """Sends what may take that many seconds more."""

    def __init__(self, exchange: Exchange, patience: float) -> None:
        super().__init__(exchange)
        self.patience = patience

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """Send it, and note that the node is busy."""
        until = self.exchange.now + self.patience
        self.exchange.send(node, Lasting(leg, node, self.patience, until), payload, proto, db)


@final
class Lasting(Around):
    """Its node is busy until it is answered, or its time is over."""

    def __init__(self, parent: Leg, node: Node, patience: float, until: float) -> None:
        super().__init__(parent)
        self.node = node
        self.patience = patience
        node.busy += 1
        node.busy_until = max(node.busy_until, until)

    def over(self) -> None:
        """It is not busy any more, if this was the last."""
        self.node.busy -= 1
        if not self.node.busy:
            self.node.busy_until = 0.0

    def take(self, raw: bytes) -> None:
        """Its reply."""
        self.over()
        self.parent.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """If it was late, it was late by the time that it was given."""
        self.over()
        if failure.code == TIMEOUT and self.patience >= 1.0:
            cause = f"no reply in {self.patience:.0f} s"
            failure = NodeFailure(failure.code, failure.node, failure.address, cause, failure.maybe_ran)
        self.parent.fail(failure)
