"""Lanes: how many are lent, when they are kept, and that each is given back once."""

from kidoproxy import limits
from kidoproxy.errors import NodeFailure
from kidoproxy.exchange import Exchange
from kidoproxy.exchange_lanes import Lanes, LaneWire
from kidoproxy.exchange_past_all import PastAll
from kidoproxy.exchange_watched import Watched
from kidoproxy.link_greeting import Login
from kidoproxy.link_states import DOWN, IDLE
from kidoproxy.routes.topology import Node


def lanes() -> Lanes:
    """Lanes to one node."""
    return Lanes(Exchange([Node(0, "a", "a:6379", 1)], [Login()]))


def test_a_loan_is_given_back_once() -> None:
    """Clean or not, the first word counts: the number of lanes that are lent stays right."""
    found = lanes()
    node = found.exchange.nodes[0]
    loan = found.lend(node, 2, 0)
    assert found.lent == [1]
    loan.give_back()
    loan.give_back()
    loan.close()
    assert (found.lent, found.idle) == ([0], [[loan.link]])
    other = found.lend(node, 2, 0)
    assert other.link is loan.link
    other.close()
    other.close()
    other.give_back()
    assert (found.lent, found.idle, found.exchange.others) == ([0], [[]], [])
    assert other.link.state == DOWN


def test_refusal() -> None:
    """A node that is down is not tested by a client's request; nor are more lanes lent than may be."""
    found = lanes()
    node = found.exchange.nodes[0]
    assert found.refusal(node) is None
    found.most = 0
    full = found.refusal(node)
    assert full is not None
    assert (full.code, full.maybe_ran) == ("OVERLOADED", False)
    node.live = False
    node.cause = "gone"
    down = found.refusal(node)
    assert down is not None
    assert (down.code, down.cause) == ("NODEDOWN", "gone")


def test_lanes_that_nobody_wants_are_closed() -> None:
    """They are kept for a while after the last one came back."""
    found = lanes()
    loan = found.lend(found.exchange.nodes[0], 2, 0)
    loan.give_back()
    found.tick(limits.IDLE_LANE_SECONDS)
    assert found.idle == [[loan.link]]
    assert loan.link.state == IDLE
    found.tick(limits.IDLE_LANE_SECONDS + 0.1)
    assert (found.idle, found.exchange.others) == ([[]], [])


def test_watched_ear() -> None:
    """Anything unasked, or the loss of the connection, leaves the lane in doubt; a greeting does not."""
    failure = NodeFailure("NODEDOWN", "a", "a:6379", "gone", False)
    for act in ("hear", "deaf"):
        ear = Watched()
        ear.ready()
        assert not ear.lost
        ear.hear(b"+OK\r\n") if act == "hear" else ear.deaf(failure)
        assert ear.lost


def test_soft_misses_are_counted_where_all_are() -> None:
    """A walk over a plan may end in a miss on lanes, too."""
    found = lanes()
    LaneWire(found, 0.0, b"*-1\r\n").softened(True)
    PastAll(found).softened(True)
    assert found.exchange.dropped_writes == 2
