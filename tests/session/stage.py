"""Sessions over nodes in memory, on a ring or in a copy pool, driven by bytes alone: no socket, no loop."""

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.replication.election import make_trusted
from kidoproxy.replication.group import CopyGroup
from kidoproxy.resp.encode import bulk, encode_request, integer, push
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement.owners import ketama
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.session import ClientSession
from kidoproxy.session.state import SessionState
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_set import ConnectionSet
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.greet import greet

STARTED_MS = 1_700_000_000_000

Words = str | bytes


class InMemoryProxy:
    """A proxy with one pool over ``nodes``; time stands still unless a test moves it."""

    def __init__(self, nodes: list[Node], root: Route, mode: str, words: CommandSet | None = None) -> None:
        self.nodes = nodes
        self.executor = Executor([ConnectionSet(node, ConnectionOptions()) for node in nodes])
        self.proxy = ProxyState(self.executor)
        self.proxy.started_ms = STARTED_MS
        self.proxy.clock.ms = STARTED_MS + 90_000
        self.proxy.version = "1.2.3"
        self.proxy.build = "interpreted"
        self.proxy.pid = 4242
        self.pool = PoolContext("cache", mode, root, words or CommandSet(frozenset(), frozenset(), {}))
        self.proxy.contexts.append(self.pool)

    def client(self, address: str = "10.9.9.9:5000", local: str = "127.0.0.1:6380") -> ClientSession:
        """A client has connected."""
        self.pool.client_count += 1
        return ClientSession(self.proxy, self.pool, address, local)

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def connection(self, name: str, proto: int = 2, db: int = 0) -> NodeConnection:
        """The node's ready connection for (protocol, database)."""
        conn = self.executor.connection(self.node(name), proto, db)
        if not conn.can_send:
            conn.start_connecting()
            conn.on_connected(0.0, 1.0)
            info = f"run_id:{name * 4}\r\nredis_version:7.0.15\r\nuptime_in_seconds:9\r\n".encode()
            conn.feed(greet(conn, info), 0.0)
        return conn

    def ready(self) -> None:
        """Every node has a ready connection for RESP2 and database 0."""
        for node in self.nodes:
            self.connection(node.name)


def ring(*names: str, words: CommandSet | None = None) -> InMemoryProxy:
    """A ring of nodes with these names."""
    nodes = [Node(at, name, f"10.0.0.{at + 1}:6379", at + 1) for at, name in enumerate(names)]
    members: list[Route] = [NodeRoute(node) for node in nodes]
    root = Ring("cache", members, ketama(list(names), [1] * len(names)), Tags(123, 125, []))
    return InMemoryProxy(nodes, root, "ring", words)


def copies(*names: str) -> InMemoryProxy:
    """A copy pool; its first node is the one that is trusted, the others are behind."""
    nodes = [Node(at, name, f"10.0.0.{at + 1}:6379", at + 1) for at, name in enumerate(names)]
    group = CopyGroup("cache", nodes)
    stage = InMemoryProxy(nodes, CopyPool("cache", group), "copy")
    make_trusted(group, group.copies[0])
    return stage


def listening(stage: InMemoryProxy, session: ClientSession, name: str) -> None:
    """The client has subscribed to a channel of node ``a``, and its confirmation has been sent."""
    session.feed(request("SUBSCRIBE", name))
    conn = stage.executor.unshared_connections[-1]
    conn.on_connected(0.0, 1.0)
    conn.feed(greet(conn, b"run_id:aaaa\r\n"), 0.0)
    conn.take_output()
    conn.feed(push(3, [bulk(b"subscribe"), bulk(name.encode()), integer(1)]) + bulk(b"1"), 0.0)
    session.resume()
    heard(session)


def say(session: SessionState, *words: Words) -> bytes:
    """Send one command; what is ready for the client afterwards."""
    session.feed(encode_request([word.encode() if isinstance(word, str) else word for word in words]))
    return heard(session)


def heard(session: SessionState) -> bytes:
    """What is ready for the client."""
    return b"".join(session.replies.take_output())


def asked(conn: NodeConnection) -> bytes:
    """What was sent to the node since last time."""
    return b"".join(conn.take_output())


def request(*words: Words) -> bytes:
    """The frame of a command, as a node gets it."""
    return encode_request([word.encode() if isinstance(word, str) else word for word in words])


def key_on(stage: InMemoryProxy, name: str) -> str:
    """A key that lives on the ring's node of that name."""
    for number in range(1000):
        if f" {name} (" in stage.pool.root.explain(b"k%d" % number):
            return f"k{number}"
    raise AssertionError(f"no key on {name}")
