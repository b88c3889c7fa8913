"""WAIT on copies whose writes are answered before every copy has them: each is asked behind those writes."""

from typing import final

from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.replies.aggregate import Aggregate
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.encode import integer
from kidoproxy.routes.plan import Gather, Send


@final
class CountCopies(Aggregate):
    """Counts the copies that have answered and missed no write before, but for one: the others are its replicas."""

    def __init__(self, parent: ReplyHandler, plan: Gather, group: CopyGroup) -> None:
        super().__init__(parent, len(plan.plans))
        self.group = group
        self.nodes = [part.node for part in plan.plans if isinstance(part, Send)]

    def answer_parent(self) -> None:
        count = 0
        for index, node in enumerate(self.nodes):
            failed = bool(self.failures) and self.failures[index] is not None
            if not failed and not is_error(self.replies[index]) and self.group.copy_of(node).state == IN_SYNC:
                count += 1
        self.parent.on_reply(integer(max(count - 1, 0)))
