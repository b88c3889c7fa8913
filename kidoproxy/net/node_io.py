"""A node's socket: the link's bytes out, the node's bytes to the link; and the connecting.

DNS is asked again at each attempt. An attempt that fails says why in a few words, and the link waits
before the next.
"""

import asyncio
import logging
import ssl
from typing import cast, final

from kidoproxy.link import CONNECTING, NodeLink
from kidoproxy.net.flush import Hub, joined
from kidoproxy.net.tasks import Tasks

log = logging.getLogger("kidoproxy.nodes")

HIGH_WATER = 4 * 1024 * 1024


@final
class Target:
    """Where a node listens: host and port, or a path; TLS or not; how long to try."""

    def __init__(self, host: str, port: int, path: str, tls: ssl.SSLContext | None, patience: float) -> None:
        self.host = host
        self.port = port
        self.path = path
        self.tls = tls
        self.patience = patience


@final
class NodeIO(asyncio.Protocol):
    """One connection to one node."""

    def __init__(self, hub: Hub, link: NodeLink) -> None:
        self.hub = hub
        self.link = link
        self.full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Kept until the connector hands it to the link."""
        # uvloop's transports do not derive from asyncio's.
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Replies, or pieces of them."""
        if self.link.peer is self:
            self.link.feed(data, self.hub.now())
            self.hub.touch()

    def write(self) -> None:
        """Write what is queued, unless the node does not read."""
        if self.full:
            return
        link = self.link
        size = link.out_bytes
        out = link.take_out()
        if out:
            chunks = joined(out, size)
            if len(chunks) == 1:
                self.transport.write(chunks[0])
            else:
                self.transport.writelines(chunks)

    def pause_writing(self) -> None:
        """The node does not read: what comes is kept in the link, which knows its limits."""
        self.full = True

    def resume_writing(self) -> None:
        """The node reads again."""
        self.full = False
        if self.link.peer is self:
            self.write()

    def connection_lost(self, problem: Exception | None) -> None:
        """Tell the link, unless it has already given this connection up."""
        link = self.link
        if link.peer is self:
            link.peer = None
            link.lost(reason(problem) if problem else "it closed the connection", self.hub.now(), False)
            log.warning(
                "node connection lost: node=%s address=%s cause=%s", link.node.name, link.node.address, link.cause
            )
            self.hub.touch()


@final
class Connector:
    """Looks after links at the end of a turn: opens, closes and writes their sockets."""

    def __init__(self, hub: Hub, targets: list[Target], tasks: Tasks) -> None:
        self.hub = hub
        self.targets = targets
        self.tasks = tasks
        self.busy: set[int] = set()
        self.told: dict[str, bool] = {}

    def look_after(self, link: NodeLink) -> None:
        """Whatever the link marked itself dirty for."""
        link.dirty = False
        peer = link.peer
        if link.drop:
            link.drop = False
            if isinstance(peer, NodeIO):
                link.peer = None
                peer.transport.abort()
                peer = None
        if isinstance(peer, NodeIO):
            peer.write()
        elif link.state == CONNECTING and id(link) not in self.busy:
            self.busy.add(id(link))
            self.tasks.start(self.connect(link), f"connect {link.node.name}")

    async def connect(self, link: NodeLink) -> None:
        """One attempt."""
        target = self.targets[link.node.index]
        try:
            async with asyncio.timeout(target.patience):
                peer = await self.open(link, target)
        except (OSError, TimeoutError, ValueError) as problem:
            self.busy.discard(id(link))
            link.lost(reason(problem), self.hub.now(), True)
            self.tell(link, False)
        else:
            self.busy.discard(id(link))
            link.peer = peer
            link.connected(self.hub.now(), target.patience)
        self.hub.touch()

    async def open(self, link: NodeLink, target: Target) -> NodeIO:
        """The socket."""
        loop = self.hub.loop
        if target.path:
            _, peer = await loop.create_unix_connection(lambda: NodeIO(self.hub, link), target.path, ssl=target.tls)
        else:
            _, peer = await loop.create_connection(
                lambda: NodeIO(self.hub, link), target.host, target.port, ssl=target.tls
            )
        return peer

    def tell(self, link: NodeLink, up: bool) -> None:
        """One log line per change of a node's state."""
        name = link.node.name
        if self.told.get(name) is not up:
            self.told[name] = up
            if up:
                log.info("node up: node=%s address=%s version=%s", name, link.node.address, link.node.version.decode())
            else:
                log.warning("node down: node=%s address=%s cause=%s", name, link.node.address, link.node.cause)


def reason(problem: BaseException) -> str:
    """An operating system's complaint in a few words."""
    if isinstance(problem, TimeoutError):
        return "no connection in time"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror.lower()
    return str(problem).lower() or type(problem).__name__
