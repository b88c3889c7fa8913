"""Who is sent a write to copies, and who is when it is sent later."""

import random

from kidoproxy.commands.spec import PASS_THROUGH
from kidoproxy.replication.group import BEHIND, IN_SYNC, SYNCING
from kidoproxy.resp import errors
from kidoproxy.routes.copy_write import MAX_ORDERS, FanOuts, plan_copy_write, renew
from kidoproxy.routes.plan import DirectReply, Gather, Interposed, Send
from tests.story import copies, led_by


def test_a_write_and_its_renewal() -> None:
    """Copies in sync in the key's order, the others behind them; later those that are in sync then."""
    pool = copies("a", "b", "c", behind="c", min_in_sync=2)
    group = pool.groups[0]
    key = led_by(pool, "b").encode()
    plan = plan_copy_write(FanOuts(group), key, b"new", PASS_THROUGH, [key], False, None)
    assert isinstance(plan, Gather)
    assert plan.write is not None
    assert (repr(plan), plan.write.unawaited_nodes, plan.write.unawaited_payload) == ("[b, a]", [pool.nodes[2]], b"new")

    group.copies[2].state = IN_SYNC
    pool.nodes[1].live = False
    later = renew(plan, group, plan.write, b"newer")
    assert isinstance(later, Gather)
    assert later.write is not None
    assert (repr(later).endswith(", b]"), later.write.unawaited_nodes) == (True, [])

    pool.nodes[0].live = False
    refused = renew(plan, group, plan.write, None)
    assert isinstance(refused, DirectReply)
    assert refused.frame == errors.NOREPLICAS


def test_a_script_that_publishes_later() -> None:
    """When it is sent again the copy publishes that the proxy listens to then, also one that is behind."""
    pool = copies("a", "b", "c", behind="c")
    group = pool.groups[0]
    plan = plan_copy_write(
        FanOuts(group),
        None,
        b"quiet",
        PASS_THROUGH,
        [],
        True,
        None,
        interposed=Interposed(((b"x", b"y"),), b"loud", None),
    )
    for node in (None, *pool.nodes):
        group.pubsub_node, group.pubsub_connections = node, 1
        assert isinstance(plan, Gather)
        assert plan.write is not None
        plan = renew(plan, group, plan.write, plan.write.unawaited_payload)
        assert isinstance(plan, Gather)
        assert plan.interposed is not None
        payloads = [plan.interposed.payload_for(each, b"quiet") for each in pool.nodes]
        assert payloads.index(b"loud") == (pool.nodes.index(node) if node else 0)
        assert [send.payload for send in plan.plans if isinstance(send, Send)] == payloads[:2]


def test_without_keys() -> None:
    """The order of the configuration."""
    pool = copies("a", "b")
    plan = plan_copy_write(FanOuts(pool.groups[0]), None, None, PASS_THROUGH, [], False, None)
    assert isinstance(plan, Gather)
    assert plan.write is not None
    assert repr(renew(plan, pool.groups[0], plan.write, None)) == "[a, b]"


def test_the_orders_that_are_kept() -> None:
    """Whatever has changed in the meantime, a write is sent to the copies as they are now, in the order of its key."""
    pool = copies("a", "b", "c", "d")
    group = pool.groups[0]
    fan_outs = FanOuts(group)
    dice = random.Random(3)
    kept = 0
    for _ in range(3_000):
        copy = dice.choice(group.copies)
        change = dice.randrange(100)
        if change == 0:
            copy.state = dice.choice([IN_SYNC, BEHIND, SYNCING])
        elif change == 1:
            copy.node.live = not copy.node.live
        elif change == 2:
            copy.node.suspect = not copy.node.suspect
        elif change == 3:
            group.trust_lost = not group.trust_lost
        key = b"k%d" % dice.randrange(50) if dice.random() < 0.9 else None
        known = dict(fan_outs.by_order)
        found = fan_outs.find(key)
        kept += found in known.values()
        assert found.nodes == group.ranked(key)
        assert repr(found.sends) == repr(found.nodes and [Send(node) for node in found.nodes])
        assert found.unawaited_nodes == [one.node for one in group.copies if one.state != IN_SYNC and one.node.live]
    assert kept > 1_000


def test_the_orders_of_many_copies() -> None:
    """No more are kept than are worth it."""
    pool = copies(*"abcdefg")
    fan_outs = FanOuts(pool.groups[0])
    for number in range(2_000):
        key = b"k%d" % number
        assert fan_outs.find(key).nodes == pool.groups[0].ranked(key)
        assert len(fan_outs.by_order) <= MAX_ORDERS + 1
