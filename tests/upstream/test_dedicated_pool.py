"""Dedicated connections: how many are leased, when they are kept, and that each is given back once."""

from kidoproxy.resp import limits
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.server import Server
from kidoproxy.upstream.states import DOWN, IDLE


def new_pool() -> DedicatedPool:
    """For one server."""
    return DedicatedPool(Executor([Server(Node(0, "a", "a:6379", 1), ConnectionOptions())]))


def test_a_lease_ends_once() -> None:
    """Clean or not, the first word counts: the number of leases stays right."""
    pool = new_pool()
    server = pool.executor.servers[0]
    lease = pool.acquire(server.node, 2, 0)
    assert server.leased == 1
    lease.release()
    lease.release()
    lease.close()
    assert (server.leased, server.idle) == (0, [lease.connection])
    other = pool.acquire(server.node, 2, 0)
    assert other.connection is lease.connection
    other.close()
    other.close()
    other.release()
    assert (server.leased, server.idle, pool.executor.unshared_connections) == (0, [], [])
    assert other.connection.state == DOWN


def test_unavailable() -> None:
    """A node that is down is not tested by a client's request; nor are more connections leased than may be."""
    pool = new_pool()
    node = pool.executor.servers[0].node
    assert pool.unavailable(node) is None
    pool.max_per_node = 0
    full = pool.unavailable(node)
    assert full is not None
    assert (full.code, full.may_have_run) == ("OVERLOADED", False)
    node.live = False
    node.cause = "gone"
    down = pool.unavailable(node)
    assert down is not None
    assert (down.code, down.cause) == ("NODEDOWN", "gone")


def test_idle_connections_are_closed() -> None:
    """They are kept for a while after the last one came back."""
    pool = new_pool()
    server = pool.executor.servers[0]
    lease = pool.acquire(server.node, 2, 0)
    lease.release()
    pool.tick(limits.IDLE_DEDICATED_SECONDS)
    assert server.idle == [lease.connection]
    assert lease.connection.state == IDLE
    pool.tick(limits.IDLE_DEDICATED_SECONDS + 0.1)
    assert (server.idle, pool.executor.unshared_connections) == ([], [])
