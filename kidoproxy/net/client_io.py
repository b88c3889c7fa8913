"""A client's socket: bytes to the session, the ledger's bytes back, back-pressure both ways. Compiled.

A client that reads slowly is not read from meanwhile. One that reads nothing at all may be writing what it has to
write first, and is read on; past its output limit it is cut. Its neighbours never notice.
"""

import asyncio
import logging
from typing import final

from kidoproxy import errors, limits
from kidoproxy.ledger_account import OUTPUT, UNREAD
from kidoproxy.net.flush import Hub, SlowReader, joined
from kidoproxy.net.hangup import has_ended
from kidoproxy.session import ending
from kidoproxy.session.client import is_blocked, is_listening
from kidoproxy.session.conversation import ClientSession
from kidoproxy.session.house import PoolFacts

log = logging.getLogger("kidoproxy.clients")


@final
class ClientIO(SlowReader):
    """One connection of one client: an asyncio protocol by its methods."""

    def __init__(self, hub: Hub, pool: PoolFacts, peers: "set[ClientIO]") -> None:
        self.hub = hub
        self.peers = peers
        self.pool = pool
        self.full = False
        self.reading = True
        #: While it is full: it has taken nothing since `look_again` last looked. What it was given and had taken then.
        self.stuck = False
        self.given = 0
        self.taken = 0
        #: The client has hung up its side; what is still to be written to it is watched.
        self.ended = False
        self.lingers = False
        #: How much was unwritten when `leave_if_silent` last looked.
        self.unread = 0
        self.session: ClientSession | None = None
        #: The session of a client that is gone, while it still runs what had come whole.
        self.rest: ClientSession | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A session begins, unless there are too many."""
        self.transport = transport
        house = self.hub.house
        self.hub.now()
        house.connections += 1
        transport.set_write_buffer_limits(high=limits.CLIENT_PAUSE_BYTES)
        full = self.pool.clients >= self.pool.max_clients or len(house.sessions) >= house.max_clients
        if full or not house.has_room():
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
        if session.blocked is not None and has_ended(self.transport):
            ending.hang_up(session)
        if session.stalled or session.closing:
            self.pace()
        hub.touch_last()

    def write(self) -> None:
        """Write what is ready; cut a client that does not read, close one that is done."""
        session = self.session
        if session is None:
            self.write_nowhere()
            return
        ledger = session.ledger
        size = ledger.out_bytes
        out = ledger.take_out()
        if size:
            self.hub.house.bytes_out += size
            self.given += size
            chunks = joined(out, size)
            if len(chunks) == 1:
                self.transport.write(chunks[0])
            else:
                self.transport.writelines(chunks)
        if ledger.cut_for:
            self.cut(ledger.cut_for)
        elif (self.full or ledger.waiting_bytes > limits.CLIENT_PAUSE_BYTES) and self.is_past_limit(session):
            self.cut(OUTPUT)
        elif session.closing and not ledger.count():
            self.finish()

    def write_nowhere(self) -> None:
        """Nobody reads the replies any more; when nothing is left to run the session is over."""
        rest = self.rest
        if rest is not None:
            rest.ledger.take_out()
            if rest.closing:
                self.rest = None
                rest.gone()

    def finish(self) -> None:
        """Close when all has been written; a client that does not read it has so many seconds for each piece."""
        self.transport.close()
        left = self.transport.get_write_buffer_size()
        if left and not self.lingers:
            self.lingers = True
            self.hub.loop.call_later(limits.LINGER_SECONDS, self.linger, left)

    def linger(self, before: int) -> None:
        """Look whether it has read anything since."""
        left = self.transport.get_write_buffer_size() if self.session is not None else 0
        if left >= before:
            self.cut(UNREAD)
        elif left:
            self.hub.loop.call_later(limits.LINGER_SECONDS, self.linger, left)

    def is_past_limit(self, session: ClientSession) -> bool:
        """Whether too much is unread: of messages less, for they come unasked, and nothing slows them down."""
        most = self.pool.pubsub_output_bytes if hears_unasked(session) else self.pool.output_bytes
        return self.transport.get_write_buffer_size() + session.ledger.waiting_bytes > most

    def unwritten(self) -> int:
        """What the client has not taken."""
        return 0 if self.session is None else self.transport.get_write_buffer_size()

    def go_on(self) -> None:
        """The ledger has drained as far as the session wanted."""
        session = self.session or self.rest
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
            session.close()
            self.abort()
            return
        self.pace()

    def pace(self) -> None:
        """Read on, or stop reading, as the session and the socket allow."""
        session = self.session
        if self.ended:
            return
        wanted = session is not None and (self.stuck or not self.full) and session.is_listening()
        if wanted and not self.reading:
            self.reading = True
            self.transport.resume_reading()
        elif not wanted and self.reading:
            self.reading = False
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The client does not read as fast as it asks."""
        self.full = True
        self.taken = self.given - self.transport.get_write_buffer_size()
        self.hub.slow.add(self)
        self.pace()

    def look_again(self) -> None:
        """If it has taken nothing meanwhile it may never do so before it has written all."""
        taken = self.given - self.transport.get_write_buffer_size()
        self.stuck = taken <= self.taken
        self.taken = taken
        self.pace()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.full = False
        self.stuck = False
        self.hub.slow.discard(self)
        self.pace()

    def leave_if_idle(self) -> None:
        """While draining: close as soon as nothing is owed."""
        session = self.session
        if session is not None:
            ending.leave(session)
        if session is not None and not session.closing and not session.ledger.count() and session.queue is None:
            if session.suspended is not None:
                # It has sent requests, and would go on with them in the next turn.
                return
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
            self.abort()
        else:
            session.close()
            self.hub.touch()
        return True

    def cut(self, why: str) -> None:
        """Close at once; what is unread is lost."""
        self.hub.house.cuts[why] += 1
        log.warning("client cut: addr=%s reason=%s", self.session.address if self.session else "?", why)
        self.abort()

    def abort(self) -> None:
        """Close at once. What waits at nodes for this client ends now: the transport tells of its end a turn later."""
        if self.session is not None:
            self.session.close()
            self.connection_lost(None)
        self.transport.abort()

    def eof_received(self) -> bool:
        """The client sends nothing more; the transport reads no more, and is closed when all that is owed has left."""
        session = self.session
        if session is None:
            return False
        self.ended = True
        self.hub.now()
        ending.hang_up(session)
        self.hub.touch()
        return True

    def connection_lost(self, problem: Exception | None) -> None:
        """The session is over."""
        session = self.session
        if session is not None:
            self.session = None
            self.hub.slow.discard(self)
            self.peers.discard(self)
            self.pool.clients -= 1
            self.hub.now()
            ending.hang_up(session)
            if session.closing:
                session.gone()
            else:
                self.rest = session
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
