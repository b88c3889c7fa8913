"""The claim to the copies of one group: nothing is elected, synced or served before it is good.

Order of events, from tick to tick:

1. Each connection names itself in its handshake and looks for others (`kidoproxy.upstream.identity`). While another
   proxy is found that goes first, its node is tried again for `PATIENCE_SECONDS`: of one that has just ended, the nodes
   may not know yet. Then this proxy yields.
2. When every node has answered or failed, those that are reached are given the name of an owner and are asked once
   more. If none of them shows a better one, those that show a worse one close it, and the copies are owned.
3. When the in-sync set changes it is looked whether that is another one's doing (`owner_check`).
4. A connection that has another name than the one of now, such as one that was in its handshake meanwhile, gets it.
"""

from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_piecewise, send_requests
from kidoproxy.replication.copy_log import CopyLog
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.owner_check import begin_check
from kidoproxy.replication.owner_marks import ClientList, OwnerMark
from kidoproxy.replication.ownership import Ownership
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.errors import sanitize_bytes
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import CLIENT_LIST
from kidoproxy.upstream.states import DOWN, READY

#: So long another owner may take to go: a node sees the end of a process that was killed within milliseconds.
PATIENCE_SECONDS: Final = 1.5
#: How often nodes are asked while it is not settled who owns them.
ASK_SECONDS: Final = 0.2
#: A node that has not answered by then is named when it does.
ANSWER_SECONDS: Final = 2.0


@final
class OwnerClaim(Callback):
    """One group's. Without `CopyGroup.ownership` the copies are taken as owned."""

    def __init__(self, executor: Executor, group: CopyGroup, copy_log: CopyLog, now: float) -> None:
        self.executor = executor
        self.group = group
        self.copy_log = copy_log
        self.patient_until = now + PATIENCE_SECONDS
        self.answers_until = now + ANSWER_SECONDS
        #: The connections that are being named, and as what.
        self.naming: list[NodeConnection] = []
        self.name = b""
        self.lists: list[ClientList] = []
        #: The connections of others that are being closed, and where.
        self.closing: list[tuple[NodeConnection, OwnerMark]] = []
        self.ask_again_at = now
        #: No copy could be asked since the in-sync set has changed.
        self.owes_check = False
        if group.ownership is not None:
            group.verify_owner = self.verify

    def verify(self) -> None:
        """The in-sync set has changed: see whether the copies are still ours."""
        self.owes_check = not begin_check(self.executor, self.group)

    def tick(self, now: float) -> bool:
        """Whether the copies are owned, so that the pool may be served."""
        ownership = self.group.ownership
        if ownership is None:
            return True
        if not ownership.confirmed and ownership.rivals and now >= self.patient_until and ownership.yielded_to is None:
            ownership.yield_to(next(iter(ownership.rivals.values())))
        if ownership.yielded_to is not None:
            self.group.lose_ownership()
        elif not ownership.confirmed and not ownership.rivals and self.is_complete(now):
            ownership.mark.is_owner = True
        elif self.owes_check or (now >= self.ask_again_at and not self.group.durability.is_verified()):
            self.ask_again_at = now + ASK_SECONDS
            self.verify()
        self.give_name(ownership.connection_name(), now)
        for event in ownership.log_events:
            self.copy_log.add(event.name, event.fields)
        ownership.log_events.clear()
        return ownership.confirmed

    def connections(self) -> list[NodeConnection]:
        return [self.executor.connection(copy.node, 2, 0) for copy in self.group.copies]

    def is_complete(self, now: float) -> bool:
        """Whether each node has answered or failed, or has had its time, and one can be reached."""
        states = [connection.state for connection in self.connections()]
        return READY in states and (now >= self.answers_until or all(state in (READY, DOWN) for state in states))

    def give_name(self, name: bytes, now: float) -> None:
        """Name the connections that are called otherwise, and look for others once more; until all is well, again."""
        ownership = self.group.ownership
        asks_again = now >= self.ask_again_at and ownership is not None and ownership.is_open()
        connections = [
            conn for conn in self.connections() if conn.is_ready() and (asks_again or conn.announced_name != name)
        ]
        if self.naming or self.closing or not connections:
            return
        self.ask_again_at = now + ASK_SECONDS
        self.naming, self.name = connections, name
        self.lists = [ClientList() for _ in connections]
        batch_reply = BatchReply(self, 2 * len(connections))
        for at, connection in enumerate(connections):
            connection.announced_name = name
            send_requests(connection, batch_reply, 2 * at, [[b"CLIENT", b"SETNAME", name]], 0, now)
            argv = CLIENT_LIST if name else [b"PING"]
            send_piecewise(connection, batch_reply, 2 * at + 1, argv, self.lists[at].add, now)

    def on_done(self, batch_reply: BatchReply) -> None:
        """All have answered; a node that failed names itself when it connects again."""
        if self.closing:
            self.on_closed(batch_reply.replies)
        else:
            self.on_named(batch_reply.replies)

    def on_named(self, replies: list[bytes]) -> None:
        """Each node has our name, and has shown who else is there. Whom we beat is closed everywhere at once."""
        ownership = self.group.ownership
        naming, self.naming = self.naming, []
        assert ownership is not None
        for at, connection in enumerate(naming if self.name else []):
            naming_reply, rest = replies[2 * at : 2 * at + 2]
            if rest:
                self.lists[at].add(rest)
                ownership.on_name_reply(connection.node.name, naming_reply)
                marks = ownership.on_client_list(connection.node.name, self.lists[at], self.name)
                self.closing += [(connection, mark) for mark in marks]
        if not self.closing:
            self.confirm(any(replies))
            return
        batch_reply, closing = BatchReply(self, len(self.closing)), list(self.closing)
        for at, (connection, mark) in enumerate(closing):
            request = [[b"CLIENT", b"KILL", b"ID", mark.client_id]]
            send_requests(connection, batch_reply, at, request, 0, self.executor.now)

    def on_closed(self, replies: list[bytes]) -> None:
        """Whom we beat writes no more. Who is not closed goes on, and this proxy does not."""
        ownership = self.group.ownership
        closing, self.closing = self.closing, []
        assert ownership is not None
        for at, (connection, mark) in enumerate(closing):
            if replies[at] and is_error(replies[at]):
                on_not_closed(connection, ownership, mark, replies[at])
        self.confirm(any(replies))

    def confirm(self, is_answered: bool) -> None:
        """The copies are owned, if nobody was found who goes first."""
        ownership = self.group.ownership
        assert ownership is not None
        is_same = self.name == ownership.connection_name()
        if ownership.mark.is_owner and is_same and not ownership.rivals and is_answered:
            ownership.confirmed = True


def on_not_closed(connection: NodeConnection, ownership: Ownership, mark: OwnerMark, raw: bytes) -> None:
    """What a dead process has left does no harm but a late write; an owner that lives would go on beside us."""
    error = sanitize_bytes(error_text(raw))
    connection.node.cause = "it does not close what another proxy has open: " + error
    if mark.is_owner and not ownership.is_dead(mark):
        ownership.on_not_closed(connection.node.name, mark, error)
