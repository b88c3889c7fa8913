"""What belongs to one server, and nothing else."""

from kidoproxy.routes.topology import Node
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.server import Server, server_of


def test_a_node_leads_to_its_server() -> None:
    """Who knows the node finds how to log in to its server, and its connections."""
    node, options = Node(0, "a", "a:6379", 1), ConnectionOptions("me", "secret")
    server = Server(node, options)
    assert server_of(node) is server
    assert (server_of(node).node, server_of(node).options) == (node, options)


def test_shared_connections_are_those_that_were_asked_for() -> None:
    """One for each protocol and database, made when it is needed first."""
    server = Server(Node(0, "a", "a:6379", 1), ConnectionOptions())
    executor = Executor([server])
    assert server.shared_connections() == []
    third = executor.connection(server.node, 3, 2)
    first = executor.connection(server.node, 2, 0)
    assert server.shared_connections() == [first, third]
    assert executor.connection(server.node, 3, 2) is third


def test_servers_come_and_go_by_themselves() -> None:
    """No list is in the order of the servers: one may be added, and another dropped."""
    servers = [Server(Node(at, name, f"{name}:6379", at + 1), ConnectionOptions()) for at, name in enumerate("abc")]
    executor = Executor(servers[:2])
    pool = DedicatedPool(executor)
    lease = pool.acquire(servers[1].node, 2, 0)
    executor.servers.append(servers[2])
    executor.servers.remove(servers[0])
    executor.connection(servers[2].node, 2, 0)
    pool.acquire(servers[2].node, 2, 0).close()
    lease.release()
    assert [(server.leased, len(server.idle)) for server in servers] == [(0, 0), (0, 1), (0, 0)]
    assert [conn.node.name for conn in executor.all_connections()] == ["c", "b"]
