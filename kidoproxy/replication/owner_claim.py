"""The claim to the copies of one group: nothing is elected, synced or served before it is good.

Order of events, from tick to tick:

1. Each connection names itself in its handshake and looks for others (`kidoproxy.upstream.identity`). While another
   proxy is found that goes first, its node is tried again for `PATIENCE_SECONDS`: of one that has just ended, the nodes
   may not know yet. Then this proxy yields.
2. When every node has answered or failed, those that are reached are given the name of an owner and are asked once
   more. If none of them shows a better one, the copies are owned.
3. A connection that has another name than the one of now, such as one that was in its handshake meanwhile, gets it.
"""

from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests
from kidoproxy.replication.copy_log import CopyLog
from kidoproxy.replication.group import CopyGroup
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.fencing import close_clients
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
        self.ask_again_at = now

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
        if self.naming or not connections:
            return
        self.ask_again_at = now + ASK_SECONDS
        self.naming, self.name = connections, name
        batch_reply = BatchReply(self, 2 * len(connections))
        for at, connection in enumerate(connections):
            connection.announced_name = name
            requests = [[b"CLIENT", b"SETNAME", name], [b"CLIENT", b"LIST"] if name else [b"PING"]]
            send_requests(connection, batch_reply, 2 * at, requests, 0, now)

    def on_done(self, batch_reply: BatchReply) -> None:
        """All have answered; a node that failed names itself when it connects again."""
        ownership = self.group.ownership
        naming, self.naming = self.naming, []
        assert ownership is not None
        for at, connection in enumerate(naming if self.name else []):
            naming_reply, raw = batch_reply.replies[2 * at : 2 * at + 2]
            if raw:
                ownership.on_name_reply(connection.node.name, naming_reply)
                close_clients(connection, ownership.on_client_list(connection.node.name, raw, self.name))
        is_same = self.name == ownership.connection_name()
        if ownership.mark.is_owner and is_same and not ownership.rivals and any(batch_reply.replies):
            ownership.confirmed = True
