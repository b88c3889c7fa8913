"""The network around the core: what a `Story` is, and who takes part in it."""

from collections.abc import Callable

from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.replies.transport import Transport
from kidoproxy.routes.topology import Node
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.session import ClientSession
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.server import Server
from kidoproxy.upstream.states import CONNECTING
from tests.greet import greet
from tests.story.frames import requests, shown
from tests.story.pools import Pool

#: A link of a ring: (protocol, database). A node of a copy pool has only the first of these. Lanes are counted.
Way = tuple[int, int]
PLAIN: Way = (2, 0)
#: The first and the second lane to a node, in the order in which they were opened.
LANE: Way = (-1, 0)
LANE2: Way = (-2, 0)
TICK = 0.05
WALL_MS = 1_700_000_000_000


class Guest:
    """One client: what it was sent and has not been told of yet."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        #: Compiled classes cannot be derived from here, so a bare one marks whose ledger it is.
        self.mark = Transport()
        session.replies.transport = self.mark
        self.heard = b""
        self.closed = False
        #: Nobody reads what it is told, as `ClientIO.write_nowhere` has it.
        self.gone = False


class Told:
    """A request as it was written to a node."""

    def __init__(self, way: Way, raw: bytes, conn: NodeConnection | None = None) -> None:
        self.way = way
        self.raw = raw
        #: The connection, where `way` cannot say which: a sync has some of its own.
        self.link = conn


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
        self.exchange = Executor([Server(node, logins or ConnectionOptions()) for node in pool.nodes])
        self.exchange.now = 100.0
        self.house = ProxyState(self.exchange)
        self.house.clock.ms = WALL_MS
        assert pool.route is not None
        self.facts = PoolContext(pool.name, pool.mode, pool.route, pool.words)
        self.facts.users = pool.users
        self.facts.strict_transactions = pool.strict
        self.facts.miss_on_failure = pool.soft
        self.facts.as_loading = pool.as_loading
        self.house.contexts.append(self.facts)
        self.house.copy_groups = pool.groups
        self.guests: dict[str, Guest] = {}
        self.told: dict[str, list[Told]] = {node.name: [] for node in pool.nodes}
        self.run_ids: dict[str, str] = {node.name: f"{node.name}-first" for node in pool.nodes}
        #: Every lane that was ever opened, by node.
        self.lanes: dict[str, list[NodeConnection]] = {node.name: [] for node in pool.nodes}
        #: Called at every tick, with the time: keepers.
        self.ticking: list[Callable[[float], None]] = []
        #: Sockets that the links gave up.
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
        """The ends of turns, until nothing is to be done."""
        executor = self.exchange
        turn = executor.pending_writes
        while turn.drained or executor.dirty_connections or turn.reply_queues or turn.jobs.queue:
            turn.spent_units = 0
            turn.jobs.step_all(lambda: False)
            drained = turn.drained
            turn.drained = []
            for replies in drained:
                guest = self.guest_of(replies)
                guest.session.resume()
                guest.closed = guest.closed or (guest.session.closing and not replies.open_count())
            conns = executor.dirty_connections[:]
            executor.dirty_connections.clear()
            for conn in conns:
                self.look_after(conn)
            ledgers = turn.reply_queues
            turn.reply_queues = []
            for replies in ledgers:
                guest = self.guest_of(replies)
                heard = b"".join(replies.take_output())
                guest.closed = (
                    guest.gone
                    or bool(replies.disconnect_reason)
                    or (guest.session.closing and not replies.open_count())
                )
                if not guest.gone:
                    guest.heard += heard
                elif guest.session.closing:
                    guest.session.on_disconnect()

    def guest_of(self, replies: ReplyQueue) -> Guest:
        """Whose ledger it is."""
        return next(guest for guest in self.guests.values() if guest.mark is replies.transport)

    def look_after(self, conn: NodeConnection) -> None:
        """Write what is there; open and close sockets."""
        conn.flush_scheduled = False
        if conn.must_close:
            conn.must_close = False
            conn.transport = None
            self.dropped += 1
        if conn.transport is not None:
            way = self.way_of(conn)
            for raw in requests(b"".join(conn.take_output())):
                self.told[conn.node.name].append(Told(way, raw, conn))
        elif conn.state == CONNECTING:
            if conn.dedicated and conn not in self.lanes[conn.node.name]:
                self.lanes[conn.node.name].append(conn)
            if not self.shy:
                self.connect(conn)
                self.greet(conn)

    def way_of(self, conn: NodeConnection) -> Way:
        """How stories call this link."""
        if conn.dedicated:
            return (-1 - self.lanes[conn.node.name].index(conn), 0)
        return (conn.base_proto, conn.base_db)

    def connect(self, conn: NodeConnection) -> None:
        """The socket is there."""
        conn.transport = Transport()
        conn.on_connected(self.exchange.now, 1.0)

    def greet(self, conn: NodeConnection) -> None:
        """The node answers the greeting as a good one does."""
        number = 100 - self.way_of(conn)[0] if conn.dedicated else 1
        conn.feed(greet(conn, self.info(conn.node.name), number), self.exchange.now)
        if not conn.flush_scheduled:
            conn.schedule_flush()

    def info(self, name: str) -> bytes:
        """INFO server of a node."""
        return f"redis_version:7.2.4\r\nrun_id:{self.run_ids[name]}\r\nuptime_in_seconds:9\r\n".encode()

    # -- looking things up ----------------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.pool.nodes if node.name == name)

    def link(self, name: str, on: Way = PLAIN) -> NodeConnection:
        """Its link for (protocol, database), or one of its lanes."""
        if on[0] < 0:
            return self.lanes[name][-1 - on[0]]
        return self.exchange.connection(self.node(name), on[0], on[1])

    def guest(self, name: str) -> Guest:
        """The client of that name; it connects when it is first spoken of."""
        if name not in self.guests:
            session = ClientSession(self.house, self.facts, f"{name}:1", "proxy:6379")
            self.guests[name] = Guest(session)
        return self.guests[name]

    def nothing_left(self) -> None:
        """Nobody was told anything that the story does not say."""
        for name, told in self.told.items():
            assert not told, f"node {name} was asked, and the story does not say so:\n" + "\n".join(
                [shown(one.raw) for one in told]
            )
        for name, guest in self.guests.items():
            assert not guest.heard, f"client {name} was told, and the story does not say so:\n{shown(guest.heard)}"
