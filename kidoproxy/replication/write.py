"""One command for several copies, from the moment it is sent to the client's reply.

Order of events of a write:

1. `CopyWrite` is made: the group counts the write as open, and notes its keys for syncs and WATCH.
2. A copy that refuses or fails is *unconfirmed*: reads from it may lack the write until all copies have answered.
3. All in-sync copies have answered: those that took the write have *acknowledged* it; the others are behind from now
   on. Replies that should be equal and are not make the keys wait for a repair.
4. The client gets the leader's reply (the first one's that acknowledged). If some copy has taken the write differently
   the reply waits for the repair (`RepairedReply`), and if some copy has missed a write until the record of that is on
   disk (`DurableReply`).

With another ``ack`` than "all" the client is answered when the leader and enough others have it; the rest goes on.

If no copy has acknowledged, all keep their place; where the outcome is unknown the keys wait for a repair. A PROXY EACH
read passes through here, too: it changes nothing and lists all replies.
"""

from typing import Final, final

from kidoproxy.commands.expiry_effect import NO_KEYS
from kidoproxy.commands.spec import TOUCHES_KEYS, TOUCHES_SERVER
from kidoproxy.replication.durable_reply import DurableReply
from kidoproxy.replication.group import IN_SYNC, SYNCING, Copy, CopyGroup, missed_keys
from kidoproxy.replication.repair_waits import UnrepairedReply
from kidoproxy.replies.aggregate import NEVER_COMPLETE, Aggregate
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import replication_errors
from kidoproxy.resp.encode import array
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import are_same_error, is_node_unfit
from kidoproxy.routes.plan import Gather, Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node

#: The code of the error for a write whose only takers have fallen behind meanwhile.
BEHIND_CODE: Final = "BEHIND"


