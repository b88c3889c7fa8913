"""Requests on dedicated connections. What they do over time is told by tests/session/handlers/test_blocking.py."""

from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection_set import ConnectionSet
from kidoproxy.upstream.dedicated import DedicatedExecutor
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.out_of_band import OutOfBandExecutor


def test_misses_are_counted_where_all_are() -> None:
    """A plan may end in a miss on dedicated connections, too."""
    pool = DedicatedPool(Executor([ConnectionSet(Node(0, "a", "a:6379", 1), ConnectionOptions())]))
    DedicatedExecutor(pool, 0.0, b"*-1\r\n").count_miss(True)
    OutOfBandExecutor(pool).count_miss(True)
    assert pool.executor.dropped_writes == 2
