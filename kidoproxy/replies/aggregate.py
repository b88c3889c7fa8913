"""Aggregates: several replies become one.

An `Aggregate` waits until each of its slots has a reply or a failure, then answers its parent once. An `AggregateSlot`
is the handler of one of these replies. The parent may be a slot of another aggregate. Replies that are held meanwhile
are charged to the client.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.encode import array
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import NodeErrorReply

#: So many replies are missing from an aggregate that was aborted: it never completes.
NEVER_COMPLETE: Final = 1 << 40
#: What nearly all have, and nobody changes.
NO_FAILURES: Final[list[NodeFailure | None]] = []
NO_REPLIES: Final[list[bytes]] = []


class Aggregate:
    """Waits for ``count`` replies, then answers ``parent`` with one; subclasses say how."""

    def __init__(self, parent: ReplyHandler, count: int) -> None:
        self.parent = parent
        #: The command, if it is known; for `describe`.
        self.command_name = b""
        self.remaining = count
        self.replies: list[bytes] = [b""] * count
        self.failures: list[NodeFailure | None] = NO_FAILURES
        self.held_bytes = 0

    def set_reply(self, index: int, raw: bytes) -> None:
        """The reply of slot ``index``."""
        self.replies[index] = raw
        self.remaining -= 1
        if self.remaining == 0:
            self.complete()
        else:
            self.hold_bytes(len(raw))

    def hold_bytes(self, size: int) -> None:
        """So many bytes of a reply are held until the others are there."""
        self.held_bytes += size
        self.parent.add_held_bytes(size)

    def complete(self) -> None:
        """Answer the parent; the replies are let go, as a slot whose connection is slow may keep the aggregate."""
        if self.held_bytes:
            self.parent.add_held_bytes(-self.held_bytes)
            self.held_bytes = 0
        self.answer_parent()
        self.replies = NO_REPLIES

    def set_failure(self, index: int, failure: NodeFailure) -> None:
        """Slot ``index`` gets no reply."""
        if not self.failures:
            self.failures = [None] * len(self.replies)
        self.failures[index] = failure
        self.remaining -= 1
        if self.remaining == 0:
            self.complete()

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """A slot or the answer has raised: the parent is told now, and never answered later."""
        self.remaining = NEVER_COMPLETE
        if self.held_bytes:
            self.parent.add_held_bytes(-self.held_bytes)
            self.held_bytes = 0
        self.parent.abort(failure, failed)

    def describe(self) -> str:
        return self.command_name.decode("utf-8", "backslashreplace") or self.parent.describe()

    def first_failure(self) -> NodeFailure | None:
        """The failure of the slot with the lowest index, if any."""
        for failure in self.failures:
            if failure is not None:
                return failure
        return None

    def answer_parent(self) -> None:
        """Each slot has its reply or failure: answer the parent."""
        raise NotImplementedError


@final
class AggregateSlot(ReplyHandler):
    """Waits for the reply with this index."""

    def __init__(self, aggregate: Aggregate, index: int) -> None:
        super().__init__()
        self.aggregate = aggregate
        self.index = index

    def on_reply(self, raw: bytes) -> None:
        self.aggregate.set_reply(self.index, raw)

    def on_failure(self, failure: NodeFailure) -> None:
        self.aggregate.set_failure(self.index, failure)

    def add_held_bytes(self, size: int) -> None:
        self.aggregate.parent.add_held_bytes(size)

    def client_address(self) -> str:
        return self.aggregate.parent.client_address()

    def serves_client(self) -> bool:
        return self.aggregate.parent.serves_client()

    def may_be_asked_late(self) -> bool:
        return self.aggregate.parent.may_be_asked_late()

    def count_error(self, raw: bytes) -> None:
        self.aggregate.parent.count_error(raw)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        self.aggregate.abort(failure, failed)

    def describe(self) -> str:
        return self.aggregate.describe()


class ListReplies(Aggregate):
    """All replies as an array, with an error for each failure."""

    def __init__(self, parent: ReplyHandler, count: int, is_write: bool) -> None:
        super().__init__(parent, count)
        self.is_write = is_write

    def answer_parent(self) -> None:
        if self.failures:
            for index, failure in enumerate(self.failures):
                if failure is not None:
                    self.replies[index] = failure.error_reply(self.is_write)
        for raw in self.replies:
            if raw[:1] == b"-" and not isinstance(raw, NodeErrorReply):
                self.parent.count_error(raw)
        self.parent.on_reply(array(self.replies))


@final
class MergeWith(Aggregate):
    """A function makes one reply of all; a failure is the answer instead."""

    def __init__(self, parent: ReplyHandler, count: int, merge: Callable[[list[bytes]], bytes]) -> None:
        super().__init__(parent, count)
        self.merge = merge

    def answer_parent(self) -> None:
        failure = self.first_failure()
        if failure is not None:
            self.parent.on_failure(failure)
        else:
            self.parent.on_reply(self.merge(self.replies))
