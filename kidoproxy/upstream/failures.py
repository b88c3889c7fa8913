"""An exception of ours costs the request whose reply was being handled, and nobody else.

A reply handler that raises is a bug, but neither its neighbours' nor the connection's: its client gets an error,
the bug is counted and told once (the net logs what `Node.mishap` keeps), and the link goes on with the next reply.
"""

from kidoproxy.replies.handler import NO_RETRY, ONE_RETRY, ReplyHandler
from kidoproxy.resp.errors import BADREPLY, NodeFailure
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.pipeline import QueuedRequest


def on_handler_exception(conn: ConnectionBase, handler: ReplyHandler | None, problem: Exception) -> None:
    """``leg`` has raised while it took its reply; None: what came was no reply, and nobody waits."""
    if handler is None:
        conn.node.record_internal_error("a push", problem)
        return
    handler.discard_reply = True
    name = handler.describe()
    conn.node.record_internal_error(name, problem)
    cause = f"its reply to '{name}' could not be handled: {type(problem).__name__}; the proxy's log has more"
    abort_handler(conn, handler, conn.node_failure(BADREPLY, cause, True), False)


def fail_handler(conn: ConnectionBase, handler: ReplyHandler, failure: NodeFailure) -> None:
    """Tell ``leg`` that there is no reply; whatever comes of it, the caller goes on with the next one."""
    handler.discard_reply = True
    try:
        handler.on_failure(failure)
    except Exception as problem:
        conn.node.record_internal_error(handler.describe(), problem)
        abort_handler(conn, handler, failure, True)


def fail_requests(conn: ConnectionBase, queue: list[QueuedRequest], failure: NodeFailure) -> None:
    """None of these will be sent."""
    for waiting in queue:
        fail_handler(conn, waiting.handler, failure)


def fail_in_flight(
    conn: ConnectionBase,
    waiting: list[ReplyHandler],
    written_count: int,
    failure: NodeFailure,
    unsent_failure: NodeFailure,
    may_retry: bool,
) -> list[QueuedRequest]:
    """The connection of these is lost, ``written`` of them were sent: the reads that are to be asked ``once_more``."""
    to_retry: list[QueuedRequest] = []
    for index, handler in enumerate(waiting):
        payload = handler.payload
        if handler.discard_reply:
            continue
        if handler.retries_left == ONE_RETRY and payload is not None and may_retry:
            handler.retries_left = NO_RETRY
            to_retry.append(QueuedRequest(handler, payload, conn.base_proto, conn.base_db, 1))
        else:
            fail_handler(conn, handler, failure if index < written_count else unsent_failure)
    return to_retry


def notify_disconnect(conn: ConnectionBase, failure: NodeFailure) -> None:
    """Whoever listens hears that the connection is gone."""
    if conn.push_handler is not None:
        try:
            conn.push_handler.on_disconnect(failure)
        except Exception as problem:
            conn.node.record_internal_error("a listener", problem)


def abort_handler(conn: ConnectionBase, handler: ReplyHandler, failure: NodeFailure, failed: bool) -> None:
    """The last resort; if it raises as well, nobody is left who could be told."""
    try:
        handler.abort(failure, failed)
    except Exception as problem:
        conn.node.record_internal_error(handler.describe(), problem)
