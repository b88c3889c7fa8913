"""Aggregates: several replies become one, for the handler that waits for it.

An `Aggregate` waits until each of its slots holds a reply or a failure, and answers its parent once. An
`AggregateSlot` is the handler of one of these replies; its parent may itself be a slot of another aggregate.
What is held meanwhile is charged to the client.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.encode import array
from kidoproxy.resp.errors import NodeFailure

#: So many replies are missing from an aggregate that was aborted: it never completes.
NEVER_COMPLETE: Final = 1 << 40


class Aggregate:
    """Waits for ``count`` replies, then makes one of them for ``parent``. Rooms above add their own kinds."""

    def __init__(self, parent: ReplyHandler, count: int) -> None:
        self.parent = parent
        #: The command, where it is known.
        self.command_name = b""
        self.remaining = count
        self.replies: list[bytes] = [b""] * count
        self.failures: list[NodeFailure | None] = []
        self.held_bytes = 0

    def set_reply(self, index: int, raw: bytes) -> None:
        """The reply for place ``at``."""
        self.replies[index] = raw
        self.remaining -= 1
        if self.remaining == 0:
            self.complete()
        else:
            self.held_bytes += len(raw)
            self.parent.add_held_bytes(len(raw))

    def complete(self) -> None:
        """All that was held goes on; a late leg may keep the joint itself for long."""
        if self.held_bytes:
            self.parent.add_held_bytes(-self.held_bytes)
            self.held_bytes = 0
        self.answer_parent()
        self.replies = []

    def set_failure(self, index: int, failure: NodeFailure) -> None:
        """No reply for place ``at``."""
        if not self.failures:
            self.failures = [None] * len(self.replies)
        self.failures[index] = failure
        self.remaining -= 1
        if self.remaining == 0:
            self.complete()

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """One place could not be filled, or all could and nothing could be made of them: it never finishes."""
        self.remaining = NEVER_COMPLETE
        if self.held_bytes:
            self.parent.add_held_bytes(-self.held_bytes)
            self.held_bytes = 0
        self.parent.abort(failure, failed)

    def describe(self) -> str:
        """The command."""
        return self.command_name.decode("utf-8", "backslashreplace") or self.parent.describe()

    def first_failure(self) -> NodeFailure | None:
        """The failure at the lowest place, if any."""
        for failure in self.failures:
            if failure is not None:
                return failure
        return None

    def answer_parent(self) -> None:
        """All places are filled: answer the parent."""
        raise NotImplementedError


@final
class AggregateSlot(ReplyHandler):
    """One place of a joint."""

    def __init__(self, aggregate: Aggregate, index: int) -> None:
        super().__init__()
        self.aggregate = aggregate
        self.index = index

    def on_reply(self, raw: bytes) -> None:
        """Fill the place."""
        self.aggregate.set_reply(self.index, raw)

    def on_failure(self, failure: NodeFailure) -> None:
        """Fill the place with a failure."""
        self.aggregate.set_failure(self.index, failure)

    def add_held_bytes(self, size: int) -> None:
        """Whoever waits for the joint counts it."""
        self.aggregate.parent.add_held_bytes(size)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """The whole is spoilt."""
        self.aggregate.abort(failure, failed)

    def describe(self) -> str:
        """The command that it is a part of."""
        return self.aggregate.describe()


class ListReplies(Aggregate):
    """Each place's own reply, as a list; a failure stands in its place as an error."""

    def __init__(self, parent: ReplyHandler, count: int, is_write: bool) -> None:
        super().__init__(parent, count)
        self.is_write = is_write

    def answer_parent(self) -> None:
        """One array of all."""
        if self.failures:
            for index, failure in enumerate(self.failures):
                if failure is not None:
                    self.replies[index] = failure.error_reply(self.is_write)
        self.parent.on_reply(array(self.replies))


@final
class MergeWith(Aggregate):
    """A function makes one reply of all of them; if a node gave none, its failure is the answer."""

    def __init__(self, parent: ReplyHandler, count: int, merge: Callable[[list[bytes]], bytes]) -> None:
        super().__init__(parent, count)
        self.merge = merge

    def answer_parent(self) -> None:
        failure = self.first_failure()
        if failure is not None:
            self.parent.on_failure(failure)
        else:
            self.parent.on_reply(self.merge(self.replies))
