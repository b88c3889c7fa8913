"""SCAN: the nodes one after another, and no memory in the proxy."""

from kidoproxy.replies.cursor import pack
from kidoproxy.routes.plan import DirectReply, Gather, Send
from tests.routes.rings import planned
from tests.story import ring


def test_the_cursor_says_which_node_and_where() -> None:
    """The client's cursor has the node's own in its upper bits and the node's number in the lower ones."""
    pool = ring("a", "b")
    plan = planned(pool, f"SCAN {pack(7, pool.nodes[1].cursor_id).decode()} COUNT 5")
    assert isinstance(plan, Gather)
    assert isinstance(plan.plans[0], Send)
    assert (plan.plans[0].node, plan.plans[0].payload) == (
        pool.nodes[1],
        b"*4\r\n$4\r\nSCAN\r\n$1\r\n7\r\n$5\r\nCOUNT\r\n$1\r\n5\r\n",
    )


def test_each_step_names_the_next() -> None:
    """Cursor 0 begins at the first node, whose last reply leads to the second; behind the last there is none."""
    pool = ring("a", "b")
    first = planned(pool, "SCAN 0")
    last = planned(pool, f"SCAN {pool.nodes[1].cursor_id}")
    assert isinstance(first, Gather)
    assert isinstance(last, Gather)
    assert first.scan_step is not None
    assert last.scan_step is not None
    numbers = [node.cursor_id for node in pool.nodes]
    assert [first.scan_step.cursor_id, first.scan_step.next_cursor_id] == numbers
    assert [last.scan_step.cursor_id, last.scan_step.next_cursor_id] == [numbers[1], 0]


def test_an_invalid_cursor() -> None:
    """What is no number, or names a node that the pool does not have, is an error."""
    for cursor in ("x", "-1", "99"):
        plan = planned(ring("a", "b"), f"SCAN {cursor}")
        assert isinstance(plan, DirectReply)
        assert plan.frame == b"-ERR invalid cursor\r\n"
