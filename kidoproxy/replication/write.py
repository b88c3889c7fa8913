"""Several replies that the exchange waits for and judges: the copies of a write, and the steps of a SCAN."""

from typing import Final, final

from kidoproxy.replication.group import IN_SYNC, Copy, CopyGroup
from kidoproxy.replication.write_log import HeldAcknowledgement
from kidoproxy.replies.aggregate import Aggregate
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import replication_errors
from kidoproxy.resp.encode import array
from kidoproxy.resp.errors import TIMEOUT, NodeFailure
from kidoproxy.resp.node_errors import is_node_unfit
from kidoproxy.routes.plan import Gather, Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node

#: The code word of `errors.behind`.
BEHIND: Final = "BEHIND"


@final
class CopyWrite(Aggregate):
    """The copies of one write: the leader's reply stands, a copy that missed the write is behind from now on."""

    def __init__(self, parent: ReplyHandler, plan: Gather, group: CopyGroup, request_context: RequestContext) -> None:
        super().__init__(parent, len(plan.plans))
        self.plan = plan
        self.group = group
        self.db = request_context.db
        self.per_node = request_context.per_node
        write = plan.write
        self.is_write = write is not None
        self.written_keys = write.written_keys if write is not None else []
        #: Writes count as under way until they are judged (see `CopyGroup.settle`).
        self.write_epoch = group.begin_write() if write is not None else -1
        if write is not None:
            group.on_write_sent(
                self.db, write.written_keys, write.other_db, write.may_write_other_keys, write.unawaited_nodes
            )
            if group.watches:
                certain_keys = [] if write.may_write_other_keys else write.written_keys
                group.invalidate_watches(self.db, certain_keys, write.other_db)
        self.unconfirmed_copies: list[Copy] = []

    def set_reply(self, index: int, raw: bytes) -> None:
        """A copy's reply; a refusal puts in doubt what it is read for until all have answered."""
        if self.write_epoch >= 0 and is_node_unfit(raw):
            self.mark_unconfirmed(index)
        super().set_reply(index, raw)

    def set_failure(self, index: int, failure: NodeFailure) -> None:
        """So does a failure: a copy whose connection was lost may be asked again before the others have answered."""
        if self.write_epoch >= 0:
            self.mark_unconfirmed(index)
        super().set_failure(index, failure)

    def mark_unconfirmed(self, index: int) -> None:
        """This copy may lack the write."""
        unconfirmed = self.group.copy_of(self.asked_nodes()[index])
        unconfirmed.unconfirmed += 1
        self.unconfirmed_copies.append(unconfirmed)

    def answer_parent(self) -> None:
        """Every in-sync copy has answered or failed."""
        self.decide()
        self.end_write()

    def end_write(self) -> None:
        """It is judged, once."""
        unconfirmed = self.unconfirmed_copies
        self.unconfirmed_copies = []
        for copy in unconfirmed:
            copy.unconfirmed -= 1
        if self.write_epoch >= 0:
            write_epoch = self.write_epoch
            self.write_epoch = -1
            self.group.end_write(write_epoch)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """Nobody knows how it was judged: the copies may differ, and nothing waits for it any more."""
        if self.write_epoch >= 0:
            if self.written_keys:
                self.group.repair_later(self.db, self.written_keys)
            else:
                self.group.mark_behind(self.asked_nodes()[1:])
        self.end_write()
        super().abort(failure, failed)

    def decide(self) -> None:
        """Who took it, who missed it, and what the client hears."""
        acknowledged: list[int] = []
        asked_nodes = self.asked_nodes()
        for index in range(len(self.replies)):
            failed = self.failures and self.failures[index] is not None
            if not failed and not is_node_unfit(self.replies[index]) and self.is_in_sync(asked_nodes[index]):
                acknowledged.append(index)
        if not acknowledged:
            self.all_failed()
            return
        if self.is_write:
            self.group.mark_behind([node for index, node in enumerate(self.asked_nodes()) if index not in acknowledged])
            self.repair_if_unequal(acknowledged)
        if self.per_node:
            self.reply_when_durable(self.per_node_reply())
        elif self.is_write and len(acknowledged) < self.group.min_in_sync:
            names = [node.name for index, node in enumerate(self.asked_nodes()) if index in acknowledged]
            self.reply_when_durable(replication_errors.too_few_copies(names, self.group.min_in_sync))
        else:
            self.reply_when_durable(self.replies[acknowledged[0]])

    def reply_when_durable(self, raw: bytes) -> None:
        """The client's reply; of a write it waits until the record of who is behind now is on disk."""
        if self.write_epoch < 0 or self.group.durability.is_current():
            self.parent.on_reply(raw)
        else:
            self.group.durability.hold(DurableReply(self.group, self.asked_nodes()[0], self.parent, raw))

    def is_in_sync(self, node: Node) -> bool:
        """Whether a copy's word counts: one that has missed another write meanwhile acknowledges nothing."""
        return self.group.copy_of(node).state == IN_SYNC

    def asked_nodes(self) -> list[Node]:
        """The nodes of the parts, the leader's first."""
        return [plan.node for plan in self.plan.plans if isinstance(plan, Send)]

    def repair_if_unequal(self, acknowledged: list[int]) -> None:
        """Replies that should be equal and are not: these keys' copies may differ."""
        first = self.replies[acknowledged[0]]
        for index in acknowledged[1:]:
            if self.replies[index] != first:
                self.group.mismatches += 1
                self.group.repair_later(self.db, self.written_keys)
                return

    def all_failed(self) -> None:
        """No copy that counts took the write: each keeps its place, but they may differ now."""
        failure = self.most_uncertain_failure()
        if failure is not None and failure.may_have_run and self.is_write:
            if self.written_keys:
                self.group.repair_later(self.db, self.written_keys)
            else:
                self.group.mark_behind(self.asked_nodes()[1:])
        if self.per_node:
            self.reply_when_durable(self.per_node_reply())
        elif failure is not None:
            self.parent.on_failure(failure)
        else:
            self.reply_first_in_sync()

    def most_uncertain_failure(self) -> NodeFailure | None:
        """A failure that leaves the outcome open, if there is one: the client must hear of that."""
        for failure in self.failures:
            if failure is not None and failure.may_have_run:
                return failure
        return self.first_failure()

    def reply_first_in_sync(self) -> None:
        """What the first copy in sync says; the word of one that has fallen behind meanwhile does not count."""
        asked_nodes = self.asked_nodes()
        for index, node in enumerate(asked_nodes):
            if self.is_in_sync(node):
                self.reply_when_durable(self.replies[index])
                return
        first = asked_nodes[0]
        self.parent.on_failure(NodeFailure(BEHIND, first.name, first.address, "it fell behind meanwhile", True))

    def per_node_reply(self) -> bytes:
        """Each node's own reply in the order of the configuration; an error in the place of the others."""
        asked_nodes = self.asked_nodes()
        node_replies: list[bytes] = []
        for copy in self.group.copies:
            if copy.node in asked_nodes:
                index = asked_nodes.index(copy.node)
                failure = self.failures[index] if self.failures else None
                node_replies.append(failure.error_reply(self.is_write) if failure is not None else self.replies[index])
            else:
                node_replies.append(replication_errors.copy_behind(copy.node.name))
        return array(node_replies)


