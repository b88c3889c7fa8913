"""Dedicated connections: how many are leased, when they are kept, and that each is given back once."""

from kidoproxy.resp import limits
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection_set import ConnectionSet
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.states import DOWN, NEW


def new_pool() -> DedicatedPool:
    """For one server."""
    return DedicatedPool(Executor([ConnectionSet(Node(0, "a", "a:6379", 1), ConnectionOptions())]))


def test_a_lease_ends_once() -> None:
    """Clean or not, the first word counts: the number of leases stays right."""
    pool = new_pool()
    connection_set = pool.executor.connection_sets[0]
    lease = pool.acquire(connection_set.node, 2, 0)
    assert connection_set.leased_count == 1
    lease.release()
    lease.release()
    lease.close()
    assert (connection_set.leased_count, connection_set.free_dedicated) == (0, [lease.connection])
    other = pool.acquire(connection_set.node, 2, 0)
    assert other.connection is lease.connection
    other.close()
    other.close()
    other.release()
    assert (connection_set.leased_count, connection_set.free_dedicated, pool.executor.unshared_connections) == (
        0,
        [],
        [],
    )
    assert other.connection.state == DOWN


def test_unavailable() -> None:
    """A node that is down is not tested by a client's request; nor are more connections leased than may be."""
    pool = new_pool()
    node = pool.executor.connection_sets[0].node
    assert pool.unavailable_failure(node) is None
    pool.max_per_node = 0
    full = pool.unavailable_failure(node)
    assert full is not None
    assert (full.code, full.may_have_run) == ("OVERLOADED", False)
    node.live = False
    node.cause = "gone"
    down = pool.unavailable_failure(node)
    assert down is not None
    assert (down.code, down.cause) == ("NODEDOWN", "gone")


def test_idle_connections_are_closed() -> None:
    """They are kept for a while after the last one came back."""
    pool = new_pool()
    connection_set = pool.executor.connection_sets[0]
    lease = pool.acquire(connection_set.node, 2, 0)
    lease.release()
    pool.tick(limits.IDLE_DEDICATED_SECONDS)
    assert connection_set.free_dedicated == [lease.connection]
    assert lease.connection.state == NEW
    pool.tick(limits.IDLE_DEDICATED_SECONDS + 0.1)
    assert (connection_set.free_dedicated, pool.executor.unshared_connections) == ([], [])
