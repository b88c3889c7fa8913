"""Hedged reads: what one copy does not answer soon is asked of a second one too, and the first reply counts.

The slowest reads become faster by it (Dean and Barroso, "The Tail at Scale", 2013), and nothing else is asked twice: no
write, no read behind which its client has sent a write (it would see that), and no more than a share of all reads
(`hedge_queue`), so that copies which are slow because they are busy do not get busier. As with any read only copies in
sync are asked, and a reply counts by the same rules (`kidoproxy.replication.read_failover`).
"""

from typing import final

from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.replication.read_failover import last_reply
from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.replies.hedge_queue import WaitingRead
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import is_node_unfit
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.plan_sender import PlanSender


@final
class HedgedRead(WaitingRead):
    """One read, with all that may be asked for it. ``parent`` gets one reply, or one failure."""

    def __init__(
        self,
        sender: PlanSender,
        parent: ReplyHandler,
        request_frame: bytes,
        nodes: list[Node],
        proto: int,
        db: int,
        group: CopyGroup,
    ) -> None:
        super().__init__()
        self.parent = parent
        self.sender = sender
        self.request_frame = request_frame
        self.nodes = nodes
        self.next_node = 0
        self.proto = proto
        self.db = db
        self.group = group
        self.queue = group.hedges
        #: How many copies owe a reply; and whose reply it is, once that is known.
        self.open_count = 0
        self.winner: OneAnswer | None = None

    def can_be_hedged(self) -> bool:
        """Whether there is another copy that answers, and nothing that the read must not see."""
        if self.next_node >= len(self.nodes) or not self.group.elected:
            return False
        node = self.nodes[self.next_node]
        is_fit = node.live and not node.suspect and self.group.copy_of(node).state == IN_SYNC
        return is_fit and self.parent.may_be_asked_late()

    def ask_next(self) -> None:
        """Ask the next copy, with a deadline of its own; none when no copy is trusted any more."""
        answer = OneAnswer(self, self.nodes[self.next_node], self.next_node)
        if not self.group.elected:
            self.decide(answer, 0)
            self.parent.on_reply(self.group.refusal)
            return
        self.next_node += 1
        self.open_count += 1
        self.sender.send(answer.node, answer, self.request_frame, self.proto, self.db)

    def asks_others(self) -> bool:
        """An answer does not count: whether another one is awaited, or asked for now."""
        if not self.open_count and self.next_node < len(self.nodes):
            self.ask_next()
            return True
        return self.open_count > 0

    def may_lack_writes(self, node: Node) -> bool:
        return self.group.may_lack_writes(node)

    def decide(self, winner: "OneAnswer", late_count: int) -> None:
        """Its reply is the read's, so many others come too late; the request need not be kept any more."""
        if winner.number and late_count:
            self.queue.counts["won"] += 1
        self.winner = winner
        self.queue.decide(self)
        self.request_frame = b""


@final
class OneAnswer(DelegatingHandler):
    """Takes the reply of one copy; ``number`` 0 is the first that was asked."""

    def __init__(self, read: HedgedRead, node: Node, number: int) -> None:
        super().__init__(read.parent)
        self.read = read
        self.node = node
        self.number = number

    def is_too_late(self) -> bool:
        """Whether another copy has answered."""
        winner = self.read.winner
        return winner is not None and winner is not self

    def end(self) -> bool:
        """This copy owes nothing any more; whether what it says can still count."""
        read = self.read
        read.open_count -= 1
        if self.is_too_late():
            read.queue.counts["discarded"] += 1
            return False
        return True

    def on_reply(self, raw: bytes) -> None:
        read = self.read
        if self.number == 0:
            read.queue.observe(read.sender.current_time() - read.asked_at)
        if not self.end():
            return
        if read.winner is None:
            if (is_node_unfit(raw) or read.may_lack_writes(self.node)) and read.asks_others():
                return
            read.decide(self, read.open_count)
            raw = last_reply(read.group, self.node, raw)
        self.parent.on_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        if not self.end():
            return
        if self.read.winner is None:
            if self.read.asks_others():
                return
            self.read.decide(self, 0)
        self.parent.on_failure(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """A bug: the client hears of it, unless another copy has answered."""
        if not self.is_too_late():
            self.read.decide(self, 0)
            self.parent.abort(failure, failed)

    def serves_client(self) -> bool:
        return not self.is_too_late() and self.parent.serves_client()

    def can_cut_through(self) -> bool:
        """What comes too late may go by in pieces, too."""
        if self.read.winner is None and self.read.may_lack_writes(self.node):
            return False
        return self.is_too_late() or self.parent.can_cut_through()

    def cut_through(self, piece: bytes) -> None:
        """From the first piece on this copy's reply is the read's."""
        if not self.is_too_late():
            if self.read.winner is None:
                self.read.decide(self, self.read.open_count - 1)
            self.parent.cut_through(piece)
