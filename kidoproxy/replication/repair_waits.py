"""Replies to writes that copies have taken differently: each waits until the keys are repaired, for a while.

An acknowledged write is on every copy in sync. One that found its key on one copy and not on another (around its
expiry) is so only when the key has been copied from where the client's reply comes from; if that copy is lost before,
nobody has the write. While a sync runs no key is repaired: so nothing waits for longer than `MAX_WAIT_SECONDS`.
"""

from typing import Final, final

from mypy_extensions import mypyc_attr

from kidoproxy.replication.noted_keys import KeySet

#: Repairs begin at the next tick, and take a round trip or two.
MAX_WAIT_SECONDS: Final = 0.5


@mypyc_attr(allow_interpreted_subclasses=True)
class UnrepairedReply:
    """A reply that waits until none of ``db_keys`` is noted for repair."""

    def __init__(self, db_keys: list[tuple[int, bytes]]) -> None:
        self.db_keys: Final = db_keys
        #: Until when it waits, by the loop's clock (0.0: no tick has seen it yet).
        self.deadline = 0.0

    def release(self) -> None:
        """The copies are equal, or it has waited for long enough."""
        raise NotImplementedError


@final
class RepairWaits:
    """All replies of one group that wait for repairs, in their order. Without anybody who ticks, none waits."""

    def __init__(self) -> None:
        self.is_ticked = False
        self.waiting: list[UnrepairedReply] = []

    def hold(self, reply: UnrepairedReply) -> None:
        """Release it when its keys are repaired."""
        self.waiting.append(reply)

    def tick(self, now: float, noted_keys: KeySet) -> None:
        """Let those leave of whose keys none is noted any more, and those that have waited for long enough."""
        waiting = self.waiting
        self.waiting = []
        for reply in waiting:
            if not reply.deadline:
                reply.deadline = now + MAX_WAIT_SECONDS
            if now < reply.deadline and any(db_key in noted_keys for db_key in reply.db_keys):
                self.waiting.append(reply)
            else:
                reply.release()
