"""Who is sent a write to copies, and who is when it is sent later."""

from kidoproxy.commands.spec import PASS_THROUGH
from kidoproxy.replication.group import IN_SYNC
from kidoproxy.resp import errors
from kidoproxy.routes.copy_write import plan_copy_write, renew
from kidoproxy.routes.plan import DirectReply, Gather
from tests.story import copies, led_by


def test_a_write_and_its_renewal() -> None:
    """Copies in sync in the key's order, the others behind them; later those that are in sync then."""
    pool = copies("a", "b", "c", behind="c", min_in_sync=2)
    group = pool.groups[0]
    key = led_by(pool, "b").encode()
    plan = plan_copy_write(group, key, b"new", PASS_THROUGH, [key], False, None)
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


def test_without_keys() -> None:
    """The order of the configuration."""
    pool = copies("a", "b")
    plan = plan_copy_write(pool.groups[0], None, None, PASS_THROUGH, [], False, None)
    assert isinstance(plan, Gather)
    assert plan.write is not None
    assert repr(renew(plan, pool.groups[0], plan.write, None)) == "[a, b]"
