"""Opens and closes the sockets of connections to nodes.

Names are resolved again at each attempt. An attempt that fails says why in a few words, and the connection waits
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
        #: Many clients that block at once must not overflow a node's backlog, nor take the loop for themselves.
        self.dedicated_slots = asyncio.Semaphore(limits.DEDICATED_CONNECTING_PER_NODE)

    def replace(self, other: "ConnectTarget") -> None:
        """Trust and wait as ``other`` says, at the attempts that begin from now on; the address stays."""
        self.tls = other.tls
        self.server_hostname = other.server_hostname
        self.connect_timeout = other.connect_timeout


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
        """One attempt; a failure is reported to the connection."""
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
                # Given up meanwhile: nobody else would ever close this socket.
                node_io.abort()
        finally:
            self.connecting.discard(id(conn))
        self.bridge.schedule_flush()

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
