"""The exchange hands the parts of a plan to the links, and knows which links there are.

`scatter` walks a plan: a `Send` becomes one leg on one link, a `Gather` a joint with a place for each
part, an `Answer` is taken at once. Inside a transaction the same walk fills a `Batch` per node instead
of the links; that is the only difference.
"""

from typing import Final, final

from kidoproxy.commands.nothing import nothing
from kidoproxy.commands.spec import CHOICE, STREAMS, CommandSpec
from kidoproxy.errors import NodeFailure
from kidoproxy.errors_loading import retryable
from kidoproxy.exchange_copies import Judged, Scanned, Stray
from kidoproxy.exchange_peers import Peers
from kidoproxy.exchange_reask import Reask
from kidoproxy.ledger import Joint, Leg, Listed, Part, Turn
from kidoproxy.ledger_chosen import Chosen
from kidoproxy.ledger_jobs import Jobs
from kidoproxy.ledger_merged import Merged
from kidoproxy.ledger_streams import Hurrier, StreamsRead
from kidoproxy.link import NodeLink
from kidoproxy.link_greeting import Login
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Answer, Gather, Plan, Send
from kidoproxy.routes.route import Ask
from kidoproxy.routes.topology import Node

#: What a node answers that is there and cannot serve now: what was asked has not been done.
UNFIT: Final[tuple[bytes, ...]] = (
    b"-LOADING",
    b"-OOM",
    b"-MISCONF",
    b"-MASTERDOWN",
    b"-READONLY",
    b"-BUSY ",
    b"-NOREPLICAS",
)


class Wire(Hurrier):
    """Where a walk over a plan puts its legs: the links themselves, or the batches of a transaction."""

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """Send ``payload`` to ``node`` for ``leg``."""
        raise NotImplementedError

    def softened(self, write: bool) -> None:
        """A miss was answered in place of a failure, or (``write``) a write was dropped."""
        raise NotImplementedError

    def jobs(self) -> Jobs:
        """Where what takes long is done in slices."""
        raise NotImplementedError

    def throw(self) -> int:
        """Dice: the next number that nobody foresees, below SIDES."""
        raise NotImplementedError

    def hurry(self) -> None:
        """Nothing waits here for its own sake."""

    def scatter(self, plan: Plan, leg: Leg, raw: bytes, spec: CommandSpec, ask: Ask) -> None:
        """Walk ``plan``; whatever it comes to is taken by ``leg``. ``raw`` is the request's own frame."""
        if isinstance(plan, Send):
            payload = plan.payload if plan.payload is not None else raw
            if ask.soft and not ask.each:
                leg = Soft(self, leg, payload, spec, ask.proto)
            if plan.others:
                group = plan.node.group
                if group is not None:
                    group.reads += 1
                leg = Reask(self, leg, payload, plan.node, plan.others, ask.proto, ask.db)
            self.send(plan.node, leg, payload, ask.proto, ask.db)
        elif isinstance(plan, Gather):
            self.gather(plan, leg, raw, spec, ask)
        elif isinstance(plan, Answer):
            leg.take(retryable(plan.frame) if ask.as_loading else plan.frame)

    def gather(self, plan: Gather, leg: Leg, raw: bytes, spec: CommandSpec, ask: Ask) -> None:
        """Open a joint of the right kind and walk the parts."""
        if ask.soft and not ask.each and plan.group is not None:
            # The copies judge among themselves who has taken a write: to them a copy that is down has not.
            leg = Soft(self, leg, raw, spec, ask.proto)
            ask = ask.hard()
        joint = self.joint(plan, leg, spec, ask)
        joint.name = spec.name
        raws = plan.raws
        for at, part in enumerate(plan.plans):
            self.scatter(part, Part(joint, at), raws[at] if raws is not None else raw, spec, ask)
        group = plan.group
        if group is not None:
            for node in plan.strays:
                self.send(node, Stray(group, node), plan.stray_payload or raw, ask.proto, ask.db)

    def joint(self, plan: Gather, leg: Leg, spec: CommandSpec, ask: Ask) -> Joint:
        """Copies are judged by their group, lists are listed, the rest is merged."""
        count = len(plan.plans)
        group = plan.group
        if plan.number:
            return Scanned(leg, plan.number, plan.following)
        if group is not None:
            return Judged(leg, plan, group, ask)
        if plan.rule == STREAMS:
            return StreamsRead(leg, count, plan.names, spec.write, self)
        if ask.each:
            return Listed(leg, count, spec.write)
        if plan.rule == CHOICE:
            return Chosen(leg, count, self.throw())
        merged = Merged(leg, count, plan.rule, ask.proto, spec.name, spec.write)
        merged.places = plan.places
        merged.keys = plan.keys
        merged.jobs = self.jobs()
        return merged


