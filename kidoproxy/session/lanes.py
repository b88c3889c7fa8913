"""What a session does on a lane of its own: commands that wait, and MONITOR. (WATCH is in `kidoproxy.session.watch`.)

A request that needs a lane comes alone: it begins when nothing is owed to the client any more, and the next one
begins when it is answered, as a server reads nothing from a client that blocks. So what runs on the lane and what
runs on the shared links keeps the client's order.
"""

from typing import TYPE_CHECKING, Final, final

from kidoproxy import errors
from kidoproxy.channels import topics
from kidoproxy.commands.judge import blocks, patience
from kidoproxy.commands.spec import BLOCKING, LANE, LEAST, RELAY, CommandSpec
from kidoproxy.errors import NodeFailure
from kidoproxy.exchange_at_once import ForWaiting
from kidoproxy.exchange_lanes import LaneWire, Loan
from kidoproxy.exchange_past_all import PastAll
from kidoproxy.ledger import Leg
from kidoproxy.link_greeting import Ear
from kidoproxy.resp import build
from kidoproxy.resp.requests import Request
from kidoproxy.routes.topology import Node
from kidoproxy.session import redact, watch

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession

#: WAIT speaks of the writes of its own connection, and a lane has made none; with one, which does nothing but reach
#: the replicas, it waits for all that was written before, by this client through the shared links too.
MARK: Final = build.command([b"PUBLISH", topics.MARK, b""])
MONITOR: Final = build.command([b"MONITOR"])
#: A node that would not be monitored is asked again so often.
RETRY_SECONDS: Final = 1.0


def needed(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether this request cannot share a link: XREAD and XREADGROUP can unless they BLOCK."""
    return spec.reach == LANE and (spec.flags & BLOCKING == 0 or blocks(spec, argv))


def handle(session: "ClientSession", spec: CommandSpec, request: Request) -> None:
    """A request of reach LANE; nothing is owed to the client."""
    if not needed(spec, request.argv):
        session.dispatch(spec, request, session.open(spec))
    elif spec.name == b"watch":
        watch.begin(session, spec, request)
    elif spec.name == b"monitor":
        monitor(session)
    else:
        block(session, spec, request)


def block(session: "ClientSession", spec: CommandSpec, request: Request) -> None:
    """Ask, and let the session wait for the answer however long it takes.

    When the process is about to end nobody begins to wait: cut in the midst, an element that was popped would be lost.
    """
    if session.house.draining:
        session.close()
        return
    before = MARK if spec.rule != RELAY else b""
    wire = LaneWire(session.house.lanes, patience(spec, request.argv), timed_out(spec, session.proto), before)
    wire.outcome.ending = session.hung_up
    session.blocked = wire
    leg = ForWaiting(wire.outcome, session.open(spec))
    wire.scatter(session.plan(spec, request), leg, request.raw, spec, session.ask)
    session.wait_if_owed()


def timed_out(spec: CommandSpec, proto: int) -> bytes:
    """What a node says when the time of this command is over before anything has happened."""
    if spec.rule == RELAY:
        return build.null_array(proto)
    return build.integer(0) if spec.rule == LEAST else build.array([build.integer(0), build.integer(0)])


def kill(session: "ClientSession", spec: CommandSpec, request: Request, leg: Leg) -> None:
    """SCRIPT KILL, FUNCTION KILL: to every node, past all that the script holds up, be the node down for that."""
    PastAll(session.house.lanes).scatter(session.plan(spec, request), leg, request.raw, spec, session.ask)


# -- MONITOR -----------------------------------------------------------------------------------------


@final
class Monitor:
    """Passes on what each node tells of its commands. A node that is lost is listened to again when it is back."""

    def __init__(self, session: "ClientSession", leg: Leg) -> None:
        self.session = session
        self.leg: Leg | None = leg
        self.loans: dict[str, Loan] = {}
        #: Nodes that have not answered yet.
        self.missing = 0
        self.failure: NodeFailure | None = None
        #: Before that time no node is asked again: one of them would not.
        self.retry_at = 0.0

    def listen(self) -> None:
        """Borrow a lane to each node that has none."""
        lanes = self.session.house.lanes
        if self.session.exchange.now < self.retry_at:
            return
        for node in self.session.pool.root.nodes():
            if node.name not in self.loans:
                self.failure = lanes.refusal(node)
                if self.failure is None:
                    self.missing += 1
                    self.attach(node, lanes.lend(node, self.session.proto, 0))

    def attach(self, node: Node, loan: Loan) -> None:
        """Say MONITOR on a lane."""
        self.loans[node.name] = loan
        loan.link.ear = MonitorEar(self, node.name)
        loan.link.place(Attached(self, node.name), MONITOR, self.session.proto, 0, self.session.exchange.now)

    def rejected(self, name: str, failure: NodeFailure | None, refusal: bytes) -> None:
        """This node will not, or could not be asked; each attempt costs it a connection."""
        self.retry_at = self.session.exchange.now + RETRY_SECONDS
        self.detach(name)
        self.attached(failure, refusal)

    def attached(self, failure: NodeFailure | None, refusal: bytes) -> None:
        """A node has answered: when all have, the client hears it once."""
        self.missing -= 1
        self.failure = failure or self.failure
        leg = self.leg
        if self.missing > 0 or leg is None:
            return
        self.leg = None
        if self.loans:
            leg.take(build.OK)
            return
        self.stop()
        if refusal or self.failure is None:
            leg.take(refusal or errors.NO_NODE)
        else:
            leg.fail(self.failure)

    def detach(self, name: str) -> None:
        """This node says nothing more."""
        self.loans.pop(name).close()

    def stop(self) -> None:
        """Close all lanes."""
        for name in list(self.loans):
            self.detach(name)
        self.session.monitor = None
        self.session.house.monitors.remove(self)


@final
class Attached(Leg):
    """Waits for the reply to MONITOR."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        super().__init__()
        self.monitor = monitor
        self.name = name

    def take(self, raw: bytes) -> None:
        """+OK, or why not."""
        if raw[:1] == b"-":
            self.monitor.rejected(self.name, None, raw)
        else:
            self.monitor.attached(None, b"")

    def fail(self, failure: NodeFailure) -> None:
        """No answer."""
        self.monitor.rejected(self.name, failure, b"")


@final
class MonitorEar(Ear):
    """Hears the lines of one node."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        self.monitor = monitor
        self.name = name

    def hear(self, raw: bytes) -> None:
        """A line goes to the client as it is, once MONITOR has been answered, and never into the middle of a reply."""
        if self.monitor.leg is None:
            self.monitor.session.ledger.push(redact.line(raw))

    def ready(self) -> None:
        """MONITOR waits in the link's queue."""

    def deaf(self, failure: NodeFailure) -> None:
        """The node is gone; `Monitor.listen` comes back to it."""
        self.monitor.detach(self.name)


def monitor(session: "ClientSession") -> None:
    """MONITOR; a second one says nothing, as in Redis."""
    if session.monitor is not None:
        return
    found = Monitor(session, session.open(None))
    session.monitor = found
    session.house.monitors.append(found)
    session.settle()
    found.listen()
    if not found.missing:
        found.missing = 1
        found.attached(found.failure, b"")
    session.wait_if_owed()
