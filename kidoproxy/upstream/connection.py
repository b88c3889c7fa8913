"""A link is the conversation with one node: the n-th reply is for the n-th leg, or all that wait fail.

    idle ──place──► connecting ──connected──► greeting ──hello──► ready
                        ▲  │ failed / silent      │ refused         │ lost
                        │  ▼                      ▼                 ▼
                        └── down  (retry_at)  ◄───┘      connecting again, at once

While a link is *down* nothing is queued: what is placed fails at once, and only the link's own greeting
tests the node. After a loss the first attempt is made at once and requests may wait for it, within their
deadlines; a read that was under way is asked once more, a write never is.

A node of a copy pool has one *ordered* link for all protocols and databases, so that every node gets the same
writes in the same order: it changes protocol and database between two legs. A node of a ring has one link for
each (protocol, database), which never changes; a lane may.
"""

from typing import Final, final

from kidoproxy.replies.queue import ReplyHandler, Transport
from kidoproxy.resp import limits
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NODEDOWN, OVERLOADED, NodeFailure
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.resp.scan import GREATER, MINUS
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.pipeline import Pipeline
from kidoproxy.upstream.databases import fail_fast, needs_trial_select, send_trial_select, switch_mode
from kidoproxy.upstream.deadlines import SECONDS_PER_BYTE, check_deadlines, clear_suspect, extra_time, on_timely_reply
from kidoproxy.upstream.failures import (
    fail_in_flight,
    fail_requests,
    notify_disconnect,
    on_handler_exception,
    on_unsolicited_reply,
)
from kidoproxy.upstream.handshake import (
    Backoff,
    ConnectionOptions,
    Handshake,
    HandshakeResult,
    PushHandler,
    QueuedRequest,
    handshake_requests,
)
from kidoproxy.upstream.identity import disconnect_cause, finish_handshake
from kidoproxy.upstream.partial_replies import on_partial_reply
from kidoproxy.upstream.states import CONNECTING, DOWN, HANDSHAKING, IDLE, READY, STATE_NAMES

WRITE_GRACE_BYTES: Final = 1024 * 1024
EXTRA_TIME_BYTES: Final = 64 * 1024


