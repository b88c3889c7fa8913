"""A client's reply queue: replies come back in any order and leave in the order of the requests.

A `PendingRequest` is one open request. When it has its reply and is the oldest one, it and all answered ones behind it
are appended to ``out``; there is no other ordering code. A large reply whose turn it is leaves in pieces. A message of
pub/sub leaves at once, but never inside a reply that has left in part.
"""

from typing import Final, final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.accounting import HALF_REPLY, OUTPUT_LIMIT, ReplyAccounting
from kidoproxy.replies.error_counts import ErrorCounts
from kidoproxy.replies.handler import NO_RETRY, ReplyHandler
from kidoproxy.replies.jobs import Jobs
from kidoproxy.replies.transport import Transport
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import as_loading_if
from kidoproxy.resp.scan import MINUS

#: Behind a read that is to be asked once more so many open requests are looked at.
MAX_LOOKED_AT: Final = 64


@final
class TurnWork:
    """What remains to be done at the end of a turn of the loop: writes, resumed sessions, work in slices."""

    def __init__(self) -> None:
        self.reply_queues: list[ReplyQueue] = []
        #: Queues that have shrunk as far as somebody waits for (`ReplyQueue.resume_at`).
        self.to_resume: list[ReplyQueue] = []
        self.jobs = Jobs()
        #: Units of work done in this turn (see `limits.SLICE_UNITS`): the more, the smaller the slices that follow.
        self.spent_units = 0


@final
class ReplyQueue(ReplyAccounting):
    """The open requests of one client in their order, and the output that is ready."""

    def __init__(
        self, turn_work: TurnWork, node_errors_as_loading: bool = False, error_counts: ErrorCounts | None = None
    ) -> None:
        super().__init__()
        self.turn_work = turn_work
        self.open_requests: list[PendingRequest] = []
        self.out: list[bytes] = []
        self.out_bytes = 0
        #: Bytes of messages held behind the last reply that left in part.
        self.held_message_bytes = 0
        #: Node errors are sent behind LOADING (``node_errors = "retry"``).
        self.node_errors_as_loading = node_errors_as_loading
        #: Those of the pool.
        self.error_counts = error_counts or ErrorCounts()
        #: The session waits until at most so many requests are open; -1 if it does not wait.
        self.resume_at = -1
        self.transport: Transport | None = None

    def open_pending(self, spec: CommandSpec | None) -> "PendingRequest":
        """Append an open request; ``spec`` is its command, if it has one that can fail on a node."""
        pending = PendingRequest(self, spec)
        self.open_requests.append(pending)
        return pending

    def open_count(self) -> int:
        """How many requests wait for their reply or for their turn."""
        return len(self.open_requests) - self.head

    def opened_count(self) -> int:
        """How many requests there have been so far."""
        return self.released_count + len(self.open_requests)

    def answered_count(self) -> int:
        """How many of them have their reply, and all before them."""
        return self.released_count + self.head

    def emit(self, raw: bytes) -> None:
        """Append bytes to the output, past all open requests."""
        if self.closed:
            return
        self.out.append(raw)
        self.out_bytes += len(raw)
        if not self.write_scheduled:
            self.schedule_write()

    def push(self, raw: bytes) -> None:
        """Send a message now, or as soon as the reply that has left in part is complete."""
        open_requests = self.open_requests
        if self.closed or self.head == len(open_requests) or not open_requests[self.head].partly_sent:
            self.emit(raw)
            return
        # Behind that reply and the messages that wait for it already, which alone are marked as partly sent.
        index = self.head + 1
        while index < len(open_requests) and open_requests[index].partly_sent:
            index += 1
        if index == self.head + 1:
            self.held_message_bytes = 0
        self.held_message_bytes += len(raw)
        if self.held_message_bytes > self.message_limit:
            self.request_disconnect(OUTPUT_LIMIT)
        self.add_held_bytes(len(raw))
        self.in_flight.renumber_marks()
        message = PendingRequest(self, None)
        message.partly_sent = True
        message.reply = raw
        open_requests.insert(index, message)

    def schedule_write(self) -> None:
        """Have the output written at the end of this turn of the loop."""
        self.write_scheduled = True
        self.turn_work.reply_queues.append(self)

    def release_ready(self) -> None:
        """Append the reply of the oldest request, and of all answered ones behind it, to the output."""
        open_requests = self.open_requests
        head = self.head
        n = len(open_requests)
        first = open_requests[head]
        before = self.out_bytes
        reply = first.reply
        while head < n:
            pending = open_requests[head]
            raw = pending.reply
            if raw is None:
                break
            head += 1
            # Requests are removed many at a time: until then they must not keep their replies.
            pending.reply = b""
            if not pending.suppressed:
                self.emit(raw)
        if self.held_reply_bytes:
            # All but the first were charged as held.
            own = 0 if first.suppressed or reply is None else len(reply)
            self.held_reply_bytes -= self.out_bytes - before - own
        if head == n:
            open_requests.clear()
            self.released_count += head
            head = 0
        elif head > 512 and head * 2 > n:
            del open_requests[:head]
            self.released_count += head
            head = 0
        self.head = head
        if self.resume_at >= 0:
            self.resume_if_drained()

    def resume_if_drained(self) -> None:
        """Let the session go on when few enough requests are open, and little enough is held for them."""
        count = self.open_count()
        if count <= self.resume_at and (count == 0 or self.is_below_limits()):
            self.resume_at = -1
            self.turn_work.to_resume.append(self)

    def take_output(self) -> list[bytes]:
        """Return the output, and forget it; the caller writes it."""
        out = self.out
        self.out = []
        self.out_bytes = 0
        self.write_scheduled = False
        return out

    def discard_pending(self) -> None:
        """Give up the open requests: the client is disconnected without their replies."""
        self.open_requests = []
        self.head = 0
        self.stop_accounting()

    def close(self) -> None:
        """The client is gone: replies that still arrive are dropped."""
        self.closed = True
        self.open_requests = []
        self.head = 0
        self.out = []
        self.out_bytes = 0
        self.stop_accounting()

    def __repr__(self) -> str:
        return f"<replies {self.open_count()} open, {self.out_bytes} bytes ready{', closed' if self.closed else ''}>"


