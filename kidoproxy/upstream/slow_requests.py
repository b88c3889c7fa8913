"""Finding slow requests without a clock for each: once for each read, what had the node silent for so long?

A node answers one request after the other. If it has said nothing for as long as a slow request takes, and now does,
then it was busy with the request whose reply comes first. That is the one to be shown; what waited behind it is slow,
too, and is told by the last reply of a read, of which one in a while is noted.
"""

from typing import Final

from kidoproxy.commands.overlay_traits import SECRET_ARGUMENTS
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import limits
from kidoproxy.resp.decode import leading_bulks
from kidoproxy.upstream.connection_state import ConnectionBase

REDACTED: Final = b"(redacted)"
#: Where the deadline of a request is further than this it is none, and does not say when the request came.
MAX_SECONDS: Final = 3600.0
#: A request that only waited is noted once in so many seconds.
WAITING_SECONDS: Final = 0.1


def mark_write(conn: ConnectionBase, now: float) -> None:
    """Remember the first request of a write, unless an earlier one that is remembered is not answered yet."""
    if conn.marked_number < conn.replies_received and conn.written_count < len(conn.reply_handlers) and conn.out:
        conn.marked_number = conn.next_written_number()
        conn.marked_at = now
        payload = conn.out[0]
        conn.marked_payload = payload if len(payload) <= limits.MAX_SAMPLED_KEY_BYTES else b""


def sample_write(conn: ConnectionBase, now: float) -> None:
    """Look at what is about to be written: any key, and how long the first request has waited for this."""
    traffic = conn.node.traffic
    traffic.sample_key(conn.out)
    if conn.written_count < len(conn.reply_handlers):
        handler = conn.reply_handlers[conn.written_count]
        if handler.due and handler.serves_client():
            traffic.queue_durations.observe(max(now - submitted_at(conn, handler, now), 0.0))


def on_silence_over(conn: ConnectionBase, now: float) -> None:
    """The node says something for the first time in a slow request's time; called before its replies are taken."""
    if conn.head >= len(conn.reply_handlers) or not conn.shared:
        return
    handler = conn.reply_handlers[conn.head]
    is_marked = conn.marked_number == conn.replies_received
    began = max(conn.last_read_at, conn.marked_at if is_marked else submitted_at(conn, handler, now))
    if now - began >= conn.node.slow_log.threshold and handler.serves_client():
        waited = max(began - submitted_at(conn, handler, began), 0.0)
        note(conn, handler, now, waited, now - began, conn.marked_payload if is_marked else b"")


def on_waited(conn: ConnectionBase, handler: ReplyHandler, now: float) -> None:
    """The last request of a read was slow altogether; the first one is the one that the node took long for, if any."""
    slow_log = conn.node.slow_log
    total = now - submitted_at(conn, handler, now)
    if not conn.shared or total < slow_log.threshold or now < slow_log.next_waiting_at:
        return
    if handler.serves_client() and (not slow_log.requests or slow_log.requests[-1].at != now):
        slow_log.next_waiting_at = now + WAITING_SECONDS
        note(conn, handler, now, total, 0.0, b"")


def submitted_at(conn: ConnectionBase, handler: ReplyHandler, otherwise: float) -> float:
    """When a request was submitted, as its deadline says; ``otherwise``: it has none."""
    submitted = handler.due - conn.options.timeout
    return submitted if handler.due and abs(otherwise - submitted) < MAX_SECONDS else otherwise


def note(
    conn: ConnectionBase, handler: ReplyHandler, now: float, waited: float, node_seconds: float, payload: bytes
) -> None:
    words = shown_words(handler, handler.payload or payload)
    conn.node.slow_log.add(
        now, handler.client_address(), conn.node.node_id, conn.node.name, words, waited, node_seconds
    )


def shown_words(handler: ReplyHandler, payload: bytes) -> list[bytes]:
    """The command and its first arguments, shortened; without them where they may be secret or are not known."""
    argv = leading_bulks(payload, limits.SLOW_LOG_WORDS)
    if not argv:
        return handler.describe().encode().split(b"|")
    if argv[0].lower() in SECRET_ARGUMENTS:
        return [argv[0], REDACTED]
    return [
        word if len(word) <= limits.SLOW_LOG_WORD_BYTES else word[: limits.SLOW_LOG_WORD_BYTES] + b"..."
        for word in argv
    ]
