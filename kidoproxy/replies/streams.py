"""XREAD and XREADGROUP of streams on several nodes: the first node with entries ends the blocking of all."""

from typing import final

from kidoproxy.replies.aggregate import Aggregate
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.merge import merge_streams
from kidoproxy.resp.decode import is_error, is_null
from kidoproxy.resp.errors import NodeFailure


class Unblocker:
    """Can make nodes that still block answer at once; implemented by the executor."""

    def unblock_rest(self) -> None:
        """One part has entries, or has failed: unblock the others."""
        raise NotImplementedError


@final
class MergeStreams(Aggregate):
    """The parts of an XREAD or XREADGROUP; when one has entries, or has failed, the others are unblocked.

    All parts are waited for, since no other consumer gets what XREADGROUP has delivered. For the same reason entries
    for a group are the answer even if another part failed, while a plain read with a failed part fails.
    """

    def __init__(
        self, parent: ReplyHandler, count: int, stream_names: list[bytes], is_write: bool, unblocker: Unblocker
    ) -> None:
        super().__init__(parent, count)
        self.stream_names = stream_names
        self.is_write = is_write
        self.unblocker = unblocker
        self.rest_unblocked = False

    def set_reply(self, index: int, raw: bytes) -> None:
        """One part's reply; a null means that its own timeout is over."""
        if not is_null(raw):
            self.unblock_others()
        super().set_reply(index, raw)

    def set_failure(self, index: int, failure: NodeFailure) -> None:
        self.unblock_others()
        super().set_failure(index, failure)

    def unblock_others(self) -> None:
        if not self.rest_unblocked:
            self.rest_unblocked = True
            self.unblocker.unblock_rest()

    def answer_parent(self) -> None:
        successes = [raw for raw in self.replies if raw and not is_error(raw)]
        is_complete = len(successes) == len(self.replies)
        if is_complete or (self.is_write and any(not is_null(raw) for raw in successes)):
            self.parent.on_reply(merge_streams(successes, self.stream_names))
            return
        failure = self.first_failure()
        if failure is not None:
            self.parent.on_failure(failure)
        else:
            self.parent.on_reply(next(raw for raw in self.replies if is_error(raw)))
