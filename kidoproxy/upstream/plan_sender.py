"""What the execution of a plan needs of whoever sends its requests; the base of `PlanExecutor`.

It lies below the executor so that reply handlers which send again (the next copy of a read, a miss that is counted)
need not know the executor itself.
"""

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.jobs import Jobs
from kidoproxy.replies.streams import Unblocker
from kidoproxy.routes.topology import Node


class PlanSender(Unblocker):
    """Sends single requests to nodes: on shared connections, on dedicated ones, or as part of a transaction."""

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """Send the frame ``payload`` to ``node`` in this protocol and database; ``handler`` takes its reply."""
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
