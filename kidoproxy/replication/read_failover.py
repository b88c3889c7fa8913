"""A read of a copy pool that asks the next copy when one gives no reply that counts."""

from typing import final

from kidoproxy.replication.write import is_node_unfit
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.plan_sender import PlanSender


@final
class ReadFailover(ReplyHandler):
    """A read of a copy pool: if the node gives no reply, or none that counts, the next one is asked."""

    def __init__(
        self,
        sender: PlanSender,
        parent: ReplyHandler,
        payload: bytes,
        node: Node,
        fallbacks: list[Node],
        proto: int,
        db: int,
    ) -> None:
        super().__init__()
        self.sender = sender
        self.parent = parent
        self.request_frame = payload
        self.node = node
        self.fallbacks = fallbacks
        self.next_fallback = 0
        self.proto = proto
        self.db = db

    def on_reply(self, raw: bytes) -> None:
        """A node in trouble is no answer while another can be asked; nor is one that fell behind meanwhile."""
        if self.next_fallback < len(self.fallbacks) and (is_node_unfit(raw) or self.fell_behind()):
            self.ask_next()
        else:
            self.parent.on_reply(raw)
            # The node's connection may know an answered leg for a while.
            self.request_frame = b""

    def on_failure(self, failure: NodeFailure) -> None:
        """Ask the next one; the last one's failure stands."""
        if self.next_fallback < len(self.fallbacks):
            self.ask_next()
        else:
            self.parent.on_failure(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As its parent does."""
        self.parent.abort(failure, failed)

    def describe(self) -> str:
        """Its parent's."""
        return self.parent.describe()

    def ask_next(self) -> None:
        """Ask the next node, with a deadline of its own; none when no copy is trusted any more."""
        group = self.node.group
        if group is not None and not group.elected:
            self.parent.on_reply(group.refusal)
            return
        self.node = self.fallbacks[self.next_fallback]
        self.next_fallback += 1
        attempt = ReadAttempt(self)
        self.sender.send(self.node, attempt, self.request_frame, self.proto, self.db)

    def fell_behind(self) -> bool:
        """Whether the node that was asked has missed a write since, or may have."""
        group = self.node.group
        return group is not None and group.may_lack_writes(self.node)

    def can_cut_through(self) -> bool:
        """As its parent may, if the node's word counts."""
        return not self.fell_behind() and self.parent.can_cut_through()

    def cut_through(self, piece: bytes) -> None:
        """From here on this node's answer is the answer."""
        self.next_fallback = len(self.fallbacks)
        self.parent.cut_through(piece)

    def add_held_bytes(self, size: int) -> None:
        """Its parent counts it."""
        self.parent.add_held_bytes(size)


@final
class ReadAttempt(ReplyHandler):
    """A further attempt of a `ReadFailover`; a leg of its own, for the first one may still be in its link's fifo."""

    def __init__(self, failover: ReadFailover) -> None:
        super().__init__()
        self.failover = failover

    def on_reply(self, raw: bytes) -> None:
        """Its reply is the read's reply."""
        self.failover.on_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """Its failure is the read's failure."""
        self.failover.on_failure(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As the read does."""
        self.failover.abort(failure, failed)

    def describe(self) -> str:
        """The read's."""
        return self.failover.describe()

    def can_cut_through(self) -> bool:
        """As the read may."""
        return self.failover.can_cut_through()

    def cut_through(self, piece: bytes) -> None:
        """As the read does."""
        self.failover.cut_through(piece)
