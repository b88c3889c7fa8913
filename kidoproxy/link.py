"""A link is the conversation with one node: the n-th reply is for the n-th leg, or all that wait fail.

    idle ──place──► connecting ──connected──► greeting ──hello──► ready
                        ▲  │ failed / silent      │ refused         │ lost
                        │  ▼                      ▼                 ▼
                        └── down  (retry_at)  ◄───┘      connecting again, at once

While a link is *down* nothing is queued: what is placed fails at once, and only the link's own greeting
tests the node. After a loss the first attempt is made at once and requests may wait for it, within their
deadlines; a read that was under way is asked once more, a write never is.

A node of a copy pool has one *ordered* link for all protocols and databases, so that every node gets the
same writes in the same order: the link changes protocol and database between two legs when the next one
needs it. A node of a ring has one link for each (protocol, database), and never changes.
"""

from typing import Final, final

from kidoproxy import limits
from kidoproxy.errors import NODEDOWN, OVERLOADED, TIMEOUT, NodeFailure, ProtocolError
from kidoproxy.ledger import AGAIN, ONCE, Dropped, Leg, Peer
from kidoproxy.resp.build import command
from kidoproxy.resp.open import bulk, error_text, is_error
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.routes.topology import Node

IDLE: Final = 0
CONNECTING: Final = 1
GREETING: Final = 2
READY: Final = 3
DOWN: Final = 4
STATES: Final = ("idle", "connecting", "greeting", "ready", "down")

PUSH: Final = 62
PING: Final = b"*1\r\n$4\r\nPING\r\n"

#: When a leg is due that has no deadline of its own.
NEVER: Final = 1e18

#: A large payload or reply gets this much more time, per byte: 50 MB/s is slow for a datacentre.
SECONDS_PER_BYTE: Final = 1 / 50_000_000
BIG: Final = 1024 * 1024


@final
class Login:
    """How to greet a node: user, password (empty: none), and how patient to be."""

    def __init__(self, user: str = "", password: str = "", timeout: float = limits.COMMAND_SECONDS) -> None:
        self.user = user
        self.password = password
        self.timeout = timeout

    def auth(self) -> list[bytes]:
        """The AUTH arguments; empty when there is no password."""
        if not self.password:
            return []
        return [self.user.encode() or b"default", self.password.encode()]


@final
class Waiting:
    """A leg placed before its link is ready."""

    def __init__(self, leg: Leg, payload: bytes, proto: int, db: int, replies: int) -> None:
        self.leg = leg
        self.payload = payload
        self.proto = proto
        self.db = db
        self.replies = replies


@final
class Greeting(Leg):
    """Waits for the replies of the greeting; the last one, INFO, says who the node is."""

    def __init__(self, link: "NodeLink", count: int) -> None:
        super().__init__()
        self.link = link
        self.missing = count
        self.refused = b""

    def take(self, raw: bytes) -> None:
        """Count down; an error in any of them refuses the greeting."""
        self.missing -= 1
        if is_error(raw) and not self.refused:
            self.refused = error_text(raw)
        if self.missing == 0:
            self.link.greeted(raw, self.refused)

    def fail(self, failure: NodeFailure) -> None:
        """The link itself knows."""


@final
class Switched(Leg):
    """Waits for the reply to a change of protocol or database on an ordered link.

    It is never late: the leg behind it is, and a refusal that comes late must still be noticed.
    """

    def __init__(self, link: "NodeLink") -> None:
        super().__init__()
        self.link = link
        self.due = NEVER

    def take(self, raw: bytes) -> None:
        """If the node refuses, the legs behind would be answered in the wrong mode: in doubt, close."""
        if is_error(raw):
            self.link.broken = "refused to switch: " + error_text(raw).decode("utf-8", "replace")

    def fail(self, failure: NodeFailure) -> None:
        """The legs behind it fail by themselves."""


