"""What follows from the handshake: may the connection serve, is the node the same run as before, what must it load.

A node is known by the run id in its INFO. Another run may have lost data: what waited for the node's old data fails,
and a copy pool decides whether the node is behind. Two names for one server would make copies of nothing.
"""

from typing import final

from kidoproxy.replication.group import CopyGroup, group_of
from kidoproxy.replication.owner_marks import ClientList
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.errors import NODEDOWN, NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.warmup_connection import start_warmup
from kidoproxy.upstream.databases import answer_if_db_missing
from kidoproxy.upstream.failures import fail_requests
from kidoproxy.upstream.fencing import close_clients, fence
from kidoproxy.upstream.handshake import (
    CLIENT_LIST,
    NOT_MASTER,
    REPLICA_ROLES,
    HandshakeResult,
    explain_cause,
    is_unknown_command,
    parse_handshake,
)
from kidoproxy.upstream.sending import SendingConnection
from kidoproxy.upstream.states import RETRYING


@final
class Handshake(ReplyHandler):
    """Collects the replies of the handshake; each has a place, so none is looked at before all are there."""

    def __init__(self, conn: SendingConnection, requests: list[list[bytes]]) -> None:
        super().__init__()
        self.connection = conn
        self.requests = requests
        self.replies: list[bytes] = []
        self.client_list = ClientList()

    def serves_client(self) -> bool:
        return False

    def on_reply(self, raw: bytes) -> None:
        if self.can_cut_through():
            self.client_list.add(raw)
        self.replies.append(raw)
        if len(self.replies) == len(self.requests):
            result = parse_handshake(self.requests, self.replies)
            result.client_list = self.client_list
            finish_handshake(self.connection, result)

    def can_cut_through(self) -> bool:
        """Whether it is the turn of the list of the node's clients, who may be very many: it is not held."""
        return self.requests[len(self.replies)] == CLIENT_LIST

    def cut_through(self, piece: bytes) -> None:
        self.client_list.add(piece)

    def first_error(self) -> bytes:
        """The error that a node began with which hung up in the middle, if any: it has no place for us, say."""
        first_reply = self.replies[0] if self.replies else b"+"
        return error_text(first_reply) if is_error(first_reply) and not is_unknown_command(first_reply) else b""

    def on_failure(self, failure: NodeFailure) -> None:
        """The connection knows by itself."""

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """Half a handshake is of no use."""
        self.connection.fatal_error = failure.cause

    def describe(self) -> str:
        return "the greeting"


def finish_handshake(conn: SendingConnection, result: HandshakeResult) -> None:
    """The node has answered everything: give the connection up, or let it serve once the node has what it needs."""
    node = conn.node
    if result.resp3 is not None:
        node.resp3 = result.resp3
    refusal = result.refusal
    if result.info_error and node.is_copy and conn.shared:
        # Without a run id nobody would notice that a copy was restarted, and may have lost what it had.
        refusal = refusal or result.info_error
    if node.master_view is not None and result.role in REPLICA_ROLES:
        refusal = refusal or NOT_MASTER
        node.look_for_master()
    if refusal:
        conn.fatal_error = explain_cause(conn.login.redacted_error(refusal))
        answer_if_db_missing(conn, refusal)
        return
    conn.remove_condition(RETRYING)
    if not conn.shared:
        # What is not shared does not stand for its node: a shared one must not find a restart noticed already.
        conn.client_id = result.client_id
        conn.become_ready()
        return
    if node.note_same_server(result.info):
        conn.fatal_error = node.cause
        return
    group = group_of(node)
    if group is not None and conn.announced_name and not may_own(conn, group, result):
        return
    verify_owner(node)
    if node.on_info(result.info) and group is not None and not group.on_restart(node):
        fail_queued(conn)
    if group is None or not fence(conn, group, result.client_id):
        start_warmup(conn)


def may_own(conn: SendingConnection, group: CopyGroup, result: HandshakeResult) -> bool:
    """Whether no other proxy that goes first is connected to the copy; else the connection is given up."""
    ownership, name = group.ownership, conn.node.name
    assert ownership is not None
    ownership.on_name_reply(name, result.name_reply)
    to_close = ownership.on_client_list(name, result.client_list, conn.announced_name)
    if ownership.yielded_to is not None:
        group.lose_ownership()
    if name in ownership.rivals:
        conn.fatal_error = f"it is served by the kidoproxy of {ownership.rivals[name].describe()}"
        return False
    close_clients(conn, ownership, to_close)
    return True


def verify_owner(node: Node) -> None:
    """It is known now whether a lost copy can be reached: acknowledgements may wait for that (`owner_check`)."""
    group = group_of(node)
    if group is not None and group.verify_owner is not None and not group.durability.is_verified():
        group.verify_owner()


def fail_queued(conn: SendingConnection) -> None:
    """What waited was meant for the data that the node had: reads are asked elsewhere, writes are missed."""
    fail_requests(conn, conn.take_queue(), conn.node_failure(NODEDOWN, "it was restarted", False))
