"""How a connection ends: what fails, what is asked once more, and when the next attempt is made."""

from kidoproxy.replication.group import group_of
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.errors import NODEDOWN, ProtocolError, sanitize_bytes
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.failures import fail_in_flight, fail_requests, notify_disconnect
from kidoproxy.upstream.handshake import UNSOLICITED_DATA, explain_cause
from kidoproxy.upstream.health import SPOKE_FIRST, UNASKED_REPLY
from kidoproxy.upstream.identity import Handshake, verify_owner
from kidoproxy.upstream.pipeline import QueuedRequest
from kidoproxy.upstream.states import DOWN, HANDSHAKING, READY, RETRYING


def lose_connection(conn: ConnectionBase, cause: str, now: float, back_off: bool) -> None:
    """The socket is gone, or cannot be had: fail what waits, in order.

    Unless the node refuses or is silent (``back_off``), the next attempt is made at once: new requests wait for it,
    and reads that were under way are asked once more. A write that was under way never is.
    """
    in_flight = conn.reply_handlers[conn.head :]
    written_count = conn.written_count - conn.head
    refused = conn.take_refused()
    queue = conn.queue
    if conn.state == READY:
        conn.backoff.on_closed(now, conn.replies_received)
    conn.fatal_error = ""
    forget_mark(conn)
    cause = disconnect_cause(conn, in_flight, cause)
    conn.reset(cause)
    still_queued: list[QueuedRequest] = []
    kept: list[QueuedRequest] = []
    down = back_off or conn.dedicated or not conn.backoff.take_immediate_retry()
    if down:
        conn.mark_down(now)
    else:
        conn.reconnects += 1
        conn.start_connecting()
        still_queued = queue
        queue = []
        kept, refused = refused, []
    failure = conn.node_failure(NODEDOWN, cause, True)
    unsent_failure = conn.node_failure(NODEDOWN, cause, False)
    # On an ordered connection nobody remembers in which protocol and database a request was sent.
    may_retry = not down and not conn.node.has_ordered_connection
    to_retry = fail_in_flight(conn, in_flight, written_count, failure, unsent_failure, may_retry)
    fail_requests(conn, refused + queue, unsent_failure)
    conn.replace_queue(kept + to_retry + still_queued + conn.queue)
    notify_disconnect(conn, unsent_failure)
    if down and conn.shared:
        verify_owner(conn.node)


def follow_node(conn: ConnectionBase, cause: str, now: float) -> None:
    """The node is another server from now on: give up the one it was, and connect to the new one at once.

    What was under way fails, or is asked once more, as when the connection is lost; what was not sent waits. Whoever
    opens sockets gives up attempts that are under way.
    """
    conn.backoff.reset()
    conn.remove_condition(RETRYING)
    if conn.state in (HANDSHAKING, READY):
        lose_connection(conn, cause, now, False)
    elif conn.state == DOWN and not conn.dedicated:
        conn.start_connecting()


def forget_mark(conn: ConnectionBase) -> None:
    """The name by which a copy showed this proxy to others is gone with the connection."""
    group = group_of(conn.node)
    if group is not None and group.ownership is not None and conn.shared:
        group.ownership.on_connection_lost(conn.node.name)


def disconnect_cause(conn: ConnectionBase, handlers: list[ReplyHandler], cause: str) -> str:
    """Why a connection was lost, in the node's own words if it had any."""
    handshake = handlers[0] if handlers else None
    error = handshake.first_error() if isinstance(handshake, Handshake) else b""
    return explain_cause(conn.login.redacted_error(error)) if error else cause


def on_early_data(conn: ConnectionBase, data: bytes, now: float) -> None:
    """The node spoke first: an error says why it will not have us, anything else does not come from a Redis server."""
    reader = ReplyReader()
    reader.feed(data)
    try:
        raw = reader.next()
    except ProtocolError as problem:
        lose_connection(conn, f"it does not speak the Redis protocol: {problem}", now, True)
        return
    error = error_text(raw) if raw is not None and is_error(raw) else UNSOLICITED_DATA
    conn.node.count_failure(SPOKE_FIRST)
    lose_connection(conn, explain_cause(sanitize_bytes(error)), now, True)


def on_unsolicited_reply(conn: ConnectionBase, now: float) -> None:
    """A reply too many: which one was it? Unless the socket has been given up while its replies were handled."""
    if not conn.must_close:
        conn.node.count_failure(UNASKED_REPLY)
        lose_connection(conn, "it sent a reply that nobody asked for", now, False)
