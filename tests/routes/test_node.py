"""A leaf asks its node, with a plan that is made once."""

from kidoproxy.commands.find import COMMANDS
from kidoproxy.resp.request_reader import Request
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.route import RequestContext, WallClock
from kidoproxy.routes.topology import Node


def test_leaf() -> None:
    """The same plan for whatever is asked; a leaf has no children, and is one step of a scan."""
    node = Node(0, "a", "10.0.0.1:6379", 7)
    leaf = NodeRoute(node)
    request_context = RequestContext(0, 2, False, False, WallClock(0))
    plan = leaf.plan(COMMANDS[b"get"], Request([b"GET", b"k"], b""), request_context)

    assert plan is leaf.plan(COMMANDS[b"set"], Request([b"SET", b"k", b"v"], b""), request_context)
    assert repr(plan) == "a"
    assert (leaf.nodes(), leaf.children(), leaf.scan_routes()) == ([node], [], [leaf])
    assert (leaf.scan_node(0), leaf.scan_node(7), leaf.scan_node(8)) == (node, node, None)
    assert leaf.explain(b"k") == "a (10.0.0.1:6379)"
    assert not leaf.needs_arguments()
