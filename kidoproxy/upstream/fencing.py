"""Fencing: what a copy was sent on a connection that was given up never runs behind what the next one carries.

Such bytes may still be on their way: held by the network, by a proxy in between, or by a node that stood still. They
count as missed, the copy is compared without them, so afterwards they must not run any more. Therefore a new connection
is ready only when the node has said that it has closed the one before (CLIENT KILL ID). Servers drop what such a client
had sent and they had not executed yet: it has run by then, or never will. The record of the copies has the ids, so that
a proxy that was killed is fenced by the next one.

Ids count anew when a server is restarted, and what the former run had not executed is gone with it. So the run id must
be the same; without one nobody knows whose the id is.
"""

from functools import partial
from typing import Final

from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.owner_marks import OwnerMark
from kidoproxy.replication.ownership import Ownership
from kidoproxy.replies.callbacks import CallbackHandler, ignore_failure
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure, sanitize_bytes
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.warmup_connection import start_warmup
from kidoproxy.upstream.handlers import NO_DEADLINE
from kidoproxy.upstream.handshake import TEMPORARY_ERRORS
from kidoproxy.upstream.sending import SendingConnection

#: What `NodeHealth.unfenced` says, with the reason behind it.
UNFENCED: Final = "a late write may reach it, for it does not close the connection before: "


def fence(conn: SendingConnection, group: CopyGroup, client_id: bytes) -> bool:
    """Have the node close the connection before; whether its reply is waited for, and `start_warmup` comes then.

    ``client_id`` is what the node calls the new one, empty if it does not tell.
    """
    run_id, previous = conn.node.last_connection
    # The id of the new one cannot be that of the old one any more.
    if previous and previous != client_id and run_id and run_id == conn.node.run_id:
        send_kill(conn, group, previous, client_id)
        return True
    note_identity(conn.node, group, client_id)
    return False


def note_identity(node: Node, group: CopyGroup, client_id: bytes) -> None:
    """Remember what the next connection has to have closed."""
    node.last_connection = (node.run_id, client_id)
    group.record_details()
    node.unfenced = ""
    if not client_id or not node.run_id:
        node.unfenced = UNFENCED + ("it does not tell its run id" if client_id else "CLIENT ID is refused")


def send_kill(conn: SendingConnection, group: CopyGroup, previous: bytes, client_id: bytes) -> None:
    """The connection goes on when the node has replied; if that gets lost the next one asks again."""

    def on_reply(raw: bytes) -> None:
        """How many it has closed: 1, or 0 if it had noticed the end itself."""
        if is_error(raw) and error_text(raw).startswith(TEMPORARY_ERRORS):
            conn.fatal_error = sanitize_bytes(error_text(raw))
            return
        note_identity(conn.node, group, client_id)
        if is_error(raw):
            conn.node.unfenced = UNFENCED + sanitize_bytes(error_text(raw))
        start_warmup(conn)

    def on_failure(failure: NodeFailure) -> None:
        """Nothing else was sent on this one."""

    handler = CallbackHandler(on_reply, on_failure)
    handler.due = NO_DEADLINE  # that of the handshake counts
    conn.send(handler, kill_request(previous), conn.proto, conn.db, 1)


def close_clients(conn: SendingConnection, ownership: Ownership, marks: list[OwnerMark]) -> None:
    """Have the node close these connections of other proxies, before this one sends anything else.

    Where an owner that lives may not be closed the node is not used: the two would write to it by turns.
    """
    for mark in marks:
        handler = CallbackHandler(partial(on_closed, conn, ownership, mark), ignore_failure)
        handler.due = NO_DEADLINE
        conn.send(handler, kill_request(mark.client_id), conn.proto, conn.db, 1)


def on_closed(conn: SendingConnection, ownership: Ownership, mark: OwnerMark, raw: bytes) -> None:
    """It may have been closed already. If the reply is lost, the next connection looks for others again."""
    if not is_error(raw):
        return
    error = sanitize_bytes(error_text(raw))
    conn.node.cause = "it does not close what another proxy has open: " + error
    if mark.is_owner and not ownership.is_dead(mark):
        conn.fatal_error = f"the kidoproxy of {mark.describe()} writes to it, and may not be closed: {error}"


def kill_request(client_id: bytes) -> bytes:
    return encode_request([b"CLIENT", b"KILL", b"ID", client_id])
