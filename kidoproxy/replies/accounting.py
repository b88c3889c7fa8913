"""What is held on somebody's behalf, in bytes: for one client (`ReplyAccounting`), and under way on one connection
(`InFlightBytes`).

A client's account is

    what it has sent        the reader's buffer, the parked request, MULTI's queue, watched keys, names; `InFlightBytes`
    + what it is owed       ``waiting_bytes``: replies before their turn, parts of replies, messages behind half a reply
    + what it has not read  ``out_bytes`` of the ledger, and the socket's own buffer (`Peer.unwritten`)

Small requests and replies are not counted one by one: `InFlightBytes` sets a mark now and then, at the end of a batch,
and a reply in its turn goes straight to the output.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.resp import limits

#: Why a client is cut: the words of the log, and of the counter.
OUTPUT_LIMIT: Final = "output limit"
QUERY_LIMIT: Final = "query buffer limit"
HALF_REPLY: Final = "a node died in the middle of its reply"
DRAIN_TIMEOUT: Final = "drain time is over"
UNREAD_AFTER_EOF: Final = "it hung up and does not read"
DISCONNECT_REASONS: Final = (OUTPUT_LIMIT, QUERY_LIMIT, HALF_REPLY, DRAIN_TIMEOUT, UNREAD_AFTER_EOF)


@final
class InFlightBytes:
    """Bytes of requests, in the order in which they are answered, that are not all answered yet.

    The requests are numbered by whoever owns this. `size` is never less than what is under way, and more by no more
    than a batch and `limits.MARK_BYTES`; it is 0 when nothing is.
    """

    def __init__(self) -> None:
        self.total: i64 = 0
        self.answered: i64 = 0
        self.last_mark: i64 = 0
        #: By mark: how many requests there had been, and what ``total`` was then.
        self.mark_numbers: list[int] = []
        self.mark_totals: list[int] = []

    def add(self, size: int, request_count: int) -> bool:
        """So many bytes more; with them there have been ``number`` requests. Whether that is noted."""
        self.total += size
        if self.total - self.last_mark < limits.IN_FLIGHT_MARK_BYTES:
            return False
        self.last_mark = self.total
        self.mark_numbers.append(request_count)
        self.mark_totals.append(int(self.total))
        return True

    def mark_answered(self, request_count: int) -> None:
        """So many requests have been answered."""
        mark_numbers = self.mark_numbers
        index = 0
        while index < len(mark_numbers) and mark_numbers[index] <= request_count:
            index += 1
        if index:
            self.answered = self.mark_totals[index - 1]
            del mark_numbers[:index]
            del self.mark_totals[:index]

    def clear(self) -> None:
        """Nothing is under way."""
        self.answered = self.total
        self.last_mark = self.total
        if self.mark_numbers:
            self.mark_numbers = []
            self.mark_totals = []

    def shift_marks(self) -> None:
        """A request that has no bytes has come before all that are marked."""
        self.mark_numbers = [request_count + 1 for request_count in self.mark_numbers]

    def size(self) -> int:
        """How many bytes are under way."""
        return int(self.total - self.answered)


class ReplyAccounting:
    """A ledger, as far as it counts bytes; see the module. ``left`` calls have left, and ``head`` more are about to."""

    def __init__(self) -> None:
        self.head = 0
        self.released_count = 0
        self.in_flight = InFlightBytes()
        self.held_reply_bytes = 0
        #: Its owner's limits: messages that wait behind half a reply, requests under way.
        self.message_limit = limits.PUBSUB_OUTPUT_BYTES
        self.in_flight_limit = limits.CLIENT_IN_FLIGHT_BYTES
        self.write_scheduled = False
        self.closed = False
        #: Nothing is counted any more: the client goes.
        self.accounting_stopped = False
        #: The client must be cut: why (one of `CUTS`); empty while it need not be.
        self.disconnect_reason = ""
        #: So much is held that its further requests have to wait until nodes have answered; `is_light` looks again.
        self.backlogged = False

    def schedule_write(self) -> None:
        """Ask for a write at the end of this turn."""
        raise NotImplementedError

    def add_held_bytes(self, size: int) -> None:
        """So many bytes of replies have come before they can leave; negative: they are held no longer.

        Whoever writes compares the sum with the client's limit.
        """
        if self.accounting_stopped:
            return
        self.held_reply_bytes += size
        if self.held_reply_bytes > limits.CLIENT_PAUSE_BYTES:
            self.backlogged = True
            if not self.write_scheduled:
                self.schedule_write()

    def request_disconnect(self, reason: str) -> None:
        """The client is cut at the end of this turn."""
        self.disconnect_reason = self.disconnect_reason or reason
        if not self.write_scheduled:
            self.schedule_write()

    def open_count(self) -> int:
        """How many calls wait for a reply or for their turn."""
        raise NotImplementedError

    def add_request_bytes(self, size: int) -> None:
        """Requests of so many bytes have been handled since the last time."""
        self.in_flight.add(size, self.released_count + self.head + self.open_count())
        self.backlogged = self.backlogged or self.in_flight_bytes() > self.in_flight_limit

    def in_flight_bytes(self) -> int:
        """How many bytes of requests are under way, or a few more."""
        if self.open_count():
            self.in_flight.mark_answered(self.released_count + self.head)
        else:
            self.in_flight.clear()
        return self.in_flight.size()

    def is_below_limits(self) -> bool:
        """Whether its further requests may be handled, as far as bytes go."""
        self.backlogged = (
            self.held_reply_bytes > limits.CLIENT_PAUSE_BYTES or self.in_flight_bytes() > self.in_flight_limit
        )
        return not self.backlogged

    def stop_accounting(self) -> None:
        """The client goes: what is held for it does not count any more."""
        self.accounting_stopped = True
        self.held_reply_bytes = 0
        self.in_flight.clear()
