"""The ledger: replies come back in any order and leave in the order of the requests.

A `PendingRequest` is one place in the ledger of one client. A reply is put into its call; when that call is the head,
it and all ready ones behind it leave into ``out``. There is no other ordering code. A `Aggregate` waits for several
replies and merges them into one, for whoever waits above it: a call, or a place in another joint. Failures fill their
place as replies do, so each is answered exactly once.
"""

from typing import Final, final

from kidoproxy.replies.accounting import HALF_REPLY, OUTPUT_LIMIT, ReplyAccounting
from kidoproxy.replies.jobs import Jobs
from kidoproxy.resp.decode import first_bulks
from kidoproxy.resp.encode import array
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import as_loading_if

#: What a link may do with a leg whose connection died: never again, or once more.
NO_RETRY: Final = 0
ONE_RETRY: Final = 1
#: So many replies are missing of a joint that will never finish.
NEVER_COMPLETE: Final = 1 << 40


class ReplyHandler:
    """Something that waits for one reply of one node. ``take`` or ``fail`` is called exactly once.

    ``due`` is the time at which the client gets TIMEOUT; ``payload`` is kept only while ``tries`` says
    that it may be sent once more (a pure read), or until it is written.
    """

    def __init__(self) -> None:
        self.due: float = 0.0
        self.payload: bytes | None = None
        self.retries_left = NO_RETRY
        #: The link has answered for it already (TIMEOUT); its late reply is dropped by position.
        self.discard_reply = False

    def on_reply(self, raw: bytes) -> None:
        """The raw reply."""
        raise NotImplementedError

    def on_failure(self, failure: NodeFailure) -> None:
        """There will be no reply, and why."""
        raise NotImplementedError

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """An exception of ours has left ``take`` half way (``failed``: ``fail``): whoever waits must hear of it."""
        if not failed:
            self.on_failure(failure)

    def describe(self) -> str:
        """What was asked, for a person: the command, as far as it is known here."""
        payload = self.payload
        argv_head = first_bulks(payload, 1) if payload is not None and payload[:1] == b"*" else []
        return (
            argv_head[0][:64].lower().decode("utf-8", "backslashreplace") if argv_head else type(self).__name__.lower()
        )

    def can_cut_through(self) -> bool:
        """Whether a large reply may leave piece by piece, ahead of its end."""
        return False

    def cut_through(self, piece: bytes) -> None:
        """The reply's next piece; only after `can_cut` said yes. ``take`` brings the rest."""
        raise NotImplementedError

    def add_held_bytes(self, size: int) -> None:
        """Bytes of replies are held below it (negative: no longer); whoever stands for a client counts them."""


class Transport:
    """Whoever owns the socket behind a ledger or a link. The pure rooms only carry it."""

    def flush(self) -> None:
        """Write what is ready."""
        raise NotImplementedError

    def resume(self) -> None:
        """The ledger has drained as far as somebody wanted."""
        raise NotImplementedError

    def unsent_bytes(self) -> int:
        """Bytes that the socket was given and the other side has not taken."""
        return 0

    def sent_bytes(self) -> int:
        """Bytes that have left through this socket, as far as is known; it grows while they do."""
        return 0


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

    def open_pending(self, is_write: bool) -> "PendingRequest":
        """A new place at the end."""
        pending = PendingRequest(self, is_write)
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
        message = PendingRequest(self, False)
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

    def __init__(self, replies: ReplyQueue, is_write: bool) -> None:
        super().__init__()
        self.replies = replies
        self.is_write = is_write
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
            self.on_reply(as_loading_if(failure.error_reply(self.is_write), self.replies.failures_as_loading))

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


class Aggregate:
    """Waits for ``count`` replies, then makes one of them for ``parent``. Rooms above add their own kinds."""

    def __init__(self, parent: ReplyHandler, count: int) -> None:
        self.parent = parent
        #: The command, where it is known.
        self.command_name = b""
        self.remaining = count
        self.replies: list[bytes] = [b""] * count
        self.failures: list[NodeFailure | None] = []
        self.held_bytes = 0

    def set_reply(self, index: int, raw: bytes) -> None:
        """The reply for place ``at``."""
        self.replies[index] = raw
        self.remaining -= 1
        if self.remaining == 0:
            self.complete()
        else:
            self.held_bytes += len(raw)
            self.parent.add_held_bytes(len(raw))

    def complete(self) -> None:
        """All that was held goes on; a late leg may keep the joint itself for long."""
        if self.held_bytes:
            self.parent.add_held_bytes(-self.held_bytes)
            self.held_bytes = 0
        self.answer_parent()
        self.replies = []

    def set_failure(self, index: int, failure: NodeFailure) -> None:
        """No reply for place ``at``."""
        if not self.failures:
            self.failures = [None] * len(self.replies)
        self.failures[index] = failure
        self.remaining -= 1
        if self.remaining == 0:
            self.complete()

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """One place could not be filled, or all could and nothing could be made of them: it never finishes."""
        self.remaining = NEVER_COMPLETE
        if self.held_bytes:
            self.parent.add_held_bytes(-self.held_bytes)
            self.held_bytes = 0
        self.parent.abort(failure, failed)

    def describe(self) -> str:
        """The command."""
        return self.command_name.decode("utf-8", "backslashreplace") or self.parent.describe()

    def first_failure(self) -> NodeFailure | None:
        """The failure at the lowest place, if any."""
        for failure in self.failures:
            if failure is not None:
                return failure
        return None

    def answer_parent(self) -> None:
        """All places are filled: answer the parent."""
        raise NotImplementedError


@final
class AggregateSlot(ReplyHandler):
    """One place of a joint."""

    def __init__(self, aggregate: Aggregate, index: int) -> None:
        super().__init__()
        self.aggregate = aggregate
        self.index = index

    def on_reply(self, raw: bytes) -> None:
        """Fill the place."""
        self.aggregate.set_reply(self.index, raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """Fill the place with a failure."""
        self.aggregate.set_failure(self.index, failure)

    def add_held_bytes(self, size: int) -> None:
        """Whoever waits for the joint counts it."""
        self.aggregate.parent.add_held_bytes(size)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The whole is spoilt."""
        self.aggregate.abort(failure, failed)

    def describe(self) -> str:
        """The command that it is a part of."""
        return self.aggregate.describe()


class ListReplies(Aggregate):
    """Each place's own reply, as a list; a failure stands in its place as an error."""

    def __init__(self, parent: ReplyHandler, count: int, is_write: bool) -> None:
        super().__init__(parent, count)
        self.is_write = is_write

    def answer_parent(self) -> None:
        """One array of all."""
        if self.failures:
            for index, failure in enumerate(self.failures):
                if failure is not None:
                    self.replies[index] = failure.error_reply(self.is_write)
        self.parent.on_reply(array(self.replies))


@final
class IgnoreReply(ReplyHandler):
    """A leg whose reply nobody waits for."""

    def on_reply(self, raw: bytes) -> None:
        """Drop it."""

    def on_failure(self, failure: NodeFailure) -> None:
        """Drop it."""
