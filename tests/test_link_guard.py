"""An exception of ours costs the request whose reply was being handled: neither its neighbours nor the connection.

The mistake of these tests is a rule for merging that does not exist, as `Merged` finds out when it has all replies.
"""

from collections.abc import Callable

import pytest

from kidoproxy.channels.counts import Counted
from kidoproxy.channels.listener import Fence, Listener
from kidoproxy.channels.switchboard import Switchboard
from kidoproxy.commands.find import COMMANDS
from kidoproxy.errors import NodeFailure
from kidoproxy.exchange import Around, Exchange, Soft
from kidoproxy.exchange_copies import Judged
from kidoproxy.exchange_lanes import Lanes, LaneWire, OnLane
from kidoproxy.exchange_multi import Batch, Transaction
from kidoproxy.exchange_reask import Again, Reask
from kidoproxy.exchange_scripts import Attendance, Loading
from kidoproxy.ledger import Call, Dropped, Ledger, Leg, Part
from kidoproxy.ledger_merged import Merged
from kidoproxy.link import NodeLink
from kidoproxy.link_greeting import Ear, Greeting, Login
from kidoproxy.link_guard import unasked
from kidoproxy.routes.book import Book
from kidoproxy.routes.health import MISHAPS
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.plan import Gather, Send
from kidoproxy.routes.route import Ask
from kidoproxy.routes.topology import CopyGroup, Node
from kidoproxy.session.conversation import ClientSession
from kidoproxy.session.facts import WithFacts
from kidoproxy.session.house import House, PoolFacts
from kidoproxy.session.scripts import Noted
from tests.greet import greet
from tests.story import only_default, ring

NO_RULE = 999
GET = COMMANDS[b"get"]


class Rig:
    """An exchange with one node, whose link is ready, and the ledger of one client."""

    def __init__(self) -> None:
        self.node = Node(0, "a", "a:6379", 1)
        self.exchange = Exchange([self.node], [Login()])
        self.exchange.now = 1.0
        self.ledger = Ledger(self.exchange.turn)
        self.link = self.exchange.link(self.node, 2, 0)
        self.ready(self.link)

    def ready(self, link: NodeLink) -> None:
        """The node answers the greeting."""
        link.wake()
        link.connected(1.0, 1.0)
        link.feed(greet(link, b"run_id:1\r\n"), 1.0)
        link.take_out()

    def call(self) -> Call:
        """A place in the ledger."""
        return self.ledger.open(True)

    def bad(self, parent: Leg) -> Leg:
        """A leg whose reply cannot be handled."""
        return Part(Merged(parent, 1, NO_RULE, 2, b"dbsize", False), 0)

    def place(self, leg: Leg) -> None:
        """Send something for it."""
        self.link.place(leg, b"*1\r\n$4\r\nPING\r\n", 2, 0, self.exchange.now)

    def heard(self) -> list[bytes]:
        """What the client was told, reply by reply."""
        return b"".join(self.ledger.take_out()).split(b"\r\n")[:-1]


def session(rig: Rig) -> ClientSession:
    """A client's conversation over the rig's node."""
    pool = PoolFacts("cache", "ring", NodeRoute(rig.node), ring("a").words)
    pool.users = only_default(b"")
    return ClientSession(House(rig.exchange), pool, "me:1", "proxy:1")


def on_lane(rig: Rig) -> Leg:
    """A request that waits on a lane."""
    lanes = Lanes(rig.exchange)
    wire = LaneWire(lanes, 0.0, b"*-1\r\n")
    leg = OnLane(wire, lanes.lend(rig.node, 2, 0), rig.bad(rig.call()), 1, b"")
    wire.waiting.append(leg)
    return leg


def batch(rig: Rig, whole: bool) -> Leg:
    """A transaction of one command."""
    found = Batch(Transaction(rig.exchange, None), rig.node, rig.bad(rig.call()) if whole else None)
    found.missing = 1
    if not whole:
        found.legs = [rig.bad(rig.call())]
    return found


def reask(rig: Rig) -> Reask:
    """A read that no other node can be asked for."""
    return Reask(rig.exchange, rig.bad(rig.call()), b"", rig.node, [], 2, 0)