@final
class CopyWrite(Aggregate):
    """The replies of the in-sync copies to one command; see the module."""

    def __init__(self, parent: ReplyHandler, plan: Gather, group: CopyGroup, request_context: RequestContext) -> None:
        super().__init__(parent, len(plan.plans))
        self.group = group
        write = plan.write
        nodes = write.nodes if write is not None else None
        #: The nodes that were asked, leader first: the i-th reply is of the i-th node.
        self.nodes = nodes if nodes is not None else [part.node for part in plan.plans if isinstance(part, Send)]
        self.db = request_context.db
        self.per_node = request_context.per_node
        self.is_write = write is not None
        self.written_keys = write.written_keys if write is not None else []
        self.scope = write
        self.touches = write.touches if write is not None else TOUCHES_KEYS
        #: What a copy may differ in that came to another outcome; None: anything.
        self.missed_keys: list[bytes] | None = None
        #: The epoch of an open write; -1: it is done, or a read.
        self.write_epoch = group.begin_write() if write is not None else -1
        if self.touches != TOUCHES_KEYS:
            self.missed_keys = []
        elif write is not None:
            self.missed_keys = missed_keys(write.written_keys, write.other_db, write.may_write_other_keys)
            group.on_write_sent(
                self.db, write.written_keys, write.other_db, write.may_write_other_keys, write.unawaited_nodes
            )
            if write.expiry_effect.sets != NO_KEYS:
                group.expiry_memo.on_write_sent(self.db, write.written_keys, write.other_db, write.expiry_effect)
            if group.watches:
                certain_keys = [] if write.may_write_other_keys else write.written_keys
                group.invalidate_watches(self.db, certain_keys, write.other_db)
        #: Lists that most writes do not need are made when they are needed.
        self.unconfirmed_copies: list[Copy] | None = None
        #: When to answer early: see `CopyGroup.acks_needed`. The client has its answer, the rest is still awaited.
        self.acks_needed = group.acks_needed if not self.per_node else 0
        self.min_in_sync = group.min_in_sync
        self.is_answered = False
        #: What counts as the outcome: the first reply of a copy that has acknowledged it. Empty until it is known.
        self.outcome = b""
        #: What copies have replied that are not waited for, while the outcome is not known.
        self.unawaited_replies: list[tuple[Node, bytes]] | None = None

    def set_reply(self, index: int, raw: bytes) -> None:
        if self.write_epoch >= 0 and is_node_unfit(raw) and self.touches == TOUCHES_KEYS:
            self.mark_unconfirmed(index)
        super().set_reply(index, raw)
        if self.acks_needed and self.remaining:
            self.answer_early()

    def hold_bytes(self, size: int) -> None:
        """Not at the cost of a client that has its answer."""
        if not self.is_answered:
            super().hold_bytes(size)

    def set_failure(self, index: int, failure: NodeFailure) -> None:
        """A copy whose connection was lost may be read from again before the others have answered."""
        if self.write_epoch >= 0:
            self.mark_unconfirmed(index)
        super().set_failure(index, failure)

    def mark_unconfirmed(self, index: int) -> None:
        unconfirmed = self.group.copy_of(self.nodes[index])
        unconfirmed.unconfirmed += 1
        if self.unconfirmed_copies is None:
            self.unconfirmed_copies = []
        self.unconfirmed_copies.append(unconfirmed)

    def answer_early(self) -> None:
        """Answer if the leader and enough others have it. Copies that have failed so far are behind before that."""
        if not self.replies[0] or len(self.nodes) - self.remaining < self.acks_needed:
            return
        acknowledged: list[int] = []
        missing: list[Node] = []
        for index, node in enumerate(self.nodes):
            if self.has_failed(index):
                if not self.is_harmless_refusal(index):
                    missing.append(node)
            elif self.replies[index] and self.is_in_sync(node):
                acknowledged.append(index)
        if acknowledged[:1] == [0] and len(acknowledged) >= self.acks_needed:
            self.is_answered = True
            self.acks_needed = 0
            self.parent.add_held_bytes(-self.held_bytes)
            self.held_bytes = 0
            if self.is_write:
                self.group.mark_behind(missing, self.db, self.missed_keys)
            self.reply_when_durable(self.replies[0])

    def has_failed(self, index: int) -> bool:
        """Whether this copy has not run it, or may not have."""
        failed = bool(self.failures) and self.failures[index] is not None
        return failed or is_node_unfit(self.replies[index])

    def is_harmless_refusal(self, index: int) -> bool:
        """Whether this copy has refused what changes no key: it lacks nothing."""
        return self.touches != TOUCHES_KEYS and bool(self.replies[index])

    def answer_parent(self) -> None:
        if self.is_unanimous():
            self.outcome = self.replies[0]
            self.reply_when_durable(self.outcome)
        else:
            self.decide()
        self.end_write()

    def is_unanimous(self) -> bool:
        """Whether all is well with an ordinary write, as nearly always: `decide` would do nothing but answer."""
        group = self.group
        replies = self.replies
        first = replies[0]
        if self.failures or self.is_answered or self.per_node or not self.is_write or first.startswith(b"-"):
            return False
        if group.trust_is_revocable or self.unawaited_replies is not None or len(replies) < self.min_in_sync:
            return False
        for index, node in enumerate(self.nodes):
            if replies[index] != first or group.copy_of(node).state != IN_SYNC:
                return False
        return True

    def end_write(self) -> None:
        """Take back what the group was told at the beginning, once."""
        unconfirmed = self.unconfirmed_copies
        if unconfirmed is not None:
            self.unconfirmed_copies = None
            for copy in unconfirmed:
                copy.unconfirmed -= 1
        if self.write_epoch >= 0:
            write_epoch = self.write_epoch
            self.write_epoch = -1
            self.group.end_write(write_epoch)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """A bug of ours has ended it half way: the copies may differ, and nothing may wait for it any more."""
        if self.write_epoch >= 0:
            self.note_unknown_outcome()
        self.end_write()
        self.acks_needed = 0
        if self.is_answered:
            self.remaining = NEVER_COMPLETE
        else:
            super().abort(failure, failed)

    def decide(self) -> None:
        """Decide who took the command, who missed it, and what the client gets."""
        acknowledged: list[int] = []
        for index, node in enumerate(self.nodes):
            copy = self.group.copy_of(node)
            if copy.state != IN_SYNC:
                # It has missed another write meanwhile: it acknowledges nothing.
                if self.is_write:
                    copy.missed.add(self.db, self.missed_keys)
            elif not self.has_failed(index):
                acknowledged.append(index)
        if not acknowledged:
            self.all_failed()
            return
        differs = False
        if self.is_write:
            missing = [
                node
                for index, node in enumerate(self.nodes)
                if index not in acknowledged and not self.is_harmless_refusal(index)
            ]
            self.group.mark_behind(missing, self.db, self.missed_keys)
            differs = self.repair_if_unequal(acknowledged)
            self.outcome = self.replies[acknowledged[0]]
            for node, raw in self.unawaited_replies or []:
                self.compare_unawaited(node, raw)
        if self.is_answered:
            return
        if self.per_node:
            self.reply_when_durable(self.per_node_reply())
        elif self.is_write and len(acknowledged) < self.min_in_sync:
            names = [self.nodes[index].name for index in acknowledged]
            self.reply_when_durable(replication_errors.too_few_copies(names, self.min_in_sync))
        elif differs and self.written_keys and self.group.repair_waits.is_ticked:
            self.group.repair_waits.hold(RepairedReply(self, acknowledged[0]))
        else:
            self.reply_when_durable(self.replies[acknowledged[0]])

    def reply_when_durable(self, raw: bytes) -> None:
        """Answer the client: at once, or when the record of who is behind now is on disk."""
        if self.write_epoch < 0:
            self.parent.on_reply(raw)
        else:
            self.acknowledge(raw)

    def acknowledge(self, raw: bytes) -> None:
        """The same of a write that may be over."""
        if self.group.durability.is_current():
            self.parent.on_reply(raw)
        else:
            self.group.durability.hold(DurableReply(self.group, self.nodes[0], self.parent, raw))

    def is_in_sync(self, node: Node) -> bool:
        """Whether a copy's reply counts."""
        return self.group.copy_of(node).state == IN_SYNC

    def note_unknown_outcome(self) -> None:
        """The copies may differ now: in the keys of the write or, if it names none, anywhere."""
        if self.touches == TOUCHES_KEYS:
            self.note_difference(self.nodes[1:], None)

    def note_difference(self, nodes: list[Node], source: Node | None) -> None:
        """``nodes`` may have taken it differently from ``source``."""
        if not self.written_keys:
            self.group.mark_behind(nodes)
            return
        for db in self.dbs():
            self.group.repair_later(db, self.written_keys, source)

    def dbs(self) -> list[int]:
        """The databases in which it changes its keys."""
        other_db = self.scope.other_db if self.scope is not None else None
        return [self.db] if other_db is None else [self.db, other_db]

    def repair_if_unequal(self, acknowledged: list[int]) -> bool:
        """Whether the copies have come to different outcomes: then the keys are noted for repair."""
        first = self.replies[acknowledged[0]]
        differing = [
            self.nodes[index]
            for index in acknowledged[1:]
            if self.replies[index] != first and not are_same_error(self.replies[index], first)
        ]
        if not differing or self.touches == TOUCHES_SERVER:
            return False
        self.group.mismatches += 1
        if self.touches == TOUCHES_KEYS:
            self.note_difference(differing, self.nodes[acknowledged[0]])
        return True

    def compare_unawaited(self, node: Node, raw: bytes) -> None:
        """A copy that is not waited for has replied: if not like the others, its sync has to compare the keys."""
        if not self.outcome:
            if self.unawaited_replies is None:
                self.unawaited_replies = []
            self.unawaited_replies.append((node, raw))
        elif raw == self.outcome or are_same_error(raw, self.outcome) or self.touches != TOUCHES_KEYS:
            return
        elif self.written_keys:
            for db in self.dbs():
                self.group.on_unawaited_reply_differs(node, db, self.written_keys)
        elif self.scope is not None and not self.scope.may_write_other_keys:
            # FLUSHDB. Of a script that may have written anything its sync knows already.
            self.group.on_unawaited_write_lost(node)

    def all_failed(self) -> None:
        """No copy that counts has acknowledged: each keeps its place, but they may differ now."""
        failure = self.most_uncertain_failure()
        if self.is_write:
            self.group.outcomes_may_differ(self.db, self.missed_keys)
        if failure is not None and failure.may_have_run and self.is_write:
            self.note_unknown_outcome()
        if self.is_answered:
            return
        if self.per_node:
            self.reply_when_durable(self.per_node_reply())
        elif failure is not None:
            self.parent.on_failure(failure)
        else:
            self.reply_first_in_sync()

    def most_uncertain_failure(self) -> NodeFailure | None:
        """A failure that leaves the outcome open, if there is one: the client must learn of that."""
        for failure in self.failures:
            if failure is not None and failure.may_have_run:
                return failure
        return self.first_failure()

    def reply_first_in_sync(self) -> None:
        """Answer with the refusal of the first copy that is still in sync."""
        for index, node in enumerate(self.nodes):
            if self.is_in_sync(node):
                self.reply_when_durable(self.replies[index])
                return
        first = self.nodes[0]
        self.parent.on_failure(NodeFailure(BEHIND_CODE, first.name, first.address, "it fell behind meanwhile", True))

    def per_node_reply(self) -> bytes:
        """The list for PROXY EACH, in the order of the configuration; an error in the place of copies not asked."""
        node_replies: list[bytes] = []
        for copy in self.group.copies:
            if copy.node in self.nodes:
                index = self.nodes.index(copy.node)
                failure = self.failures[index] if self.failures else None
                if failure is None:
                    node_replies.append(self.replies[index])
                    continue
                error = failure.error_reply(self.is_write)
            else:
                error = replication_errors.copy_behind(copy.node.name)
            self.parent.count_error(error)
            node_replies.append(error)
        return array(node_replies)


