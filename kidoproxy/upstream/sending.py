"""Sending requests: at once on a ready connection, else in the queue, or a failure at once.

While a connection is *down* nothing is queued: what is submitted fails at once, and only the connection's own
handshake tests the node. While it connects for the first time, or again after a loss, requests wait for it within their
deadlines.
"""

from typing import Final

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import limits
from kidoproxy.resp.errors import OVERLOADED
from kidoproxy.resp.scan import parse_int64
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.databases import fail_fast, needs_trial_select, send_trial_select, switch_mode
from kidoproxy.upstream.health import QUEUE_FULL_CAUSE
from kidoproxy.upstream.pipeline import QueuedRequest
from kidoproxy.upstream.states import DOWN, FAIL_FAST, HELD, NEW

WRITE_GRACE_BYTES: Final = limits.BIG_KEY_BYTES
EXTRA_TIME_BYTES: Final = 64 * 1024
#: 50 MB/s is slow for a datacentre, and 50 000 keys a second for a server.
SECONDS_PER_BYTE: Final = 1 / 50_000_000
SECONDS_PER_ARGUMENT: Final = 1 / 50_000


class SendingConnection(ConnectionBase):
    """A connection that requests can be submitted to."""

    def submit(
        self, handler: ReplyHandler, payload: bytes, proto: int, db: int, now: float, reply_count: int = 1
    ) -> None:
        """Send ``payload`` for ``handler``, which takes the next ``reply_count`` replies, or one failure."""
        due = now + self.options.timeout
        if len(payload) > EXTRA_TIME_BYTES:
            due += extra_time(payload)
            if len(payload) > WRITE_GRACE_BYTES:
                self.extend_write_grace(len(payload), now)
                self.node.traffic.note_big_request(payload, len(payload))
        handler.due = due
        if self.can_send:
            self.send(handler, payload, proto, db, reply_count)
        else:
            self.enqueue_or_fail(handler, payload, proto, db, reply_count)

    def send(self, handler: ReplyHandler, payload: bytes, proto: int, db: int, reply_count: int) -> None:
        """Put ``payload`` on the wire of a ready connection, held or not; its deadline is the caller's to set."""
        handlers = self.reply_handlers
        if len(handlers) - self.head >= limits.CONNECTION_QUEUE_REPLIES or self.out_bytes > self.out_budget:
            self.fail_overloaded(handler)
            return
        if proto != self.proto or db != self.db:
            if needs_trial_select(self, db):
                send_trial_select(self, QueuedRequest(handler, payload, proto, db, reply_count))
                return
            switch_mode(self, proto, db)
        # `ConnectionQueue.append`, written out: each command comes by here.
        handlers.append(handler)
        if reply_count > 1:
            handlers.extend([handler] * (reply_count - 1))
        self.out.append(payload)
        self.out_bytes += len(payload)
        if not self.flush_scheduled:
            self.schedule_flush()

    def fail_overloaded(self, handler: ReplyHandler) -> None:
        """No more is taken before some is answered."""
        self.node.count_failure(QUEUE_FULL_CAUSE)
        handler.on_failure(self.node_failure(OVERLOADED, "its queue is full", False))

    def send_tail(self, handler: ReplyHandler, tail_pieces: list[bytes], now: float) -> None:
        """The other pieces of a large payload, whose first one has just been submitted for ``handler``."""
        if self.in_flight_count() and self.reply_handlers[-1] is handler:
            size = sum(map(len, tail_pieces))
            if size >= limits.BIG_KEY_BYTES:
                self.node.traffic.note_big_request(self.out[-1], size)
            for piece in tail_pieces:
                self.append_output(piece)
            handler.due += size * SECONDS_PER_BYTE
            self.extend_write_grace(size, now)

    def enqueue_or_fail(self, handler: ReplyHandler, payload: bytes, proto: int, db: int, reply_count: int) -> None:
        """Nothing can be sent now: wait, or fail at once when nobody is to wait for this connection."""
        if not self.held and (self.state == DOWN or self.conditions & FAIL_FAST):
            fail_fast(self, handler, reply_count)
        elif self.is_full(len(self.queue)):
            self.fail_overloaded(handler)
        else:
            self.enqueue(QueuedRequest(handler, payload, proto, db, reply_count))
            if self.state == NEW:
                self.start_connecting()

    def hold(self, now: float = 0.0, grace: float = 0.0) -> None:
        """Keep back what is submitted from now on, while a sync copies; only `send` passes.

        What is kept back may wait ``grace`` seconds longer.
        """
        self.add_condition(HELD)
        self.held_since = now
        self.hold_grace = grace

    def unhold(self, now: float) -> None:
        """Let go what was kept back, in order; the time that it was kept is given back to it."""
        for waiting in self.queue if self.held_since else []:
            waiting.handler.due += now - self.held_since
        self.remove_condition(HELD)
        self.held_since = self.hold_grace = 0.0
        self.release_queue(now)

    def release_queue(self, now: float) -> None:
        """Submit the queue anew; a request's deadline stays what it was."""
        queue = self.take_queue()
        for waiting in queue:
            handler = waiting.handler
            due = handler.due
            self.submit(handler, waiting.payload, waiting.proto, waiting.db, now, waiting.reply_count)
            handler.due = due


def extra_time(payload: bytes) -> float:
    """How much longer a large request may take: by its bytes, and by its arguments, of which DEL may have very many."""
    argument_count = parse_int64(payload[1 : payload.find(b"\r", 0, 24)]) or 0
    return len(payload) * SECONDS_PER_BYTE + argument_count * SECONDS_PER_ARGUMENT
