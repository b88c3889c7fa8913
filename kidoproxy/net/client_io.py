"""A client's socket: bytes to the session, the reply queue's bytes back, back-pressure both ways. Compiled.

A client that reads slowly is not read from meanwhile. One that reads nothing at all may be writing all that it has to
write first, and is read on; past its output limit it is disconnected. Other clients never notice.
"""

import asyncio
import time
from typing import final

from kidoproxy.commands.families import UNKNOWN_FAMILY
from kidoproxy.net.flush import ClientSocket, LoopBridge, join_chunks
from kidoproxy.net.hangup import has_hung_up, has_unread_input, hold_segment, send_fin
from kidoproxy.net.logs import EventLogger
from kidoproxy.replies.accounting import OUTPUT_LIMIT, UNREAD_AFTER_EOF
from kidoproxy.resp import errors, limits
from kidoproxy.session import cleanup
from kidoproxy.session.mode import READY
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.session import ClientSession
from kidoproxy.session.state import REPLY_ON

log = EventLogger("kidoproxy.clients")


@final
class ClientIO(ClientSocket):
    """One connection of one client: an asyncio protocol by its methods."""

    def __init__(self, bridge: LoopBridge, context: PoolContext, clients: "set[ClientIO]") -> None:
        self.bridge = bridge
        self.clients = clients
        self.context = context
        self.write_paused = False
        self.is_reading = True
        #: The socket was full, and nothing had left it, when `check_progress` last looked; what had been written to the
        #: transport and what had left it then.
        self.not_draining = False
        self.written_bytes = 0
        self.drained_bytes = 0
        #: The client has closed its side; whether it reads what is still to be written is watched.
        self.saw_eof = False
        self.lingering = False
        #: Our own side is closed while the proxy drains: what comes from now on is not run.
        self.sent_eof = False
        #: It is to be closed as soon as nothing is owed to it.
        self.draining = False
        #: Moreover nothing more is read while replies are owed, so that there is an end to it.
        self.hurries = False
        #: How much was unsent when `close_if_idle` last looked.
        self.last_unsent_bytes = 0
        #: The request whose time is taken: which one of the client's, and since when (0.0: none is).
        self.sampled_reply = 0
        self.sampled_since = 0.0
        self.session: ClientSession | None = None
        #: The session of a client that has gone, while requests that had arrived whole still run.
        self.orphan_session: ClientSession | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        proxy = self.bridge.proxy
        self.bridge.update_clock()
        proxy.connections_received += 1
        transport.set_write_buffer_limits(high=limits.READ_STOP_BYTES)
        if not proxy.has_room_for_client(self.context):
            proxy.connections_rejected += 1
            self.context.error_counts.count(errors.MAX_CLIENTS, UNKNOWN_FAMILY)
            transport.write(errors.MAX_CLIENTS)
            transport.close()
            return
        self.context.client_count += 1
        self.clients.add(self)
        remote_name, local_name = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.session = ClientSession(
            proxy, self.context, format_address(remote_name, local_name), format_address(local_name, remote_name)
        )
        self.session.replies.transport = self

    def data_received(self, data: bytes) -> None:
        session = self.session
        if session is None:
            return
        bridge = self.bridge
        bridge.update_clock()
        self.context.bytes_received += len(data)
        if self.sampled_since:
            self.drop_unheard_sample(session)
        elif bridge.executor.now >= self.context.sample_at:
            self.begin_sample(session)
        session.feed(data)
        if self.sampled_since:
            self.check_sample(session)
        if session.blocking_executor is not None and has_hung_up(self.transport):
            cleanup.on_eof(session)
        if session.mode != READY:
            self.update_reading()
        bridge.schedule_flush_last()

    def flush(self) -> None:
        """Write what is ready; disconnect a client that does not read, close one that is done."""
        session = self.session
        if session is None:
            self.discard_output()
            return
        replies = session.replies
        if self.draining and not session.closing and self.may_close_draining(session):
            # Together with its reply, so that it hears of the end before it asks again.
            hold_segment(self.transport)
            session.close()
        size = replies.out_bytes
        out = replies.take_output()
        if size:
            self.context.bytes_sent += size
            if self.sampled_since:
                self.end_sample(session)
            self.written_bytes += size
            chunks = join_chunks(out, size)
            if len(chunks) == 1:
                self.transport.write(chunks[0])
            else:
                self.transport.writelines(chunks)
        if replies.disconnect_reason:
            self.disconnect(replies.disconnect_reason)
        elif (self.write_paused or replies.held_reply_bytes > limits.READ_STOP_BYTES) and self.exceeds_output_limit(
            session
        ):
            self.disconnect(OUTPUT_LIMIT)
        elif session.closing and not replies.open_count():
            self.close_when_flushed()

    def begin_sample(self, session: ClientSession) -> None:
        """Take the time of the next request, one of many: as long as it takes, no other of this client's is taken."""
        self.context.sample_at = self.bridge.executor.now + limits.SAMPLE_SECONDS
        self.sampled_reply = session.replies.opened_count()
        self.sampled_since = time.monotonic()

    def check_sample(self, session: ClientSession) -> None:
        """What waits on purpose (BLPOP, the end of a pause), is not whole yet, or gets no reply, says nothing."""
        if (
            session.blocking_executor is not None
            or session.reply_mode != REPLY_ON
            or session.replies.opened_count() == self.sampled_reply
        ):
            self.sampled_since = 0.0

    def drop_unheard_sample(self, session: ClientSession) -> None:
        """It has been answered and nothing has left (CLIENT REPLY SKIP): the next output is another request's."""
        if session.replies.answered_count() > self.sampled_reply and not session.replies.out_bytes:
            self.sampled_since = 0.0

    def end_sample(self, session: ClientSession) -> None:
        """Replies are about to leave: is it among them?"""
        if session.replies.answered_count() > self.sampled_reply:
            self.context.request_durations.observe(time.monotonic() - self.sampled_since)
            self.sampled_since = 0.0

    def discard_output(self) -> None:
        """Nobody reads the replies any more; when nothing is left to run the session is over."""
        orphan = self.orphan_session
        if orphan is not None:
            orphan.replies.take_output()
            if orphan.closing:
                self.orphan_session = None
                orphan.on_disconnect()

    def close_when_flushed(self) -> None:
        """Close when all has been written; a client that does not read it has so many seconds for each piece."""
        if self.draining and not self.saw_eof:
            self.close_own_side()
        else:
            self.transport.close()
        unsent = self.transport.get_write_buffer_size()
        if unsent and not self.lingering:
            self.lingering = True
            self.bridge.loop.call_later(limits.UNREAD_CLOSE_SECONDS, self.check_linger, unsent)

    def close_own_side(self) -> None:
        """Say that nothing more will be answered, and wait for the client's end, but not long.

        What it sends meanwhile is read and not run. Unread, it would have the kernel reset the connection, and the
        client might lose replies that it has not read yet.
        """
        if not self.sent_eof:
            self.sent_eof = True
            self.transport.write_eof()
            if not self.transport.get_write_buffer_size():
                send_fin(self.transport)
            if not self.is_reading:
                self.is_reading = True
                self.transport.resume_reading()
            self.bridge.loop.call_later(limits.DRAIN_LINGER_SECONDS, self.end_linger)

    def end_linger(self) -> None:
        """It has had time to notice; what it has not read yet is for `check_linger`."""
        if self.session is not None:
            self.transport.close()

    def check_linger(self, unsent_before: int) -> None:
        unsent = self.transport.get_write_buffer_size() if self.session is not None else 0
        if unsent >= unsent_before:
            self.disconnect(UNREAD_AFTER_EOF)
        elif unsent:
            self.bridge.loop.call_later(limits.UNREAD_CLOSE_SECONDS, self.check_linger, unsent)

    def exceeds_output_limit(self, session: ClientSession) -> bool:
        """Whether too much is unread. Messages have a lower limit: they come unasked, and nothing slows them down."""
        limit = self.context.max_pubsub_output_bytes if receives_pushes(session) else self.context.max_output_bytes
        return self.transport.get_write_buffer_size() + session.replies.held_reply_bytes > limit

    def client_address(self) -> str:
        return self.session.address if self.session is not None else ""

    def unsent_bytes(self) -> int:
        return 0 if self.session is None else self.transport.get_write_buffer_size()

    def resume(self) -> None:
        """The reply queue has drained as far as the session asked."""
        session = self.session or self.orphan_session
        if session is None:
            return
        if session.closing:
            self.flush()
            return
        try:
            session.resume()
        except Exception:
            # As the loop does for `data_received`: a bug costs this client, and nobody else.
            log.exception("session failed", addr=session.address)
            session.close()
            self.abort()
            return
        self.update_reading()

    def update_reading(self) -> None:
        """Read on, or stop reading, as the session and the socket allow."""
        session = self.session
        if self.saw_eof or self.sent_eof:
            return
        if self.hurries and session is not None and session.replies.open_count():
            if self.is_reading:
                self.is_reading = False
                self.transport.pause_reading()
            return
        should_read = session is not None and (self.not_draining or not self.write_paused) and session.wants_input()
        if should_read and not self.is_reading:
            self.is_reading = True
            self.transport.resume_reading()
        elif not should_read and self.is_reading:
            self.is_reading = False
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        self.write_paused = True
        self.drained_bytes = self.written_bytes - self.transport.get_write_buffer_size()
        self.bridge.slow_clients.add(self)
        self.update_reading()

    def check_progress(self) -> None:
        """A client that has read nothing meanwhile may read only after it has written all: read on."""
        drained_bytes = self.written_bytes - self.transport.get_write_buffer_size()
        self.not_draining = drained_bytes <= self.drained_bytes
        self.drained_bytes = drained_bytes
        self.update_reading()

    def resume_writing(self) -> None:
        self.write_paused = False
        self.not_draining = False
        self.bridge.slow_clients.discard(self)
        self.update_reading()

    def close_if_drained(self, hurry: bool = True) -> None:
        """While the proxy drains: close as soon as no reply is owed, and nothing has come that is to be answered.

        Who has just said something is about to ask again, and is rather closed behind its next reply, unless there is
        a ``hurry``; then nothing more is read from who is never owed nothing.
        """
        session = self.session
        if session is None or session.closing:
            return
        self.draining = True
        cleanup.drain(session)
        if hurry and not self.hurries and not self.saw_eof:
            self.hurries = True
            self.update_reading()
        is_quiet = self.bridge.proxy.wall_ms - session.last_active_ms >= limits.DRAIN_QUIET_MS
        if (hurry or is_quiet) and self.may_close_draining(session):
            session.close()
            self.bridge.schedule_flush()

    def may_close_draining(self, session: ClientSession) -> bool:
        """Whether all that has arrived is answered."""
        if session.replies.open_count() or session.multi is not None:
            return False
        if session.resume_job is not None or session.mode != READY:
            # It has sent requests that are held: for the next turn, for nodes, or for the end of a pause.
            return False
        if session.reader.buffered_bytes() and not self.saw_eof:
            # The rest of a request is on its way.
            self.update_reading()
            return False
        return not has_unread_input(self.transport) or not self.is_reading

    def close_if_idle(self) -> bool:
        """Close a client that has sent and read nothing for its pool's ``idle_seconds``; whether that was so.

        One that has subscribed or monitors waits for messages and is never idle, as in Redis; nor is one that blocks.
        """
        session = self.session
        idle_seconds = self.context.idle_seconds
        if session is None or not idle_seconds or receives_pushes(session) or session.is_blocked():
            return False
        unsent = self.transport.get_write_buffer_size()
        if unsent != self.last_unsent_bytes:
            self.last_unsent_bytes = unsent
            session.touch()
        if session.replies.open_count() or self.bridge.proxy.wall_ms - session.last_active_ms <= idle_seconds * 1000:
            return False
        if unsent or session.closing:
            self.abort()
        else:
            session.close()
            self.bridge.schedule_flush()
        return True

    def disconnect(self, reason: str) -> None:
        """Close at once, count and log why; what is unread is lost."""
        self.bridge.proxy.forced_disconnects[reason] += 1
        address = self.session.address if self.session else "?"
        log.warning("client cut", addr=address, reason=reason)
        self.abort()

    def abort(self) -> None:
        """Close at once.

        What blocks at nodes for this client ends now: the transport itself calls `connection_lost` a turn later.
        """
        if self.session is not None:
            self.session.close()
            self.connection_lost(None)
        self.transport.abort()

    def eof_received(self) -> bool:
        """The client sends nothing more; the transport is closed when all replies have been written."""
        session = self.session
        if session is None or self.sent_eof:
            return False
        self.saw_eof = True
        self.bridge.update_clock()
        cleanup.on_eof(session)
        self.bridge.schedule_flush()
        return True

    def connection_lost(self, problem: Exception | None) -> None:
        session = self.session
        if session is not None:
            self.session = None
            self.bridge.slow_clients.discard(self)
            self.clients.discard(self)
            self.context.client_count -= 1
            self.bridge.update_clock()
            cleanup.on_eof(session)
            if session.closing:
                session.on_disconnect()
            else:
                self.orphan_session = session
            self.bridge.schedule_flush()


def receives_pushes(session: ClientSession) -> bool:
    """Whether it gets frames that it has not asked for one by one."""
    return session.is_subscriber() or session.monitor is not None


def format_address(name: object, fallback: object) -> str:
    """``host:port`` of a TCP peer; ``path:0`` of a unix socket, as Redis shows it."""
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in str(name[0]) else name[0]
        return f"{host}:{name[1]}"
    text = name if isinstance(name, str) and name else fallback
    return f"{text if isinstance(text, str) else ''}:0"
