"""What follows from a node's greeting: is it the same run as before, what must it be taught, who may go on."""

from typing import TYPE_CHECKING

from kidoproxy.replies.queue import ReplyHandler
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.errors import NODEDOWN, ProtocolError, sanitize_bytes
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.scripts.warmup_connection import start_warmup
from kidoproxy.upstream.databases import answer_if_db_missing
from kidoproxy.upstream.failures import fail_requests
from kidoproxy.upstream.handshake import UNSOLICITED_DATA, Handshake, HandshakeResult, explain_cause

if TYPE_CHECKING:
    from kidoproxy.upstream.connection import NodeConnection


def finish_handshake(conn: "NodeConnection", result: HandshakeResult) -> None:
    """The node has answered the whole greeting."""
    node = conn.node
    if result.resp3 is not None:
        node.resp3 = result.resp3
    rejection = result.rejection
    if result.info_error and node.group is not None and conn.shared:
        # Without a run id nobody would notice that a copy was restarted, and may have lost what it had.
        rejection = rejection or result.info_error
    if rejection:
        conn.fatal_error = explain_cause(conn.options.redacted_error(rejection))
        answer_if_db_missing(conn, rejection)
        return
    conn.probing = False
    if not conn.shared:
        # What is not shared does not stand for its node: shared links must not find a restart noticed already.
        conn.client_id = result.client_id
        conn.become_ready()
        return
    if node.detect_same_server(result.info):
        conn.fatal_error = node.cause
        return
    group = node.group
    if node.on_info(result.info) and group is not None and not group.on_restart(node):
        fail_queued(conn)
    start_warmup(conn)


def on_early_data(conn: "NodeConnection", data: bytes, now: float) -> None:
    """It has said something before we did: an error says why it will not have us, anything else is no Redis's."""
    reader = ReplyReader()
    reader.feed(data)
    try:
        raw = reader.next()
    except ProtocolError as problem:
        conn.on_connection_lost(f"it does not speak the Redis protocol: {problem}", now, True)
        return
    is_error_reply = raw is not None and is_error(raw)
    conn.node.count_failure("spoke first")
    conn.on_connection_lost(
        explain_cause(sanitize_bytes(error_text(raw) if raw is not None and is_error_reply else UNSOLICITED_DATA)),
        now,
        True,
    )


def disconnect_cause(conn: "NodeConnection", handlers: list[ReplyHandler], cause: str) -> str:
    """Why a connection was lost, in the node's own words if it had any."""
    handshake = handlers[0] if handlers else None
    error = handshake.first_error() if isinstance(handshake, Handshake) else b""
    return explain_cause(conn.options.redacted_error(error)) if error else cause


def fail_queued(conn: "NodeConnection") -> None:
    """What waited for this node was meant for the data that it had: reads are asked elsewhere, writes missed."""
    fail_requests(conn, conn.take_queue(), conn.node_failure(NODEDOWN, "it was restarted", False))
