"""Writes that a server has refused because it is a replica now: they did not run, so they may be sent once more.

This is for nodes that sentinels name. The connection goes on until all that was sent on it is answered; meanwhile such
writes, and reads behind them (which must see them), are kept in their order, and what is new waits behind. When the
sentinels name the new master all of it is sent there; else it ends by its deadline. If this server is
promoted meanwhile and takes a later write, the refused ones fail: sent after it they might undo what was acknowledged.
Scripts are no such writes: one may answer READONLY by itself, after it has written.
"""

from typing import Final

from kidoproxy.replies.handler import NO_RETRY, ONE_RETRY, REPEAT_REFUSED, ReplyHandler
from kidoproxy.resp.errors import NODEDOWN
from kidoproxy.upstream.connection_state import ConnectionBase
from kidoproxy.upstream.failures import fail_requests
from kidoproxy.upstream.pipeline import QueuedRequest
from kidoproxy.upstream.states import RECONNECT_PENDING

#: In Redis from 5 on, and in Valkey.
READONLY_REPLY: Final = b"-READONLY You can't write against a read only replica."
PROMOTED: Final = "it refused this as a replica, and took a later write as a master"


def keep_refused(conn: ConnectionBase, handler: ReplyHandler, raw: bytes, now: float) -> bool:
    """Keep the write of ``handler`` if this error says that it did not run, and it may be repeated."""
    if handler.retries_left != REPEAT_REFUSED or handler.is_answered or not raw.startswith(READONLY_REPLY):
        return False
    # How often a node's word for that counts is limited, see `NodeHealth.on_error_reply`.
    is_news = conn.role_changes_seen != conn.node.role_changes
    if not is_news or now >= handler.due or not conn.shared:
        return False
    keep(conn, handler, True)
    conn.add_condition(RECONNECT_PENDING)
    return True


def keep_read_behind(conn: ConnectionBase, handler: ReplyHandler, raw: bytes) -> bool:
    """Keep a read behind a write that was refused, in place of its reply; a write that was not ends the waiting."""
    if handler.retries_left == REPEAT_REFUSED and not raw.startswith(READONLY_REPLY):
        give_up_writes(conn)
    if handler.retries_left != ONE_RETRY or handler.is_answered:
        return False
    keep(conn, handler, False)
    return True


def give_up_writes(conn: ConnectionBase) -> None:
    """The server has become a master and taken a later write, which the earlier ones must not undo: they fail."""
    writes: list[QueuedRequest] = []
    for queued in conn.take_refused():
        if queued.is_refused_write:
            writes.append(queued)
        else:
            conn.add_refused(queued)
    fail_requests(conn, writes, conn.node_failure(NODEDOWN, PROMOTED, False))


def keep(conn: ConnectionBase, handler: ReplyHandler, is_write: bool) -> None:
    payload = handler.payload
    assert payload is not None
    handler.retries_left = NO_RETRY
    if is_write:
        handler.payload = None
    queued = QueuedRequest(handler, payload, conn.base_proto, conn.base_db, 1)
    queued.is_refused_write = is_write
    conn.add_refused(queued)
