"""A reply that has arrived in part: how long it may take, how large it may become, and what may leave before its end.

A node that goes on sending has time for it: as much as a slow network needs for what has come. A reply that is never
whole must end all the same, for everything behind it waits, and what no client can be given yet is held here.
"""

from typing import Final

from kidoproxy.replies.handler import NO_RETRY, REPEAT_REFUSED
from kidoproxy.resp import limits
from kidoproxy.resp.errors import OVERLOADED
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.disconnect import lose_connection
from kidoproxy.upstream.failures import fail_handler
from kidoproxy.upstream.health import LONG_REPLY
from kidoproxy.upstream.refused_writes import give_up_writes

PUSH: Final = 62


def on_partial_reply(conn: ConnectionBase, reader: ReplyReader, now: float) -> None:
    """The last bytes ended inside a reply: forward what can be, and see that it stays within its bounds."""
    if reader.partial_serial != conn.partial_serial:
        conn.partial_serial = reader.partial_serial
        conn.partial_since = now
        conn.partial_forwarded_bytes = 0
    if (
        conn.head < len(conn.reply_handlers)
        and reader.held_bytes() >= limits.MIN_CUT_THROUGH_BYTES
        and reader.partial_type() != PUSH
    ):
        cut_through(conn, now)
        note_size(conn)
    if reader.held_bytes() > conn.options.max_queue_bytes:
        fail_too_long(conn, conn.options.max_queue_bytes, now)
    elif conn.partial_forwarded_bytes > limits.MAX_CUT_THROUGH_BYTES:
        fail_too_long(conn, limits.MAX_CUT_THROUGH_BYTES, now)


def note_size(conn: ConnectionBase) -> None:
    """Remember the key of a read whose reply is large."""
    size = conn.partial_forwarded_bytes + conn.reader.held_bytes()
    payload = conn.reply_handlers[conn.head].payload
    if size >= limits.BIG_KEY_BYTES and payload is not None:
        conn.node.traffic.note_big_request(payload, size)


def cut_through(conn: ConnectionBase, now: float) -> None:
    """Forward what is there of a large reply if it is its client's turn; it has more time while it comes."""
    handler = conn.reply_handlers[conn.head]
    handler.due = max(handler.due, min(now + conn.options.timeout, reply_deadline(conn)))
    if handler.is_answered:
        conn.partial_forwarded_bytes += conn.reader.discard_partial()
    elif handler.can_cut_through():
        piece = conn.reader.take_partial()
        conn.partial_forwarded_bytes += len(piece)
        if conn.refused and handler.retries_left == REPEAT_REFUSED:
            give_up_writes(conn)
        # Asked once more it would begin anew.
        handler.retries_left = NO_RETRY
        handler.cut_through(piece)
    elif conn.reader.held_bytes() > conn.options.max_queue_bytes:
        # Nobody can be given it in part, and no more of it is held: the rest is discarded as it comes.
        conn.node.count_failure(LONG_REPLY)
        failure = conn.node_failure(
            OVERLOADED, f"its reply is larger than {conn.options.max_queue_bytes >> 20} MiB", True
        )
        fail_handler(conn, handler, failure)
        conn.partial_forwarded_bytes += conn.reader.discard_partial()


def reply_deadline(conn: ConnectionBase) -> float:
    """When the partial reply must be whole, by what has come of it."""
    byte_count = conn.partial_forwarded_bytes + conn.reader.held_bytes()
    is_forwarding = (
        conn.partial_forwarded_bytes
        and conn.head < len(conn.reply_handlers)
        and not conn.reply_handlers[conn.head].is_answered
    )
    max_extra_seconds = limits.MAX_CUT_THROUGH_SECONDS if is_forwarding else limits.HELD_REPLY_SECONDS
    return conn.partial_since + conn.options.timeout + min(byte_count / limits.MIN_BYTES_PER_SECOND, max_extra_seconds)


def is_reply_overdue(conn: ConnectionBase, now: float) -> bool:
    """Whether a reply has begun and does not end in its time, however busily the node sends it."""
    return conn.reader.partial_type() != 0 and now > reply_deadline(conn) + conn.options.timeout


def fail_too_long(conn: ConnectionBase, byte_count: int, now: float) -> None:
    """Give the connection up: nobody waits for the end of that, and asked once more it would come again."""
    conn.node.count_failure(LONG_REPLY)
    if conn.head < len(conn.reply_handlers):
        conn.reply_handlers[conn.head].retries_left = NO_RETRY
    lose_connection(conn, f"its reply is larger than {byte_count >> 20} MiB", now, False)