@final
class PendingRequest(ReplyHandler):
    """An open request of a client; if ``suppressed`` (CLIENT REPLY OFF or SKIP) its reply is dropped in its turn."""

    def __init__(self, queue: ReplyQueue, spec: CommandSpec | None) -> None:
        super().__init__()
        self.queue = queue
        self.spec = spec
        self.reply: bytes | None = None
        self.suppressed = False
        self.partly_sent = False

    def on_reply(self, raw: bytes) -> None:
        queue = self.queue
        if queue.closed:
            return
        if raw and raw[0] == MINUS and not self.partly_sent:
            self.count_error(raw)
        self.reply = raw
        if queue.open_requests[queue.head] is self:
            queue.release_ready()
        elif self.suppressed:
            self.reply = b""
        else:
            queue.add_held_bytes(len(raw))

    def on_failure(self, failure: NodeFailure) -> None:
        """Reply with an error; if a part of a reply has left already, disconnect."""
        if self.partly_sent:
            self.queue.request_disconnect(HALF_REPLY)
        else:
            is_write = self.spec is not None and self.spec.may_write
            self.on_reply(as_loading_if(failure.error_reply(is_write), self.queue.node_errors_as_loading))

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The failure is the reply, unless there is one already."""
        if self.reply is None:
            self.on_failure(failure)

    def can_cut_through(self) -> bool:
        """When it is the oldest request."""
        queue = self.queue
        return not queue.closed and not self.suppressed and queue.open_requests[queue.head] is self

    def cut_through(self, piece: bytes) -> None:
        """Send the piece; from now on the request must not be sent again, as the reply would begin anew."""
        self.partly_sent = True
        self.retries_left = NO_RETRY
        self.queue.emit(piece)

    def may_be_asked_late(self) -> bool:
        """When only reads, and not too many to look at, are open behind it."""
        queue = self.queue
        open_requests = queue.open_requests
        index = len(open_requests) - 1
        last = max(queue.head, index - MAX_LOOKED_AT)
        while index >= last:
            pending = open_requests[index]
            if pending is self:
                return True
            if pending.spec is None or pending.spec.may_write:
                return False
            index -= 1
        return False

    def add_held_bytes(self, size: int) -> None:
        """The client is charged for them."""
        self.queue.add_held_bytes(size)

    def count_error(self, raw: bytes) -> None:
        counts = self.queue.error_counts
        counts.count(raw, counts.current_family if self.spec is None else self.spec.family)

    def client_address(self) -> str:
        transport = self.queue.transport
        return transport.client_address() if transport is not None else ""

    def describe(self) -> str:
        return self.spec.name.decode() if self.spec is not None else super().describe()
