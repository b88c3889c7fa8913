"""Lanes: how many are lent, when they are kept, and that each is given back once."""

from kidoproxy.resp import limits
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection_loss import ConnectionLost
from kidoproxy.upstream.dedicated import DedicatedExecutor, DedicatedPool
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.out_of_band import OutOfBandExecutor
from kidoproxy.upstream.server import Server
from kidoproxy.upstream.states import DOWN, IDLE


def lanes() -> DedicatedPool:
    """Lanes to one node."""
    return DedicatedPool(Executor([Server(Node(0, "a", "a:6379", 1), ConnectionOptions())]))


def test_a_loan_is_given_back_once() -> None:
    """Clean or not, the first word counts: the number of lanes that are lent stays right."""
    found = lanes()
    server = found.executor.servers[0]
    lease = found.acquire(server.node, 2, 0)
    assert server.leased == 1
    lease.release()
    lease.release()
    lease.close()
    assert (server.leased, server.idle) == (0, [lease.connection])
    other = found.acquire(server.node, 2, 0)
    assert other.connection is lease.connection
    other.close()
    other.close()
    other.release()
    assert (server.leased, server.idle, found.executor.unshared_connections) == (0, [], [])
    assert other.connection.state == DOWN


def test_refusal() -> None:
    """A node that is down is not tested by a client's request; nor are more lanes lent than may be."""
    found = lanes()
    node = found.executor.servers[0].node
    assert found.unavailable(node) is None
    found.max_per_node = 0
    full = found.unavailable(node)
    assert full is not None
    assert (full.code, full.may_have_run) == ("OVERLOADED", False)
    node.live = False
    node.cause = "gone"
    down = found.unavailable(node)
    assert down is not None
    assert (down.code, down.cause) == ("NODEDOWN", "gone")


def test_lanes_that_nobody_wants_are_closed() -> None:
    """They are kept for a while after the last one came back."""
    found = lanes()
    server = found.executor.servers[0]
    lease = found.acquire(server.node, 2, 0)
    lease.release()
    found.tick(limits.IDLE_DEDICATED_SECONDS)
    assert server.idle == [lease.connection]
    assert lease.connection.state == IDLE
    found.tick(limits.IDLE_DEDICATED_SECONDS + 0.1)
    assert (server.idle, found.executor.unshared_connections) == ([], [])


def test_watched_ear() -> None:
    """Anything unasked, or the loss of the connection, leaves the lane in doubt; a greeting does not."""
    failure = NodeFailure("NODEDOWN", "a", "a:6379", "gone", False)
    for act in ("hear", "deaf"):
        ear = ConnectionLost()
        ear.on_ready()
        assert not ear.lost
        ear.on_push(b"+OK\r\n") if act == "hear" else ear.on_disconnect(failure)
        assert ear.lost


def test_soft_misses_are_counted_where_all_are() -> None:
    """A walk over a plan may end in a miss on lanes, too."""
    found = lanes()
    DedicatedExecutor(found, 0.0, b"*-1\r\n").count_miss(True)
    OutOfBandExecutor(found).count_miss(True)
    assert found.executor.dropped_writes == 2
