"""A client's reply queue: replies come back in any order and leave in the order of the requests.

A `PendingRequest` is one open request. When it has its reply and is the oldest one, it and all answered ones behind it
leave into ``out``; there is no other ordering code. A reply that is large leaves piece by piece once it is its turn.
"""

from typing import final

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.accounting import HALF_REPLY, OUTPUT_LIMIT, ReplyAccounting
from kidoproxy.replies.handler import NO_RETRY, ReplyHandler
from kidoproxy.replies.jobs import Jobs
from kidoproxy.replies.transport import Transport
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import as_loading_if


@final
class PendingWrites:
    """What has to be written when this turn of the loop ends, who waits to go on, and what is done in slices.

    ``spent``: the requests that were handled in this turn; who comes late in a busy one gets a smaller slice.
    """

    def __init__(self) -> None:
        self.reply_queues: list[ReplyQueue] = []
        self.drained: list[ReplyQueue] = []
        self.jobs = Jobs()
        self.spent_units = 0


@final
class ReplyQueue(ReplyAccounting):
    """The open calls of one client in request order, and the bytes that are ready to leave."""

    def __init__(self, pending_writes: PendingWrites, failures_as_loading: bool = False) -> None:
        super().__init__()
        self.pending_writes = pending_writes
        self.open_requests: list[PendingRequest] = []
        self.out: list[bytes] = []
        self.out_bytes = 0
        #: Bytes of messages that wait for the end of a reply which has left in part (of the last such reply).
        self.held_message_bytes = 0
        #: What is a node's fault is told behind LOADING (``node_errors = "retry"``).
        self.failures_as_loading = failures_as_loading
        #: Someone waits until at most so many calls are open (-1: nobody does).
        self.resume_at = -1
        self.transport: Transport | None = None

    def open_pending(self, spec: CommandSpec | None) -> "PendingRequest":
        """A new place at the end."""
        pending = PendingRequest(self, spec)
        self.open_requests.append(pending)
        return pending

    def open_count(self) -> int:
        """How many calls wait for a reply or for their turn."""
        return len(self.open_requests) - self.head

    def emit(self, raw: bytes) -> None:
        """Bytes that leave now: they have no place of their own, or it is their turn."""
        if self.closed:
            return
        self.out.append(raw)
        self.out_bytes += len(raw)
        if not self.write_scheduled:
            self.schedule_write()

    def push(self, raw: bytes) -> None:
        """A message that nobody asked for: it leaves now, but never inside a reply that has left in part."""
        open_requests = self.open_requests
        if self.closed or self.head == len(open_requests) or not open_requests[self.head].partly_sent:
            self.emit(raw)
            return
        # It takes a place behind that reply and the messages that wait there: only they are *begun* there.
        index = self.head + 1
        while index < len(open_requests) and open_requests[index].partly_sent:
            index += 1
        if index == self.head + 1:
            self.held_message_bytes = 0
        self.held_message_bytes += len(raw)
        if self.held_message_bytes > self.message_limit:
            self.request_disconnect(OUTPUT_LIMIT)
        self.add_held_bytes(len(raw))
        self.in_flight.shift_marks()
        message = PendingRequest(self, None)
        message.partly_sent = True
        message.reply = raw
        open_requests.insert(index, message)

    def schedule_write(self) -> None:
        """Ask for a write at the end of this turn."""
        self.write_scheduled = True
        self.pending_writes.reply_queues.append(self)

    def release_ready(self) -> None:
        """Let the head go, and every ready call behind it."""
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
            # Answered calls are forgotten many at a time: their replies must not stay.
            pending.reply = b""
            if not pending.suppressed:
                self.emit(raw)
        if self.held_reply_bytes:
            # All but the first were held before their turn.
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
        if (
            self.resume_at >= 0
            and len(open_requests) - head <= self.resume_at
            and (head == len(open_requests) or self.is_below_limits())
        ):
            self.resume_at = -1
            self.pending_writes.drained.append(self)

    def take_output(self) -> list[bytes]:
        """The bytes that are ready; the caller writes them."""
        out = self.out
        self.out = []
        self.out_bytes = 0
        self.write_scheduled = False
        return out

    def discard_pending(self) -> None:
        """What is still owed will never come: the client goes without it."""
        self.open_requests = []
        self.head = 0
        self.stop_accounting()

    def close(self) -> None:
        """The client is gone: nothing leaves any more, what still comes is dropped."""
        self.closed = True
        self.open_requests = []
        self.head = 0
        self.out = []
        self.out_bytes = 0
        self.stop_accounting()

    def __repr__(self) -> str:
        return f"<ledger {self.open_count()} open, {self.out_bytes} bytes ready{', closed' if self.closed else ''}>"


@final
class PendingRequest(ReplyHandler):
    """One request's place in the ledger; ``quiet`` ones (CLIENT REPLY OFF) leave without a trace."""

    def __init__(self, replies: ReplyQueue, spec: CommandSpec | None) -> None:
        super().__init__()
        self.replies = replies
        self.spec = spec
        self.reply: bytes | None = None
        self.suppressed = False
        self.partly_sent = False

    def on_reply(self, raw: bytes) -> None:
        """The reply is known; it leaves when it is this call's turn."""
        replies = self.replies
        if replies.closed:
            return
        self.reply = raw
        if replies.open_requests[replies.head] is self:
            replies.release_ready()
        elif self.suppressed:
            self.reply = b""
        else:
            replies.add_held_bytes(len(raw))

    def on_failure(self, failure: NodeFailure) -> None:
        """The reply is an error line; half a reply that has left already cannot be mended."""
        if self.partly_sent:
            self.replies.request_disconnect(HALF_REPLY)
        else:
            is_write = self.spec is not None and self.spec.may_write
            self.on_reply(as_loading_if(failure.error_reply(is_write), self.replies.failures_as_loading))

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The error is the reply, unless there is one."""
        if self.reply is None:
            self.on_failure(failure)

    def can_cut_through(self) -> bool:
        """When it is this call's turn."""
        replies = self.replies
        return not replies.closed and not self.suppressed and replies.open_requests[replies.head] is self

    def cut_through(self, piece: bytes) -> None:
        """Leave ahead of the rest. Asking once more would begin anew in the middle of the reply."""
        self.partly_sent = True
        self.retries_left = NO_RETRY
        self.replies.emit(piece)

    def add_held_bytes(self, size: int) -> None:
        """Its client's account has them."""
        self.replies.add_held_bytes(size)

    def describe(self) -> str:
        """The command's full name."""
        return self.spec.name.decode() if self.spec is not None else super().describe()
