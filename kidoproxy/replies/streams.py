"""Waiting for streams of several nodes: the first one that has something ends the waiting for all."""

from typing import final

from kidoproxy.replies.aggregate import Aggregate
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.merge import merge_streams
from kidoproxy.resp.decode import is_error, is_null
from kidoproxy.resp.errors import NodeFailure


class Unblocker:
    """Whoever can make what still waits answer at once."""

    def unblock_rest(self) -> None:
        """One part has something: the others are not waited for any longer."""
        raise NotImplementedError


@final
class MergeStreams(Aggregate):
    """Parts of an XREAD or XREADGROUP: when one has something, or has failed, the others are told to hurry.

    All are waited for, since what XREADGROUP was given is given to nobody else. For the same reason a failed part
    does not spoil what the others gave to a group; of a plain read that lacks a part nothing is told.
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
        """What one part says; a null says that its time is over."""
        if not is_null(raw):
            self.unblock_others()
        super().set_reply(index, raw)

    def set_failure(self, index: int, failure: NodeFailure) -> None:
        """One part will say nothing."""
        self.unblock_others()
        super().set_failure(index, failure)

    def unblock_others(self) -> None:
        """Once is enough."""
        if not self.rest_unblocked:
            self.rest_unblocked = True
            self.unblocker.unblock_rest()

    def answer_parent(self) -> None:
        """Put the streams together, or say what is wrong."""
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
