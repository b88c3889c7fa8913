"""A node's socket: the link's bytes out, the node's bytes to the link. Compiled: it is on every command's path."""

import asyncio
import logging
import os
import socket
import ssl
from typing import Final, final

from kidoproxy.ledger import Peer
from kidoproxy.link import NodeLink
from kidoproxy.link_states import CONNECTING, READY
from kidoproxy.link_welcome import spoke_first
from kidoproxy.net.flush import Hub, joined

HIGH_WATER: Final = 4 * 1024 * 1024
#: A node that has said so much before it was asked anything is none.
EARLY_BYTES: Final = 256 * 1024
#: A read of that size has about filled the loop's buffer (256 KiB; with TLS a little less): there is more to come, and
#: the loop would go on reading, 32 times, before anybody else has a turn.
LONG_READ: Final = 128 * 1024


@final
class NodeIO(Peer):
    """One connection to one node: an asyncio protocol by its methods."""

    def __init__(self, hub: Hub, link: NodeLink) -> None:
        self.hub = hub
        self.link = link
        self.full = False
        #: Bytes handed to the transport.
        self.handed = 0
        self.transport: asyncio.Transport | None = None
        #: What comes before the link knows of this connection: a node may answer, or hang up, at once.
        self.early = b""
        self.ended = ""

    def is_current(self) -> bool:
        """Whether the link lives by this connection; one that it has given up says nothing more."""
        return self.link.peer is self and not self.link.drop

    def begin(self, now: float, patience: float) -> None:
        """The connector hands this connection to the link, which greets."""
        link = self.link
        link.peer = self
        link.connected(now, patience)
        early = self.early
        self.early = b""
        if early:
            spoke_first(link, early, now)
        if self.ended and self.is_current():
            self.lose(self.ended, now)

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Kept until the connector hands it to the link."""
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Replies, or pieces of them."""
        if self.is_current():
            self.link.feed(data, self.hub.now())
            self.hub.touch()
            if len(data) >= LONG_READ:
                self.rest()
        elif self.link.state == CONNECTING:
            self.early += data
            if len(self.early) > EARLY_BYTES:
                self.abort()

    def rest(self) -> None:
        """Read nothing more in this turn: a node that sends as fast as it can must not keep the others waiting."""
        if self.transport is not None:
            self.transport.pause_reading()
            self.hub.loop.call_soon(self.read_on)

    def read_on(self) -> None:
        """The others have had their turn."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def write(self) -> None:
        """Write what is queued, unless the node does not read."""
        link = self.link
        if self.full:
            link.flushed()
            return
        size = link.out_bytes
        out = link.take_out()
        transport = self.transport
        if out and transport is not None:
            self.handed += size
            chunks = joined(out, size)
            if len(chunks) == 1:
                transport.write(chunks[0])
            else:
                transport.writelines(chunks)

    def go_on(self) -> None:
        """Only clients wait for a ledger."""

    def sent(self) -> int:
        """Bytes that the kernel has taken."""
        transport = self.transport
        return self.handed - transport.get_write_buffer_size() if transport is not None else 0

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
        if self.is_current():
            self.write()

    def connection_lost(self, problem: Exception | None) -> None:
        """Tell the link, unless it has already given this connection up."""
        self.ended = reason(problem) if problem else "it closed the connection"
        if self.is_current():
            self.lose(self.ended, self.hub.now())
            self.hub.touch()

    def lose(self, cause: str, now: float) -> None:
        """A link that was ready connects again at once; one that the node did not even greet waits."""
        link = self.link
        ready = link.state == READY
        link.peer = None
        link.lost(cause, now, not ready)
        if ready and link.shared:
            self.hub.node_news.tell(
                f"lost {link.node.name}",
                logging.WARNING,
                "node connection lost: node=%s address=%s cause=%s",
                link.node.name,
                link.node.address,
                cause,
            )


def reason(problem: BaseException) -> str:
    """An operating system's complaint in a few words."""
    if isinstance(problem, TimeoutError):
        return "no connection in time"
    if isinstance(problem, ssl.SSLCertVerificationError):
        # Only OpenSSL itself gives these attributes.
        return f"its certificate is not trusted: {getattr(problem, 'verify_message', '?').lower().rstrip('.')}"
    if isinstance(problem, ssl.SSLError):
        return f"tls: {(getattr(problem, 'reason', None) or 'handshake failed').lower().replace('_', ' ')}"
    if isinstance(problem, socket.gaierror) and problem.strerror:
        return problem.strerror.lower()
    if isinstance(problem, OSError) and problem.errno:
        # Not its own words: a loop may put addresses into them.
        return os.strerror(problem.errno).lower()
    return str(problem).lower() or type(problem).__name__
