"""One write that its leader decides alone, from its turn to the client's reply.

Order of events:

1. `LeaderFirstWrite` has its turn at its keys (`key_turns`): nothing is asked of these keys any more until it ends.
2. The leader is asked; where the others will be sent values, how large these are before. If it did not run it for
   sure, or its connection is lost in time, the next copy in sync is the leader. What a copy has decided counts only if
   it has missed no write.
3. The others are sent the effect (`leader_effects`), and the turn is over: what is sent from now on stands behind it
   everywhere.
4. From here on it is a write like any other: a `CopyWrite` waits for the copies in sync, those that fail are behind.

A leader whose answer was lost may have run it. If another one goes on in its place it has missed what that one decided,
and is behind; if none does, nobody has been told, the outcome is unknown, and the keys wait for a repair.
"""

from collections.abc import Callable
from typing import final

from kidoproxy.commands.expiry_effect import SET, UNAFFECTED
from kidoproxy.commands.spec import EFFECT_REMOVED_MEMBERS, EFFECT_STATE, PASS_THROUGH, TOUCHES_KEYS, TOUCHES_SERVER
from kidoproxy.replication.group import IN_SYNC
from kidoproxy.replication.held_plan import turn_failure
from kidoproxy.replication.key_turns import Turn
from kidoproxy.replication.leader_effects import (
    EXEC,
    MULTI,
    Effect,
    command_frames,
    effect_handler,
    effect_of,
    requests_along,
)
from kidoproxy.replication.parse_replies import parse_integer
from kidoproxy.replication.shared_decision import MAX_SHARED, SharedReply
from kidoproxy.replication.waiters import Wakeup
from kidoproxy.replication.write import BEHIND_CODE, CopyWrite, UnawaitedReply
from kidoproxy.replies.aggregate import AggregateSlot
from kidoproxy.replies.callbacks import BatchHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import errors
from kidoproxy.resp.decode import is_error, items
from kidoproxy.resp.encode import array, encode_request
from kidoproxy.resp.errors import TIMEOUT, NodeFailure
from kidoproxy.resp.node_errors import as_node_reply, is_node_unfit
from kidoproxy.resp.replication_errors import KEYS_BUSY, effect_too_large
from kidoproxy.routes.copy_write import write_refusal
from kidoproxy.routes.plan import Gather, LeaderFirst, Plan, Send, WriteScope
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.plan_sender import PlanSender


@final
class LeaderAttempt:
    """One copy that was asked to decide, and what came of it: a failure, or (None) an error that it is not fit."""

    def __init__(self, node: Node, raw: bytes, failure: NodeFailure | None) -> None:
        self.node = node
        self.raw = raw
        self.failure = failure

    def may_have_run(self) -> bool:
        return self.failure is not None and self.failure.may_have_run