@final
class NodeConnection(Pipeline):
    """See the module. ``proto`` and ``db`` are what the last byte sent leaves the connection in.

    ``shared`` links stand for their node: when they fail it counts as down. A ``lane`` belongs to one session
    for a while; what it was for is lost with its connection, so it never connects again.
    """

    def __init__(
        self, node: Node, options: ConnectionOptions, proto: int, db: int, dirty_connections: "list[NodeConnection]"
    ) -> None:
        super().__init__(options)
        self.node = node
        self.base_proto = proto
        self.base_db = db
        self.proto = proto
        self.db = db
        self.dirty_connections = dirty_connections
        self.flush_scheduled = False
        self.must_close = False  # the old socket is to be closed
        self.state: int = IDLE
        self.can_send = False  # ready, and not held for a sync: a leg may be sent at once
        self.probing = False  # connecting from *down*: nobody may wait for it
        self.written_count = 0
        self.cause = "not connected yet"
        self.last_read_at = 0.0
        self.handshake_deadline = 0.0
        self.backoff = Backoff()
        self.attempted_at = 0.0
        #: The unfinished reply: which one, since when, how much of it has left.
        self.partial_serial = 0
        self.partial_since = 0.0
        self.partial_forwarded_bytes = 0
        #: Large payloads may take until then while their bytes leave; how many had left when last looked, and the
        #: time that has given those behind.
        self.write_grace_until = 0.0
        self.last_sent_bytes = 0
        self.write_progress_until = 0.0
        #: Since when nothing has come in time (0.0: it has), and whether that has made the link suspect.
        self.late_since = 0.0
        self.suspect = False
        #: The node's moves that this connection has seen; it waits for its last replies, to be made anew.
        self.node_moves_seen = 0
        self.reconnect_pending = False
        self.next_probe_at = 0.0
        self.held = False  # legs are kept back while a sync copies through this link (see `hold`)
        self.held_since = self.hold_grace = 0.0
        self.reconnects = 0
        self.timeouts = 0
        self.transport: Transport | None = None
        self.shared = True
        self.dedicated = False
        self.push_handler: PushHandler | None = None
        #: How the node calls this connection (a lane asks for it): CLIENT UNBLOCK wants to know.
        self.client_id = b""
        #: Scripts that this connection has carried to the node, and when.
        self.loaded_scripts: dict[bytes, float] = {}

    def pending_count(self) -> int:
        return len(self.reply_handlers) - self.head + len(self.queue)

    def node_failure(self, code: str, cause: str, maybe_ran: bool) -> NodeFailure:
        """A failure that names this link's node."""
        return NodeFailure(code, self.node.name, self.node.address, cause, maybe_ran)

    def __repr__(self) -> str:
        mode = f"{STATE_NAMES[self.state]}{' held' if self.held else ''}"
        return f"<link {self.node.name} resp{self.proto} db{self.db} {mode}, {self.pending_count()} waiting>"

    def submit(
        self, handler: ReplyHandler, payload: bytes, proto: int, db: int, now: float, reply_count: int = 1
    ) -> None:
        """Send ``payload`` for ``leg``, which takes the next ``replies`` replies of the node, or one failure."""
        due = now + self.options.timeout
        if len(payload) > EXTRA_TIME_BYTES:
            due += extra_time(payload)
            if len(payload) > WRITE_GRACE_BYTES:
                self.extend_write_grace(len(payload), now)
        handler.due = due
        if self.can_send:
            self.send(handler, payload, proto, db, reply_count)
        else:
            self.enqueue_or_fail(handler, payload, proto, db, reply_count)

    def send(self, handler: ReplyHandler, payload: bytes, proto: int, db: int, reply_count: int) -> None:
        """Put ``payload`` on the wire of a ready link."""
        fifo = self.reply_handlers
        if len(fifo) - self.head >= limits.CONNECTION_QUEUE_REPLIES or self.out_bytes > self.out_budget:
            self.fail_overloaded(handler)
            return
        if proto != self.proto or db != self.db:
            if needs_trial_select(self, db):
                send_trial_select(self, QueuedRequest(handler, payload, proto, db, reply_count))
                return
            switch_mode(self, proto, db)
        fifo.append(handler)
        if reply_count > 1:
            fifo.extend([handler] * (reply_count - 1))
        self.out.append(payload)
        self.out_bytes += len(payload)
        self.schedule_flush()

    def fail_overloaded(self, handler: ReplyHandler) -> None:
        """No more is taken before some is answered."""
        self.node.count_failure("queue full")
        handler.on_failure(self.node_failure(OVERLOADED, "its queue is full", False))

    def send_tail(self, handler: ReplyHandler, tail_pieces: list[bytes], now: float) -> None:
        """The other pieces of a large payload, whose first one has just been placed for ``leg``."""
        if self.head < len(self.reply_handlers) and self.reply_handlers[-1] is handler:
            size = sum(map(len, tail_pieces))
            self.out.extend(tail_pieces)
            self.out_bytes += size
            handler.due += size * SECONDS_PER_BYTE
            self.extend_write_grace(size, now)

    def extend_write_grace(self, size: int, now: float) -> None:
        """A large payload has its time on the slowest of networks, as long as its bytes leave."""
        self.write_grace_until = max(self.write_grace_until, now) + size / limits.MIN_BYTES_PER_SECOND

    def enqueue_or_fail(self, handler: ReplyHandler, payload: bytes, proto: int, db: int, reply_count: int) -> None:
        """The link is not open: wait for it, or fail at once when it is down."""
        if not self.held and (self.state == DOWN or self.probing or self.suspect):
            fail_fast(self, handler, reply_count)
        elif self.is_full(len(self.queue)):
            self.fail_overloaded(handler)
        else:
            self.enqueue(QueuedRequest(handler, payload, proto, db, reply_count))
            if self.state == IDLE:
                self.start_connecting()

    def is_ready(self) -> bool:
        """Whether `send` may be called, held or not."""
        return self.state == READY

    def hold(self, now: float = 0.0, grace: float = 0.0) -> None:
        """Keep back what is placed from now on, `send` passes: a sync copies; ``grace`` more seconds may be waited."""
        self.held = True
        self.can_send = False
        self.held_since = now
        self.hold_grace = grace

    def update_can_send(self) -> None:
        """Whether a leg may be sent at once."""
        self.can_send = self.state == READY and not (
            self.held or self.suspect or self.select_pending or self.reconnect_pending
        )

    def unhold(self, now: float) -> None:
        """Let go what was kept back, in order; the time that it was kept is given back to it."""
        for waiting in self.queue if self.held_since else []:
            waiting.handler.due += now - self.held_since
        self.held = False
        self.update_can_send()
        self.hold_grace = 0.0
        self.release_queue(now)

    def release_queue(self, now: float) -> None:
        """Send what waited; a leg's deadline stays what it was."""
        queue = self.take_queue()
        for waiting in queue:
            handler = waiting.handler
            due = handler.due
            self.submit(handler, waiting.payload, waiting.proto, waiting.db, now, waiting.reply_count)
            handler.due = due

    def schedule_flush(self) -> None:
        """Ask to be looked after at the end of this turn: bytes to write, a socket to open or to close."""
        if not self.flush_scheduled:
            self.flush_scheduled = True
            self.dirty_connections.append(self)

    def start_connecting(self) -> None:
        """Ask for a connection."""
        self.state = CONNECTING
        self.schedule_flush()

    def take_output(self) -> list[bytes]:
        """The bytes to write; the caller writes them now."""
        out = self.out
        self.unaccounted_sent_bytes += self.out_bytes - self.accounted_out_bytes
        if self.accounted_out_bytes or self.unaccounted_sent_bytes >= limits.IN_FLIGHT_MARK_BYTES:
            self.account_sent()
        self.out = []
        self.out_bytes = 0
        self.written_count = len(self.reply_handlers)
        return out

    def on_connected(self, now: float, handshake_timeout: float) -> None:
        """The socket is there: greet, and wait ``patience`` seconds for the answers."""
        self.state = HANDSHAKING
        self.reader = ReplyReader()
        self.loaded_scripts = {}
        self.proto = self.base_proto
        self.db = self.base_db
        self.last_read_at = now
        self.partial_serial = 0
        self.node_moves_seen = self.node.role_changes
        self.reconnect_pending = False
        self.write_grace_until = 0.0
        self.write_progress_until = 0.0
        self.handshake_deadline = now + handshake_timeout
        requests = handshake_requests(self.options, self.base_proto, self.base_db, self.dedicated)
        self.reply_handlers = [Handshake(self, requests)] * len(requests)
        self.out = [encode_request(argv) for argv in requests]
        self.schedule_flush()

    def on_handshake(self, result: HandshakeResult) -> None:
        """All replies of the greeting are there."""
        finish_handshake(self, result)

    def become_ready(self) -> None:
        """Legs may be sent from now on."""
        self.state = READY
        self.backoff.on_ready(self.last_read_at, self.replies_received)
        self.db_error = b""
        self.node.highest_db = max(self.node.highest_db, self.base_db)
        self.update_can_send()
        self.cause = ""
        if self.push_handler is not None:
            self.push_handler.on_ready()

    def feed(self, data: bytes, now: float) -> None:
        """Bytes from the node: hand each reply to its leg."""
        self.last_read_at = now
        reader = self.reader
        reader.feed(data)
        head_before = self.head
        handler: ReplyHandler | None = None
        while True:
            try:
                while True:
                    raw = reader.next()
                    if raw is None:
                        break
                    first = raw[0]
                    if first == GREATER and not reader.is_tail:
                        handler = None
                        if self.push_handler is not None:
                            self.push_handler.on_push(raw)
                        continue
                    if self.head >= len(self.reply_handlers):
                        handler = None
                        if self.push_handler is not None:
                            self.push_handler.on_push(raw)
                            continue
                        on_unsolicited_reply(self, now)
                        return
                    handler = self.reply_handlers[self.head]
                    self.head += 1
                    if first == MINUS:
                        self.node.on_error_reply(raw, now)
                    if not handler.discard_reply:
                        handler.on_reply(raw)
                    if self.fatal_error:
                        break
                break
            except Exception as problem:
                if reader.protocol_error:
                    self.on_connection_lost(f"it does not speak the Redis protocol: {problem}", now, True)
                    return
                on_handler_exception(self, handler, problem)
                if self.fatal_error:
                    break
        if self.fatal_error:
            # The greeting or a switch was refused: nobody is made to wait for another attempt.
            self.on_connection_lost(self.fatal_error, now, True)
            return
        self.on_replies_taken(head_before, handler, now)
        if reader.partial_type():
            on_partial_reply(self, reader, now)
        if self.queue and self.can_send:
            self.release_queue(now)

    def on_replies_taken(self, head_before: int, handler: ReplyHandler | None, now: float) -> None:
        """All whole replies of a read have been taken, the last one by ``leg``."""
        if self.head > head_before:
            self.replies_received += self.head - head_before
            if self.late_since and handler is not None and not handler.discard_reply:
                on_timely_reply(self, now)
        self.compact()

    def compact(self) -> None:
        """Forget answered legs, cheaply."""
        if self.in_flight.mark_numbers:
            self.account_answered(self.replies_received, self.head == len(self.reply_handlers))
        n = len(self.reply_handlers)
        if self.head == n:
            self.reply_handlers.clear()
            self.head = 0
            self.written_count = 0
        elif self.head > 512 and self.head * 2 > n:
            del self.reply_handlers[: self.head]
            self.written_count -= self.head
            self.head = 0

    def on_connection_lost(self, cause: str, now: float, back_off: bool) -> None:
        """The connection is gone, or cannot be had: fail what waits, in order.

        Unless it is ``hopeless`` (the node refuses, or is silent) the next attempt is made at once; new
        requests wait for it, and reads that were under way are asked once more.
        """
        waiting = self.reply_handlers[self.head :]
        written = self.written_count - self.head
        queue = self.queue
        if self.state == READY:
            self.backoff.on_closed(now, self.replies_received)
        self.fatal_error = ""
        cause = disconnect_cause(self, waiting, cause)
        self.reset(cause)
        still_queued: list[QueuedRequest] = []
        down = back_off or self.dedicated or not self.backoff.take_immediate_retry()
        if down:
            self.mark_down(now)
        else:
            self.reconnects += 1
            self.start_connecting()
            still_queued = queue
            queue = []
        failure = self.node_failure(NODEDOWN, cause, True)
        unsent_failure = self.node_failure(NODEDOWN, cause, False)
        # On an ordered link nobody remembers in which protocol and database a leg was sent.
        may_retry = not down and self.node.group is None
        first = fail_in_flight(self, waiting, written, failure, unsent_failure, may_retry)
        fail_requests(self, queue, unsent_failure)
        self.set_queue(first + still_queued + self.queue)
        notify_disconnect(self, unsent_failure)

    def reset(self, cause: str) -> None:
        """Forget everything that belonged to the old connection."""
        self.reply_handlers = []
        self.head = 0
        self.written_count = 0
        self.discard_output()
        self.set_queue([])
        self.can_send = False
        if self.suspect:
            clear_suspect(self)
        self.late_since = 0.0
        self.cause = cause
        self.select_pending = False
        if self.shared and not self.db_error:
            self.node.cause = cause
        self.must_close = True
        self.schedule_flush()

    def mark_down(self, now: float) -> None:
        """Down: try again after a pause."""
        attempted_at = self.attempted_at if self.probing else now
        self.state = DOWN
        self.probing = False
        # A link for RESP3 or for another database may be refused by a node that is well.
        self.node.live = self.node.live and (self.base_proto != 2 or self.base_db != 0 or not self.shared)
        self.backoff.schedule_retry(now, attempted_at)

    def tick(self, now: float) -> None:
        """Called some twenty times a second: deadlines, silence, the next attempt."""
        check_deadlines(self, now)