@final
class RepairedReply(UnrepairedReply):
    """The reply of one copy to a write that another one has taken differently: it waits until that is repaired."""

    def __init__(self, write: CopyWrite, index: int) -> None:
        super().__init__([(db, key) for db in write.dbs() for key in write.written_keys])
        self.write = write
        self.node = write.nodes[index]
        self.raw = write.replies[index]

    def release(self) -> None:
        """If the copy was lost before, what the others hold is not what it has replied."""
        write, node = self.write, self.node
        if write.group.elected and write.is_in_sync(node):
            write.acknowledge(self.raw)
        else:
            failure = NodeFailure(BEHIND_CODE, node.name, node.address, "it fell behind meanwhile", True)
            write.parent.on_failure(failure)


@final
class UnawaitedReply(ReplyHandler):
    """The reply of a copy that is not in sync to a write: no client waits for it, but the copy's sync must know of it.

    ``keys_in_doubt`` are what the copy may differ in if it did not get the write; None: anything. A sync is not over
    before the writes that were sent to its copy have been answered there, too.
    """

    def __init__(self, write: CopyWrite, node: Node, keys_in_doubt: list[bytes] | None) -> None:
        super().__init__()
        self.write = write
        self.node = node
        self.keys_in_doubt = keys_in_doubt
        group = write.group
        #: As in `CopyWrite`: -1 if no sync waits for it.
        self.write_epoch = group.begin_write() if group.copy_of(node).state == SYNCING else -1

    def serves_client(self) -> bool:
        return False

    def on_reply(self, raw: bytes) -> None:
        """It may not have run the command, or have come to another outcome than the others."""
        if is_node_unfit(raw):
            self.note_lost()
        else:
            self.write.compare_unawaited(self.node, raw)
        self.end_write()

    def on_failure(self, failure: NodeFailure) -> None:
        """The copy did not get it, or may not have."""
        self.note_lost()
        self.end_write()

    def note_lost(self) -> None:
        self.write.group.on_unawaited_write_lost(self.node, self.write.db, self.keys_in_doubt)

    def end_write(self) -> None:
        if self.write_epoch >= 0:
            self.write.group.end_write(self.write_epoch)
            self.write_epoch = -1