CHAINS: dict[str, Callable[[Rig], Leg]] = {
    "merged": lambda rig: rig.bad(rig.call()),
    "merged in merged": lambda rig: rig.bad(rig.bad(rig.call())),
    "soft": lambda rig: Soft(rig.exchange, rig.bad(rig.call()), b"", GET, 2),
    "reask": reask,
    "again": lambda rig: Again(reask(rig)),
    "counted": lambda rig: Counted(
        Switchboard(rig.exchange, NodeRoute(rig.node)), COMMANDS[b"publish"], [], rig.bad(rig.call())
    ),
    "noted": lambda rig: Noted(Book(), b"", [], rig.bad(rig.call()), None),
    "attendance": lambda rig: Attendance(Loading(rig.exchange), rig.bad(rig.call()), rig.node),
    "info": lambda rig: WithFacts(session(rig), [b"info"], rig.bad(rig.call())),
    "lane": on_lane,
    "whole transaction": lambda rig: batch(rig, True),
    "transaction": lambda rig: batch(rig, False),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=list(CHAINS))
def test_neighbours_are_answered_and_the_connection_stays(chain: Callable[[Rig], Leg]) -> None:
    """Whoever stands between the node and the client: one error for it, in its turn, and the next replies as ever."""
    rig = Rig()
    before, leg, behind = rig.call(), chain(rig), rig.call()
    for one in (before, leg, behind):
        rig.place(one)
    rig.link.feed(b"+1\r\n*1\r\n+2\r\n+3\r\n", 1.0)
    first, error, last = rig.heard()
    assert (first, last) == (b"+1", b"+3")
    assert error.startswith(b"-BADREPLY a a:6379 (its reply to '")
    assert len(error) <= 200
    assert rig.link.ready()
    assert rig.node.troubles["mishap"] == 1
    assert [name for name, _ in rig.node.mishaps] in (["dbsize"], ["exec"])


@pytest.mark.parametrize("chain", CHAINS.values(), ids=list(CHAINS))
def test_lost_while_it_waits(chain: Callable[[Rig], Leg]) -> None:
    """A handler that cannot bear the loss of its connection keeps nobody else from hearing of it."""
    rig = Rig()
    leg, behind = chain(rig), rig.call()
    for one in (leg, behind):
        rig.place(one)
    rig.link.take_out()
    rig.link.lost("gone", 2.0, True)
    assert [line[:15] for line in rig.heard()] == [b"-NODEDOWN a a:6"] * 2


def test_a_failure_that_cannot_be_told() -> None:
    """Half of a merged reply fails and its handler raises: its client hears of it, the others too."""
    rig = Rig()
    joint = Merged(rig.call(), 2, NO_RULE, 2, b"del", True)
    # The second part has no place, as a wrong plan would have it.
    joint.places = [[0]]
    behind = rig.call()
    for leg in (Part(joint, 0), Part(joint, 1), behind):
        rig.place(leg)
    rig.link.feed(b":1\r\n", 1.0)
    rig.link.lost("gone", 2.0, True)
    assert [line[:15] for line in rig.heard()] == [b"-NODEDOWN a a:6"] * 2
    assert rig.node.troubles["mishap"] == 1


def test_a_client_that_is_gone() -> None:
    """A handler that raises, and raises again when it is told so, harms nobody."""
    rig = Rig()
    leg, behind = Part(Merged(rig.call(), 1, NO_RULE, 2, b"", False), 0), rig.call()
    rig.place(leg)
    rig.ledger.forgive()
    other = Ledger(rig.exchange.turn)
    behind = other.open(False)
    rig.place(behind)
    rig.link.feed(b":1\r\n:2\r\n", 1.0)
    assert other.take_out() == [b":2\r\n"]
    assert rig.node.troubles["mishap"] == 2
    assert [name for name, _ in rig.node.mishaps] == ["call", "call"]