@final
class Exchange(Wire):
    """The links by node, and by what they are for. ``now`` is set by whoever feeds us, once per batch."""

    def __init__(self, nodes: list[Node], logins: list[Login]) -> None:
        self.nodes = nodes
        self.logins = logins
        self.links: list[list[NodeLink | None]] = [[] for _ in nodes]
        self.dirty: list[NodeLink] = []
        #: Links outside that table: lanes, and those that listen for us.
        self.others: list[NodeLink] = []
        self.turn = Turn()
        self.now = 0.0
        self.seed = 1
        self.dice = 0
        self.soft_misses = 0
        self.dropped_writes = 0
        #: EVALSHAs that were sent again, and texts that were sent ahead of one.
        self.healed = 0
        self.recited = 0
        peers = Peers(self)
        for node in nodes:
            node.school.librarian = peers

    def link(self, node: Node, proto: int, db: int) -> NodeLink:
        """The link to ``node`` for (protocol, database); a node of a copy pool has one for all."""
        way = db * 2 + proto - 2 if node.group is None else 0
        links = self.links[node.index]
        if way < len(links):
            link = links[way]
            if link is not None:
                return link
        return self.new_link(node, proto, db, way)

    def new_link(self, node: Node, proto: int, db: int, way: int) -> NodeLink:
        """The first request that goes this way."""
        links = self.links[node.index]
        while len(links) <= way:
            links.append(None)
        ordered = node.group is not None
        link = NodeLink(node, self.logins[node.index], 2 if ordered else proto, 0 if ordered else db, self.dirty)
        link.backoff.seed = self.seed + node.index
        links[way] = link
        return link

    def links_of(self, node: Node) -> list[NodeLink]:
        """Every link to ``node`` that there is."""
        return [link for link in self.links[node.index] if link is not None]

    def other_link(self, node: Node, proto: int, db: int, lane: bool) -> NodeLink:
        """A link that is not shared; whoever asked for it gives it back to `forget`."""
        link = NodeLink(node, self.logins[node.index], proto, db, self.dirty)
        link.shared = False
        link.lane = lane
        link.backoff.seed = self.seed + node.index
        self.others.append(link)
        return link

    def forget(self, link: NodeLink) -> None:
        """Close a link of `other_link` for good; what still waits on it hears nothing more."""
        self.others.remove(link)
        link.ear = None
        link.lane = True
        link.reset("it is not needed any more")
        link.fall(self.now)

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """One leg on one link."""
        self.link(node, proto, db).place(leg, payload, proto, db, self.now)

    def send_folded(self, node: Node, leg: Leg, request: Request, proto: int, db: int) -> None:
        """A large request, piece by piece; its link queues all of them at once."""
        link = self.link(node, proto, db)
        rest = request.rest
        if link.open and rest is not None:
            link.place(leg, request.raw, proto, db, self.now)
            link.follow(leg, rest, self.now)
        else:
            request.unfold()
            link.place(leg, request.raw, proto, db, self.now)

    def throw(self) -> int:
        """A linear congruence, whose seed is the process's own."""
        self.dice = (self.dice * 6364136223846793005 + 2 * self.seed + 1442695040888963407) % (1 << 64)
        return self.dice >> 33

    def softened(self, write: bool) -> None:
        """Count it."""
        if write:
            self.dropped_writes += 1
        else:
            self.soft_misses += 1

    def jobs(self) -> Jobs:
        """Those of the process."""
        return self.turn.jobs

    def all_links(self) -> list[NodeLink]:
        """Every link there is."""
        return [link for node in self.nodes for link in self.links_of(node)] + self.others

    def tick(self, now: float) -> None:
        """Deadlines of all links."""
        self.now = now
        for link in self.all_links():
            link.tick(now)


class Walk(Wire):
    """A wire that is not the exchange itself, and counts where all are counted."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def throw(self) -> int:
        """The exchange's."""
        return self.exchange.throw()

    def softened(self, write: bool) -> None:
        """Count it at the exchange."""
        self.exchange.softened(write)

    def jobs(self) -> Jobs:
        """Those of the exchange."""
        return self.exchange.jobs()


class Around(Leg):
    """Around another leg, for what has to happen before it takes its reply: all goes on to ``parent`` as it is."""

    def __init__(self, parent: Leg) -> None:
        super().__init__()
        self.parent = parent

    def take(self, raw: bytes) -> None:
        """A node's reply is the reply."""
        self.parent.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """There is no reply."""
        self.parent.fail(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As its parent does."""
        self.parent.abort(failure, failed)

    def title(self) -> str:
        """Its parent's."""
        return self.parent.title()

    def can_cut(self) -> bool:
        """As its parent may."""
        return self.parent.can_cut()

    def cut(self, piece: bytes) -> None:
        """As its parent does."""
        self.parent.cut(piece)

    def hold(self, size: int) -> None:
        """Its parent counts it."""
        self.parent.hold(size)


@final
class Soft(Around):
    """For a pool that treats a node that is down as a miss: what would be answered if there were nothing."""

    def __init__(self, wire: Wire, parent: Leg, payload: bytes, spec: CommandSpec, proto: int) -> None:
        super().__init__(parent)
        self.wire = wire
        self.request = payload
        self.spec = spec
        self.proto = proto
        self.begun = False

    def fail(self, failure: NodeFailure) -> None:
        """A miss, counted; where there is no honest one, or half a reply has left, the failure stands."""
        if not self.miss():
            self.parent.fail(failure)

    def take(self, raw: bytes) -> None:
        """A node that is there and not fit to serve is as good as down."""
        if raw[:1] != b"-" or not raw.startswith(UNFIT) or not self.miss():
            self.parent.take(raw)
        # The node's connection may know an answered leg for a while.
        self.request = b""

    def miss(self) -> bool:
        """Answer as if there were nothing; False where that cannot be said."""
        frame = None if self.begun else nothing(self.spec, self.request, self.proto)
        if frame is None:
            return False
        self.wire.softened(self.spec.write)
        self.parent.take(frame)
        return True

    def cut(self, piece: bytes) -> None:
        """As its parent does."""
        self.begun = True
        self.parent.cut(piece)
