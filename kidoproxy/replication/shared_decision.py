"""One decision of a leader for several clients who wait to pop from the same set.

Each of them would wait for the others, one round trip to the leader after another. So all that stand in line are
asked in one piece, and the other copies are told in one `SREM` what all have popped. For the copies it is one write:
all of it counts, or nothing (see the README of this folder).
"""

from typing import Final, final

from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.decode import items
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.node_errors import as_node_reply

#: So many are decided at one go.
MAX_SHARED: Final = 128


@final
class SharedReply(ReplyHandler):
    """Deals an array of replies out to ``parents``, one to each. What is no such array, all of them get."""

    def __init__(self, parents: list[ReplyHandler]) -> None:
        super().__init__()
        self.parents: Final = parents
        self.held_bytes = 0

    def on_reply(self, raw: bytes) -> None:
        replies = items(raw) if raw[:1] == b"*" else [raw] * len(self.parents)
        for parent, reply in zip(self.parents, replies, strict=True):
            parent.on_reply(as_node_reply(reply) if raw[:1] == b"*" else reply)

    def on_failure(self, failure: NodeFailure) -> None:
        for parent in self.parents:
            parent.on_failure(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        for parent in self.parents:
            parent.abort(failure, failed)

    def add_held_bytes(self, size: int) -> None:
        """Each client is charged for its part of the sum, so that what is rounded comes back."""
        before = self.held_bytes // len(self.parents)
        self.held_bytes += size
        change = self.held_bytes // len(self.parents) - before
        for parent in self.parents:
            parent.add_held_bytes(change)