@final
class LeaderFirstWrite(Turn):
    """See the module; ``parent`` gets the one reply."""

    def __init__(
        self, sender: PlanSender, plan: LeaderFirst, parent: ReplyHandler, request_context: RequestContext, due: float
    ) -> None:
        turn_keys = [] if plan.may_read_other_keys else plan.keys
        super().__init__([(request_context.db, key) for key in turn_keys], due)
        self.sender = sender
        self.plan = plan
        self.group = plan.group
        self.parent = parent
        self.request_context = request_context
        #: Called when it is its turn: whether it is still wanted. Who says no has answered, and nothing is sent.
        self.confirm: Callable[[], bool] | None = None
        #: The copies that were asked in vain, in this order.
        self.attempts: list[LeaderAttempt] = []
        self.write_epoch = -1
        #: Others like it, which are decided with it: ``parent`` deals the replies out then.
        self.shared_count = 1

    # -- its turn ------------------------------------------------------------------------------------------

    def take(self) -> None:
        """Ask the leader, if enough copies can be reached."""
        if self.confirm is not None and not self.confirm():
            self.group.key_turns.leave(self)
            return
        if self.followers:
            self.take_along()
        group = self.group
        candidates = self.candidates()
        refusal = write_refusal(group, candidates) if group.elected else group.refusal
        if refusal or not candidates:
            self.refuse(refusal or errors.NOREPLICAS)
            return
        self.write_epoch = group.begin_write()
        if group.watches:
            group.invalidate_watches(self.request_context.db, self.plan.keys, None)
        self.start(candidates[0])

    def take_along(self) -> None:
        """Decide those too that stand directly behind it and ask for the same (see `shared_decision`)."""
        parents = [self.parent]
        last: LeaderFirstWrite | None = self
        while last is not None and len(parents) < MAX_SHARED:
            last = last.next_alike()
            if last is not None:
                # It has had its turn, and leaves when this one does.
                last.is_over = True
                parents.append(last.parent)
        if len(parents) > 1:
            self.parent = SharedReply(parents)
            self.shared_count = len(parents)

    def next_alike(self) -> "LeaderFirstWrite | None":
        """The one that waits for this one alone, if it asks for the same in the same way."""
        if not self.can_be_shared():
            return None
        for follower in self.followers:
            if isinstance(follower, LeaderFirstWrite) and follower.waits_for == 1 and not follower.is_over:
                asked, context = follower.plan.argv, follower.request_context
                is_alike = asked == self.plan.argv and context.proto == self.request_context.proto
                return follower if is_alike and follower.keys == self.keys and follower.can_be_shared() else None
        return None

    def can_be_shared(self) -> bool:
        """Whether it is one SPOP of one member: its effects add up, and it is known how much can come back."""
        plan = self.plan
        is_pop = plan.effect == EFFECT_REMOVED_MEMBERS and plan.queued is None and len(plan.argv) == 2
        return is_pop and self.confirm is None and not self.request_context.per_node

    def start(self, node: Node) -> None:
        """Ask ``node`` to decide, or first how large the values are that the others would be sent."""
        plan = self.plan
        if plan.effect != EFFECT_STATE or not plan.written_keys:
            self.ask(node)
            return

        def take_sizes(replies: list[bytes]) -> None:
            if sum([max(parse_integer(raw) or 0, 0) for raw in replies]) > self.group.effect_max_bytes:
                self.end_turn()
                self.parent.on_reply(effect_too_large(plan.argv[0].lower(), self.group.effect_max_bytes))
            else:
                self.ask(node)

        def take_failure(failure: NodeFailure) -> None:
            self.on_failure(node, NodeFailure(failure.code, failure.node, failure.address, failure.cause, False))

        context = self.request_context
        count = len(plan.written_keys)
        payload = b"".join([encode_request([b"MEMORY", b"USAGE", key]) for key in plan.written_keys])
        handler = BatchHandler(count, take_sizes, take_failure)
        self.sender.send_frames(node, handler, payload, count, context.proto, context.db)

    def candidates(self) -> list[Node]:
        """Who may decide, the first one first: copies in sync that were not asked yet."""
        plan = self.plan
        asked_nodes = [attempt.node for attempt in self.attempts]
        ranked = self.group.ranked(plan.keys[0] if plan.keys else None)
        pubsub_node = self.group.active_pubsub_node() if plan.asks_pubsub_node else None
        if pubsub_node in ranked:
            ranked.remove(pubsub_node)
            ranked.insert(0, pubsub_node)
        return [node for node in ranked if node not in asked_nodes]

    def on_timeout(self) -> None:
        """Others had their turns for so long that it was not begun."""
        leader = self.group.ranked_copies(self.plan.keys[0] if self.plan.keys else None)[0].node
        self.parent.on_failure(turn_failure(TIMEOUT, leader, KEYS_BUSY))

    def refuse(self, frame: bytes) -> None:
        """Nothing was sent."""
        self.group.key_turns.leave(self)
        self.parent.on_reply(frame)

    # -- the leader ----------------------------------------------------------------------------------------

    def ask(self, node: Node) -> None:
        """Ask ``node`` to decide."""
        plan = self.plan
        along = requests_along(plan, node)
        frames = command_frames(plan) * self.shared_count + [encode_request(argv) for argv in along]
        is_transaction = bool(along) or plan.queued is not None
        handler = LeaderReply(self, node, along, len(frames) + 2 if is_transaction else len(frames), is_transaction)
        payload = b"".join(frames)
        if is_transaction:
            payload = MULTI + payload + EXEC
        context = self.request_context
        self.sender.send_frames(node, handler, payload, handler.replies_left, context.proto, context.db)

    def on_decision(self, node: Node, along: list[list[bytes]], replies: list[bytes]) -> None:
        """``node`` has run it; the replies are those to the command or transaction, and to what was asked ``along``."""
        queued = self.plan.queued
        unfit_count = len([raw for raw in replies if is_node_unfit(raw)]) if queued is None else 0
        if unfit_count and is_node_unfit(replies[0]) and unfit_count >= self.shared_count:
            self.try_next(LeaderAttempt(node, replies[0], None))
            return
        effect = effect_of(self.plan, along, replies)
        if unfit_count and self.shared_count > 1:
            effect.problem = "it has run a part of what it was asked"
        problem = "it fell behind meanwhile" if self.lacks_writes(node) else effect.problem
        if problem:
            self.on_failure(node, NodeFailure(BEHIND_CODE, node.name, node.address, problem, True))
        else:
            count = len(queued) if queued is not None else self.shared_count
            is_list = queued is not None or count > 1
            self.tell_others(node, array(replies[:count]) if is_list else as_node_reply(replies[0]), effect)

    def on_refusal(self, node: Node, raw: bytes) -> None:
        """``node`` has run nothing: it is not fit, or no node would run this."""
        if is_node_unfit(raw):
            self.try_next(LeaderAttempt(node, raw, None))
        else:
            self.tell_others(node, raw, Effect())

    def on_failure(self, node: Node, failure: NodeFailure) -> None:
        """There is no reply of ``node``."""
        self.try_next(LeaderAttempt(node, b"", failure))

    def lacks_writes(self, node: Node) -> bool:
        """Whether what ``node`` has decided counts for nobody else: it has missed a write, or may have."""
        copy = self.group.copy_of(node)
        if copy.state != IN_SYNC:
            return True
        return copy.unconfirmed > 0 and any(other.live for other in self.candidates() if other is not node)

    def try_next(self, attempt: LeaderAttempt) -> None:
        """This copy has not decided, or nobody knows what; another one does if there is time, or all has failed."""
        self.attempts.append(attempt)
        if self.group.elected and self.sender.current_time() < self.due:
            for node in self.candidates():
                if node.live:
                    self.start(node)
                    return
        write = self.start_copy_write([tried.node for tried in self.attempts], [])
        self.end_turn()
        for index, tried in enumerate(self.attempts):
            if tried.failure is not None:
                write.set_failure(index, tried.failure)
            else:
                write.set_reply(index, tried.raw)

    # -- the others ----------------------------------------------------------------------------------------

    def tell_others(self, leader: Node, reply: bytes, effect: Effect) -> None:
        """Send the effect to all that have not decided it; a copy that may have run it on its own has failed."""
        group = self.group
        if not effect.frames and not self.attempts:
            self.end_turn()
            self.parent.on_reply(reply)
            return
        lost = {attempt.node: attempt.failure for attempt in self.attempts if attempt.may_have_run()}
        nodes = [leader, *[node for node in group.ranked(None) if node is not leader]]
        # One that has decided alone and is behind now differs in these keys: it counts as not reached.
        unawaited = [
            copy.node for copy in group.copies if copy.state != IN_SYNC and copy.node.live and copy.node not in lost
        ]
        write = self.start_copy_write(nodes, unawaited)
        for index, node in enumerate(nodes):
            failure = lost.get(node)
            if failure is not None:
                write.set_failure(index, failure)
            elif node is not leader:
                self.tell(node, AggregateSlot(write, index), reply, effect)
        for node in unawaited:
            self.tell(node, UnawaitedReply(write, node, write.missed_keys), reply, effect)
        self.end_turn()
        self.wake_waiters()
        write.set_reply(0, reply)

    def tell(self, node: Node, handler: ReplyHandler, reply: bytes, effect: Effect) -> None:
        """Send the effect to one copy."""
        if not effect.frames:
            handler.on_reply(reply)
            return
        context = self.request_context
        handler = effect_handler(handler, reply, effect)
        self.sender.send_frames(node, handler, effect.payload(), effect.reply_count(), context.proto, context.db)

    def wake_waiters(self) -> None:
        """Let those attempt that wait for a key into which it may have put something."""
        if self.group.waiters.count:
            self.group.waiters.wake(Wakeup([self.request_context.db], self.plan.written_keys, 0, False))

    def start_copy_write(self, nodes: list[Node], unawaited_nodes: list[Node]) -> CopyWrite:
        """What waits for these copies, the leader first."""
        sends: list[Plan] = [Send(node) for node in nodes]
        expiry_effect = SET if self.plan.effect == EFFECT_STATE else UNAFFECTED
        touches = TOUCHES_KEYS if self.plan.written_keys else TOUCHES_SERVER
        scope = WriteScope(self.plan.written_keys, False, None, unawaited_nodes, None, expiry_effect, touches=touches)
        gather = Gather(sends, PASS_THROUGH, group=self.group, write=scope)
        write = CopyWrite(self.parent, gather, self.group, self.request_context)
        write.command_name = self.plan.argv[0].lower()
        return write

    def end_turn(self) -> None:
        """Others may go on, and the group may count on its outcome. Only once, though a bug may come after that."""
        write_epoch = self.write_epoch
        if write_epoch >= 0:
            self.write_epoch = -1
            self.group.end_write(write_epoch)
            self.group.key_turns.leave(self)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """A bug of ours has ended it half way: the copies may differ."""
        self.group.repair_later(self.request_context.db, self.plan.keys)
        self.end_turn()
        self.parent.abort(failure, failed)


