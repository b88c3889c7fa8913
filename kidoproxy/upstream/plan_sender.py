"""What the execution of a plan needs of whoever sends its requests; the base of `PlanExecutor`.

It lies below the executor so that reply handlers which send again (the next copy of a read, a miss that is counted)
need not know the executor itself.
"""

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.handler import ONE_RETRY, REPEAT_REFUSED, ReplyHandler
from kidoproxy.replies.jobs import Jobs
from kidoproxy.replies.streams import Unblocker
from kidoproxy.routes.plan import Interposed, Plan
from kidoproxy.routes.route import RequestContext
from kidoproxy.routes.topology import Node


class PlanSender(Unblocker):
    """Sends single requests to nodes: on shared connections, on dedicated ones, or as part of a transaction."""

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Send the frame ``payload`` to ``node`` in this protocol and database; ``handler`` takes its reply."""
        raise NotImplementedError

    def send_frames(
        self, node: Node, handler: ReplyHandler, payload: bytes, reply_count: int, proto: int, db: int
    ) -> None:
        """Send frames that belong together on a shared connection; ``handler`` takes all their replies."""
        raise NotImplementedError

    def current_time(self) -> float:
        """The loop's clock."""
        raise NotImplementedError

    def execute(
        self, plan: Plan, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """Carry out a plan; see `PlanExecutor.execute`."""
        raise NotImplementedError

    def send_digest(self, node: Node, handler: ReplyHandler, interposed: Interposed, proto: int, db: int) -> bool:
        """Send a copy the digest of a script if it keeps that (`kidoproxy.upstream.kept_scripts`); whether it does."""
        return False

    def count_noscript_retry(self) -> None:
        """A script was sent again, as nobody had it."""

    def execute_in_turn(
        self, plan: Plan, handler: ReplyHandler, raw: bytes, spec: CommandSpec, request_context: RequestContext
    ) -> None:
        """Carry out a plan now that it is its turn; see `PlanExecutor.execute`."""
        raise NotImplementedError

    def count_miss(self, is_write: bool) -> None:
        """A miss was answered in place of a failure, or (``is_write``) a write was dropped."""
        raise NotImplementedError

    def jobs(self) -> Jobs:
        """Where merges that take long are done in slices."""
        raise NotImplementedError

    def next_random(self) -> int:
        """The next number, below `replies.choose.RANDOM_RANGE`, of a sequence that clients cannot foresee."""
        raise NotImplementedError

    def unblock_rest(self) -> None:
        """Nothing waits on shared connections, so nothing has to be unblocked."""


def mark_repeatable(node: Node, handler: ReplyHandler, payload: bytes, spec: CommandSpec) -> None:
    """Let a write be sent once more if the server refuses it as a replica, where sentinels name another one.

    Reads as well, which may stand behind one; not a script, which may say READONLY by itself. See
    `kidoproxy.upstream.refused_writes`.
    """
    if node.master_view is None:
        return
    if spec.retryable:
        handler.retries_left = ONE_RETRY
        handler.payload = payload
    elif spec.may_write and not spec.is_scripting:
        handler.retries_left = REPEAT_REFUSED
        handler.payload = payload
