"""The database that a connection is in, and databases that a node may not have.

A SELECT that is refused leaves the connection where it was, and what was sent behind it would be done in the wrong
database. That a node has a database is known when the node has said so (``highest_db``); before that nothing is sent
there. So an ordered connection, which goes from one database to another, sends a SELECT that is new to its node by
itself first, and what comes meanwhile waits for the reply. A connection of a ring has its database from its handshake.
Either way whoever asked for a database that there is not gets the node's own error, and nobody else notices.
"""

from typing import Final

from kidoproxy.replies.callbacks import CallbackHandler, ignore_failure
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NODEDOWN, NodeFailure, sanitize_bytes
from kidoproxy.resp.node_errors import NodeErrorReply
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.handlers import NO_DEADLINE
from kidoproxy.upstream.health import DOWN_CAUSE, SUSPECT_CAUSE
from kidoproxy.upstream.pipeline import QueuedRequest
from kidoproxy.upstream.states import READY, SELECT_PENDING

#: What servers say when SELECT asks for too much, now and in old versions.
DB_OUT_OF_RANGE: Final = (b"DB index is out of range", b"invalid DB index")


def switch_mode(conn: ConnectionBase, proto: int, db: int) -> None:
    """Change the protocol and database of a connection for the requests that follow."""
    if proto != conn.proto:
        append_switch(conn, encode_request([b"HELLO", b"%d" % proto]))
    if db != conn.db:
        append_switch(conn, select_request(db))
    conn.proto = proto
    conn.db = db


def append_switch(conn: ConnectionBase, payload: bytes) -> None:
    """Send a HELLO or SELECT, which the requests behind it rely on.

    It is never late: the request behind it is, and a refusal that comes late must still be noticed. If it fails, they
    fail by themselves.
    """

    def on_switch_reply(raw: bytes) -> None:
        """If the node refuses, the requests behind would be answered in the wrong mode: give the connection up."""
        if is_error(raw):
            conn.fatal_error = "refused to switch: " + sanitize_bytes(error_text(raw))

    handler = CallbackHandler(on_switch_reply, ignore_failure)
    handler.due = NO_DEADLINE
    conn.append(handler, payload, 1)


def select_request(db: int) -> bytes:
    return encode_request([b"SELECT", b"%d" % db])


def needs_trial_select(conn: ConnectionBase, db: int) -> bool:
    """Whether nothing may be sent to ``db`` before the node has said that it has it.

    A sync that holds the connection has asked by itself.
    """
    return db != conn.db and db > conn.node.highest_db and not conn.held


def send_trial_select(conn: ConnectionBase, queued: QueuedRequest) -> None:
    """Ask for the database of ``queued``, which waits for the answer, and with it what comes behind it."""
    previous_db = conn.db
    db = queued.db

    def on_select_reply(raw: bytes) -> None:
        """The node has it, or those that wait for it get its error."""
        if is_error(raw):
            conn.db = previous_db
            answer_queued_for_db(conn, raw, db)
        else:
            conn.node.highest_db = max(conn.node.highest_db, db)
        conn.remove_condition(SELECT_PENDING)

    def on_select_failure(failure: NodeFailure) -> None:
        """Too late: nobody knows any more which database the connection is in."""
        if conn.state == READY:
            conn.fatal_error = failure.cause

    handler = CallbackHandler(on_select_reply, on_select_failure)
    handler.due = conn.last_read_at + 2 * conn.options.timeout
    conn.append(handler, select_request(db), 1)
    conn.db = db
    conn.add_condition(SELECT_PENDING)
    conn.enqueue(queued)
    conn.schedule_flush()


def answer_queued_for_db(conn: ConnectionBase, raw: bytes, db: int) -> None:
    """Answer what waits for this database with ``raw``; the rest goes on waiting."""
    remaining: list[QueuedRequest] = []
    for queued in conn.take_queue():
        if queued.db == db:
            deliver_all(queued.handler, raw, queued.reply_count)
        else:
            remaining.append(queued)
    conn.replace_queue(remaining + conn.queue)


def deliver_all(handler: ReplyHandler, raw: bytes, reply_count: int) -> None:
    """Give the handler the same reply as often as it waits for one."""
    handler.is_answered = True
    for _ in range(reply_count):
        handler.on_reply(raw)


def answer_if_db_missing(conn: ConnectionBase, error: bytes) -> None:
    """The handshake has been refused; if for its database alone, the node is well, and those who wait get its error."""
    if conn.base_db and any(message in error for message in DB_OUT_OF_RANGE):
        conn.db_error = NodeErrorReply(b"-%b\r\n" % error)
        answer_queued_for_db(conn, conn.db_error, conn.base_db)


def fail_fast(conn: ConnectionBase, handler: ReplyHandler, reply_count: int) -> None:
    """Nobody is to wait for this connection: it is down or suspect, or its node has no such database."""
    if conn.db_error and conn.node.live:
        deliver_all(handler, conn.db_error, reply_count)
    else:
        if handler.serves_client():
            conn.node.count_failure(SUSPECT_CAUSE if conn.suspect else DOWN_CAUSE)
        handler.on_failure(conn.node_failure(NODEDOWN, conn.cause, False))
