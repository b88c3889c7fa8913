"""Opens and closes the sockets of connections to nodes.

Names are resolved again at each attempt. An attempt that fails says why in a few words, and the connection waits
before the next. When a target moves, attempts that are under way begin anew at the new address.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, cast, final

from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.listen import enable_keepalive
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.node_io import NodeIO, describe_os_error
from kidoproxy.net.tasks import Tasks
from kidoproxy.resp import limits
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.states import CONNECTING

log = EventLogger("kidoproxy.nodes")

#: How soon a unix socket whose backlog is full is tried again.
BACKLOG_RETRY_SECONDS: Final = 0.005


@final
class ConnectTarget:
    """Where a node listens: host and port, or a path; TLS or not, and the name to be checked then; how long to try."""

    def __init__(
        self,
        host: str,
        port: int,
        path: str,
        tls: ssl.SSLContext | None,
        connect_timeout: float,
        server_hostname: str | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.tls = tls
        self.connect_timeout = connect_timeout
        self.server_hostname = server_hostname
        #: How often it has moved, and the attempts that are under way.
        self.moves = 0
        self.attempts: set[asyncio.Timeout] = set()
        #: Of a master that sentinels name: set when they have; and why not.
        self.known: asyncio.Event | None = None
        self.why_unknown: Callable[[], str] | None = None
        #: Many clients that block at once must not overflow a node's backlog, nor take the loop for themselves.
        self.dedicated_slots = asyncio.Semaphore(limits.DEDICATED_CONNECTING_PER_NODE)

    def replace(self, other: "ConnectTarget") -> None:
        """Be there, trust and wait as ``other`` says, at the attempts that begin from now on.

        Sentinels are followed at their own time: an address that they have named stays.
        """
        self.tls = other.tls
        if self.known is None and (self.host, self.port, self.path) != (other.host, other.port, other.path):
            self.path = other.path
            self.move(other.host, other.port)
        self.server_hostname = other.server_hostname
        self.connect_timeout = other.connect_timeout

    def move(self, host: str, port: int) -> None:
        """Be there from now on; attempts that are under way begin anew."""
        self.host = host
        self.port = port
        self.moves += 1
        if self.known is not None:
            self.known.set()
        for attempt in self.attempts:
            if not attempt.expired():
                attempt.reschedule(0.0)

    async def wait_until_known(self) -> None:
        """Return when there is an address, which only a master of sentinels may lack."""
        if self.known is not None:
            await self.known.wait()

    def describe_timeout(self) -> str:
        """Why an attempt has come to nothing in its time; empty for the usual reason."""
        if self.known is None or self.known.is_set() or self.why_unknown is None:
            return ""
        return self.why_unknown()


@final
class Connector:
    """Opens and closes sockets, at the end of a turn of the loop."""

    def __init__(self, bridge: LoopBridge, targets: dict[Node, ConnectTarget], tasks: Tasks) -> None:
        self.bridge = bridge
        self.targets = targets
        self.tasks = tasks
        self.connecting: set[int] = set()

    def update_socket(self, conn: NodeConnection) -> None:
        """Close the socket that the connection has given up, open the one that it wants."""
        node_io = conn.transport
        if conn.must_close:
            conn.must_close = False
            conn.transport = None
            if isinstance(node_io, NodeIO):
                node_io.abort()
        if conn.state == CONNECTING and id(conn) not in self.connecting:
            self.connecting.add(id(conn))
            self.tasks.start(self.connect_limited(conn), f"connect {conn.node.name}")

    async def connect_limited(self, conn: NodeConnection) -> None:
        """Dedicated connections are opened so many at a time; shared ones do not wait for them."""
        if not conn.dedicated:
            await self.connect(conn)
            return
        async with self.targets[conn.node].dedicated_slots:
            if conn.state == CONNECTING:
                await self.connect(conn)
            else:
                self.connecting.discard(id(conn))

    async def connect(self, conn: NodeConnection) -> None:
        """One attempt, and another one if the target moves meanwhile; a failure is reported to the connection."""
        target = self.targets[conn.node]
        try:
            while not await self.attempt(conn, target):
                pass
        finally:
            self.connecting.discard(id(conn))
        self.bridge.schedule_flush()

    async def attempt(self, conn: NodeConnection, target: ConnectTarget) -> bool:
        """One attempt; False if the target has moved while it was made, and the connection still wants a socket."""
        moves = target.moves
        node_io: NodeIO | None = None
        cause = ""
        try:
            async with asyncio.timeout(target.connect_timeout) as limit:
                await target.wait_until_known()
                moves = target.moves
                target.attempts.add(limit)
                try:
                    node_io = await self.open(conn, target)
                finally:
                    target.attempts.discard(limit)
        except (OSError, TimeoutError, ValueError) as problem:
            cause = target.describe_timeout() or describe_os_error(problem)
        except Exception as problem:
            log.exception("connect failed", node=conn.node.name)
            cause = describe_os_error(problem)
        if moves != target.moves and conn.state == CONNECTING:
            if node_io is not None:
                node_io.abort()
            return False
        if node_io is None:
            conn.on_connection_lost(cause, self.bridge.update_clock(), True)
        elif conn.state == CONNECTING:
            node_io.attach(self.bridge.update_clock(), target.connect_timeout)
        else:
            # Given up meanwhile: nobody else would ever close this socket.
            node_io.abort()
        return True

    async def open(self, conn: NodeConnection, target: ConnectTarget) -> NodeIO:
        """Open the socket; OSError when that fails."""
        loop = self.bridge.loop
        node_io = NodeIO(self.bridge, conn)
        # A compiled class cannot inherit from asyncio.Protocol, but it has all the methods that the loop calls.
        protocol_factory = cast(Callable[[], asyncio.Protocol], lambda: node_io)
        if target.path:
            while True:
                try:
                    await loop.create_unix_connection(protocol_factory, target.path, ssl=target.tls)
                    break
                except BlockingIOError:
                    # Its backlog is full: where TCP would wait for a place, a unix socket says EAGAIN (connect(2)).
                    await asyncio.sleep(BACKLOG_RETRY_SECONDS)
        else:
            transport, _ = await loop.create_connection(
                protocol_factory, target.host, target.port, ssl=target.tls, server_hostname=target.server_hostname
            )
            # A dedicated connection may block for hours, and only shared ones are pinged.
            enable_keepalive(transport.get_extra_info("socket"))
        return node_io
