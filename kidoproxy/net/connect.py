"""Opens and closes the sockets of links, and sees that what they queued is written.

DNS is asked again at each attempt. An attempt that fails says why in a few words, and the link waits
before the next.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final, cast, final

from kidoproxy import limits
from kidoproxy.link import NodeLink
from kidoproxy.link_states import CONNECTING
from kidoproxy.net.flush import Hub
from kidoproxy.net.listen import keep_alive
from kidoproxy.net.node_io import NodeIO, reason
from kidoproxy.net.tasks import Tasks

log = logging.getLogger("kidoproxy.nodes")

#: How soon a node is asked again that had no place for us.
BACKLOG_SECONDS: Final = 0.005


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
class Connector:
    """Looks after links at the end of a turn: opens, closes and writes their sockets."""

    def __init__(self, hub: Hub, targets: list[Target], tasks: Tasks) -> None:
        self.hub = hub
        self.targets = targets
        self.tasks = tasks
        self.busy: set[int] = set()
        #: A rush of clients that block must not ask more of a node's backlog, or of our own second, than it has.
        self.gates = [asyncio.Semaphore(limits.LANE_ATTEMPTS) for _ in targets]

    def look_after(self, link: NodeLink) -> None:
        """Close the socket that the link has given up, open the one that it wants."""
        peer = link.peer
        if link.drop:
            link.drop = False
            link.peer = None
            if isinstance(peer, NodeIO):
                peer.abort()
        if link.state == CONNECTING and id(link) not in self.busy:
            self.busy.add(id(link))
            self.tasks.start(self.in_turn(link), f"connect {link.node.name}")

    async def in_turn(self, link: NodeLink) -> None:
        """Lanes are opened so many at a time; the links that all share do not wait for them."""
        if not link.lane:
            await self.connect(link)
            return
        async with self.gates[link.node.index]:
            if link.state == CONNECTING:
                await self.connect(link)
            else:
                self.busy.discard(id(link))

    async def connect(self, link: NodeLink) -> None:
        """One attempt."""
        target = self.targets[link.node.index]
        try:
            async with asyncio.timeout(target.patience):
                peer = await self.open(link, target)
        except (OSError, TimeoutError, ValueError) as problem:
            link.lost(reason(problem), self.hub.now(), True)
        except Exception as problem:
            log.exception("connect failed: node=%s", link.node.name)
            link.lost(reason(problem), self.hub.now(), True)
        else:
            if link.state == CONNECTING:
                peer.begin(self.hub.now(), target.patience)
            else:
                # It was given up meanwhile: nobody would ever close this socket.
                peer.abort()
        finally:
            self.busy.discard(id(link))
        self.hub.touch()

    async def open(self, link: NodeLink, target: Target) -> NodeIO:
        """The socket."""
        loop = self.hub.loop
        peer = NodeIO(self.hub, link)
        # A compiled class has no Python base, but all the methods that a loop calls.
        protocol = cast(Callable[[], asyncio.Protocol], lambda: peer)
        if target.path:
            while True:
                try:
                    await loop.create_unix_connection(protocol, target.path, ssl=target.tls)
                    break
                except BlockingIOError:
                    # Its backlog is full: where TCP would wait for a place, a unix socket says EAGAIN (connect(2)).
                    await asyncio.sleep(BACKLOG_SECONDS)
        else:
            transport, _ = await loop.create_connection(protocol, target.host, target.port, ssl=target.tls)
            # A lane may wait for hours, and only shared links ask for signs of life.
            keep_alive(transport.get_extra_info("socket"))
        return peer
