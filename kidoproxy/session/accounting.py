"""How many bytes are held for one client, and what follows: it is paused, or disconnected.

Replies are counted by the reply queue. Small requests that pass are not counted one by one: `account_request_bytes`
is called every few kilobytes. State that outlives a request is counted where it is kept; its limit is
Redis's ``client-query-buffer-limit``, in which MULTI's queue counts beside the query buffer.
"""

from kidoproxy.commands.families import UNKNOWN_FAMILY
from kidoproxy.replies.accounting import OUTPUT_LIMIT, QUERY_LIMIT
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp import limits
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.request_scanner import QUERY_TOO_BIG
from kidoproxy.session.mode import CLOSING
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.state import SessionState


def create_reply_queue(turn_work: TurnWork, context: PoolContext) -> ReplyQueue:
    """A reply queue with the limits of its pool."""
    replies = ReplyQueue(turn_work, context.node_errors_as_loading, context.error_counts)
    update_reply_queue(replies, context)
    return replies


def update_reply_queue(replies: ReplyQueue, context: PoolContext) -> None:
    """Have it follow what the pool says now."""
    replies.node_errors_as_loading = context.node_errors_as_loading
    replies.message_limit = context.max_pubsub_output_bytes
    replies.in_flight_limit = min(limits.CLIENT_IN_FLIGHT_BYTES, context.max_query_bytes)


def account_request_bytes(session: SessionState) -> None:
    """Count the bytes that have become requests since the last call."""
    consumed = int(session.reader.fed_bytes) - session.reader.buffered_bytes() - suspended_request_bytes(session)
    session.replies.add_request_bytes(consumed - session.accounted_bytes)
    session.accounted_bytes = consumed


def suspended_request_bytes(session: SessionState) -> int:
    return session.suspended_request.frame_bytes() if session.suspended_request is not None else 0


def in_flight_bytes(session: SessionState) -> int:
    """The bytes of requests that are not answered yet, rounded up; 0 when no reply is open."""
    if not session.replies.open_count():
        return 0
    consumed = int(session.reader.fed_bytes) - session.reader.buffered_bytes() - suspended_request_bytes(session)
    return session.replies.in_flight_bytes() + consumed - session.accounted_bytes


def state_bytes(session: SessionState) -> int:
    """State that outlives a request: MULTI's queue, watched keys, subscriptions, its names."""
    total = len(session.name) + len(session.lib_name) + len(session.lib_ver)
    if session.multi is not None:
        total += session.multi.queue_bytes
    if session.watch is not None:
        total += session.watch.memory_bytes
    if session.subscriber is not None:
        total += session.subscriber.memory_bytes
    return total


def output_bytes(session: SessionState) -> int:
    """Replies that are ready, that wait for earlier ones, and that its socket has not taken."""
    replies = session.replies
    unwritten = replies.transport.unsent_bytes() if replies.transport is not None else 0
    return replies.out_bytes + replies.held_reply_bytes + unwritten


def total_bytes(session: SessionState) -> int:
    """Everything that is held for it, in and out."""
    request_bytes = session.reader.buffered_bytes() + suspended_request_bytes(session) + in_flight_bytes(session)
    return request_bytes + state_bytes(session) + output_bytes(session)


def enforce_query_limit(session: SessionState, extra_bytes: int) -> bool:
    """Whether ``extra_bytes`` more would exceed the query limit; then it is disconnected, as by Redis."""
    if session.reader.buffered_bytes() + state_bytes(session) + extra_bytes <= session.context.max_query_bytes:
        return False
    session.enter(CLOSING)
    session.replies.request_disconnect(QUERY_LIMIT)
    return True


def update_request_limits(session: SessionState) -> None:
    """The sizes of requests that it may announce: Redis's limits, small ones before it has logged in."""
    request_limits = session.request_limits
    if session.authed:
        request_limits.arguments = limits.MAX_ARGUMENTS
        request_limits.bulk_bytes = session.context.max_bulk_bytes
    else:
        request_limits.arguments = limits.MAX_UNAUTHENTICATED_ARGUMENTS
        request_limits.bulk_bytes = limits.MAX_UNAUTHENTICATED_BULK_BYTES
    request_limits.query_bytes = session.context.max_query_bytes


def refuse_malformed(session: SessionState, error: ProtocolError) -> None:
    """Answer a frame that breaks the protocol or is too large, then close."""
    session.context.error_counts.current_family = UNKNOWN_FAMILY
    session.replies.open_pending(None).on_reply(error.reply)
    if error.args == (QUERY_TOO_BIG,):
        session.enter(CLOSING)
        session.replies.request_disconnect(QUERY_LIMIT)
    else:
        session.close()


def enforce_output_limit(session: SessionState) -> bool:
    """Whether the replies made here exceed the output limit; then it is disconnected, and the rest need not be made."""
    if session.replies.held_reply_bytes <= session.context.max_output_bytes:
        return False
    session.replies.request_disconnect(OUTPUT_LIMIT)
    return True
