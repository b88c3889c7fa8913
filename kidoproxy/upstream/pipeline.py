"""What is held for one connection to a node, in bytes. Its bound is the login's ``queue_bytes``.

Requests that wait for the connection are counted one by one; those that were written, until they are answered, from
flush to flush. Both, and what is ready to be written, count against the same bound. Half a reply has it for itself.
"""

from kidoproxy.replies.accounting import InFlightBytes
from kidoproxy.replies.queue import ReplyHandler
from kidoproxy.resp import limits
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.upstream.handshake import ConnectionOptions, HandshakeTarget, QueuedRequest


class Pipeline(HandshakeTarget):
    """The link, as far as it counts bytes. ``room``: how many bytes ``out`` may have, beside what else is held."""

    def __init__(self, options: ConnectionOptions) -> None:
        super().__init__()
        self.options = options
        #: Legs in the order of their replies; those before ``head`` have been answered, ``replies`` since ever.
        self.reply_handlers: list[ReplyHandler] = []
        self.head = 0
        self.replies_received = 0
        self.queue: list[QueuedRequest] = []
        self.queue_bytes = 0
        self.out: list[bytes] = []
        self.out_bytes = 0
        self.in_flight = InFlightBytes()
        #: How much of ``out`` is noted as in flight; and what was written and is not noted yet, for it is little.
        self.accounted_out_bytes = 0
        self.unaccounted_sent_bytes = 0
        self.out_budget = options.max_queue_bytes
        self.reader = ReplyReader()

    def pending_count(self) -> int:
        """How many legs wait."""
        raise NotImplementedError

    def update_budget(self) -> None:
        """Work out ``room``."""
        self.out_budget = (
            self.options.max_queue_bytes - self.queue_bytes - self.in_flight.size() + self.accounted_out_bytes
        )

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

    def discard_output(self) -> None:
        """The connection is gone, and with it what was sent on it or was to be."""
        self.out = []
        self.out_bytes = 0
        self.accounted_out_bytes = 0
        self.unaccounted_sent_bytes = 0
        self.in_flight.clear()

    def account_answered(self, answered_count: int, all_answered: bool) -> None:
        """So many legs have been answered."""
        if all_answered:
            self.in_flight.clear()
        else:
            self.in_flight.mark_answered(answered_count)
        self.update_budget()

    def enqueue(self, queued: QueuedRequest) -> None:
        """One more waits for the connection."""
        self.queue.append(queued)
        self.queue_bytes += len(queued.payload)
        self.out_budget -= len(queued.payload)

    def take_queue(self) -> list[QueuedRequest]:
        """What waits; it waits no more."""
        queue = self.queue
        self.set_queue([])
        return queue

    def set_queue(self, queue: list[QueuedRequest]) -> None:
        """This waits now."""
        self.queue = queue
        self.queue_bytes = sum([len(queued.payload) for queued in queue])
        self.update_budget()

    def is_full(self, handler_count: int) -> bool:
        """Whether no more is taken, of legs or of bytes."""
        return handler_count >= limits.CONNECTION_QUEUE_REPLIES or self.out_bytes > self.out_budget

    def held_bytes(self) -> int:
        """All of it: requests that wait or are not answered (or a few more), and half a reply."""
        if not self.pending_count():
            return self.reader.held_bytes()
        written = self.in_flight.size() + self.unaccounted_sent_bytes - self.accounted_out_bytes
        return self.queue_bytes + self.out_bytes + written + self.reader.held_bytes()
