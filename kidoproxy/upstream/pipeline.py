"""The requests of one connection: those that wait, those that are in flight, the bytes to write; and their size.

    enqueue ──► queue ──take_queue──► append ──► out ──take_output──► socket
                                        └──────► reply_handlers[head:] ──feed──► answered: head moves on

Only the methods of this class put bytes into ``out`` (the hot path, `SendingConnection.send`, repeats `append`), so
``out_bytes`` is always their size. Of ``reply_handlers`` those before ``head`` have been answered and those before
``written_count`` have been written.

The bound is the login's ``queue_bytes``. Requests that wait for the connection are counted one by one; those that
were written, until they are answered, from flush to flush. Both, and what is ready to be written, count against the
same bound. A partial reply has the bound for itself.
"""

from typing import final

from kidoproxy.replies.accounting import InFlightBytes
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import limits
from kidoproxy.resp.reply_reader import ReplyReader


@final
class QueuedRequest:
    """A request that waits for its connection: ``payload`` takes ``reply_count`` replies, in that protocol and db."""

    def __init__(self, handler: ReplyHandler, payload: bytes, proto: int, db: int, reply_count: int) -> None:
        self.handler = handler
        self.payload = payload
        self.proto = proto
        self.db = db
        self.reply_count = reply_count
        #: A write that a replica has refused; only until it is sent once more.
        self.is_refused_write = False


class ConnectionQueue:
    """What a connection has to send and is owed; see the module.

    ``out_budget``: how many bytes ``out`` may have, beside what else is held.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.reply_handlers: list[ReplyHandler] = []
        self.head = 0
        self.written_count = 0
        #: Replies that have come, on all connections so far.
        self.replies_received = 0
        self.queue: list[QueuedRequest] = []
        self.queue_bytes = 0
        #: Of these the node has said that they did not run: they go ahead of the queue on the next connection.
        self.refused: list[QueuedRequest] = []
        self.refused_bytes = 0
        self.out: list[bytes] = []
        self.out_bytes = 0
        self.in_flight = InFlightBytes()
        #: The part of ``out`` that is noted as in flight; and what was written and is not noted yet, for it is little.
        self.accounted_out_bytes = 0
        self.unaccounted_sent_bytes = 0
        self.out_budget = max_bytes
        self.reader = ReplyReader()

    def set_max_bytes(self, max_bytes: int) -> None:
        """Another bound; what is held already is kept."""
        self.out_budget += max_bytes - self.max_bytes
        self.max_bytes = max_bytes

    def in_flight_count(self) -> int:
        """How many replies are waited for."""
        return len(self.reply_handlers) - self.head

    def next_written_number(self) -> int:
        """Which reply of all that ever came the next request that is written will get."""
        return self.replies_received + self.written_count - self.head

    def pending_count(self) -> int:
        """How many replies are waited for, or will be once the queue is sent."""
        return len(self.reply_handlers) - self.head + len(self.queue) + len(self.refused)

    def is_full(self, handler_count: int) -> bool:
        """Whether no more is taken: of handlers (in flight or queued, as the caller counts them), or of bytes."""
        return handler_count >= limits.CONNECTION_QUEUE_REPLIES or self.out_bytes > self.out_budget

    def held_bytes(self) -> int:
        """All that is held, or a few bytes more: requests that wait or are not answered, and a partial reply."""
        if not self.pending_count():
            return self.reader.held_bytes()
        written = self.in_flight.size() + self.unaccounted_sent_bytes - self.accounted_out_bytes
        return self.queue_bytes + self.out_bytes + written + self.reader.held_bytes()

    # -- in flight and out -------------------------------------------------------------------------------

    def append(self, handler: ReplyHandler, payload: bytes, reply_count: int) -> None:
        """Send ``payload`` behind everything else; ``handler`` takes its replies."""
        self.reply_handlers.extend([handler] * reply_count)
        self.append_output(payload)

    def append_output(self, piece: bytes) -> None:
        self.out.append(piece)
        self.out_bytes += len(piece)

    def insert_first(self, handler: ReplyHandler, payload: bytes, reply_count: int) -> None:
        """Send ``payload`` ahead of all that has not been written yet."""
        self.reply_handlers[self.written_count : self.written_count] = [handler] * reply_count
        self.out.insert(0, payload)
        self.out_bytes += len(payload)

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

    def compact(self) -> None:
        """Forget answered handlers, cheaply."""
        if self.in_flight.mark_numbers:
            self.account_answered()
        n = len(self.reply_handlers)
        if self.head == n:
            self.reply_handlers.clear()
            self.head = 0
            self.written_count = 0
        elif self.head > 512 and self.head * 2 > n:
            del self.reply_handlers[: self.head]
            self.written_count -= self.head
            self.head = 0

    def discard(self) -> None:
        """The connection is gone, and with it all that was sent on it or was to be; the queue too."""
        self.reply_handlers = []
        self.head = 0
        self.written_count = 0
        self.out = []
        self.out_bytes = 0
        self.accounted_out_bytes = 0
        self.unaccounted_sent_bytes = 0
        self.in_flight.clear()
        self.replace_queue([])

    # -- the queue ---------------------------------------------------------------------------------------

    def enqueue(self, queued: QueuedRequest) -> None:
        self.queue.append(queued)
        self.queue_bytes += len(queued.payload)
        self.out_budget -= len(queued.payload)

    def enqueue_first(self, queued: QueuedRequest) -> None:
        self.enqueue(queued)
        self.queue.insert(0, self.queue.pop())

    def take_queue(self) -> list[QueuedRequest]:
        """The requests of the queue, which is empty now."""
        queue = self.queue
        self.replace_queue([])
        return queue

    def replace_queue(self, queue: list[QueuedRequest]) -> None:
        self.queue = queue
        self.queue_bytes = sum([len(queued.payload) for queued in queue]) + self.refused_bytes
        self.update_budget()

    def add_refused(self, queued: QueuedRequest) -> None:
        """Keep it; it counts as if it were queued."""
        self.refused.append(queued)
        self.refused_bytes += len(queued.payload)
        self.queue_bytes += len(queued.payload)
        self.out_budget -= len(queued.payload)

    def take_refused(self) -> list[QueuedRequest]:
        """What was kept, which is nothing any more."""
        refused = self.refused
        if refused:
            self.refused = []
            self.refused_bytes = 0
            self.replace_queue(self.queue)
        return refused

    # -- the account -------------------------------------------------------------------------------------

    def update_budget(self) -> None:
        self.out_budget = self.max_bytes - self.queue_bytes - self.in_flight.size() + self.accounted_out_bytes

    def on_write_blocked(self) -> None:
        """A turn is over, and what is in ``out`` cannot be written yet."""
        self.unaccounted_sent_bytes += self.out_bytes - self.accounted_out_bytes
        self.account_sent()
        self.accounted_out_bytes = self.out_bytes
        self.update_budget()

    def account_sent(self) -> None:
        """What has left ``out``, or has come to stay in it, is in flight from here on."""
        self.accounted_out_bytes = 0
        self.in_flight.add(self.unaccounted_sent_bytes, self.replies_received - self.head + len(self.reply_handlers))
        self.unaccounted_sent_bytes = 0
        self.update_budget()

    def account_answered(self) -> None:
        """Replies have come: what their requests held is free."""
        if self.head == len(self.reply_handlers):
            self.in_flight.clear()
        else:
            self.in_flight.mark_answered(self.replies_received)
        self.update_budget()
