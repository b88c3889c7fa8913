"""The exchange hands the parts of a plan to the links, and knows which links there are.

`scatter` walks a plan: a `Send` becomes one leg on one link, a `Gather` a joint with a place for each
part, an `Answer` is taken at once. Inside a transaction the same walk fills a `Batch` per node instead
of the links; that is the only difference.
"""

from typing import final

from kidoproxy import errors
from kidoproxy.commands.nothing import nothing
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.cursor import advance
from kidoproxy.errors import NodeFailure
from kidoproxy.ledger import Joint, Leg, Listed, Merged, Part, Turn
from kidoproxy.link import Login, NodeLink
from kidoproxy.resp.build import array, command
from kidoproxy.resp.open import is_error, items
from kidoproxy.resp.requests import Request
from kidoproxy.routes.plan import Answer, Gather, Plan, Send
from kidoproxy.routes.route import Ask
from kidoproxy.routes.topology import IN_SYNC, CopyGroup, Node

MULTI: bytes = command([b"MULTI"])
EXEC: bytes = command([b"EXEC"])

#: A node that answers with one of these did not run the command, and is not fit to.
TROUBLE: tuple[bytes, ...] = (
    b"-LOADING",
    b"-OOM",
    b"-READONLY",
    b"-MISCONF",
    b"-MASTERDOWN",
    b"-BUSY ",
    b"-NOAUTH",
    b"-NOPERM",
    b"-NOSCRIPT",
    b"-NOREPLICAS",
)


def in_trouble(raw: bytes) -> bool:
    """Whether a reply says that the node could not do its work, rather than that the request was wrong."""
    return raw[:1] == b"-" and raw.startswith(TROUBLE)


class Wire:
    """Where a walk over a plan puts its legs: the links themselves, or the batches of a transaction."""

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """Send ``payload`` to ``node`` for ``leg``."""
        raise NotImplementedError

    def softened(self, write: bool) -> None:
        """A miss was answered in place of a failure, or (``write``) a write was dropped."""
        raise NotImplementedError

    def scatter(self, plan: Plan, leg: Leg, raw: bytes, spec: CommandSpec, ask: Ask) -> None:
        """Walk ``plan``; whatever it comes to is taken by ``leg``. ``raw`` is the request's own frame."""
        if isinstance(plan, Send):
            payload = plan.payload if plan.payload is not None else raw
            if ask.soft:
                leg = Soft(self, leg, payload, spec, ask.proto)
            if plan.others:
                leg = Reask(self, leg, payload, plan.others, ask.proto, ask.db)
            self.send(plan.node, leg, payload, ask.proto, ask.db)
        elif isinstance(plan, Gather):
            self.gather(plan, leg, raw, spec, ask)
        elif isinstance(plan, Answer):
            leg.take(plan.frame)

    def gather(self, plan: Gather, leg: Leg, raw: bytes, spec: CommandSpec, ask: Ask) -> None:
        """Open a joint of the right kind and walk the parts."""
        joint = self.joint(plan, leg, spec, ask)
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
        if ask.each:
            return Listed(leg, count, spec.write)
        merged = Merged(leg, count, plan.rule, ask.proto, spec.name, spec.write)
        merged.places = plan.places
        merged.keys = plan.keys
        return merged


@final
class Exchange(Wire):
    """The links by node, and by what they are for. ``now`` is set by whoever feeds us, once per batch."""

    def __init__(self, nodes: list[Node], logins: list[Login]) -> None:
        self.nodes = nodes
        self.logins = logins
        self.links: list[list[NodeLink | None]] = [[] for _ in nodes]
        self.dirty: list[NodeLink] = []
        self.turn = Turn()
        self.now = 0.0
        self.seed = 1
        self.soft_misses = 0
        self.dropped_writes = 0

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
        link.jitter = self.seed + node.index
        links[way] = link
        return link

    def links_of(self, node: Node) -> list[NodeLink]:
        """Every link to ``node`` that there is."""
        return [link for link in self.links[node.index] if link is not None]

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """One leg on one link."""
        self.link(node, proto, db).place(leg, payload, proto, db, self.now)

    def send_folded(self, node: Node, leg: Leg, request: Request, proto: int, db: int) -> None:
        """A large request, piece by piece; its link queues all of them at once."""
        link = self.link(node, proto, db)
        rest = request.rest
        if link.open and rest is not None:
            link.place(leg, request.raw, proto, db, self.now)
            link.follow(leg, rest)
        else:
            request.unfold()
            link.place(leg, request.raw, proto, db, self.now)

    def softened(self, write: bool) -> None:
        """Count it."""
        if write:
            self.dropped_writes += 1
        else:
            self.soft_misses += 1

    def all_links(self) -> list[NodeLink]:
        """Every link there is."""
        return [link for node in self.nodes for link in self.links_of(node)]

    def tick(self, now: float) -> None:
        """Deadlines of all links."""
        self.now = now
        for link in self.all_links():
            link.tick(now)


