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

from kidoproxy import limits
from kidoproxy.errors import NODEDOWN, OVERLOADED, NodeFailure
from kidoproxy.ledger import Leg, Peer
from kidoproxy.link_bytes import Holding
from kidoproxy.link_databases import fail_at_once, is_new, switch, try_out
from kidoproxy.link_deadlines import SECONDS_PER_BYTE, in_time, own_time, tick, trusted
from kidoproxy.link_greeting import (
    Backoff,
    Ear,
    Greeting,
    Introduction,
    Login,
    Waiting,
    greeting,
)
from kidoproxy.link_guard import deafen, fail_all, lose, mishap, unasked
from kidoproxy.link_partial import arrived
from kidoproxy.link_states import CONNECTING, DOWN, GREETING, IDLE, READY, STATES
from kidoproxy.link_welcome import last_words, welcome
from kidoproxy.resp.build import command
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.resp.scan import MINUS, PUSH
from kidoproxy.routes.topology import Node

BIG: Final = 1024 * 1024
LARGE: Final = 64 * 1024


@final
class NodeLink(Holding):
    """See the module. ``proto`` and ``db`` are what the last byte sent leaves the connection in.

    ``shared`` links stand for their node: when they fail it counts as down. A ``lane`` belongs to one session
    for a while; what it was for is lost with its connection, so it never connects again.
    """

    def __init__(self, node: Node, login: Login, proto: int, db: int, dirty: "list[NodeLink]") -> None:
        super().__init__(login)
        self.node = node
        self.home_proto = proto
        self.home_db = db
        self.proto = proto
        self.db = db
        self.dirty_list = dirty
        self.dirty = False
        self.drop = False  # the old socket is to be closed
        self.state: int = IDLE
        self.open = False  # ready, and not held for a sync: a leg may be sent at once
        self.probing = False  # connecting from *down*: nobody may wait for it
        self.written = 0
        self.cause = "not connected yet"
        self.heard = 0.0
        self.due = 0.0
        self.backoff = Backoff()
        self.attempted = 0.0
        #: The unfinished reply: which one, since when, how much of it has left.
        self.part = 0
        self.part_since = 0.0
        self.part_passed = 0
        #: Large payloads may take until then while their bytes leave; how many had left when last looked, and the
        #: time that has given those behind.
        self.write_until = 0.0
        self.sent = 0
        self.moved_until = 0.0
        #: Since when nothing has come in time (0.0: it has), and whether that has made the link suspect.
        self.late_since = 0.0
        self.suspect = False
        #: The node's moves that this connection has seen; it waits for its last replies, to be made anew.
        self.moves = 0
        self.moving = False
        self.probe_at = 0.0
        self.holding = False  # legs are kept back while a sync copies through this link (see `hold`)
        self.held_since = self.grace = 0.0
        self.reconnects = 0
        self.timeouts = 0
        self.peer: Peer | None = None
        self.shared = True
        self.lane = False
        self.ear: Ear | None = None
        #: How the node calls this connection (a lane asks for it): CLIENT UNBLOCK wants to know.
        self.client_id = b""
        #: Scripts that this connection has carried to the node, and when.
        self.taught: dict[bytes, float] = {}

    def count(self) -> int:
        return len(self.fifo) - self.head + len(self.queue)

    def failure(self, code: str, cause: str, maybe_ran: bool) -> NodeFailure:
        """A failure that names this link's node."""
        return NodeFailure(code, self.node.name, self.node.address, cause, maybe_ran)

    def __repr__(self) -> str:
        mode = f"{STATES[self.state]}{' held' if self.holding else ''}"
        return f"<link {self.node.name} resp{self.proto} db{self.db} {mode}, {self.count()} waiting>"

    def place(self, leg: Leg, payload: bytes, proto: int, db: int, now: float, replies: int = 1) -> None:
        """Send ``payload`` for ``leg``, which takes the next ``replies`` replies of the node, or one failure."""
        due = now + self.login.timeout
        if len(payload) > LARGE:
            due += own_time(payload)
            if len(payload) > BIG:
                self.grant(len(payload), now)
        leg.due = due
        if self.open:
            self.send(leg, payload, proto, db, replies)
        else:
            self.place_later(leg, payload, proto, db, replies)

    def send(self, leg: Leg, payload: bytes, proto: int, db: int, replies: int) -> None:
        """Put ``payload`` on the wire of a ready link."""
        fifo = self.fifo
        if len(fifo) - self.head >= limits.LINK_QUEUE_LEGS or self.out_bytes > self.room:
            self.overload(leg)
            return
        if proto != self.proto or db != self.db:
            if is_new(self, db):
                try_out(self, Waiting(leg, payload, proto, db, replies))
                return
            switch(self, proto, db)
        fifo.append(leg)
        if replies > 1:
            fifo.extend([leg] * (replies - 1))
        self.out.append(payload)
        self.out_bytes += len(payload)
        self.mark()

    def overload(self, leg: Leg) -> None:
        """No more is taken before some is answered."""
        self.node.trouble("queue full")
        leg.fail(self.failure(OVERLOADED, "its queue is full", False))

    def follow(self, leg: Leg, rest: list[bytes], now: float) -> None:
        """The other pieces of a large payload, whose first one has just been placed for ``leg``."""
        if self.head < len(self.fifo) and self.fifo[-1] is leg:
            size = sum(map(len, rest))
            self.out.extend(rest)
            self.out_bytes += size
            leg.due += size * SECONDS_PER_BYTE
            self.grant(size, now)

    def grant(self, size: int, now: float) -> None:
        """A large payload has its time on the slowest of networks, as long as its bytes leave."""
        self.write_until = max(self.write_until, now) + size / limits.SLOWEST_BYTES_PER_SECOND

    def place_later(self, leg: Leg, payload: bytes, proto: int, db: int, replies: int) -> None:
        """The link is not open: wait for it, or fail at once when it is down."""
        if not self.holding and (self.state == DOWN or self.probing or self.suspect):
            fail_at_once(self, leg, replies)
        elif self.is_full(len(self.queue)):
            self.overload(leg)
        else:
            self.add_to_queue(Waiting(leg, payload, proto, db, replies))
            if self.state == IDLE:
                self.wake()

    def ready(self) -> bool:
        """Whether `send` may be called, held or not."""
        return self.state == READY

    def hold(self, now: float = 0.0, grace: float = 0.0) -> None:
        """Keep back what is placed from now on, `send` passes: a sync copies; ``grace`` more seconds may be waited."""
        self.holding = True
        self.open = False
        self.held_since = now
        self.grace = grace

    def set_open(self) -> None:
        """Whether a leg may be sent at once."""
        self.open = self.state == READY and not (self.holding or self.suspect or self.trying or self.moving)

    def unhold(self, now: float) -> None:
        """Let go what was kept back, in order; the time that it was kept is given back to it."""
        for waiting in self.queue if self.held_since else []:
            waiting.leg.due += now - self.held_since
        self.holding = False
        self.set_open()
        self.grace = 0.0
        self.release_queue(now)

    def release_queue(self, now: float) -> None:
        """Send what waited; a leg's deadline stays what it was."""
        queue = self.take_queue()
        for waiting in queue:
            leg = waiting.leg
            due = leg.due
            self.place(leg, waiting.payload, waiting.proto, waiting.db, now, waiting.replies)
            leg.due = due

    def mark(self) -> None:
        """Ask to be looked after at the end of this turn: bytes to write, a socket to open or to close."""
        if not self.dirty:
            self.dirty = True
            self.dirty_list.append(self)

    def wake(self) -> None:
        """Ask for a connection."""
        self.state = CONNECTING
        self.mark()

    def take_out(self) -> list[bytes]:
        """The bytes to write; the caller writes them now."""
        out = self.out
        self.sent_bytes += self.out_bytes - self.noted
        if self.noted or self.sent_bytes >= limits.MARK_BYTES:
            self.note_sent()
        self.out = []
        self.out_bytes = 0
        self.written = len(self.fifo)
        return out

    def connected(self, now: float, patience: float) -> None:
        """The socket is there: greet, and wait ``patience`` seconds for the answers."""
        self.state = GREETING
        self.reader = ReplyReader()
        self.taught = {}
        self.proto = self.home_proto
        self.db = self.home_db
        self.heard = now
        self.part = 0
        self.moves = self.node.moves
        self.moving = False
        self.write_until = 0.0
        self.moved_until = 0.0
        self.due = now + patience
        words = greeting(self.login, self.home_proto, self.home_db, self.lane)
        self.fifo = [Greeting(self, words)] * len(words)
        self.out = [command(argv) for argv in words]
        self.mark()

    def greeted(self, introduction: Introduction) -> None:
        """All replies of the greeting are there."""
        welcome(self, introduction)

    def open_up(self) -> None:
        """Legs may be sent from now on."""
        self.state = READY
        self.backoff.opened(self.heard, self.replies)
        self.beyond = b""
        self.node.last_db = max(self.node.last_db, self.home_db)
        self.set_open()
        self.cause = ""
        if self.ear is not None:
            self.ear.ready()

    def feed(self, data: bytes, now: float) -> None:
        """Bytes from the node: hand each reply to its leg."""
        self.heard = now
        reader = self.reader
        reader.feed(data)
        before = self.head
        leg: Leg | None = None
        while True:
            try:
                while True:
                    raw = reader.next()
                    if raw is None:
                        break
                    first = raw[0]
                    if first == PUSH and not reader.tail:
                        leg = None
                        if self.ear is not None:
                            self.ear.hear(raw)
                        continue
                    if self.head >= len(self.fifo):
                        leg = None
                        if self.ear is not None:
                            self.ear.hear(raw)
                            continue
                        unasked(self, now)
                        return
                    leg = self.fifo[self.head]
                    self.head += 1
                    if first == MINUS:
                        self.node.complained(raw, now)
                    if not leg.done:
                        leg.take(raw)
                    if self.broken:
                        break
                break
            except Exception as problem:
                if reader.broken:
                    self.lost(f"it does not speak the Redis protocol: {problem}", now, True)
                    return
                mishap(self, leg, problem)
                if self.broken:
                    break
        if self.broken:
            # The greeting or a switch was refused: nobody is made to wait for another attempt.
            self.lost(self.broken, now, True)
            return
        self.answered(before, leg, now)
        if reader.kind():
            arrived(self, reader, now)
        if self.queue and self.open:
            self.release_queue(now)

    def answered(self, before: int, leg: Leg | None, now: float) -> None:
        """All whole replies of a read have been taken, the last one by ``leg``."""
        if self.head > before:
            self.replies += self.head - before
            if self.late_since and leg is not None and not leg.done:
                in_time(self, now)
        self.compact()

    def compact(self) -> None:
        """Forget answered legs, cheaply."""
        if self.in_flight.numbers:
            self.note_answered(self.replies, self.head == len(self.fifo))
        n = len(self.fifo)
        if self.head == n:
            self.fifo.clear()
            self.head = 0
            self.written = 0
        elif self.head > 512 and self.head * 2 > n:
            del self.fifo[: self.head]
            self.written -= self.head
            self.head = 0

    def lost(self, cause: str, now: float, hopeless: bool) -> None:
        """The connection is gone, or cannot be had: fail what waits, in order.

        Unless it is ``hopeless`` (the node refuses, or is silent) the next attempt is made at once; new
        requests wait for it, and reads that were under way are asked once more.
        """
        waiting = self.fifo[self.head :]
        written = self.written - self.head
        queue = self.queue
        if self.state == READY:
            self.backoff.closed(now, self.replies)
        self.broken = ""
        cause = last_words(self, waiting, cause)
        self.reset(cause)
        again: list[Waiting] = []
        down = hopeless or self.lane or not self.backoff.excuse()
        if down:
            self.fall(now)
        else:
            self.reconnects += 1
            self.wake()
            again = queue
            queue = []
        failure = self.failure(NODEDOWN, cause, True)
        unsent = self.failure(NODEDOWN, cause, False)
        # On an ordered link nobody remembers in which protocol and database a leg was sent.
        once_more = not down and self.node.group is None
        first = lose(self, waiting, written, failure, unsent, once_more)
        fail_all(self, queue, unsent)
        self.put_queue(first + again + self.queue)
        deafen(self, unsent)

    def reset(self, cause: str) -> None:
        """Forget everything that belonged to the old connection."""
        self.fifo = []
        self.head = 0
        self.written = 0
        self.forget_out()
        self.put_queue([])
        self.open = False
        if self.suspect:
            trusted(self)
        self.late_since = 0.0
        self.cause = cause
        self.trying = False
        if self.shared and not self.beyond:
            self.node.cause = cause
        self.drop = True
        self.mark()

    def fall(self, now: float) -> None:
        """Down: try again after a pause."""
        began = self.attempted if self.probing else now
        self.state = DOWN
        self.probing = False
        # A link for RESP3 or for another database may be refused by a node that is well.
        self.node.live = self.node.live and (self.home_proto != 2 or self.home_db != 0 or not self.shared)
        self.backoff.wait(now, began)

    def tick(self, now: float) -> None:
        """Called some twenty times a second: deadlines, silence, the next attempt."""
        tick(self, now)
