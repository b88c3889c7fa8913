"""A node's socket: the link's bytes out, the node's bytes to the link. Compiled: it is on every command's path."""

import asyncio
import logging
from typing import Final, final

from kidoproxy.ledger import Peer
from kidoproxy.link import NodeLink
from kidoproxy.net.flush import Hub, joined

log = logging.getLogger("kidoproxy.nodes")

HIGH_WATER: Final = 4 * 1024 * 1024


@final
class NodeIO(Peer):
    """One connection to one node: an asyncio protocol by its methods."""

    def __init__(self, hub: Hub, link: NodeLink) -> None:
        self.hub = hub
        self.link = link
        self.full = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Kept until the connector hands it to the link."""
        self.transport = transport
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
        transport = self.transport
        if out and transport is not None:
            chunks = joined(out, size)
            if len(chunks) == 1:
                transport.write(chunks[0])
            else:
                transport.writelines(chunks)

    def go_on(self) -> None:
        """Only clients wait for a ledger."""

    def abort(self) -> None:
        """Close at once: the link has given this connection up."""
        if self.transport is not None:
            self.transport.abort()

    def eof_received(self) -> bool:
        """The node hangs up: let the transport close."""
        return False

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


def reason(problem: BaseException) -> str:
    """An operating system's complaint in a few words."""
    if isinstance(problem, TimeoutError):
        return "no connection in time"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror.lower()
    return str(problem).lower() or type(problem).__name__