@final
class Soft(Leg):
    """For a pool that treats a node that is down as a miss: what would be answered if there were nothing."""

    def __init__(self, wire: Wire, parent: Leg, payload: bytes, spec: CommandSpec, proto: int) -> None:
        super().__init__()
        self.wire = wire
        self.parent = parent
        self.request = payload
        self.spec = spec
        self.proto = proto
        self.begun = False

    def take(self, raw: bytes) -> None:
        """A node's reply is the reply."""
        self.parent.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """A miss, counted; where there is no honest one, or half a reply has left, the failure stands."""
        frame = None if self.begun else nothing(self.spec, self.request, self.proto)
        if frame is None:
            self.parent.fail(failure)
            return
        self.wire.softened(self.spec.write)
        self.parent.take(frame)

    def can_cut(self) -> bool:
        """As its parent may."""
        return self.parent.can_cut()

    def cut(self, piece: bytes) -> None:
        """As its parent does."""
        self.begun = True
        self.parent.cut(piece)


@final
class Reask(Leg):
    """A read of a copy pool: if the node gives no reply, or cannot serve, the next one is asked."""

    def __init__(self, wire: Wire, parent: Leg, payload: bytes, others: list[Node], proto: int, db: int) -> None:
        super().__init__()
        self.wire = wire
        self.parent = parent
        self.request = payload
        self.others = others
        self.at = 0
        self.proto = proto
        self.db = db

    def take(self, raw: bytes) -> None:
        """A node in trouble is no answer while another can be asked."""
        if self.at < len(self.others) and in_trouble(raw):
            self.next()
        else:
            self.parent.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """Ask the next one; the last one's failure stands."""
        if self.at < len(self.others):
            self.next()
        else:
            self.parent.fail(failure)

    def next(self) -> None:
        """Ask the next node, with a deadline of its own."""
        node = self.others[self.at]
        self.at += 1
        again = Again(self)
        self.wire.send(node, again, self.request, self.proto, self.db)

    def can_cut(self) -> bool:
        """As its parent may."""
        return self.parent.can_cut()

    def cut(self, piece: bytes) -> None:
        """From here on this node's answer is the answer."""
        self.at = len(self.others)
        self.parent.cut(piece)


@final
class Again(Leg):
    """A further attempt of a `Reask`; a leg of its own, for the first one may still be in its link's fifo."""

    def __init__(self, reask: Reask) -> None:
        super().__init__()
        self.reask = reask

    def take(self, raw: bytes) -> None:
        """Its reply is the read's reply."""
        self.reask.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """Its failure is the read's failure."""
        self.reask.fail(failure)

    def can_cut(self) -> bool:
        """As the read may."""
        return self.reask.can_cut()

    def cut(self, piece: bytes) -> None:
        """As the read does."""
        self.reask.cut(piece)


@final
class Judged(Joint):
    """The copies of one write: the leader's reply stands, a copy that missed the write is behind from now on."""

    def __init__(self, parent: Leg, plan: Gather, group: CopyGroup, ask: Ask) -> None:
        super().__init__(parent, len(plan.plans))
        self.plan = plan
        self.group = group
        self.db = ask.db
        self.each = ask.each
        self.touched = plan.touched

    def finish(self) -> None:
        """Every in-sync copy has answered or failed."""
        good: list[int] = []
        asked = self.asked()
        for at in range(len(self.replies)):
            failed = self.failures and self.failures[at] is not None
            if not failed and not in_trouble(self.replies[at]) and self.counts(asked[at]):
                good.append(at)
        if not good:
            self.nobody()
            return
        if self.plan.write:
            self.group.leave([node for at, node in enumerate(self.asked()) if at not in good])
            self.compare(good)
        if self.each:
            self.parent.take(self.listed())
        elif self.plan.write and len(good) < self.group.min_in_sync:
            names = [node.name for at, node in enumerate(self.asked()) if at in good]
            self.parent.take(errors.few_copies(names, self.group.min_in_sync))
        else:
            self.parent.take(self.replies[good[0]])

    def counts(self, node: Node) -> bool:
        """Whether a copy's word counts: one that has missed another write meanwhile acknowledges nothing."""
        return self.group.copy_of(node).state == IN_SYNC

    def asked(self) -> list[Node]:
        """The nodes of the parts, the leader's first."""
        return [plan.node for plan in self.plan.plans if isinstance(plan, Send)]

    def compare(self, good: list[int]) -> None:
        """Replies that should be equal and are not: these keys' copies may differ."""
        first = self.replies[good[0]]
        for at in good[1:]:
            if self.replies[at] != first:
                self.group.mismatches += 1
                self.group.mend_later(self.db, self.touched or [])
                return

    def nobody(self) -> None:
        """No copy took the write: each keeps its place, but they may differ now."""
        failure = self.first_failure()
        if failure is not None and failure.maybe_ran and self.plan.write:
            if self.touched:
                self.group.mend_later(self.db, self.touched)
            else:
                self.group.leave(self.asked()[1:])
        if self.each:
            self.parent.take(self.listed())
        elif failure is not None:
            self.parent.fail(failure)
        else:
            self.parent.take(self.replies[0])

    def listed(self) -> bytes:
        """Each node's own reply in the order of the configuration; an error in the place of the others."""
        asked = self.asked()
        rows: list[bytes] = []
        for copy in self.group.copies:
            if copy.node in asked:
                at = asked.index(copy.node)
                failure = self.failures[at] if self.failures else None
                rows.append(failure.line(self.plan.write) if failure is not None else self.replies[at])
            else:
                rows.append(errors.behind(copy.node.name))
        return array(rows)