def test_a_write_of_copies_whose_replies_cannot_be_judged() -> None:
    """The copies may differ, and are looked at; a sync does not wait for the judgement for ever."""
    for touched, mended, behind in (([b"k"], 1, []), ([], 0, ["b"])):
        nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
        group = CopyGroup("pair", nodes)
        for copy in group.copies:
            group.admit(copy.node)
        exchange = Exchange(nodes, [Login(), Login()])
        ledger = Ledger(exchange.turn)
        plan = Gather([Send(node, None) for node in nodes], 0)
        plan.group, plan.write, plan.touched = group, True, touched
        judged = Judged(ledger.open(True), plan, group, Ask(0, 2, False, False, 0, Book()))
        judged.doubt(1)
        failure = NodeFailure("BADREPLY", "a", "a:6379", "a bug", True)
        Part(judged, 0).abort(failure, False)
        judged.fill(0, b"+OK\r\n")
        judged.fill(1, b"+OK\r\n")
        assert len(ledger.take_out()) == 1
        assert (len(group.to_mend), group.behind()) == (mended, behind)
        assert not group.under_way
        assert not any(copy.doubts for copy in group.copies)


def test_a_lane_in_doubt_is_closed() -> None:
    """What raises before the lane is given back: nobody gets it any more."""
    rig = Rig()
    leg = on_lane(rig)
    assert isinstance(leg, OnLane)
    leg.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert leg.loan.over
    assert leg.wire.waiting == []


def test_a_greeting_that_cannot_be_handled() -> None:
    """A link that is greeted by half is given up; a listener asks for the echo of its batch again."""
    rig = Rig()
    greeting = Greeting(rig.link, [])
    greeting.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert greeting.title() == "the greeting"
    rig.place(Dropped())
    rig.link.feed(b"+1\r\n", 1.0)
    assert not rig.link.ready()
    assert rig.node.cause == "a bug"

    rig = Rig()
    board = Switchboard(rig.exchange, NodeRoute(rig.node))
    listener = Listener(rig.exchange, rig.node, board.stations[0])
    rig.ready(listener.link)
    Fence(listener, b"").abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert listener.link.take_out() == [b"*2\r\n$4\r\nPING\r\n$1\r\n1\r\n"]


def test_pushes_and_listeners() -> None:
    """A listener that raises costs the message; one that raises at the end of its connection costs nothing."""
    rig = Rig()
    rig.link.ear = Ear()
    behind, lost = rig.call(), rig.call()
    rig.place(behind)
    rig.link.feed(b">1\r\n+x\r\n+1\r\n+line\r\n", 1.0)
    rig.place(lost)
    rig.link.lost("gone", 1.0, True)
    assert [line[:4] for line in rig.heard()] == [b"+1", b"-NOD"]
    assert [name for name, _ in rig.node.mishaps] == ["a push", "a push", "a listener"]


def test_exceptions_are_kept_in_bounds() -> None:
    """All are counted, a few are kept for the log."""
    rig = Rig()
    for _ in range(3 * MISHAPS):
        rig.place(rig.bad(rig.call()))
    rig.link.feed(b":1\r\n" * 3 * MISHAPS, 1.0)
    assert len(rig.heard()) == 3 * MISHAPS
    assert len(rig.node.mishaps) == MISHAPS
    assert rig.node.troubles == {"mishap": 3 * MISHAPS}


def test_what_a_leg_is_called() -> None:
    """By its command, as far as it is known."""
    rig = Rig()
    call = rig.call()
    assert call.title() == "call"
    call.payload = b"*2\r\n$3\r\nGeT\r\n$1\r\nk\r\n"
    assert call.title() == "get"
    call.payload = b"PING\r\n"
    assert call.title() == "call"


def test_told_already() -> None:
    """What could not hear of its failure is not told again; what is around a leg hands on what it hears."""
    rig = Rig()
    call = rig.call()
    Soft(rig.exchange, call, b"", GET, 2).abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), True)
    told = rig.heard()
    Dropped().abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), True)
    assert rig.heard() == []
    assert [line[:9] for line in told] == [b"-BADREPLY"]
    Around(rig.call()).take(b"+x\r\n")
    assert rig.heard() == [b"+x"]


