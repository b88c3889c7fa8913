"""A node's socket: the connection's bytes out, the node's bytes in. Compiled: it is on every command's path."""

import asyncio
import logging
import os
import socket
import ssl
import time
from typing import Final, final

from kidoproxy.net.flush import LoopBridge, join_chunks
from kidoproxy.replies.transport import Transport
from kidoproxy.resp import limits
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.slow_requests import mark_write, sample_write
from kidoproxy.upstream.states import CONNECTING, READY

WRITE_BUFFER_BYTES: Final = 4 * 1024 * 1024
#: What sends more than this before it was asked anything is no Redis.
MAX_EARLY_BYTES: Final = 256 * 1024
#: A read of this size has about filled the loop's buffer (256 KiB; with TLS a little less): there is more to come, and
#: the loop would go on reading, 32 times, before anybody else has a turn.
LONG_READ_BYTES: Final = 128 * 1024


@final
class NodeIO(Transport):
    """The socket of one `NodeConnection`: an asyncio protocol by its methods."""

    def __init__(self, bridge: LoopBridge, conn: NodeConnection) -> None:
        self.bridge = bridge
        self.connection = conn
        self.write_paused = False
        #: Bytes handed to the transport.
        self.written_bytes = 0
        #: A request whose reply is timed: which reply of the connection that is, and since when (0.0: none is).
        self.timed_reply = 0
        self.timed_since = 0.0
        self.sample_at = 0.0
        self.transport: asyncio.Transport | None = None
        #: What arrives before `attach`: a node may send something, or hang up, at once.
        self.early_data = b""
        self.close_cause = ""

    def is_current(self) -> bool:
        """Whether the connection uses this socket; one that it has given up reports nothing more."""
        return self.connection.transport is self and not self.connection.must_close

    def attach(self, now: float, handshake_timeout: float) -> None:
        """Give this socket to the connection, which begins its handshake."""
        conn = self.connection
        conn.transport = self
        conn.on_connected(now, handshake_timeout)
        early_data = self.early_data
        self.early_data = b""
        if early_data:
            conn.on_early_data(early_data, now)
        if self.close_cause and self.is_current():
            self.detach(self.close_cause, now)

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The socket is open; the connector will `attach` it."""
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.is_current():
            arrived = time.monotonic() if self.timed_since else 0.0
            self.connection.feed(data, self.bridge.update_clock())
            if arrived and self.connection.replies_received > self.timed_reply:
                node = self.connection.node
                node.traffic.reply_durations.observe(arrived - self.timed_since)
                if node.is_timed:
                    node.note_reply_time(arrived - self.timed_since)
                self.timed_since = 0.0
            self.bridge.schedule_flush()
            if len(data) >= LONG_READ_BYTES:
                self.pause_reading_this_turn()
        elif self.connection.state == CONNECTING:
            self.early_data += data
            if len(self.early_data) > MAX_EARLY_BYTES:
                self.abort()

    def pause_reading_this_turn(self) -> None:
        """Read nothing more in this turn: a node that sends as fast as it can must not keep others waiting."""
        if self.transport is not None:
            self.transport.pause_reading()
            self.bridge.loop.call_soon(self.continue_reading)

    def continue_reading(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def flush(self) -> None:
        """Write what is queued, unless the node does not read."""
        conn = self.connection
        if self.write_paused:
            conn.on_write_blocked()
            return
        size = conn.out_bytes
        if size:
            now = self.bridge.executor.now
            mark_write(conn, now)
            if not self.timed_since and (conn.node.is_timed or now >= self.sample_at):
                # The first request of this write, and one at a time: two readings of the clock for each.
                self.timed_reply = conn.next_written_number()
                self.timed_since = time.monotonic()
                if now >= self.sample_at:
                    self.sample_at = now + limits.SAMPLE_SECONDS
                    sample_write(conn, now)
        out = conn.take_output()
        transport = self.transport
        if out and transport is not None:
            self.written_bytes += size
            conn.node.traffic.bytes_sent += size
            chunks = join_chunks(out, size)
            if len(chunks) == 1:
                transport.write(chunks[0])
            else:
                transport.writelines(chunks)

    def resume(self) -> None:
        """Only sessions wait for a reply queue."""

    def sent_bytes(self) -> int:
        """Bytes that the kernel has taken."""
        transport = self.transport
        return self.written_bytes - transport.get_write_buffer_size() if transport is not None else 0

    def abort(self) -> None:
        """Close at once: the connection has given this socket up."""
        if self.transport is not None:
            self.transport.abort()

    def eof_received(self) -> bool:
        """The node hangs up: let the transport close."""
        return False

    def pause_writing(self) -> None:
        """The node does not read: requests stay in the connection, which knows its limits."""
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.is_current():
            self.flush()

    def connection_lost(self, problem: Exception | None) -> None:
        """Tell the connection, unless it has already given this socket up."""
        self.close_cause = describe_os_error(problem) if problem else "it closed the connection"
        if self.is_current():
            self.detach(self.close_cause, self.bridge.update_clock())
            self.bridge.schedule_flush()

    def detach(self, cause: str, now: float) -> None:
        """A connection that was ready reconnects at once; one whose handshake was not over waits first."""
        conn = self.connection
        was_ready = conn.state == READY
        conn.transport = None
        conn.on_connection_lost(cause, now, not was_ready)
        if was_ready and conn.shared:
            self.bridge.node_log.emit(
                f"lost {conn.node.name}",
                logging.WARNING,
                "node connection lost",
                node=conn.node.name,
                address=conn.node.address,
                cause=cause,
            )


def describe_os_error(problem: BaseException) -> str:
    """Why a socket failed, in a few words for errors and the log."""
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
