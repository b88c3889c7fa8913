"""Blocking commands without blocking: in a transaction a server answers them with what is there now.

For a client that has hung up: what it has sent is still run, but nothing may be blocked for it.
"""

from typing import Final, final

from kidoproxy.replication.leader_effects import EXEC, MULTI
from kidoproxy.replies.callbacks import InterceptingHandler
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.queue import PendingRequest
from kidoproxy.resp.decode import is_error, is_null, items
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import as_node_reply
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import DelegatingExecutor, Executor
from kidoproxy.upstream.send_first import submit_ahead_of_unwritten

#: How the error begins that a request gets which CLIENT UNBLOCK … ERROR ends.
UNBLOCKED_PREFIX: Final = b"-UNBLOCKED"
#: Of MULTI, the request, EXEC.
REPLY_COUNT: Final = 3


@final
class WaitOutcome:
    """What has come of one blocking request so far."""

    def __init__(self) -> None:
        #: The client has hung up, so nothing may be blocked for it any more.
        self.client_gone = False
        #: Some node had something to say other than that there was nothing, be it an error.
        self.must_answer = False

    def note_reply(self, raw: bytes) -> None:
        """One node's reply: null, if there was nothing; the error of CLIENT UNBLOCK, if it was unblocked."""
        self.must_answer = self.must_answer or not (is_null(raw) or raw.startswith(UNBLOCKED_PREFIX))

    def client_left_waiting(self) -> bool:
        """Whether the client was still waiting when it hung up."""
        return self.client_gone and not self.must_answer


def drop_reply_if_client_left(outcome: WaitOutcome, pending: PendingRequest) -> ReplyHandler:
    """Around a client's pending request that may block: a client that hung up while it waited is told nothing."""

    def on_reply(raw: bytes) -> None:
        pending.suppressed = pending.suppressed or outcome.client_left_waiting()
        pending.on_reply(raw)

    def on_failure(failure: NodeFailure) -> None:
        pending.suppressed = pending.suppressed or outcome.client_left_waiting()
        pending.on_failure(failure)

    return InterceptingHandler(pending, on_reply, on_failure, whole=False)


def unwrap_exec(outcome: WaitOutcome, parent: ReplyHandler) -> ReplyHandler:
    """Takes the three replies of a `NonblockingExecutor`, and the request's own reply out of the array of EXEC."""
    replies: list[bytes] = []

    def on_reply(raw: bytes) -> None:
        """The first error is the reply: what a server has refused to queue it does not run."""
        replies.append(raw)
        if len(replies) == REPLY_COUNT:
            errors = [one for one in replies if is_error(one)]
            exec_replies = [] if errors else items(raw)
            reply = as_node_reply(exec_replies[0]) if exec_replies else errors[0] if errors else raw
            outcome.note_reply(reply)
            parent.on_reply(reply)

    def on_failure(failure: NodeFailure) -> None:
        """There will be no reply, which counts as one."""
        outcome.must_answer = True
        parent.on_failure(failure)

    return InterceptingHandler(parent, on_reply, on_failure)


@final
class NonblockingExecutor(DelegatingExecutor):
    """Sends each part in a transaction of its own, on the shared connections."""

    def __init__(self, executor: Executor, outcome: WaitOutcome) -> None:
        super().__init__(executor)
        self.outcome = outcome

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """One contiguous ``MULTI request EXEC``, ahead of what others have sent in this turn.

        A connection of a copy pool serves several databases, and may be in another one at its front: there the
        request takes its place at the end.
        """
        conn = self.executor.connection(node, proto, db)
        transaction = MULTI + payload + EXEC
        handler = unwrap_exec(self.outcome, handler)
        if not node.has_ordered_connection:
            submit_ahead_of_unwritten(conn, handler, transaction, self.executor.now, REPLY_COUNT)
        else:
            conn.submit(handler, transaction, proto, db, self.executor.now, REPLY_COUNT)
