"""How a read is sent that has copies to fall back on; which of them may be asked a second time, and when."""

from typing import final

from kidoproxy.replication.group import group_of
from kidoproxy.replication.read_failover import ReadFailover
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.hedge_queue import HedgeQueue
from kidoproxy.routes.plan import Send
from kidoproxy.routes.route import RequestContext
from kidoproxy.upstream.hedged_read import HedgedRead
from kidoproxy.upstream.plan_sender import PlanSender


@final
class Hedges:
    """The copy pools in which reads wait that may be asked of a second copy."""

    def __init__(self) -> None:
        self.queues: list[HedgeQueue] = []

    def run(self, now: float) -> None:
        """Ask second copies for the reads that are due; see `next_due`."""
        for queue in self.queues:
            queue.run(now)

    def next_due(self) -> float:
        """When `run` is to be called; 0.0 if no read waits. Queues in which none waits are forgotten."""
        next_at = 0.0
        for queue in self.queues[:]:
            due = queue.next_due()
            if not due:
                self.queues.remove(queue)
            elif not next_at or due < next_at:
                next_at = due
        return next_at


def send_read(
    sender: PlanSender,
    hedges: Hedges | None,
    plan: Send,
    handler: ReplyHandler,
    payload: bytes,
    request_context: RequestContext,
) -> None:
    """Ask the plan's node, and its fallbacks if that gives no reply, or, with ``hedges``, if it is slow."""
    group, node, fallbacks = group_of(plan.node), plan.node, plan.fallbacks or []
    proto, db = request_context.proto, request_context.db
    if group is not None:
        group.read_count += 1
        queue = group.hedges
        if hedges is not None and queue.delay is not None and fallbacks[0] is not node:
            read = HedgedRead(sender, handler, payload, [node, *fallbacks], proto, db, group)
            queue.add(read, sender.current_time())
            if queue not in hedges.queues:
                hedges.queues.append(queue)
            read.ask_next()
            return
    sender.send(node, ReadFailover(sender, handler, payload, node, fallbacks, proto, db), payload, proto, db)
