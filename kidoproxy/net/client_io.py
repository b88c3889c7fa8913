"""A client's socket: bytes to the session, the ledger's bytes back, back-pressure both ways. Compiled.

A client that does not read is not read from either; past its output limit it is cut. Its neighbours
never notice.
"""

import asyncio
import logging
from typing import final

from kidoproxy import errors, limits
from kidoproxy.ledger import Peer
from kidoproxy.net.flush import Hub, joined
from kidoproxy.session.client import is_blocked, is_listening
from kidoproxy.session.conversation import ClientSession
from kidoproxy.session.house import PoolFacts

log = logging.getLogger("kidoproxy.clients")


@final
class ClientIO(Peer):
    """One connection of one client: an asyncio protocol by its methods."""

    def __init__(self, hub: Hub, pool: PoolFacts, peers: "set[ClientIO]") -> None:
        self.hub = hub
        self.peers = peers
        self.pool = pool
        self.full = False
        self.reading = True
        #: How much was unwritten when `leave_if_silent` last looked.
        self.unread = 0
        self.session: ClientSession | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A session begins, unless there are too many."""
        self.transport = transport
        house = self.hub.house
        self.hub.now()
        house.connections += 1
        transport.set_write_buffer_limits(high=limits.CLIENT_PAUSE_BYTES)
        if self.pool.clients >= self.pool.max_clients or len(house.sessions) >= house.max_clients:
            house.rejected += 1
            transport.write(errors.MAX_CLIENTS)
            transport.close()
            return
        self.pool.clients += 1
        self.peers.add(self)
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.session = ClientSession(house, self.pool, shown(peer, here), shown(here, peer))
        self.session.ledger.peer = self

    def data_received(self, data: bytes) -> None:
        """Requests, or pieces of them."""
        session = self.session
        if session is None:
            return
        hub = self.hub
        hub.now()
        hub.house.bytes_in += len(data)
        session.feed(data)
        if session.stalled or session.closing:
            self.pace()
        hub.touch()

    def write(self) -> None:
        """Write what is ready; cut a client that does not read, close one that is done."""
        session = self.session
        if session is None:
            return
        ledger = session.ledger
        size = ledger.out_bytes
        out = ledger.take_out()
        if size:
            self.hub.house.bytes_out += size
            chunks = joined(out, size)
            if len(chunks) == 1:
                self.transport.write(chunks[0])
            else:
                self.transport.writelines(chunks)
            if self.full and self.transport.get_write_buffer_size() > self.most(session):
                self.cut("output limit")
                return
        if ledger.torn:
            full = ledger.held_bytes > limits.PUBSUB_OUTPUT_BYTES
            self.cut("output limit" if full else "a node died in the middle of its reply")
        elif session.closing and not ledger.count():
            self.transport.close()

    def most(self, session: ClientSession) -> int:
        """How much may be unread: messages come unasked, and nothing slows them down."""
        return self.pool.pubsub_output_bytes if hears_unasked(session) else self.pool.output_bytes

    def go_on(self) -> None:
        """The ledger has drained as far as the session wanted."""
        session = self.session
        if session is None:
            return
        if session.closing:
            self.write()
            return
        try:
            session.resume()
        except Exception:
            # As the loop does for `data_received`: a bug costs this client, and nobody else.
            log.exception("session failed: addr=%s", session.address)
            self.transport.abort()
            return
        self.pace()

    def pace(self) -> None:
        """Read on, or stop reading, as the session and the socket allow."""
        session = self.session
        wanted = session is not None and not self.full and session.is_listening()
        if wanted and not self.reading:
            self.reading = True
            self.transport.resume_reading()
        elif not wanted and self.reading:
            self.reading = False
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The client does not read."""
        self.full = True
        self.pace()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.full = False
        self.pace()

    def leave_if_idle(self) -> None:
        """While draining: close as soon as nothing is owed."""
        session = self.session
        if session is not None:
            session.leave()
        if session is not None and not session.closing and not session.ledger.count() and session.queue is None:
            session.close()
            self.hub.touch()

    def leave_if_silent(self) -> bool:
        """Close a client that has sent and read nothing for its pool's ``idle_seconds``; whether that was so.

        Who has subscribed or monitors waits for messages and is never idle, as in Redis; nor is whom a pause holds.
        """
        session = self.session
        seconds = self.pool.idle_seconds
        if session is None or not seconds or hears_unasked(session) or is_blocked(session):
            return False
        left = self.transport.get_write_buffer_size()
        if left != self.unread:
            self.unread = left
            session.active_ms = self.hub.house.wall_ms
        if session.ledger.count() or self.hub.house.wall_ms - session.active_ms <= seconds * 1000:
            return False
        if left or session.closing:
            self.transport.abort()
        else:
            session.close()
            self.hub.touch()
        return True

    def cut(self, why: str) -> None:
        """Close at once; what is unread is lost."""
        self.hub.house.cut_clients += 1
        log.warning("client cut: addr=%s reason=%s", self.session.address if self.session else "?", why)
        self.transport.abort()

    def eof_received(self) -> bool:
        """The client hangs up: let the transport close."""
        return False

    def connection_lost(self, problem: Exception | None) -> None:
        """The session is over."""
        session = self.session
        if session is not None:
            self.session = None
            self.peers.discard(self)
            self.pool.clients -= 1
            session.gone()
            self.hub.touch()


def hears_unasked(session: ClientSession) -> bool:
    """Whether it has subscribed or monitors."""
    return is_listening(session) or session.monitor is not None


def shown(name: object, other: object) -> str:
    """``host:port`` of a TCP peer; ``path:0`` of a unix socket, as Redis shows it."""
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in str(name[0]) else name[0]
        return f"{host}:{name[1]}"
    text = name if isinstance(name, str) and name else other
    return f"{text if isinstance(text, str) else ''}:0"