@final
class NodeLink:
    """See the module. ``proto`` and ``db`` are what the last byte sent leaves the connection in."""

    def __init__(self, node: Node, login: Login, proto: int, db: int, dirty: "list[NodeLink]") -> None:
        self.node = node
        self.login = login
        self.home_proto = proto
        self.home_db = db
        self.proto = proto
        self.db = db
        self.dirty_list = dirty
        self.dirty = False
        #: The old socket is to be closed.
        self.drop = False
        self.state: int = IDLE
        #: Ready, and not held for a sync: a leg may be sent at once.
        self.open = False
        #: Connecting from *down*: nobody may wait for it.
        self.probing = False
        self.reader = ReplyReader()
        self.fifo: list[Leg] = []
        self.head = 0
        self.written = 0
        self.queue: list[Waiting] = []
        self.out: list[bytes] = []
        self.out_bytes = 0
        self.cause = "not connected yet"
        self.broken = ""
        self.heard = 0.0
        self.due = 0.0
        self.retry_at = 0.0
        self.backoff = limits.BACKOFF_FIRST_SECONDS
        self.jitter = 1
        #: Legs are kept back while a sync copies through this link (see `hold`).
        self.holding = False
        self.reconnects = 0
        self.replies = 0
        self.timeouts = 0
        self.peer: Peer | None = None

    def count(self) -> int:
        """Legs that wait for a reply or for the link."""
        return len(self.fifo) - self.head + len(self.queue)

    def failure(self, code: str, cause: str, maybe_ran: bool) -> NodeFailure:
        """A failure that names this link's node."""
        return NodeFailure(code, self.node.name, self.node.address, cause, maybe_ran)

    def __repr__(self) -> str:
        mode = f"{STATES[self.state]}{' held' if self.holding else ''}"
        return f"<link {self.node.name} resp{self.proto} db{self.db} {mode}, {self.count()} waiting>"

    # -- placing ---------------------------------------------------------------------------------

    def place(self, leg: Leg, payload: bytes, proto: int, db: int, now: float, replies: int = 1) -> None:
        """Send ``payload`` for ``leg``, which takes the next ``replies`` replies of the node, or one failure."""
        due = now + self.login.timeout
        if len(payload) > BIG:
            due += len(payload) * SECONDS_PER_BYTE
        leg.due = due
        if self.open:
            self.send(leg, payload, proto, db, replies)
        else:
            self.place_later(leg, payload, proto, db, replies)

    def send(self, leg: Leg, payload: bytes, proto: int, db: int, replies: int) -> None:
        """Put ``payload`` on the wire of a ready link."""
        fifo = self.fifo
        if len(fifo) - self.head >= limits.LINK_QUEUE_LEGS or self.out_bytes > limits.LINK_QUEUE_BYTES:
            leg.fail(self.failure(OVERLOADED, "its queue is full", False))
            return
        if proto != self.proto or db != self.db:
            self.switch(proto, db)
        fifo.append(leg)
        if replies > 1:
            fifo.extend([leg] * (replies - 1))
        self.out.append(payload)
        self.out_bytes += len(payload)
        if not self.dirty:
            self.mark()

    def follow(self, leg: Leg, rest: list[bytes]) -> None:
        """The other pieces of a large payload, whose first one has just been placed for ``leg``."""
        if self.head < len(self.fifo) and self.fifo[-1] is leg:
            size = 0
            for piece in rest:
                size += len(piece)
            self.out.extend(rest)
            self.out_bytes += size
            leg.due += size * SECONDS_PER_BYTE

    def place_later(self, leg: Leg, payload: bytes, proto: int, db: int, replies: int) -> None:
        """The link is not open: wait for it, or fail at once when it is down."""
        if not self.holding and (self.state == DOWN or self.probing):
            leg.fail(self.failure(NODEDOWN, self.cause, False))
        elif len(self.queue) >= limits.LINK_QUEUE_LEGS:
            leg.fail(self.failure(OVERLOADED, "its queue is full", False))
        else:
            self.queue.append(Waiting(leg, payload, proto, db, replies))
            if self.state == IDLE:
                self.wake()

    def switch(self, proto: int, db: int) -> None:
        """Change the connection's mode for the legs that follow."""
        if proto != self.proto:
            self.fifo.append(Switched(self))
            self.out.append(command([b"HELLO", b"%d" % proto]))
        if db != self.db:
            self.fifo.append(Switched(self))
            self.out.append(command([b"SELECT", b"%d" % db]))
        self.proto = proto
        self.db = db

    def ready(self) -> bool:
        """Whether `send` may be called, held or not."""
        return self.state == READY

    def hold(self) -> None:
        """Keep back what is placed from now on; `send` still passes. For a sync that copies through this link."""
        self.holding = True
        self.open = False

    def unhold(self, now: float) -> None:
        """Let go what was kept back, in order."""
        self.holding = False
        self.open = self.state == READY
        self.release_queue(now)

    def release_queue(self, now: float) -> None:
        """Send what waited; a leg's deadline stays what it was."""
        queue = self.queue
        self.queue = []
        for waiting in queue:
            leg = waiting.leg
            due = leg.due
            self.place(leg, waiting.payload, waiting.proto, waiting.db, now, waiting.replies)
            leg.due = due

    # -- writing ---------------------------------------------------------------------------------

    def mark(self) -> None:
        """Ask to be looked after at the end of this turn: bytes to write, a socket to open or to close."""
        self.dirty = True
        self.dirty_list.append(self)

    def wake(self) -> None:
        """Ask for a connection."""
        self.state = CONNECTING
        if not self.dirty:
            self.mark()

    def take_out(self) -> list[bytes]:
        """The bytes to write; the caller writes them now."""
        out = self.out
        self.out = []
        self.out_bytes = 0
        self.written = len(self.fifo)
        return out

    # -- the socket's news -----------------------------------------------------------------------

    def connected(self, now: float, patience: float) -> None:
        """The socket is there: greet, and wait ``patience`` seconds for the answers."""
        self.state = GREETING
        self.reader = ReplyReader()
        self.proto = self.home_proto
        self.db = self.home_db
        self.heard = now
        self.due = now + patience
        words = self.greeting()
        self.fifo = [Greeting(self, len(words))] * len(words)
        self.head = 0
        self.written = 0
        self.out = [command(argv) for argv in words]
        if not self.dirty:
            self.mark()

    def greeting(self) -> list[list[bytes]]:
        """The requests of the greeting: log in, choose protocol and database, ask who is there."""
        words: list[list[bytes]] = []
        auth = self.login.auth()
        if self.home_proto == 3:
            words.append([b"HELLO", b"3", b"AUTH", *auth] if auth else [b"HELLO", b"3"])
        elif auth:
            words.append([b"AUTH", *auth] if self.login.user else [b"AUTH", auth[1]])
        if self.home_db:
            words.append([b"SELECT", b"%d" % self.home_db])
        words.append([b"INFO", b"server"])
        return words

    def greeted(self, info: bytes, refused: bytes) -> None:
        """All replies of the greeting are there."""
        if refused:
            self.broken = refused.decode("utf-8", "replace")
            return
        facts = parse_info(bulk(info))
        node = self.node
        before = node.run_id
        node.run_id = facts.get(b"run_id", b"")
        node.version = facts.get(b"valkey_version", b"") or facts.get(b"redis_version", b"")
        node.uptime = int(facts.get(b"uptime_in_seconds", b"0"))
        node.live = True
        node.cause = ""
        if before and before != node.run_id and node.group is not None:
            node.group.restarted(node)
        self.state = READY
        self.open = not self.holding
        self.probing = False
        self.cause = ""
        self.backoff = limits.BACKOFF_FIRST_SECONDS

    def feed(self, data: bytes, now: float) -> None:
        """Bytes from the node: hand each reply to its leg."""
        self.heard = now
        reader = self.reader
        reader.feed(data)
        before = self.head
        try:
            while True:
                raw = reader.next()
                if raw is None:
                    break
                if raw[0] == PUSH and not reader.tail:
                    continue
                if self.head >= len(self.fifo):
                    self.lost("it sent a reply that nobody asked for", now, False)
                    return
                leg = self.fifo[self.head]
                self.head += 1
                if not leg.done:
                    leg.take(raw)
                if self.broken:
                    self.refuse(now)
                    return
        except ProtocolError as problem:
            self.lost(f"it does not speak the Redis protocol: {problem}", now, True)
            return
        self.replies += self.head - before
        self.compact()
        if self.head < len(self.fifo) and reader.held() >= limits.CUT_THROUGH_BYTES and reader.kind() != PUSH:
            self.cut(now)
        if self.queue and self.open:
            self.release_queue(now)

    def compact(self) -> None:
        """Forget answered legs, cheaply."""
        n = len(self.fifo)
        if self.head == n:
            self.fifo.clear()
            self.head = 0
            self.written = 0
        elif self.head > 512 and self.head * 2 > n:
            del self.fifo[: self.head]
            self.written -= self.head
            self.head = 0

    def cut(self, now: float) -> None:
        """A large reply has arrived in part: let the part go on when it is its client's turn."""
        leg = self.fifo[self.head]
        leg.due = max(leg.due, now + self.login.timeout)
        if leg.done:
            self.reader.take()
        elif leg.can_cut():
            leg.cut(self.reader.take())

    # -- losing ----------------------------------------------------------------------------------

    def refuse(self, now: float) -> None:
        """The node has refused the greeting or a switch: nobody is made to wait for another attempt."""
        cause = self.broken
        self.broken = ""
        self.lost(cause, now, True)

    def lost(self, cause: str, now: float, hopeless: bool) -> None:
        """The connection is gone, or cannot be had: fail what waits, in order.

        Unless it is ``hopeless`` (the node refuses, or is silent) the next attempt is made at once; new
        requests wait for it, and reads that were under way are asked once more.
        """
        waiting = self.fifo[self.head :]
        written = self.written - self.head
        queue = self.queue
        self.reset(cause)
        again: list[Waiting] = []
        if hopeless:
            self.fall(now)
        else:
            self.reconnects += 1
            self.wake()
            again = queue
            queue = []
        failure = self.failure(NODEDOWN, cause, True)
        unsent = self.failure(NODEDOWN, cause, False)
        # On an ordered link nobody remembers in which protocol and database a leg was sent.
        once_more = not hopeless and self.node.group is None
        first: list[Waiting] = []
        for at, leg in enumerate(waiting):
            payload = leg.payload
            if leg.done:
                continue
            if leg.tries == AGAIN and payload is not None and once_more:
                leg.tries = ONCE
                first.append(Waiting(leg, payload, self.home_proto, self.home_db, 1))
            else:
                leg.done = True
                leg.fail(failure if at < written else unsent)
        for waited in queue:
            waited.leg.done = True
            waited.leg.fail(unsent)
        self.queue = first + again + self.queue

    def reset(self, cause: str) -> None:
        """Forget everything that belonged to the old connection."""
        self.fifo = []
        self.head = 0
        self.written = 0
        self.queue = []
        self.out = []
        self.out_bytes = 0
        self.open = False
        self.cause = cause
        self.node.cause = cause
        self.drop = True
        if not self.dirty:
            self.mark()

    def fall(self, now: float) -> None:
        """Down: try again after a pause that doubles, spread so that many proxies do not try together."""
        self.state = DOWN
        self.probing = False
        self.node.live = False
        self.jitter = (self.jitter * 1103515245 + 12345) & 0x7FFFFFFF
        self.retry_at = now + self.backoff * (0.75 + 0.5 * (self.jitter / 0x7FFFFFFF))
        self.backoff = min(self.backoff * 2, limits.BACKOFF_LAST_SECONDS)

    # -- time ------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Called some twenty times a second: deadlines, silence, the next attempt."""
        state = self.state
        if state == READY:
            self.tick_ready(now)
        elif state == DOWN:
            if now >= self.retry_at:
                self.probing = True
                self.wake()
        elif state == GREETING and now > self.due:
            self.lost("it accepts connections and does not answer", now, True)
        if self.queue:
            self.expire_queue(now)

    def tick_ready(self, now: float) -> None:
        """Answer overdue legs; a node that says nothing at all is given up; an idle one is asked for a sign."""
        fifo = self.fifo
        if self.head == len(fifo):
            if now - self.heard > limits.PROBE_SECONDS and self.open:
                self.place(Dropped(), PING, self.proto, self.db, now)
            return
        at = self.head
        overdue = 0.0
        patient = now + 2 * self.login.timeout
        while at < len(fifo):
            leg = fifo[at]
            at += 1
            if leg.due >= now:
                if leg.due > patient:
                    continue
                break
            overdue = max(overdue, now - leg.due)
            if not leg.done:
                self.late(leg, True)
        if overdue >= self.login.timeout and now - self.heard >= 2 * self.login.timeout:
            self.lost(f"no reply for {round((now - self.heard) * 1000)} ms", now, True)

    def late(self, leg: Leg, written: bool) -> None:
        """Its client gets TIMEOUT now; a reply that still comes is dropped by its position."""
        leg.done = True
        self.timeouts += 1
        leg.fail(self.failure(TIMEOUT, f"no reply in {round(self.login.timeout * 1000)} ms", written))

    def expire_queue(self, now: float) -> None:
        """Deadlines of what waits for the link."""
        kept: list[Waiting] = []
        queue = self.queue
        self.queue = []
        for waiting in queue:
            if waiting.leg.due < now:
                self.late(waiting.leg, False)
            else:
                kept.append(waiting)
        self.queue = kept + self.queue


def parse_info(text: bytes) -> dict[bytes, bytes]:
    """The fields of an INFO text."""
    fields: dict[bytes, bytes] = {}
    for row in text.split(b"\r\n"):
        name, colon, value = row.partition(b":")
        if colon:
            fields[name] = value
    return fields
