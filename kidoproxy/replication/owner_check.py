"""A look for other owners when the in-sync set has changed, before anything is acknowledged on the strength of that.

A copy whose connection is closed may be down; or another proxy has taken over and closes our connections one by one. A
write that the next copy has taken meanwhile would be lost, for the other proxy may trust the first one. Whoever takes
over names itself at every node that it reaches before it closes anything. So it is waited for whether the lost copy can
be reached again, for then it shows who is there, and the copies that are left are asked, behind the write. If it was a
take-over the write is not acknowledged.
"""

from typing import final

from kidoproxy.replication.batch import BatchReply, Callback, send_piecewise
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.owner_marks import ClientList
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import CLIENT_LIST
from kidoproxy.upstream.states import CONNECTING, HANDSHAKING


@final
class OwnerCheck(Callback):
    """One look, at all copies in sync that can be reached, for one version of the record."""

    def __init__(self, group: CopyGroup, connections: list[NodeConnection]) -> None:
        self.group = group
        self.connections = connections
        self.version = group.durability.latest_version
        self.lists = [ClientList() for _ in connections]

    def begin(self, now: float) -> None:
        batch_reply = BatchReply(self, len(self.connections))
        for at, connection in enumerate(self.connections):
            send_piecewise(connection, batch_reply, at, CLIENT_LIST, self.lists[at].add, now)

    def on_done(self, batch_reply: BatchReply) -> None:
        """One answer without an owner that goes first is enough; without any the next look has to tell."""
        group = self.group
        ownership = group.ownership
        assert ownership is not None
        for at, connection in enumerate(self.connections):
            if rest := batch_reply.replies[at]:
                self.lists[at].add(rest)
                ownership.on_client_list(connection.node.name, self.lists[at], connection.announced_name)
        if ownership.yielded_to is not None:
            group.lose_ownership()
        elif any(batch_reply.replies):
            group.durability.on_verified(self.version)


def begin_check(executor: Executor, group: CopyGroup) -> bool:
    """Look for other owners; False if that has to wait: no copy in sync can be asked, or a lost one may be back."""
    connections = [executor.connection(copy.node, 2, 0) for copy in group.copies]
    in_sync = [executor.connection(copy.node, 2, 0) for copy in group.in_sync()]
    ready = [connection for connection in in_sync if connection.is_ready()]
    if not ready or any(is_coming_back(group, connection) for connection in connections):
        return False
    OwnerCheck(group, ready).begin(executor.now)
    return True


def is_coming_back(group: CopyGroup, connection: NodeConnection) -> bool:
    """Whether it was lost and is being made again, and has not shown yet who is there; not if it was down meanwhile."""
    ownership = group.ownership
    assert ownership is not None
    is_open = connection.state in (CONNECTING, HANDSHAKING) and not connection.retrying
    return is_open and connection.node.name not in ownership.standing