@final
class DurableReply(HeldAcknowledgement):
    """The reply to a write which some copy may have missed."""

    def __init__(self, group: CopyGroup, node: Node, parent: ReplyHandler, raw: bytes) -> None:
        super().__init__(group.durability.latest_version)
        self.group = group
        self.node = node
        self.parent = parent
        self.raw = raw

    def release(self) -> None:
        """Whoever restarts the proxy will know who missed the write."""
        self.parent.on_reply(self.raw)

    def on_timeout(self) -> None:
        """Nobody would know after a crash of the proxy."""
        cause = f"the record of {self.group.name}'s copies is not on disk yet"
        self.parent.on_failure(NodeFailure(TIMEOUT, self.node.name, self.node.address, cause, True))


@final
class UnawaitedWrite(ReplyHandler):
    """A write's part for a copy that is not in sync: nobody waits for it, but its sync must know if it was lost."""

    def __init__(self, group: CopyGroup, node: Node) -> None:
        super().__init__()
        self.group = group
        self.node = node

    def on_reply(self, raw: bytes) -> None:
        """What the copy says does not matter, unless it did nothing."""
        if is_node_unfit(raw):
            self.group.on_unawaited_write_lost(self.node)

    def on_failure(self, failure: NodeFailure) -> None:
        """The copy did not get it, or nobody knows."""
        self.group.on_unawaited_write_lost(self.node)
