"""What is held on somebody's behalf, in bytes: for one client (`Owing`), and under way on one connection (`InFlight`).

A client's account is

    what it has sent        the reader's buffer, the parked request, MULTI's queue, watched keys, names; `InFlight`
    + what it is owed       ``waiting_bytes``: replies before their turn, parts of replies, messages behind half a reply
    + what it has not read  ``out_bytes`` of the ledger, and the socket's own buffer (`Peer.unwritten`)

Small requests and replies are not counted one by one: `InFlight` sets a mark now and then, at the end of a batch, and
a reply in its turn goes straight to the output.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy import limits

#: Why a client is cut: the words of the log, and of the counter.
OUTPUT: Final = "output limit"
QUERY: Final = "query buffer limit"
HALF_REPLY: Final = "a node died in the middle of its reply"
DRAIN: Final = "drain time is over"
UNREAD: Final = "it hung up and does not read"
CUTS: Final = (OUTPUT, QUERY, HALF_REPLY, DRAIN, UNREAD)


@final
class InFlight:
    """Bytes of requests, in the order in which they are answered, that are not all answered yet.

    The requests are numbered by whoever owns this. `size` is never less than what is under way, and more by no more
    than a batch and `limits.MARK_BYTES`; it is 0 when nothing is.
    """

    def __init__(self) -> None:
        self.total: i64 = 0
        self.over: i64 = 0
        self.marked: i64 = 0
        #: By mark: how many requests there had been, and what ``total`` was then.
        self.numbers: list[int] = []
        self.totals: list[int] = []

    def add(self, size: int, number: int) -> bool:
        """So many bytes more; with them there have been ``number`` requests. Whether that is noted."""
        self.total += size
        if self.total - self.marked < limits.MARK_BYTES:
            return False
        self.marked = self.total
        self.numbers.append(number)
        self.totals.append(int(self.total))
        return True

    def settle(self, number: int) -> None:
        """So many requests have been answered."""
        numbers = self.numbers
        at = 0
        while at < len(numbers) and numbers[at] <= number:
            at += 1
        if at:
            self.over = self.totals[at - 1]
            del numbers[:at]
            del self.totals[:at]

    def clear(self) -> None:
        """Nothing is under way."""
        self.over = self.total
        self.marked = self.total
        if self.numbers:
            self.numbers = []
            self.totals = []

    def insert(self) -> None:
        """A request that has no bytes has come before all that are marked."""
        self.numbers = [number + 1 for number in self.numbers]

    def size(self) -> int:
        """How many bytes are under way."""
        return int(self.total - self.over)


class Owing:
    """A ledger, as far as it counts bytes; see the module. ``left`` calls have left, and ``head`` more are about to."""

    def __init__(self) -> None:
        self.head = 0
        self.left = 0
        self.asked = InFlight()
        self.waiting_bytes = 0
        #: Its owner's limits: messages that wait behind half a reply, requests under way.
        self.message_limit = limits.PUBSUB_OUTPUT_BYTES
        self.asked_limit = limits.CLIENT_ASKED_BYTES
        self.dirty = False
        self.closed = False
        #: Nothing is counted any more: the client goes.
        self.waived = False
        #: The client must be cut: why (one of `CUTS`); empty while it need not be.
        self.cut_for = ""
        #: So much is held that its further requests have to wait until nodes have answered; `is_light` looks again.
        self.heavy = False

    def mark(self) -> None:
        """Ask for a write at the end of this turn."""
        raise NotImplementedError

    def hold(self, size: int) -> None:
        """So many bytes of replies have come before they can leave; negative: they are held no longer.

        Whoever writes compares the sum with the client's limit.
        """
        if self.waived:
            return
        self.waiting_bytes += size
        if self.waiting_bytes > limits.CLIENT_PAUSE_BYTES:
            self.heavy = True
            if not self.dirty:
                self.mark()

    def condemn(self, why: str) -> None:
        """The client is cut at the end of this turn."""
        self.cut_for = self.cut_for or why
        if not self.dirty:
            self.mark()

    def count(self) -> int:
        """How many calls wait for a reply or for their turn."""
        raise NotImplementedError

    def ask(self, size: int) -> None:
        """Requests of so many bytes have been handled since the last time."""
        self.asked.add(size, self.left + self.head + self.count())
        self.heavy = self.heavy or self.asked_bytes() > self.asked_limit

    def asked_bytes(self) -> int:
        """How many bytes of requests are under way, or a few more."""
        if self.count():
            self.asked.settle(self.left + self.head)
        else:
            self.asked.clear()
        return self.asked.size()

    def is_light(self) -> bool:
        """Whether its further requests may be handled, as far as bytes go."""
        self.heavy = self.waiting_bytes > limits.CLIENT_PAUSE_BYTES or self.asked_bytes() > self.asked_limit
        return not self.heavy

    def waive(self) -> None:
        """The client goes: what is held for it does not count any more."""
        self.waived = True
        self.waiting_bytes = 0
        self.asked.clear()
