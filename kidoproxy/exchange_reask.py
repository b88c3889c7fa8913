"""A read of a copy pool that asks the next copy when one gives no reply that counts."""

from typing import TYPE_CHECKING, final

from kidoproxy.errors import NodeFailure
from kidoproxy.exchange_copies import in_trouble
from kidoproxy.ledger import Leg
from kidoproxy.routes.topology import Node

if TYPE_CHECKING:
    from kidoproxy.exchange import Wire


@final
class Reask(Leg):
    """A read of a copy pool: if the node gives no reply, or none that counts, the next one is asked."""

    def __init__(
        self, wire: "Wire", parent: Leg, payload: bytes, node: Node, others: list[Node], proto: int, db: int
    ) -> None:
        super().__init__()
        self.wire = wire
        self.parent = parent
        self.request = payload
        self.node = node
        self.others = others
        self.at = 0
        self.proto = proto
        self.db = db

    def take(self, raw: bytes) -> None:
        """A node in trouble is no answer while another can be asked; nor is one that fell behind meanwhile."""
        if self.at < len(self.others) and (in_trouble(raw) or self.fell_behind()):
            self.next()
        else:
            self.parent.take(raw)
            # The node's connection may know an answered leg for a while.
            self.request = b""

    def fail(self, failure: NodeFailure) -> None:
        """Ask the next one; the last one's failure stands."""
        if self.at < len(self.others):
            self.next()
        else:
            self.parent.fail(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As its parent does."""
        self.parent.abort(failure, failed)

    def title(self) -> str:
        """Its parent's."""
        return self.parent.title()

    def next(self) -> None:
        """Ask the next node, with a deadline of its own; none when no copy is trusted any more."""
        group = self.node.group
        if group is not None and not group.elected:
            self.parent.take(group.refusal)
            return
        self.node = self.others[self.at]
        self.at += 1
        again = Again(self)
        self.wire.send(self.node, again, self.request, self.proto, self.db)

    def fell_behind(self) -> bool:
        """Whether the node that was asked has missed a write since, or may have."""
        group = self.node.group
        return group is not None and group.doubts(self.node)

    def can_cut(self) -> bool:
        """As its parent may, if the node's word counts."""
        return not self.fell_behind() and self.parent.can_cut()

    def cut(self, piece: bytes) -> None:
        """From here on this node's answer is the answer."""
        self.at = len(self.others)
        self.parent.cut(piece)

    def hold(self, size: int) -> None:
        """Its parent counts it."""
        self.parent.hold(size)


@final
class Again(Leg):
    """A further attempt of a `Reask`; a leg of its own, for the first one may still be in its link's fifo."""

    def __init__(self, reask: Reask) -> None:
        super().__init__()
        self.reask = reask

    def take(self, raw: bytes) -> None:
        """Its reply is the read's reply."""
        self.reask.take(raw)

    def fail(self, failure: NodeFailure) -> None:
        """Its failure is the read's failure."""
        self.reask.fail(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """As the read does."""
        self.reask.abort(failure, failed)

    def title(self) -> str:
        """The read's."""
        return self.reask.title()

    def can_cut(self) -> bool:
        """As the read may."""
        return self.reask.can_cut()

    def cut(self, piece: bytes) -> None:
        """As the read does."""
        self.reask.cut(piece)
