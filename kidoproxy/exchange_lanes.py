"""Lanes: links that one session has to itself for a while, because what it does there would hold up or confuse others.

A lane comes back clean and is kept for the next one who asks, or it is closed: a lane whose connection died, whose
client went away while it waited, or of which anything is in doubt, is never lent again. How many may be lent at a
time is bounded for each node, so that no client can use up what the others need.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy import errors, limits
from kidoproxy.errors import NODEDOWN, OVERLOADED, NodeFailure
from kidoproxy.exchange import Around, Exchange, Walk
from kidoproxy.exchange_at_once import AtOnce, Outcome
from kidoproxy.exchange_endings import Endings
from kidoproxy.ledger import Dropped, Leg
from kidoproxy.link import NodeLink
from kidoproxy.link_first import has_sent, place_first
from kidoproxy.link_greeting import NEVER
from kidoproxy.link_states import DOWN, IDLE
from kidoproxy.resp import build
from kidoproxy.resp.open import is_error
from kidoproxy.routes.topology import Node

#: There was nothing to unblock.
NOTHING: Final = build.integer(0)


@final
class Lanes:
    """The lanes to all nodes: ``lent`` counts those that sessions have, ``idle`` holds the clean ones, by node."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.most = limits.LANES
        #: Whether a socket may be opened; None: always.
        self.has_room: Callable[[], bool] | None = None
        self.lent: list[int] = [0] * len(exchange.nodes)
        self.idle: list[list[NodeLink]] = [[] for _ in exchange.nodes]
        self.loans: dict[int, Loan] = {}
        self.loan_number = 0
        #: Until when an idle lane is kept, by node: a rush leaves some, and they go when nobody wants them.
        self.kept_until: list[float] = [0.0] * len(exchange.nodes)
        #: What is to be unblocked, and was not yet blocked when its node was asked for that: ask again.
        self.again: list[OnLane] = []
        self.endings = Endings(len(exchange.nodes))
        #: Links past all others, to nodes that may answer nobody else; see `PastAll`.
        self.past_all: list[NodeLink | None] = [None for _ in exchange.nodes]

    def refusal(self, node: Node) -> NodeFailure | None:
        """Why none can be lent; a node that is down is not tested by anybody's request."""
        if not node.live:
            return NodeFailure(NODEDOWN, node.name, node.address, node.cause, False)
        if self.lent[node.index] >= self.most:
            cause = f"all of its {self.most} lanes are in use"
            return NodeFailure(OVERLOADED, node.name, node.address, cause, False)
        if self.has_room is not None and not self.idle[node.index] and not self.has_room():
            cause = "no file is left for another connection; raise the limit of open files"
            return NodeFailure(OVERLOADED, node.name, node.address, cause, False)
        return None

    def lend(self, node: Node, proto: int, db: int) -> "Loan":
        """A lane to ``node``, which `refusal` has nothing against."""
        at = node.index
        self.lent[at] += 1
        idle = self.idle[at]
        while idle:
            link = idle.pop()
            if link.state != DOWN:
                return self.loan(link)
            self.exchange.forget(link)
        return self.loan(self.exchange.other_link(node, proto, db, True))

    def loan(self, link: NodeLink) -> "Loan":
        """Note that it is lent."""
        self.loan_number += 1
        loan = Loan(self, link, self.loan_number)
        self.loans[loan.number] = loan
        return loan

    def tell(self, waiting: "OnLane", question: bytes) -> None:
        """Tell a node to unblock a request, on every shared link and ahead of all that was not written yet there.

        What others send from now on then comes after it, whichever link it takes. All but the first to arrive find
        nothing to unblock.
        """
        node = waiting.loan.link.node
        waiting.number = waiting.number or self.endings.begin(node.index)
        links = [link for link in self.exchange.links_of(node) if link.state != IDLE]
        if not links:
            links = [self.exchange.link(node, 2, 0)]
        waiting.asked = len(links)
        waiting.tellings += 1
        for link in links:
            place_first(link, Unblocked(waiting), question, self.exchange.now)

    def give_back(self, link: NodeLink) -> None:
        """The lane is clean: nothing waits on it, and nothing that was said there lives on."""
        at = link.node.index
        self.lent[at] -= 1
        link.ear = None
        self.idle[at].append(link)
        self.kept_until[at] = self.exchange.now + limits.IDLE_LANE_SECONDS

    def close(self, link: NodeLink) -> None:
        """The lane must not be used again; who waits on it hears nothing more."""
        self.lent[link.node.index] -= 1
        self.exchange.forget(link)

    def hang_up(self, at: int) -> None:
        """Close that one."""
        link = self.past_all[at]
        if link is not None:
            self.past_all[at] = None
            self.exchange.forget(link)

    def tick(self, now: float) -> None:
        """Close lanes that nobody wants any more; give up those to nodes that are known to be down."""
        again = self.again
        self.again = []
        for waiting in again:
            waiting.wire.let_go(waiting)
        for at, link_past in enumerate(self.past_all):
            if link_past is not None and link_past.count() == 0:
                self.hang_up(at)
        for at, idle in enumerate(self.idle):
            if idle:
                kept = limits.IDLE_LANES if now <= self.kept_until[at] else 0
                self.idle[at] = idle[:kept]
                for link in idle[kept:]:
                    self.exchange.forget(link)
        for loan in list(self.loans.values()):
            link = loan.link
            if link.state != DOWN and not link.node.live:
                link.lost(link.node.cause, now, True)


