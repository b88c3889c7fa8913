"""Opens and closes the sockets of links, and sees that what they queued is written.

DNS is asked again at each attempt. An attempt that fails says why in a few words, and the link waits
before the next.
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

#: How soon a node is asked again that had no place for us.
BACKLOG_RETRY_SECONDS: Final = 0.005


@final
class ConnectTarget:
    """Where a node listens: host and port, or a path; TLS or not; how long to try."""

    def __init__(self, host: str, port: int, path: str, tls: ssl.SSLContext | None, connect_timeout: float) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.tls = tls
        self.connect_timeout = connect_timeout
        #: A rush of clients that block must not ask more of a node's backlog, or of our own second, than it has.
        self.dedicated_slots = asyncio.Semaphore(limits.DEDICATED_CONNECTING_PER_NODE)


@final
class Connector:
    """Looks after links at the end of a turn: opens, closes and writes their sockets."""

    def __init__(self, bridge: LoopBridge, targets: dict[Node, ConnectTarget], tasks: Tasks) -> None:
        self.bridge = bridge
        self.targets = targets
        self.tasks = tasks
        self.connecting: set[int] = set()

    def update_socket(self, conn: NodeConnection) -> None:
        """Close the socket that the link has given up, open the one that it wants."""
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
        """Lanes are opened so many at a time; the links that all share do not wait for them."""
        if not conn.dedicated:
            await self.connect(conn)
            return
        async with self.targets[conn.node].dedicated_slots:
            if conn.state == CONNECTING:
                await self.connect(conn)
            else:
                self.connecting.discard(id(conn))

    async def connect(self, conn: NodeConnection) -> None:
        """One attempt."""
        target = self.targets[conn.node]
        try:
            async with asyncio.timeout(target.connect_timeout):
                node_io = await self.open(conn, target)
        except (OSError, TimeoutError, ValueError) as problem:
            conn.on_connection_lost(describe_os_error(problem), self.bridge.update_clock(), True)
        except Exception as problem:
            log.exception("connect failed", node=conn.node.name)
            conn.on_connection_lost(describe_os_error(problem), self.bridge.update_clock(), True)
        else:
            if conn.state == CONNECTING:
                node_io.attach(self.bridge.update_clock(), target.connect_timeout)
            else:
                # It was given up meanwhile: nobody would ever close this socket.
                node_io.abort()
        finally:
            self.connecting.discard(id(conn))
        self.bridge.schedule_flush()

    async def open(self, conn: NodeConnection, target: ConnectTarget) -> NodeIO:
        """The socket."""
        loop = self.bridge.loop
        node_io = NodeIO(self.bridge, conn)
        # A compiled class has no Python base, but all the methods that a loop calls.
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
            transport, _ = await loop.create_connection(protocol_factory, target.host, target.port, ssl=target.tls)
            # A lane may wait for hours, and only shared links ask for signs of life.
            enable_keepalive(transport.get_extra_info("socket"))
        return node_io
