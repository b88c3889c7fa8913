"""A read of a copy pool that asks the next copy when one gives no reply that counts.

A reply does not count if its node was not fit to run the command, or has missed a write since it was asked. The last
copy's reply, or failure, is the read's whatever it is.
"""

from typing import final

from kidoproxy.replication.group import group_of
from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import is_node_unfit
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.plan_sender import PlanSender


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
        self.proto = proto
        self.db = db

    def on_reply(self, raw: bytes) -> None:
        if self.next_fallback < len(self.fallbacks) and (is_node_unfit(raw) or self.may_lack_writes()):
            self.ask_next()
        else:
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
        self.parent.cut_through(piece)
