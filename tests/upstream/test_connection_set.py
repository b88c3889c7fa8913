"""The connections to one node, and nothing else."""

from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection_set import ConnectionSet, connection_set_of
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions


def test_a_node_leads_to_its_server() -> None:
    """Who knows the node finds how to log in to it, and its connections."""
    node, options = Node(0, "a", "a:6379", 1), ConnectionOptions("me", "secret")
    connection_set = ConnectionSet(node, options)
    assert connection_set_of(node) is connection_set
    assert (connection_set_of(node).node, connection_set_of(node).options) == (node, options)


def test_shared_connections_are_those_that_were_asked_for() -> None:
    """One for each protocol and database, made when it is needed first."""
    connection_set = ConnectionSet(Node(0, "a", "a:6379", 1), ConnectionOptions())
    executor = Executor([connection_set])
    assert connection_set.shared_connections() == []
    third = executor.connection(connection_set.node, 3, 2)
    first = executor.connection(connection_set.node, 2, 0)
    assert connection_set.shared_connections() == [first, third]
    assert executor.connection(connection_set.node, 3, 2) is third


def test_new_options_reach_the_connections_to_that_node_alone() -> None:
    """The shared ones, and of those beside them the node's own."""
    sets = [ConnectionSet(Node(at, name, f"{name}:6379", 1), ConnectionOptions()) for at, name in enumerate("ab")]
    executor = Executor(sets)
    shared = executor.connection(sets[0].node, 2, 0)
    unshared = [executor.new_unshared(connection_set.node, 2, 0, False) for connection_set in sets]
    sets[0].replace_options(ConnectionOptions(max_queue_bytes=1000), unshared)
    assert [conn.out_budget for conn in (shared, *unshared)] == [1000, 1000, ConnectionOptions().max_queue_bytes]


def test_servers_come_and_go_by_themselves() -> None:
    """No list is in the order of the nodes: one may be added, and another dropped."""
    connection_sets = [
        ConnectionSet(Node(at, name, f"{name}:6379", at + 1), ConnectionOptions()) for at, name in enumerate("abc")
    ]
    executor = Executor(connection_sets[:2])
    pool = DedicatedPool(executor)
    lease = pool.acquire(connection_sets[1].node, 2, 0)
    executor.connection_sets.append(connection_sets[2])
    executor.connection_sets.remove(connection_sets[0])
    executor.connection(connection_sets[2].node, 2, 0)
    pool.acquire(connection_sets[2].node, 2, 0).close()
    lease.release()
    assert [
        (connection_set.leased_count, len(connection_set.free_dedicated)) for connection_set in connection_sets
    ] == [(0, 0), (0, 1), (0, 0)]
    assert [conn.node.name for conn in executor.all_connections()] == ["c", "b"]


def test_other_options_while_connections_are_open() -> None:
    """Deadlines and bounds hold at once, for all connections to this node; the login is for the next handshake."""
    sets = [
        ConnectionSet(Node(at, name, f"{name}:6379", at + 1), ConnectionOptions("", "old"))
        for at, name in enumerate("ab")
    ]
    executor = Executor(sets)
    shared, other = (executor.connection(each.node, 2, 0) for each in sets)
    dedicated = executor.new_unshared(sets[0].node, 2, 0, True)
    sets[0].replace_options(ConnectionOptions("me", "new", 7.0, 1000), executor.unshared_connections)
    for conn in (shared, dedicated):
        assert (conn.login.password, conn.options.login.password, conn.options.timeout) == ("old", "new", 7.0)
        assert (conn.max_bytes, conn.out_budget, conn.options.max_queue_bytes) == (1000, 1000, 1000)
    shared.start_connecting()
    shared.on_connected(0.0, 1.0)
    assert b"".join(shared.take_output()).startswith(encode_request([b"AUTH", b"me", b"new"]))
    assert (other.options.login.password, other.max_bytes) == ("old", ConnectionOptions().max_queue_bytes)
