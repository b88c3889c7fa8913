"""How well a node does, as its connections find out: what the routes, the log and the metrics want to know of it."""

from collections.abc import Callable
from typing import Final

from kidoproxy.resp import limits
from kidoproxy.upstream.master_view import MasterView
from kidoproxy.upstream.slow_log import SlowLog
from kidoproxy.upstream.traffic import NodeTraffic

#: Of a client's request: the node was down, or answers nothing in time, so it was not asked; the connection was lost
#: under it; it was not answered in time; too much waits for the node already, or all connections to lend are lent.
DOWN_CAUSE: Final = "down"
SUSPECT_CAUSE: Final = "unresponsive"
LOST_CAUSE: Final = "connection lost"
TIMEOUT_CAUSE: Final = "timeout"
QUEUE_FULL_CAUSE: Final = "queue full"
NO_CONNECTION_CAUSE: Final = "no free connection"
#: Of the node: it stopped answering in time, or at all; half a reply did not end; a reply was too long for anybody, or
#: nobody had asked for it; it spoke before it was greeted; it is a replica now; a reply could not be handled here.
BECAME_SUSPECT: Final = "became unresponsive"
SILENT: Final = "silent"
ENDLESS_REPLY: Final = "reply never ended"
LONG_REPLY: Final = "reply too long"
UNASKED_REPLY: Final = "unasked reply"
SPOKE_FIRST: Final = "spoke first"
ROLE_CHANGED: Final = "role changed"
INTERNAL_ERROR: Final = "internal error"
#: All that `NodeHealth.count_failure` is called with.
FAILURE_CAUSES: Final[tuple[str, ...]] = (
    DOWN_CAUSE,
    SUSPECT_CAUSE,
    LOST_CAUSE,
    TIMEOUT_CAUSE,
    QUEUE_FULL_CAUSE,
    NO_CONNECTION_CAUSE,
    BECAME_SUSPECT,
    SILENT,
    ENDLESS_REPLY,
    LONG_REPLY,
    UNASKED_REPLY,
    SPOKE_FIRST,
    ROLE_CHANGED,
    INTERNAL_ERROR,
)

#: Why connections to a node are made anew that has said so.
NODE_REPLACED: Final = "it is not what its name stands for, which is looked up again"

#: Internal errors that are kept for the log, for each node; more are only counted.
MAX_INTERNAL_ERRORS: Final = 16
#: A node that answers so is not what its name stands for: another server has taken its part, or is about to.
ROLE_CHANGE_ERRORS: Final[tuple[bytes, ...]] = (b"-READONLY", b"-MASTERDOWN", b"-UNBLOCKED force unblock")


class NodeHealth:
    """The part of a node that changes while it is talked to; `Node` has the rest."""

    def __init__(self) -> None:
        #: Whether it is measured how soon it answers; a moving average of that in seconds (0.0: not known).
        self.is_timed = False
        self.reply_seconds = 0.0
        #: It is there, and answers nothing in time: what is sent fails at once until a probe is answered in time.
        self.suspect = False
        #: False once it has refused HELLO: it speaks RESP2 only.
        self.resp3 = True
        #: How many handshakes it has accepted.
        self.handshakes = 0
        #: How often it has said that it is not what its name stands for any more, and when it last counted.
        self.role_changes = 0
        self.replaced_cause = NODE_REPLACED
        self.role_changed_at = -limits.RERESOLVE_SECONDS
        #: Why a late write may still run on it (see `kidoproxy.upstream.fencing`); empty: none will.
        self.unfenced = ""
        #: Of a node that is whatever server its sentinels call the master: what they say; who asks them at once; how
        #: often the master has moved.
        self.master_view: MasterView | None = None
        self.ask_sentinels: Callable[[], None] | None = None
        self.failovers = 0
        #: What has gone wrong with it, by cause (one of `FAILURE_CAUSES`), how often.
        self.failure_counts: dict[str, int] = {}
        #: What goes there and comes back; slow requests, of all nodes of the process once an executor has them.
        self.traffic = NodeTraffic()
        self.slow_log = SlowLog()
        #: Exceptions of ours while a reply of this node was handled, with what was asked; the log takes them.
        self.internal_errors: list[tuple[str, Exception]] = []

    def set_timed(self, is_timed: bool) -> None:
        """Measure it from now on, or forget what was measured."""
        self.is_timed = is_timed
        if not is_timed:
            self.reply_seconds = 0.0

    def note_reply_time(self, seconds: float) -> None:
        """Smoothed as TCP smooths its round trips (RFC 6298)."""
        self.reply_seconds += (seconds - self.reply_seconds) / 8 if self.reply_seconds else seconds

    def note_replaced(self, cause: str) -> None:
        """Another server has its name from now on: its connections are made anew, as when it had said so itself."""
        self.role_changes += 1
        self.replaced_cause = cause

    def count_failure(self, cause: str) -> None:
        self.failure_counts[cause] = self.failure_counts.get(cause, 0) + 1

    def record_internal_error(self, request: str, exception: Exception) -> None:
        """Keep an exception of ours, to be logged by whoever may log."""
        self.count_failure(INTERNAL_ERROR)
        if len(self.internal_errors) < MAX_INTERNAL_ERRORS:
            self.internal_errors.append((request, exception))

    def on_error_reply(self, raw: bytes, now: float) -> None:
        """It has answered with an error: count it if it says that the node is not what its name stands for."""
        if raw.startswith(ROLE_CHANGE_ERRORS) and now - self.role_changed_at >= limits.RERESOLVE_SECONDS:
            self.role_changed_at = now
            self.note_replaced(NODE_REPLACED)
            self.count_failure(ROLE_CHANGED)
            self.look_for_master()

    def look_for_master(self) -> None:
        """Its server says that it is not the master: have the sentinels asked, if it has any."""
        if self.ask_sentinels is not None:
            self.ask_sentinels()
