"""A plan for a copy pool that waits for its turn at its keys, because something about them is being decided.

Nothing of it is sent before, so it has its place behind what is decided on every copy. Its bytes count as its client's
requests in flight. A write asks the copies that are there when it is its turn.
"""

from typing import final

from kidoproxy.commands.expiry import with_absolute_expiry
from kidoproxy.commands.spec import COPY_ABSOLUTE_EXPIRY, CommandSpec
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.key_turns import DbKey, Turn
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp import errors
from kidoproxy.resp.decode import items, string_value
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import OVERLOADED, TIMEOUT, NodeFailure
from kidoproxy.resp.replication_errors import KEYS_BUSY, TOO_MANY_WAIT
from kidoproxy.routes.copy_write import renew
from kidoproxy.routes.plan import DirectReply, Gather, Plan, WriteScope
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.plan_sender import PlanSender


@final
class HeldPlan(Turn):
    """``plan``, until it is its turn at ``keys``; then the ``sender`` carries it out for ``handler``."""

    def __init__(
        self,
        sender: PlanSender,
        group: CopyGroup,
        keys: list[DbKey],
        plan: Plan,
        handler: ReplyHandler,
        raw: bytes,
        spec: CommandSpec,
        request_context: RequestContext,
        due: float,
    ) -> None:
        super().__init__(keys, due)
        self.sender = sender
        self.group = group
        self.plan = plan
        self.handler = handler
        self.raw = raw
        self.spec = spec
        self.request_context = request_context

    def hold(self) -> None:
        """Wait for its turn, if there is room."""
        group = self.group
        if group.key_turns.is_full():
            self.handler.on_failure(turn_failure(OVERLOADED, group.copies[0].node, TOO_MANY_WAIT))
            return
        group.key_turns.ask(self)

    def take(self) -> None:
        """Carry it out; it is sent at once, so the next ones may follow."""
        try:
            self.sender.execute_in_turn(self.current_plan(), self.handler, self.raw, self.spec, self.request_context)
        finally:
            self.group.key_turns.leave(self)

    def current_plan(self) -> Plan:
        """The plan, for the copies as they are now."""
        plan = self.plan
        if not self.group.elected:
            return DirectReply(self.group.refusal)
        if isinstance(plan, Gather) and plan.write is not None:
            return renew(plan, self.group, plan.write, self.current_payload(plan.write))
        return plan

    def current_payload(self, write: WriteScope) -> bytes | None:
        """What is sent; a relative expiry counts from now."""
        payload = write.unawaited_payload
        if payload is None or self.spec.replication != COPY_ABSOLUTE_EXPIRY:
            return payload
        argv = [string_value(word) for word in items(self.raw)]
        rewritten = with_absolute_expiry(argv, self.request_context.clock.ms)
        return encode_request(rewritten) if rewritten is not None else None

    def on_timeout(self) -> None:
        """Nothing was sent, and what it holds is free."""
        self.handler.on_failure(turn_failure(TIMEOUT, self.group.copies[0].node, KEYS_BUSY))
        self.raw = b""
        self.plan = DirectReply(errors.NOREPLICAS)


def turn_failure(code: str, node: Node, cause: str) -> NodeFailure:
    """Why something had no turn: nothing of it was sent."""
    return NodeFailure(code, node.name, node.address, cause, False)
