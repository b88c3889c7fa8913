"""The network around the core: what a `Story` is, and who takes part in it."""

from collections.abc import Callable

from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.replies.transport import Transport
from kidoproxy.resp.error_codes import OTHER
from kidoproxy.routes.topology import Node
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.session import ClientSession
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_set import ConnectionSet
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.states import CONNECTING
from tests.greet import greet
from tests.story.frames import requests, shown
from tests.story.pools import Pool

#: A shared connection to a node of a ring: (protocol, database); a node of a copy pool has only `PLAIN`. Dedicated ones
#: are counted down.
ConnectionKey = tuple[int, int]
PLAIN: ConnectionKey = (2, 0)
#: The first and the second dedicated connection to a node, in the order in which they were opened.
LEASED: ConnectionKey = (-1, 0)
LEASED2: ConnectionKey = (-2, 0)
TICK = 0.05
WALL_MS = 1_700_000_000_000


class StoryClient:
    """One client, and what it was sent that the story has not said yet."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        #: Compiled classes cannot be derived from here, so a bare one marks whose reply queue it is.
        self.mark = Transport()
        session.replies.transport = self.mark
        self.received = b""
        self.closed = False
        #: Nobody reads what it is sent, as with `ClientIO.discard_output`.
        self.gone = False


class SentRequest:
    """A request as it was written to a node."""

    def __init__(self, key: ConnectionKey, raw: bytes, conn: NodeConnection | None = None) -> None:
        self.key = key
        self.raw = raw
        #: The connection, where `key` cannot say which: a sync has some of its own.
        self.conn = conn


Event = Callable[["Story"], None]


class Story:
    """Plays the part of the network around the core."""

    def __init__(self, pool: Pool, shy: bool = False, logins: ConnectionOptions | None = None) -> None:
        self.pool = pool
        self.shy = shy
        for at, node in enumerate(pool.nodes):
            node.node_id = at
        for group in pool.groups:
            group.placement_id = group.copies[0].node.node_id
        self.executor = Executor([ConnectionSet(node, logins or ConnectionOptions()) for node in pool.nodes])
        self.executor.now = 100.0
        self.proxy = ProxyState(self.executor)
        self.proxy.clock.ms = WALL_MS
        assert pool.route is not None
        self.context = PoolContext(pool.name, pool.mode, pool.route, pool.words)
        self.context.users = pool.users
        self.context.strict_transactions = pool.strict
        self.context.miss_on_down = pool.miss_on_down
        self.context.node_errors_as_loading = pool.as_loading
        self.proxy.contexts.append(self.context)
        self.proxy.copy_groups = pool.groups
        self.clients: dict[str, StoryClient] = {}
        self.sent: dict[str, list[SentRequest]] = {node.name: [] for node in pool.nodes}
        #: What nodes answer to CLIENT LIST.
        self.client_lists: dict[str, bytes] = {}
        self.run_ids: dict[str, str] = {node.name: f"{node.name}-first" for node in pool.nodes}
        #: Every dedicated connection that was ever opened, by node.
        self.dedicated: dict[str, list[NodeConnection]] = {node.name: [] for node in pool.nodes}
        #: Called at every tick, with the time: supervisors of copies.
        self.ticking: list[Callable[[float], None]] = []
        #: How many sockets the proxy has given up.
        self.dropped = 0

    def __rshift__(self, event: Event) -> "Story":
        """Something happens; all that came of what happened before must have been said."""
        self.settle()
        self.nothing_left()
        event(self)
        self.settle()
        return self

    def __lshift__(self, expectation: Event) -> "Story":
        """Something must have come of it."""
        self.settle()
        expectation(self)
        return self

    # -- as the net does it -------------------------------------------------------------------------------

    def settle(self) -> None:
        """What the loop does at the end of a turn, until nothing is to be done."""
        executor = self.executor
        turn = executor.turn_work
        while turn.to_resume or executor.dirty_connections or turn.reply_queues or turn.jobs.queue:
            turn.spent_units = 0
            turn.jobs.step_all(lambda: False)
            drained = turn.to_resume
            turn.to_resume = []
            for replies in drained:
                client = self.client_of(replies)
                client.session.resume()
                client.closed = client.closed or (client.session.closing and not replies.open_count())
            conns = executor.dirty_connections[:]
            executor.dirty_connections.clear()
            for conn in conns:
                self.look_after(conn)
            queues = turn.reply_queues
            turn.reply_queues = []
            for replies in queues:
                client = self.client_of(replies)
                output = b"".join(replies.take_output())
                client.closed = (
                    client.gone
                    or bool(replies.disconnect_reason)
                    or (client.session.closing and not replies.open_count())
                )
                if not client.gone:
                    client.received += output
                elif client.session.closing:
                    client.session.on_disconnect()
        assert self.context.error_counts.by_proxy[OTHER] == 0, "an error of a node counts as one of the proxy"

    def client_of(self, replies: ReplyQueue) -> StoryClient:
        """Whose reply queue it is."""
        return next(client for client in self.clients.values() if client.mark is replies.transport)

    def look_after(self, conn: NodeConnection) -> None:
        """Write what is there; open and close sockets."""
        conn.flush_scheduled = False
        if conn.must_close:
            conn.must_close = False
            conn.transport = None
            self.dropped += 1
        if conn.transport is not None:
            key = self.key_of(conn)
            for raw in requests(b"".join(conn.take_output())):
                self.sent[conn.node.name].append(SentRequest(key, raw, conn))
        elif conn.state == CONNECTING:
            if conn.dedicated and conn not in self.dedicated[conn.node.name]:
                self.dedicated[conn.node.name].append(conn)
            if not self.shy:
                self.connect(conn)
                self.greet(conn)

    def key_of(self, conn: NodeConnection) -> ConnectionKey:
        """How stories name this connection."""
        if conn.dedicated:
            return (-1 - self.dedicated[conn.node.name].index(conn), 0)
        return (conn.base_proto, conn.base_db)

    def connect(self, conn: NodeConnection) -> None:
        """The socket is there."""
        conn.transport = Transport()
        conn.on_connected(self.executor.now, 1.0)

    def greet(self, conn: NodeConnection) -> None:
        """The node answers the handshake as a good one does."""
        number = 100 - self.key_of(conn)[0] if conn.dedicated else 1
        conn.feed(
            greet(conn, self.info(conn.node.name), number, self.client_lists.get(conn.node.name, b"")),
            self.executor.now,
        )
        if not conn.flush_scheduled:
            conn.schedule_flush()

    def info(self, name: str) -> bytes:
        """INFO server of a node."""
        return f"redis_version:7.2.4\r\nrun_id:{self.run_ids[name]}\r\nuptime_in_seconds:9\r\n".encode()

    # -- looking things up ----------------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.pool.nodes if node.name == name)

    def connection(self, name: str, on: ConnectionKey = PLAIN) -> NodeConnection:
        """Its connection for (protocol, database), or one of its dedicated ones."""
        if on[0] < 0:
            return self.dedicated[name][-1 - on[0]]
        return self.executor.connection(self.node(name), on[0], on[1])

    def client(self, name: str) -> StoryClient:
        """The client of that name; it connects when it is first spoken of."""
        if name not in self.clients:
            session = ClientSession(self.proxy, self.context, f"{name}:1", "proxy:6379")
            self.clients[name] = StoryClient(session)
        return self.clients[name]

    def nothing_left(self) -> None:
        """Nobody was sent anything that the story does not say."""
        for name, sent in self.sent.items():
            assert not sent, f"node {name} was asked, and the story does not say so:\n" + "\n".join(
                [shown(one.raw) for one in sent]
            )
        for name, client in self.clients.items():
            assert not client.received, (
                f"client {name} was sent, and the story does not say so:\n{shown(client.received)}"
            )