def test_bytes_held_for_what_never_finishes() -> None:
    """They are given back."""
    rig = Rig()
    call = rig.call()
    joint = Merged(call, 2, NO_RULE, 2, b"dbsize", False)
    call.hold(500)
    joint.held = 500
    joint.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert rig.ledger.waiting_bytes == 0
    Reask(rig.exchange, rig.call(), b"", rig.node, [], 2, 0).hold(7)
    assert rig.ledger.waiting_bytes == 7


def test_given_up_while_its_replies_are_handled() -> None:
    """What comes behind the reply that broke the link is nobody's, not a reply too many."""
    rig = Rig()
    rig.link.lost("gone", 1.0, True)
    unasked(rig.link, 1.0)
    assert rig.node.cause == "gone"
    assert "unasked reply" not in rig.node.troubles

    rig = Rig()
    rig.place(rig.bad(rig.call()))
    rig.place(rig.call())
    rig.link.broken = "it was closed"
    rig.link.feed(b"+1\r\n+2\r\n", 1.0)
    assert rig.node.cause == "it was closed"
    assert [line[:11] for line in rig.heard()] == [b"-BADREPLY a", b"-NODEDOWN a"]


def test_a_transaction_in_doubt_closes_its_lane() -> None:
    """Nobody else may run what it has queued there."""
    rig = Rig()
    loan = Lanes(rig.exchange).lend(rig.node, 2, 0)
    found = Batch(Transaction(rig.exchange, loan), rig.node, None)
    found.legs = [rig.call()]
    found.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert loan.over
    assert [line[:9] for line in rig.heard()] == [b"-BADREPLY"]


def test_a_read_that_may_not_be_asked_again() -> None:
    """When no copy is trusted any more the next one is not asked: the group says why."""
    nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
    group = CopyGroup("pair", nodes)
    exchange = Exchange(nodes, [Login(), Login()])
    ledger = Ledger(exchange.turn)
    group.elected = False
    group.refusal = b"-NODEDOWN nobody is trusted\r\n"
    reask = Reask(exchange, ledger.open(False), b"", nodes[0], [nodes[1]], 2, 0)
    reask.take(b"-LOADING\r\n")
    assert ledger.take_out() == [group.refusal]
    # Nodes that are no copies can be asked in turn, too.
    alone = Exchange([Node(0, "a", "a:6379", 1), Node(1, "b", "b:6379", 2)], [Login(), Login()])
    ledger = Ledger(alone.turn)
    alone.scatter(
        Send(alone.nodes[0], b"*1\r\n$4\r\nPING\r\n", [alone.nodes[1]]),
        ledger.open(False),
        b"",
        GET,
        Ask(0, 2, False, False, 0),
    )
    assert alone.link(alone.nodes[0], 2, 0).count() == 1


def test_a_judged_write_is_aborted_once() -> None:
    """A read of several copies has nothing that waits for its judgement."""
    nodes = [Node(at, name, f"{name}:6379", at + 1) for at, name in enumerate("ab")]
    group = CopyGroup("pair", nodes)
    exchange = Exchange(nodes, [Login(), Login()])
    ledger = Ledger(exchange.turn)
    plan = Gather([Send(node, None) for node in nodes], 0)
    plan.group = group
    judged = Judged(ledger.open(True), plan, group, Ask(0, 2, False, False, 0, Book()))
    judged.abort(NodeFailure("BADREPLY", "a", "a:6379", "a bug", True), False)
    assert not group.to_mend
    assert [raw[:9] for raw in ledger.take_out()] == [b"-BADREPLY"]


def test_answered_legs_keep_no_request() -> None:
    """The connection forgets them many at a time: what they might have asked again must not stay."""
    rig = Rig()
    request = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
    soft = Soft(rig.exchange, rig.call(), request, GET, 2)
    soft.take(b"$1\r\nv\r\n")
    again = Reask(rig.exchange, rig.call(), request, rig.node, [], 2, 0)
    again.take(b"$1\r\nv\r\n")
    assert (soft.request, again.request) == (b"", b"")
    missed = Soft(rig.exchange, rig.call(), request, GET, 2)
    missed.take(b"-LOADING\r\n")
    assert missed.request == b""
    assert rig.heard() == [b"$1", b"v", b"$1", b"v", b"$-1"]