@final
class Loan:
    """One lane that a session has; it is given back once, clean or not."""

    def __init__(self, lanes: Lanes, link: NodeLink, number: int) -> None:
        self.lanes = lanes
        self.link = link
        self.number = number
        self.over = False

    def give_back(self) -> None:
        """Nothing that was said there lives on."""
        if not self.over:
            self.over = True
            del self.lanes.loans[self.number]
            self.lanes.give_back(self.link)

    def close(self) -> None:
        """It must not be lent again."""
        if not self.over:
            self.over = True
            del self.lanes.loans[self.number]
            self.lanes.close(self.link)


@final
class OnLane(Around):
    """One request that has a lane to itself until it is answered."""

    def __init__(self, wire: "LaneWire", loan: Loan, parent: Leg, replies: int, request: bytes) -> None:
        super().__init__(parent)
        self.wire = wire
        self.loan = loan
        self.request = request
        #: So many replies are to come; the last one is the request's own.
        self.missing = replies
        #: On so many links the node has been told to unblock it, and has not said yet that it has looked. Until then
        #: the lane is kept, for what would be unblocked late is the next one's request.
        self.asked = 0
        #: Its place in `Lanes.endings`; how often the node was told; it has said that it did it; why it could not.
        self.number = 0
        self.tellings = 0
        self.unblocked = False
        self.problem = ""
        self.doubt = False
        #: What came before was refused, so the request's own answer means nothing.
        self.refused = b""

    def take(self, raw: bytes) -> None:
        """The lane is free again before the session goes on."""
        self.missing -= 1
        if self.missing:
            self.refused = raw if is_error(raw) else b""
        else:
            self.wire.over(self)
            if not self.asked:
                self.loan.give_back()
            self.wire.outcome.heard(raw)
            self.parent.take(self.refused or raw)

    def fail(self, failure: NodeFailure) -> None:
        """A late reply, or a lost connection: the lane is of no use."""
        self.give_up()
        self.wire.outcome.got = True
        self.parent.fail(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The lane is in doubt, as far as it was not given back."""
        if self in self.wire.waiting:
            self.wire.over(self)
        self.loan.close()
        self.parent.abort(failure, failed)

    def cut(self, piece: bytes) -> None:
        """It has something."""
        self.wire.outcome.got = True
        self.parent.cut(piece)

    def give_up(self) -> None:
        """It will not be answered on this lane."""
        self.done = True
        self.wire.over(self)
        self.loan.close()


@final
class LaneWire(Walk):
    """Puts each leg of a plan on a lane of its own, and keeps them together while they wait.

    ``patience``: the seconds that the nodes themselves may take (`NEVER` if they may wait for ever), which come on
    top of the usual deadline. ``timed_out``: what they say when that time is over. ``before``: a request that must
    run on the same lane first, empty for none.
    """

    def __init__(self, lanes: Lanes, patience: float, timed_out: bytes, before: bytes = b"") -> None:
        super().__init__(lanes.exchange)
        self.lanes = lanes
        self.patience = patience
        self.timed_out = timed_out
        self.before = before
        self.waiting: list[OnLane] = []
        #: CLIENT UNBLOCK's word, once it was said: what has not been asked yet does not begin to wait.
        self.reason = b""
        self.outcome = Outcome()

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """Borrow a lane, and send."""
        if self.outcome.ending:
            self.send_at_once(node, leg, payload, proto, db)
            return
        if self.reason:
            leg.take(self.unasked())
            return
        refusal = self.lanes.refusal(node)
        if refusal is not None:
            leg.fail(refusal)
            return
        loan = self.lanes.lend(node, proto, db)
        replies = 2 if self.before else 1
        waiting = OnLane(self, loan, leg, replies, payload)
        self.waiting.append(waiting)
        self.lanes.endings.keep_order(loan.link)
        loan.link.place(waiting, self.before + payload, proto, db, self.exchange.now, replies)
        waiting.due = min(waiting.due + self.patience, NEVER)

    def send_at_once(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """Ask for what is there now."""
        AtOnce(self.exchange, self.outcome).send(node, leg, payload, proto, db)

    def asked(self) -> bool:
        """Whether the nodes have been sent what they are to wait for: what others do from now on comes after it."""
        return bool(self.waiting) and all(waiting.loan.link.ready() for waiting in self.waiting)

    def over(self, leg: OnLane) -> None:
        """It waits no more."""
        self.waiting.remove(leg)
        self.ended(leg)

    def ended(self, leg: OnLane) -> None:
        """It does not wait at its node any more."""
        self.lanes.endings.over(leg.loan.link.node.index, leg.number, self.exchange.now)

    def unasked(self) -> bytes:
        """What a node would say to a request that is unblocked at once."""
        return self.timed_out if self.reason == b"TIMEOUT" else errors.UNBLOCKED

    def unblock(self, reason: bytes) -> bool:
        """Make the nodes answer what still waits, as if its time were over (TIMEOUT) or with an error (ERROR).

        The node decides: if something has just come for a request it gets that, and nothing is lost. Whether there
        was anything to unblock.
        """
        self.reason = reason
        found = self.waiting[:]
        for waiting in found:
            self.let_go(waiting)
        return bool(found)

    def let_go(self, waiting: OnLane) -> None:
        """Make the node unblock this one, which then has to be answered within the usual deadline."""
        link = waiting.loan.link
        if waiting.asked or waiting not in self.waiting:
            return
        if not has_sent(link):
            self.take_back(waiting)
        elif link.client_id:
            waiting.due = min(waiting.due, self.exchange.now + link.login.timeout)
            self.lanes.tell(waiting, build.command([b"CLIENT", b"UNBLOCK", link.client_id, self.reason]))
        else:
            self.stop(waiting, "it was unblocked, and its node does not let us ask for that")

    def take_back(self, waiting: OnLane) -> None:
        """Nothing has been sent on this lane, and nothing will be."""
        link = waiting.loan.link
        waiting.give_up()
        if self.outcome.ending:
            self.send_at_once(link.node, waiting.parent, waiting.request, link.home_proto, link.home_db)
        else:
            waiting.parent.take(self.unasked())

    def hurry(self) -> None:
        """One of several lanes has something: the others answer with what they have, be it nothing."""
        self.unblock(b"TIMEOUT")

    def stop(self, waiting: OnLane, why: str) -> None:
        """Cut the lane, and fail what waits there; a client that has hung up was waiting, as far as we know."""
        node = waiting.loan.link.node
        waiting.give_up()
        self.outcome.got = self.outcome.got or not self.outcome.ending
        waiting.parent.fail(NodeFailure(NODEDOWN, node.name, node.address, why, True))

    def end(self) -> None:
        """The client has hung up: its waiting ends at the nodes before anything that comes from now on reaches them.

        What a node has found before that is still an answer, as it would be of a server.
        """
        if self.waiting:
            self.outcome.ending = True
            self.unblock(b"ERROR")

    def abandon(self) -> None:
        """The client is killed: the same, and nobody hears of it."""
        for waiting in self.waiting[:]:
            waiting.parent = Dropped()
            if not has_sent(waiting.loan.link):
                waiting.give_up()
        self.end()


@final
class Unblocked(Leg):
    """Waits for what a node says to CLIENT UNBLOCK; if it cannot do it, the lane is cut."""

    def __init__(self, waiting: OnLane) -> None:
        super().__init__()
        self.waiting = waiting

    def take(self, raw: bytes) -> None:
        """0: the answer is on its way already, or the node has not read yet what it was to unblock."""
        if raw[:1] == b"-":
            self.waiting.problem = "it refuses CLIENT UNBLOCK"
        elif raw != NOTHING:
            self.waiting.unblocked = True
            self.waiting.wire.ended(self.waiting)
        self.looked()

    def fail(self, failure: NodeFailure) -> None:
        """The node cannot be asked, or has been and may unblock whatever it finds there later."""
        self.waiting.problem = failure.reason()
        self.waiting.doubt = True
        self.looked()

    def looked(self) -> None:
        """When all links have answered: the lane is free, or what waits there is unblocked, told again, or cut."""
        waiting = self.waiting
        waiting.asked -= 1
        if waiting.asked:
            return
        if waiting.missing == 0:
            self.set_free()
        elif waiting.unblocked:
            return
        elif waiting.problem:
            self.give_up(waiting.problem)
        elif waiting.tellings == 1:
            waiting.wire.let_go(waiting)
        else:
            waiting.wire.lanes.again.append(waiting)

    def set_free(self) -> None:
        """It was answered before; in doubt nobody uses its lane again."""
        if self.waiting.doubt:
            self.waiting.loan.close()
        else:
            self.waiting.loan.give_back()

    def give_up(self, why: str) -> None:
        """Cut the lane, if it still waits."""
        wire = self.waiting.wire
        if self.waiting in wire.waiting:
            wire.stop(self.waiting, why)
