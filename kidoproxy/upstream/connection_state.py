"""The state of one connection, and the operations that change nothing but that state.

What happens on a connection is in functions above this file, each on a `ConnectionBase` (or on a `SendingConnection`,
which can also send): `databases`, `deadlines`, `failures`, `identity`, `disconnect`, `partial_replies`, `send_first`.
`NodeConnection` puts them together. Its states, and which one follows which: `kidoproxy.upstream.states`.

A node of a copy pool has one *ordered* connection for all protocols and databases, so that every node gets the same
writes in the same order: it changes protocol and database between two requests. A node of a ring has one connection
for each (protocol, database), which never changes; a dedicated connection may change.
"""

from kidoproxy.replies.transport import Transport
from kidoproxy.resp import limits
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.backoff import Backoff
from kidoproxy.upstream.handlers import PushHandler
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.pipeline import ConnectionQueue
from kidoproxy.upstream.states import (
    CONNECTING,
    DOWN,
    HELD,
    MOVES,
    NEW,
    READY,
    RETRYING,
    SELECT_PENDING,
    STATE_NAMES,
    SUSPECT,
)


class ConnectionBase(ConnectionQueue):
    """See the module. ``proto`` and ``db`` are what the last byte sent leaves the connection in.

    ``shared`` connections stand for their node: when they fail it counts as down. A ``dedicated`` one belongs to one
    session for a while; what it was for is lost with its socket, so it never connects again.
    """

    def __init__(self, node: Node, options: ConnectionOptions, proto: int, db: int) -> None:
        super().__init__(options.max_queue_bytes)
        self.node = node
        self.options = options
        self.login = options.login
        self.base_proto = proto
        self.base_db = db
        self.proto = proto
        self.db = db
        self.must_close = False  # the old socket is to be closed
        self.flush_scheduled = False
        self.state: int = NEW
        self.conditions: int = 0
        self.can_send = False  # ready and no conditions: a request may be sent at once
        self.cause = "not connected yet"
        #: The node has refused something, so the connection is of no use: why.
        self.fatal_error = ""
        #: The node's error for the database of this connection, if it has none of that number.
        self.db_error = b""
        self.last_read_at = 0.0
        self.handshake_deadline = 0.0
        self.backoff = Backoff()
        self.attempted_at = 0.0
        #: The partial reply: which one, since when, how much of it has been forwarded.
        self.partial_serial = 0
        self.partial_since = 0.0
        self.partial_forwarded_bytes = 0
        #: Large payloads may take until then while their bytes leave; how many had left when last looked, and the
        #: time that has given those behind.
        self.write_grace_until = 0.0
        self.last_sent_bytes = 0
        self.write_progress_until = 0.0
        #: Since when nothing has come in time (0.0: it has).
        self.late_since = 0.0
        self.next_probe_at = 0.0
        #: The node's role changes that this connection has seen.
        self.role_changes_seen = 0
        #: The first request of a write, until it is answered (see `slow_requests`): which reply of the connection is
        #: its own, when it was written, and the request itself if it is short.
        self.marked_number = -1
        self.marked_at = 0.0
        self.marked_payload = b""
        self.held_since = self.hold_grace = 0.0
        self.reconnects = 0
        self.timeouts = 0
        self.transport: Transport | None = None
        self.shared = True
        self.dedicated = False
        self.push_handler: PushHandler | None = None
        #: The node's CLIENT ID for this connection (a dedicated one asks for it), for CLIENT UNBLOCK.
        self.client_id = b""
        #: How it was last called at a copy, for other proxies.
        self.announced_name = b""
        #: Scripts that this connection has carried to the node, and when.
        self.loaded_scripts: dict[bytes, float] = {}
        #: Scripts that a copy was asked to keep, and whether it has said so. Another table after anything that may have
        #: made it forget them.
        self.kept_scripts: dict[bytes, bool] = {}
        #: Whether the copy's user may run EVALSHA, as far as is known.
        self.may_send_digests = True

    def __repr__(self) -> str:
        mode = f"{STATE_NAMES[self.state]}{' held' if self.held else ''}"
        return f"<connection {self.node.name} resp{self.proto} db{self.db} {mode}, {self.pending_count()} waiting>"

    def schedule_flush(self) -> None:
        """Ask to be looked after at the end of this turn: bytes to write, a socket to open or to close."""
        raise NotImplementedError

    def node_failure(self, code: str, cause: str, maybe_ran: bool) -> NodeFailure:
        """A failure that names this connection's node."""
        return NodeFailure(code, self.node.name, self.node.address, cause, maybe_ran)

    def is_ready(self) -> bool:
        """Whether `SendingConnection.send` may be called, held or not."""
        return self.state == READY

    @property
    def retrying(self) -> bool:
        return self.conditions & RETRYING != 0

    @property
    def held(self) -> bool:
        return self.conditions & HELD != 0

    @property
    def suspect(self) -> bool:
        return self.conditions & SUSPECT != 0

    def extend_write_grace(self, size: int, now: float) -> None:
        """A large payload has its time on the slowest of networks, as long as its bytes leave."""
        self.write_grace_until = max(self.write_grace_until, now) + size / limits.MIN_BYTES_PER_SECOND

    # -- from state to state -----------------------------------------------------------------------------

    def move_to(self, state: int) -> None:
        """The next state; RuntimeError if `MOVES` does not have that move."""
        if state not in MOVES[self.state]:
            raise RuntimeError(f"{self!r} cannot become {STATE_NAMES[state]}")
        self.state = state
        self.update_can_send()

    def add_condition(self, condition: int) -> None:
        self.conditions |= condition
        self.update_can_send()

    def remove_condition(self, condition: int) -> None:
        self.conditions &= ~condition
        self.update_can_send()

    def update_can_send(self) -> None:
        self.can_send = self.state == READY and self.conditions == 0

    def start_connecting(self) -> None:
        """Ask for a socket; `NodeConnection.on_connected` or `on_connection_lost` follows."""
        self.move_to(CONNECTING)
        self.schedule_flush()

    def become_ready(self) -> None:
        """The handshake is over: requests may be sent from now on."""
        self.move_to(READY)
        self.backoff.on_ready(self.last_read_at, self.replies_received)
        self.db_error = b""
        self.node.highest_db = max(self.node.highest_db, self.base_db)
        self.cause = ""
        if self.push_handler is not None:
            self.push_handler.on_ready()

    def reset(self, cause: str) -> None:
        """Forget everything that belonged to the old socket, the queue too; the caller chooses the next state."""
        self.discard()
        if self.suspect:
            self.clear_suspect()
        self.late_since = 0.0
        self.marked_number = -1
        self.marked_payload = b""
        self.cause = cause
        self.remove_condition(SELECT_PENDING)
        if self.shared and not self.db_error:
            self.node.cause = cause
        self.must_close = True
        self.schedule_flush()

    def mark_down(self, now: float) -> None:
        """Try again after a pause."""
        attempted_at = self.attempted_at if self.retrying else now
        self.move_to(DOWN)
        self.remove_condition(RETRYING)
        # A connection for RESP3 or for another database may be refused by a node that is well.
        self.node.live = self.node.live and (self.base_proto != 2 or self.base_db != 0 or not self.shared)
        self.backoff.schedule_retry(now, attempted_at)

    def clear_suspect(self) -> None:
        self.remove_condition(SUSPECT)
        self.cause = ""
        if self.shared:
            self.node.suspect = False
            self.node.cause = ""
