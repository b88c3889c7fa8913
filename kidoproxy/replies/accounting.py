"""Accounting of memory, in bytes: replies held for one client, and requests in flight.

The memory of a client is

    what it has sent         the reader's buffer, the suspended request, MULTI's queue, watched keys, subscribed names,
                             and `InFlightBytes`
    + replies not sent       ``held_reply_bytes``: replies out of turn, parts of replies, messages behind half a reply
    + what it has not read   ``ReplyQueue.out_bytes``, and the socket's own buffer (`Transport.unsent_bytes`)

Small requests and replies are not counted one by one: `InFlightBytes` sets a mark now and then, at the end of a batch,
and a reply whose turn it is goes straight to the output.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.resp import limits

#: Why a client is disconnected: the words of the log and of the metric.
OUTPUT_LIMIT: Final = "output limit"
QUERY_LIMIT: Final = "query buffer limit"
HALF_REPLY: Final = "a node died in the middle of its reply"
DRAIN_TIMEOUT: Final = "drain time is over"
UNREAD_AFTER_EOF: Final = "it hung up and does not read"
DISCONNECT_REASONS: Final = (OUTPUT_LIMIT, QUERY_LIMIT, HALF_REPLY, DRAIN_TIMEOUT, UNREAD_AFTER_EOF)


@final
class InFlightBytes:
    """Bytes of requests that are not answered, where requests are answered in their order.

    The owner counts the requests. `size` is never less than the true number, and exceeds it by at most a batch and
    `limits.IN_FLIGHT_MARK_BYTES`; it is 0 when no request is open.
    """

    def __init__(self) -> None:
        self.total: i64 = 0
        self.answered: i64 = 0
        self.last_mark: i64 = 0
        #: For each mark: how many requests there had been, and ``total`` at that time.
        self.mark_numbers: list[int] = []
        self.mark_totals: list[int] = []

    def add(self, size: int, request_count: int) -> bool:
        """Count ``size`` bytes; there have been ``request_count`` requests so far. Returns whether a mark was set."""
        self.total += size
        if self.total - self.last_mark < limits.IN_FLIGHT_MARK_BYTES:
            return False
        self.last_mark = self.total
        self.mark_numbers.append(request_count)
        self.mark_totals.append(int(self.total))
        return True

    def mark_answered(self, request_count: int) -> None:
        """``request_count`` requests have been answered so far."""
        mark_numbers = self.mark_numbers
        index = 0
        while index < len(mark_numbers) and mark_numbers[index] <= request_count:
            index += 1
        if index:
            self.answered = self.mark_totals[index - 1]
            del mark_numbers[:index]
            del self.mark_totals[:index]

    def clear(self) -> None:
        """No request is open."""
        self.answered = self.total
        self.last_mark = self.total
        if self.mark_numbers:
            self.mark_numbers = []
            self.mark_totals = []

    def renumber_marks(self) -> None:
        """A request without bytes was inserted in front of all marks."""
        self.mark_numbers = [request_count + 1 for request_count in self.mark_numbers]

    def size(self) -> int:
        return int(self.total - self.answered)


class ReplyAccounting:
    """The byte counts of a reply queue, its base class.

    ``released_count`` requests have been removed from the queue, and the first ``head`` of those in it are answered.
    """

    def __init__(self) -> None:
        self.head = 0
        self.released_count = 0
        self.in_flight = InFlightBytes()
        self.held_reply_bytes = 0
        #: The client's limits: messages held behind half a reply, requests in flight.
        self.message_limit = limits.PUBSUB_OUTPUT_BYTES
        self.in_flight_limit = limits.CLIENT_IN_FLIGHT_BYTES
        self.write_scheduled = False
        self.closed = False
        #: The client is being disconnected: nothing is counted any more.
        self.accounting_stopped = False
        #: Why the client has to be disconnected, one of `DISCONNECT_REASONS`; empty if it has not.
        self.disconnect_reason = ""
        #: So much is held that further requests wait until nodes have answered; `is_below_limits` updates it.
        self.backlogged = False

    def schedule_write(self) -> None:
        """Have the output written at the end of this turn of the loop."""
        raise NotImplementedError

    def add_held_bytes(self, size: int) -> None:
        """Replies of ``size`` bytes are held until their turn; if negative, they are not any more.

        The sum is compared with the client's limit when output is written.
        """
        if self.accounting_stopped:
            return
        self.held_reply_bytes += size
        if self.held_reply_bytes > limits.READ_STOP_BYTES:
            self.backlogged = True
            if not self.write_scheduled:
                self.schedule_write()

    def request_disconnect(self, reason: str) -> None:
        """Disconnect the client at the end of this turn; the first ``reason`` counts."""
        self.disconnect_reason = self.disconnect_reason or reason
        if not self.write_scheduled:
            self.schedule_write()

    def open_count(self) -> int:
        """How many requests wait for their reply or for their turn."""
        raise NotImplementedError

    def add_request_bytes(self, size: int) -> None:
        """Requests of ``size`` bytes have been handled since the last call."""
        self.in_flight.add(size, self.released_count + self.head + self.open_count())
        self.backlogged = self.backlogged or self.in_flight_bytes() > self.in_flight_limit

    def in_flight_bytes(self) -> int:
        """Bytes of requests in flight, or a few more; see `InFlightBytes`."""
        if self.open_count():
            self.in_flight.mark_answered(self.released_count + self.head)
        else:
            self.in_flight.clear()
        return self.in_flight.size()

    def is_below_limits(self) -> bool:
        """Whether the client's further requests may be handled, as far as memory goes."""
        self.backlogged = (
            self.held_reply_bytes > limits.READ_STOP_BYTES or self.in_flight_bytes() > self.in_flight_limit
        )
        return not self.backlogged

    def stop_accounting(self) -> None:
        """The client is being disconnected: what is held for it does not count any more."""
        self.accounting_stopped = True
        self.held_reply_bytes = 0
        self.in_flight.clear()
