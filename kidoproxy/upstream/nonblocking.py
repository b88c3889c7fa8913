"""Requests that may wait, asked so that they do not: in a transaction a server answers them with what is there now.

For a client that has hung up: what it has sent is still run, but nothing may wait for it.
"""

from typing import Final, final

from kidoproxy.replies.handler import DelegatingHandler, ReplyHandler
from kidoproxy.replies.queue import PendingRequest
from kidoproxy.resp.decode import is_error, is_null, items
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import DelegatingExecutor, Executor
from kidoproxy.upstream.send_first import submit_first

MULTI: Final = encode_request([b"MULTI"])
EXEC: Final = encode_request([b"EXEC"])
#: How the error begins that CLIENT UNBLOCK makes.
UNBLOCKED_PREFIX: Final = b"-UNBLOCKED"
#: MULTI, the request, EXEC.
REPLY_COUNT: Final = 3


@final
class WaitOutcome:
    """What came of a request that may wait. ``ending``: its client has hung up, so nothing waits for it any more."""

    def __init__(self) -> None:
        self.client_gone = False
        #: A node had something to say at once, be it an error.
        self.has_reply = False

    def note_reply(self, raw: bytes) -> None:
        """What one node says: null, if there was nothing, and an error of its own if it was unblocked."""
        self.has_reply = self.has_reply or not (is_null(raw) or raw.startswith(UNBLOCKED_PREFIX))

    def client_gave_up(self) -> bool:
        """Whether the client had to wait when it hung up."""
        return self.client_gone and not self.has_reply


@final
class SilenceIfGaveUp(DelegatingHandler):
    """A client's place, for a request that may wait: who hung up while it had to is told nothing."""

    def __init__(self, outcome: WaitOutcome, pending: PendingRequest) -> None:
        super().__init__(pending)
        self.outcome = outcome
        self.pending = pending

    def on_reply(self, raw: bytes) -> None:
        """The whole reply."""
        self.pending.suppressed = self.pending.suppressed or self.outcome.client_gave_up()
        self.pending.on_reply(raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """There is none."""
        self.pending.suppressed = self.pending.suppressed or self.outcome.client_gave_up()
        self.pending.on_failure(failure)


@final
class NonblockingExecutor(DelegatingExecutor):
    """Puts each leg into a transaction of its own, on the shared links."""

    def __init__(self, executor: Executor, outcome: WaitOutcome) -> None:
        super().__init__(executor)
        self.outcome = outcome

    def send(self, node: Node, handler: ReplyHandler, payload: bytes, proto: int, db: int) -> None:
        """One contiguous ``MULTI request EXEC``, ahead of what others have sent in this turn.

        Where a link serves several databases it keeps its place, for the link may be in another one there.
        """
        conn = self.executor.connection(node, proto, db)
        transaction = MULTI + payload + EXEC
        if node.group is None:
            submit_first(conn, UnwrapExec(self.outcome, handler), transaction, self.executor.now, REPLY_COUNT)
        else:
            conn.submit(UnwrapExec(self.outcome, handler), transaction, proto, db, self.executor.now, REPLY_COUNT)


@final
class UnwrapExec(DelegatingHandler):
    """Takes the request's own reply out of what EXEC says."""

    def __init__(self, outcome: WaitOutcome, parent: ReplyHandler) -> None:
        super().__init__(parent)
        self.outcome = outcome
        self.replies_left = REPLY_COUNT
        self.queue_error = b""

    def on_reply(self, raw: bytes) -> None:
        """The first error is the reply: what was not queued is not run."""
        self.replies_left -= 1
        if is_error(raw) and not self.queue_error:
            self.queue_error = raw
        if self.replies_left == 0:
            exec_replies = [] if self.queue_error else items(raw)
            reply = exec_replies[0] if exec_replies else self.queue_error or raw
            self.outcome.note_reply(reply)
            self.parent.on_reply(reply)

    def on_failure(self, failure: NodeFailure) -> None:
        """There is no reply, and that is an answer, too."""
        self.outcome.has_reply = True
        self.parent.on_failure(failure)

    def can_cut_through(self) -> bool:
        """It is part of another reply."""
        return False
