"""Blocking commands without blocking: in a transaction a server answers them with what is there now.

For a client that has hung up: what it has sent is still run, but nothing may be blocked for it.
"""

from typing import Final, final

from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler, WholeReplyHandler
from kidoproxy.replies.queue import PendingRequest
from kidoproxy.resp.decode import is_error, is_null, items
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import DelegatingExecutor, Executor
from kidoproxy.upstream.send_first import submit_ahead_of_unwritten

MULTI: Final = encode_request([b"MULTI"])
EXEC: Final = encode_request([b"EXEC"])
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

    def client_gave_up(self) -> bool:
        """Whether the client was still waiting when it hung up."""
        return self.client_gone and not self.must_answer


@final
class SuppressIfClientLeft(DelegatingHandler):
    """Around a client's pending request that may block: a client that hung up while it waited is told nothing."""

    def __init__(self, outcome: WaitOutcome, pending: PendingRequest) -> None:
        super().__init__(pending)
        self.outcome = outcome
        self.pending = pending

    def on_reply(self, raw: bytes) -> None:
        self.pending.suppressed = self.pending.suppressed or self.outcome.client_gave_up()
        self.pending.on_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        self.pending.suppressed = self.pending.suppressed or self.outcome.client_gave_up()
        self.pending.on_failure(failure)


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
        if not node.is_copy:
            submit_ahead_of_unwritten(
                conn, UnwrapExec(self.outcome, handler), transaction, self.executor.now, REPLY_COUNT
            )
        else:
            conn.submit(UnwrapExec(self.outcome, handler), transaction, proto, db, self.executor.now, REPLY_COUNT)


@final
class UnwrapExec(WholeReplyHandler):
    """Takes the request's own reply out of the array of EXEC."""

    def __init__(self, outcome: WaitOutcome, parent: ReplyHandler) -> None:
        super().__init__(parent)
        self.outcome = outcome
        self.replies_left = REPLY_COUNT
        self.queue_error = b""

    def on_reply(self, raw: bytes) -> None:
        """The first error is the reply: what a server has refused to queue it does not run."""
        self.replies_left -= 1
        if is_error(raw) and not self.queue_error:
            self.queue_error = raw
        if self.replies_left == 0:
            exec_replies = [] if self.queue_error else items(raw)
            reply = exec_replies[0] if exec_replies else self.queue_error or raw
            self.outcome.note_reply(reply)
            self.parent.on_reply(reply)

    def on_failure(self, failure: NodeFailure) -> None:
        """There will be no reply, which counts as one."""
        self.outcome.must_answer = True
        self.parent.on_failure(failure)
