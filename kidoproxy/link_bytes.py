"""What is held for one connection to a node, in bytes. Its bound is the login's ``queue_bytes``.

Requests that wait for the connection are counted one by one; those that were written, until they are answered, from
flush to flush. Both, and what is ready to be written, count against the same bound. Half a reply has it for itself.
"""

from kidoproxy import limits
from kidoproxy.ledger import Leg
from kidoproxy.ledger_account import InFlight
from kidoproxy.link_greeting import Greeted, Login, Waiting
from kidoproxy.resp.replies import ReplyReader


class Holding(Greeted):
    """The link, as far as it counts bytes. ``room``: how many bytes ``out`` may have, beside what else is held."""

    def __init__(self, login: Login) -> None:
        super().__init__()
        self.login = login
        #: Legs in the order of their replies; those before ``head`` have been answered, ``replies`` since ever.
        self.fifo: list[Leg] = []
        self.head = 0
        self.replies = 0
        self.queue: list[Waiting] = []
        self.queue_bytes = 0
        self.out: list[bytes] = []
        self.out_bytes = 0
        self.in_flight = InFlight()
        #: How much of ``out`` is noted as in flight; and what was written and is not noted yet, for it is little.
        self.noted = 0
        self.sent_bytes = 0
        self.room = login.queue_bytes
        self.reader = ReplyReader()

    def count(self) -> int:
        """How many legs wait."""
        raise NotImplementedError

    def measure(self) -> None:
        """Work out ``room``."""
        self.room = self.login.queue_bytes - self.queue_bytes - self.in_flight.size() + self.noted

    def flushed(self) -> None:
        """A turn is over, and what is in ``out`` cannot be written yet."""
        self.sent_bytes += self.out_bytes - self.noted
        self.note_sent()
        self.noted = self.out_bytes
        self.measure()

    def note_sent(self) -> None:
        """What has left ``out``, or has come to stay in it, is in flight from here on."""
        self.noted = 0
        self.in_flight.add(self.sent_bytes, self.replies - self.head + len(self.fifo))
        self.sent_bytes = 0
        self.measure()

    def forget_out(self) -> None:
        """The connection is gone, and with it what was sent on it or was to be."""
        self.out = []
        self.out_bytes = 0
        self.noted = 0
        self.sent_bytes = 0
        self.in_flight.clear()

    def note_answered(self, number: int, all_of_them: bool) -> None:
        """So many legs have been answered."""
        if all_of_them:
            self.in_flight.clear()
        else:
            self.in_flight.settle(number)
        self.measure()

    def add_to_queue(self, waiting: Waiting) -> None:
        """One more waits for the connection."""
        self.queue.append(waiting)
        self.queue_bytes += len(waiting.payload)
        self.room -= len(waiting.payload)

    def take_queue(self) -> list[Waiting]:
        """What waits; it waits no more."""
        queue = self.queue
        self.put_queue([])
        return queue

    def put_queue(self, queue: list[Waiting]) -> None:
        """This waits now."""
        self.queue = queue
        self.queue_bytes = sum([len(waiting.payload) for waiting in queue])
        self.measure()

    def is_full(self, legs: int) -> bool:
        """Whether no more is taken, of legs or of bytes."""
        return legs >= limits.LINK_QUEUE_LEGS or self.out_bytes > self.room

    def held_bytes(self) -> int:
        """All of it: requests that wait or are not answered (or a few more), and half a reply."""
        if not self.count():
            return self.reader.held()
        written = self.in_flight.size() + self.sent_bytes - self.noted
        return self.queue_bytes + self.out_bytes + written + self.reader.held()