@final
class Stray(Leg):
    """A write's part for a copy that is not in sync: nobody waits for it, but its sync must know if it was lost."""

    def __init__(self, group: CopyGroup, node: Node) -> None:
        super().__init__()
        self.group = group
        self.node = node

    def take(self, raw: bytes) -> None:
        """What the copy says does not matter, unless it did nothing."""
        if in_trouble(raw):
            self.group.missed(self.node)

    def fail(self, failure: NodeFailure) -> None:
        """The copy did not get it, or nobody knows."""
        self.group.missed(self.node)


@final
class Scanned(Joint):
    """One step of a SCAN: the node's cursor becomes ours."""

    def __init__(self, parent: Leg, number: int, following: int) -> None:
        super().__init__(parent, 1)
        self.number = number
        self.following = following

    def finish(self) -> None:
        """Rewrite the cursor."""
        failure = self.first_failure()
        if failure is not None:
            self.parent.fail(failure)
        else:
            self.parent.take(advance(self.replies[0], self.number, self.following))


@final
class Batch(Leg):
    """One node's part of a transaction: MULTI, its commands, EXEC; the array of EXEC is dealt out to the legs."""

    def __init__(self, whole: Leg | None) -> None:
        super().__init__()
        self.payloads: list[bytes] = []
        self.legs: list[Leg] = []
        self.missing = 0
        #: The transaction's own leg, when this node's EXEC reply is the whole reply.
        self.whole = whole

    def take(self, raw: bytes) -> None:
        """+OK, +QUEUED …, then what EXEC says."""
        self.missing -= 1
        if self.missing > 0:
            return
        if self.whole is not None:
            self.whole.take(raw)
            return
        replies = [] if is_error(raw) else items(raw)
        for at, leg in enumerate(self.legs):
            leg.take(replies[at] if at < len(replies) else self.aborted(raw))

    def aborted(self, raw: bytes) -> bytes:
        """EXEC itself was refused by this node."""
        if is_error(raw):
            return raw
        return errors.line(f"ERR the transaction was not run on its node: {raw[:24]!r}")

    def fail(self, failure: NodeFailure) -> None:
        """Every place of this node's holds the failure."""
        if self.whole is not None:
            self.whole.fail(failure)
            return
        for leg in self.legs:
            leg.fail(failure)


@final
class Transaction(Wire):
    """Collects what a queued transaction sends to each node, then sends each node's part at one go."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.batches: dict[int, Batch] = {}

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """Add to the node's batch."""
        batch = self.batches.get(node.index)
        if batch is None:
            batch = Batch(None)
            self.batches[node.index] = batch
        batch.payloads.append(payload)
        batch.legs.append(leg)

    def softened(self, write: bool) -> None:
        """Count it where all are counted."""
        self.exchange.softened(write)

    def whole(self, node: Node, leg: Leg, plans: list[Plan | None], raws: list[bytes]) -> None:
        """All of it is for one node: what its EXEC says is the whole reply."""
        batch = Batch(leg)
        for plan, raw in zip(plans, raws, strict=True):
            payload = plan.payload if isinstance(plan, Send) else None
            batch.payloads.append(payload if payload is not None else raw)
        self.batches[node.index] = batch

    def go(self, proto: int, db: int) -> None:
        """Send every batch: one contiguous ``MULTI … EXEC`` for each node."""
        exchange = self.exchange
        for index, batch in self.batches.items():
            replies = len(batch.payloads) + 2
            batch.missing = replies
            payload = MULTI + b"".join(batch.payloads) + EXEC
            node = exchange.nodes[index]
            exchange.link(node, proto, db).place(batch, payload, proto, db, exchange.now, replies)
