"""The databases of a node: that it has one is known when the node has said so, and before that nothing is sent there.

A SELECT that is refused leaves the connection where it was, and what was sent behind it would be done in the wrong
database. So an ordered link, which goes from one database to another, tries one that is new to it by itself first; what
comes meanwhile waits. A link of a ring has its database from its greeting. Either way whoever has asked for a
database that there is not hears what the node says, and nobody else hears anything.
"""

from typing import Final, final

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NODEDOWN, NodeFailure, sanitize_bytes
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.handshake import NO_DEADLINE
from kidoproxy.upstream.pipeline import QueuedRequest
from kidoproxy.upstream.states import READY, SELECT_PENDING

#: What servers say when SELECT asks for too much, now and formerly.
DB_OUT_OF_RANGE: Final = (b"DB index is out of range", b"invalid DB index")


def switch_mode(conn: ConnectionBase, proto: int, db: int) -> None:
    """Change the connection's mode for the legs that follow."""
    if proto != conn.proto:
        conn.append(ModeSwitch(conn), encode_request([b"HELLO", b"%d" % proto]), 1)
    if db != conn.db:
        conn.append(ModeSwitch(conn), select_request(db), 1)
    conn.proto = proto
    conn.db = db


def select_request(db: int) -> bytes:
    """The request."""
    return encode_request([b"SELECT", b"%d" % db])


def needs_trial_select(conn: ConnectionBase, db: int) -> bool:
    """Whether this database has to be tried before anything is sent to it. A sync that holds the link has done so."""
    return db != conn.db and db > conn.node.highest_db and not conn.held


def send_trial_select(conn: ConnectionBase, queued: QueuedRequest) -> None:
    """Ask for its database; it waits for the answer, and with it what comes behind it."""
    conn.append(TrialSelect(conn, conn.db, queued.db), select_request(queued.db), 1)
    conn.db = queued.db
    conn.add_condition(SELECT_PENDING)
    conn.enqueue(queued)
    conn.schedule_flush()


@final
class ModeSwitch(ReplyHandler):
    """Waits for the reply to a change of protocol or database on an ordered connection.

    It is never late: the request behind it is, and a refusal that comes late must still be noticed.
    """

    def __init__(self, conn: ConnectionBase) -> None:
        super().__init__()
        self.connection = conn
        self.due = NO_DEADLINE

    def on_reply(self, raw: bytes) -> None:
        """If the node refuses, the requests behind would be answered in the wrong mode: give the connection up."""
        if is_error(raw):
            self.connection.fatal_error = "refused to switch: " + sanitize_bytes(error_text(raw))

    def on_failure(self, failure: NodeFailure) -> None:
        """The requests behind it fail by themselves."""


@final
class TrialSelect(ReplyHandler):
    """Waits for the reply to a SELECT that may be refused."""

    def __init__(self, conn: ConnectionBase, previous_db: int, db: int) -> None:
        super().__init__()
        self.connection = conn
        self.previous_db = previous_db
        self.db = db
        self.due = conn.last_read_at + 2 * conn.options.timeout

    def on_reply(self, raw: bytes) -> None:
        """The node has it, or those that wait for it hear that it has not."""
        conn = self.connection
        if is_error(raw):
            conn.db = self.previous_db
            answer_queued_for_db(conn, raw, self.db)
        else:
            conn.node.highest_db = max(conn.node.highest_db, self.db)
        conn.remove_condition(SELECT_PENDING)

    def on_failure(self, failure: NodeFailure) -> None:
        """Too late: nobody knows any more which database the connection is in."""
        if self.connection.state == READY:
            self.connection.fatal_error = failure.cause


def answer_queued_for_db(conn: ConnectionBase, raw: bytes, db: int) -> None:
    """What waits for this database is answered with what the node says; the rest goes on waiting."""
    remaining: list[QueuedRequest] = []
    for queued in conn.take_queue():
        if queued.db == db:
            deliver_all(queued.handler, raw, queued.reply_count)
        else:
            remaining.append(queued)
    conn.set_queue(remaining + conn.queue)


def deliver_all(handler: ReplyHandler, raw: bytes, reply_count: int) -> None:
    """The same for each reply that is waited for."""
    handler.discard_reply = True
    for _ in range(reply_count):
        handler.on_reply(raw)


def answer_if_db_missing(conn: ConnectionBase, error: bytes) -> None:
    """A greeting has been refused; if for its database alone, the node is well, and those who wait hear so."""
    if conn.base_db and any(message in error for message in DB_OUT_OF_RANGE):
        conn.db_error = b"-%b\r\n" % error
        answer_queued_for_db(conn, conn.db_error, conn.base_db)


def fail_fast(conn: ConnectionBase, handler: ReplyHandler, reply_count: int) -> None:
    """The link is down, or there is no such database."""
    if conn.db_error and conn.node.live:
        deliver_all(handler, conn.db_error, reply_count)
    else:
        conn.node.count_failure("failed at once")
        handler.on_failure(conn.node_failure(NODEDOWN, conn.cause, False))
