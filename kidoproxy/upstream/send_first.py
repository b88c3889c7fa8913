"""What goes on a link ahead of all that has not been written yet, and whether anything has not."""

from typing import TYPE_CHECKING

from kidoproxy.replies.queue import ReplyHandler
from kidoproxy.resp.errors import NODEDOWN
from kidoproxy.upstream.handshake import QueuedRequest
from kidoproxy.upstream.states import DOWN, IDLE, READY

if TYPE_CHECKING:
    from kidoproxy.upstream.connection import NodeConnection


def submit_first(
    conn: "NodeConnection", handler: ReplyHandler, payload: bytes, now: float, reply_count: int = 1
) -> None:
    """Send ``payload`` first, in the mode that the connection is in there, be the link held or not."""
    handler.due = now + conn.options.timeout
    if conn.state == READY:
        conn.reply_handlers[conn.written_count : conn.written_count] = [handler] * reply_count
        conn.out.insert(0, payload)
        conn.out_bytes += len(payload)
        conn.schedule_flush()
    elif conn.state == DOWN or conn.probing:
        handler.on_failure(conn.node_failure(NODEDOWN, conn.cause, False))
    else:
        conn.enqueue(QueuedRequest(handler, payload, conn.base_proto, conn.base_db, reply_count))
        conn.queue.insert(0, conn.queue.pop())
        if conn.state == IDLE:
            conn.start_connecting()


def is_flushed(conn: "NodeConnection") -> bool:
    """Whether all that was placed has been handed to the socket."""
    return conn.state == READY and not conn.queue and not conn.out