@final
class LeaderReply(ReplyHandler):
    """Takes the leader's reply to one request, or to several, perhaps in a transaction."""

    def __init__(
        self,
        write: LeaderFirstWrite,
        node: Node,
        along: list[list[bytes]],
        reply_count: int,
        is_transaction: bool = False,
    ) -> None:
        super().__init__()
        self.is_transaction = is_transaction
        self.replies: list[bytes] = []
        self.write = write
        self.node = node
        self.along = along
        self.reply_count = reply_count
        self.replies_left = reply_count
        self.queue_error = b""

    def on_reply(self, raw: bytes) -> None:
        """Of a transaction the last reply is EXEC's, unless something was refused before it."""
        self.replies_left -= 1
        if not self.is_transaction:
            self.replies.append(raw)
            if not self.replies_left:
                self.write.on_decision(self.node, self.along, self.replies)
        elif self.replies_left:
            self.queue_error = self.queue_error or (raw if is_error(raw) else b"")
        elif self.queue_error or is_error(raw):
            self.write.on_refusal(self.node, self.queue_error or raw)
        else:
            self.on_exec_replies(items(raw))

    def on_exec_replies(self, replies: list[bytes]) -> None:
        """One for each request between MULTI and EXEC; a server that gives another number may have run anything."""
        node = self.node
        if len(replies) == self.reply_count - 2:
            self.write.on_decision(node, self.along, replies)
        else:
            self.on_failure(NodeFailure(BEHIND_CODE, node.name, node.address, "EXEC was not answered as asked", True))

    def on_failure(self, failure: NodeFailure) -> None:
        self.write.on_failure(self.node, failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        self.write.abort(failure, failed)

    def describe(self) -> str:
        return self.write.plan.argv[0].decode("utf-8", "backslashreplace")
