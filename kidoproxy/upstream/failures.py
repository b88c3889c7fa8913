"""Telling handlers that there is no reply, and what an exception of ours costs: one request, and nothing else.

A reply handler that raises is a bug, but neither its neighbours' nor the connection's: its client gets an error,
the bug is counted and logged once (``net`` logs what `NodeHealth.record_internal_error` keeps), and the connection goes
on with the next reply.
"""

from kidoproxy.replies.handler import NO_RETRY, ONE_RETRY, REPEAT_REFUSED, ReplyHandler
from kidoproxy.resp.errors import BADREPLY, NodeFailure
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.health import LOST_CAUSE
from kidoproxy.upstream.pipeline import QueuedRequest


def on_handler_exception(conn: ConnectionBase, handler: ReplyHandler | None, problem: Exception) -> None:
    """``handler`` raised while it took its reply; None: a push was handled, and nobody waits."""
    if handler is None:
        conn.node.record_internal_error("a push", problem)
        return
    handler.is_answered = True
    name = handler.describe()
    conn.node.record_internal_error(name, problem)
    cause = f"its reply to '{name}' could not be handled: {type(problem).__name__}; the proxy's log has more"
    abort_handler(conn, handler, conn.node_failure(BADREPLY, cause, True), False)


def fail_handler(conn: ConnectionBase, handler: ReplyHandler, failure: NodeFailure) -> None:
    """Tell ``handler`` that there is no reply; whatever it raises, the caller goes on with the next one."""
    handler.is_answered = True
    try:
        handler.on_failure(failure)
    except Exception as problem:
        conn.node.record_internal_error(handler.describe(), problem)
        abort_handler(conn, handler, failure, True)
    if handler.retries_left == REPEAT_REFUSED:
        # Its reply may still come, and the connection knows it until then.
        handler.payload = None


def fail_requests(conn: ConnectionBase, queue: list[QueuedRequest], failure: NodeFailure) -> None:
    for waiting in queue:
        count_lost(conn, waiting.handler)
        fail_handler(conn, waiting.handler, failure)


def count_lost(conn: ConnectionBase, handler: ReplyHandler) -> None:
    """A request has no reply because its connection is lost; those of the proxy's own do not count."""
    if handler.serves_client():
        conn.node.count_failure(LOST_CAUSE)


def fail_in_flight(
    conn: ConnectionBase,
    waiting: list[ReplyHandler],
    written_count: int,
    failure: NodeFailure,
    unsent_failure: NodeFailure,
    may_retry: bool,
) -> list[QueuedRequest]:
    """Fail those whose connection is lost; what is returned are the reads to ask once more, if ``may_retry``.

    The first ``written_count`` were written and may have run: they get ``failure``, the others ``unsent_failure``.
    """
    to_retry: list[QueuedRequest] = []
    for index, handler in enumerate(waiting):
        payload = handler.payload
        if handler.is_answered:
            continue
        if handler.retries_left == ONE_RETRY and payload is not None and may_retry:
            handler.retries_left = NO_RETRY
            to_retry.append(QueuedRequest(handler, payload, conn.base_proto, conn.base_db, 1))
        else:
            count_lost(conn, handler)
            fail_handler(conn, handler, failure if index < written_count else unsent_failure)
    return to_retry


def notify_disconnect(conn: ConnectionBase, failure: NodeFailure) -> None:
    """Tell the push handler, if there is one, that the connection is gone."""
    if conn.push_handler is not None:
        try:
            conn.push_handler.on_disconnect(failure)
        except Exception as problem:
            conn.node.record_internal_error("a push handler", problem)


def abort_handler(conn: ConnectionBase, handler: ReplyHandler, failure: NodeFailure, failed: bool) -> None:
    """The last resort; if that raises as well, nobody is left who could be told.

    ``failed``: it was `on_failure` that raised, not `on_reply`.
    """
    try:
        handler.abort(failure, failed)
    except Exception as problem:
        conn.node.record_internal_error(handler.describe(), problem)
