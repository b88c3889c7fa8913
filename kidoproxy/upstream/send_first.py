"""Sending ahead of all that has not been written yet, and whether anything has not."""

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.errors import NODEDOWN
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.pipeline import QueuedRequest
from kidoproxy.upstream.states import DOWN, NEW, READY


def submit_ahead_of_unwritten(
    conn: ConnectionBase, handler: ReplyHandler, payload: bytes, now: float, reply_count: int = 1
) -> None:
    """Send ``payload`` ahead of what is not written yet, in the mode that the connection is in there, held or not."""
    handler.due = now + conn.options.timeout
    if conn.state == READY:
        conn.insert_first(handler, payload, reply_count)
        conn.schedule_flush()
    elif conn.state == DOWN or conn.retrying:
        handler.on_failure(conn.node_failure(NODEDOWN, conn.cause, False))
    else:
        conn.enqueue_first(QueuedRequest(handler, payload, conn.base_proto, conn.base_db, reply_count))
        if conn.state == NEW:
            conn.start_connecting()


def is_flushed(conn: ConnectionBase) -> bool:
    """Whether all that was submitted has been handed to the socket."""
    return conn.state == READY and not conn.queue and not conn.out
