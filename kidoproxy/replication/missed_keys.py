"""Missed keys: those in which a copy that is behind may differ from the copies in sync. Keys, not operations.

All others are equal, for the copy gets every write in the same order. So what is noted is each key of a write that the
copy missed, or may have missed, and all keys of a write with several keys: it comes to another outcome if one of them
was missed. What cannot be told by its keys, or takes too much room, makes it *everything*.

A server that was restarted may lack any key: what is noted holds for one run of it.
"""

from typing import Final, final

from kidoproxy.replication.noted_keys import MISSED_BYTES, ByteBudget, KeySet

#: `MissedKeys.count` when nobody knows which ones.
EVERYTHING: Final = -1


@final
class MissedKeys:
    """One copy's. A copy of which nothing is known has missed everything."""

    def __init__(self) -> None:
        self.keys: KeySet = {}
        self.budget = ByteBudget(MISSED_BYTES)
        self.is_everything = True
        self.run_id = b""

    def reset(self, run_id: bytes) -> None:
        """It is in sync, and its server is this run."""
        self.keys = {}
        self.is_everything = False
        self.run_id = run_id

    def add(self, db: int, keys: list[bytes] | None) -> None:
        """It may differ in ``keys`` of ``db``; None: in any key."""
        if self.is_everything:
            return
        if keys is None or self.budget.add_keys(self.keys, db, keys):
            self.add_everything()

    def add_all(self, key_set: KeySet) -> None:
        """It may differ in all of these."""
        for db, key in key_set:
            self.add(db, [key])

    def add_everything(self) -> None:
        self.keys = {}
        self.is_everything = True

    def are_known(self, run_id: bytes) -> bool:
        """Whether a server whose run is this one differs in no other keys."""
        return not self.is_everything and bool(run_id) and run_id == self.run_id

    def count(self) -> int:
        """How many keys are noted; `EVERYTHING`: nobody knows."""
        return EVERYTHING if self.is_everything else len(self.keys)
