"""A read of a copy pool that asks the next copy when one gives no reply that counts.

A reply does not count if its node was not fit to run the command, or has missed a write since it was asked. The last
copy's reply, or failure, is the read's; but a copy that has left the in-sync set (it may have lost all it had) is not
read: that is an error.
"""

from typing import final

from kidoproxy.replication.group import IN_SYNC, CopyGroup, group_of
from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.resp.errors import NO_COPY_IN_SYNC, NodeFailure
from kidoproxy.resp.node_errors import is_node_unfit
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.plan_sender import PlanSender


def last_reply(group: CopyGroup, node: Node, raw: bytes) -> bytes:
    """What a read hears if ``node``, which was asked last, has replied this."""
    return raw if group.copy_of(node).state == IN_SYNC else NO_COPY_IN_SYNC


@final
class ReadFailover(DelegatingHandler):
    """Takes the first copy's reply, and those of the copies that are asked after it."""

    def __init__(
        self,
        sender: PlanSender,
        parent: ReplyHandler,
        request_frame: bytes,
        node: Node,
        fallbacks: list[Node],
        proto: int,
        db: int,
    ) -> None:
        super().__init__(parent)
        self.sender = sender
        self.request_frame = request_frame
        self.group = group_of(node)
        #: Who was asked last, and who can be asked after that, from ``next_fallback`` on.
        self.node = node
        self.fallbacks = fallbacks
        self.next_fallback = 0
        self.partly_sent = False
        self.proto = proto
        self.db = db

    def on_reply(self, raw: bytes) -> None:
        if self.next_fallback < len(self.fallbacks) and (is_node_unfit(raw) or self.may_lack_writes()):
            self.ask_next()
        else:
            if self.group is not None and not self.partly_sent:
                raw = last_reply(self.group, self.node, raw)
            self.parent.on_reply(raw)
            # The node's connection may know an answered handler for a while.
            self.request_frame = b""

    def on_failure(self, failure: NodeFailure) -> None:
        if self.next_fallback < len(self.fallbacks):
            self.ask_next()
        else:
            self.parent.on_failure(failure)

    def ask_next(self) -> None:
        """Ask the next copy, with a deadline of its own; none when no copy is trusted any more.

        It has a handler of its own, for the connection asked before may still wait for the first one.
        """
        if self.group is not None and not self.group.elected:
            self.parent.on_reply(self.group.refusal)
            return
        self.node = self.fallbacks[self.next_fallback]
        self.next_fallback += 1
        self.sender.send(self.node, DelegatingHandler(self), self.request_frame, self.proto, self.db)

    def may_lack_writes(self) -> bool:
        """Whether the copy that was asked has missed a write since, or may have."""
        return self.group is not None and self.group.may_lack_writes(self.node)

    def can_cut_through(self) -> bool:
        return not self.may_lack_writes() and self.parent.can_cut_through()

    def cut_through(self, piece: bytes) -> None:
        """From the first piece on this copy's reply is the read's."""
        self.next_fallback = len(self.fallbacks)
        self.partly_sent = True
        self.parent.cut_through(piece)
