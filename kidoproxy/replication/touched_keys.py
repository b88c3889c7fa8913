"""Keys that writes with several keys have touched while a sync runs: they are looked at again."""

from typing import Final, final

from kidoproxy.replication.batch_size import BATCH_BYTES, KeyBatch, SizeEstimator
from kidoproxy.replication.group import CopyGroup

#: How many touched keys are looked at again at one point of the order.
RECHECK_KEYS: Final = 500
#: After so many looks in one pass that were cut short by the size of the values, one is not.
MAX_SHORT_RECHECKS: Final = 20
#: For the keys that a sync knows.
EXPLAINED_BYTES: Final = 1024 * 1024


@final
class ExplainedKeys:
    """Keys whose difference has no news, in 1 MiB however many there are: by a bit that a few others may share.

    One that is taken for known by mistake is copied all the same; it only does not ask for one more pass.
    """

    def __init__(self) -> None:
        self.bits = bytearray(EXPLAINED_BYTES)

    def test_and_set(self, db_key: tuple[int, bytes]) -> bool:
        """From now on it is known; whether it was before."""
        at = hash(db_key) % (8 * EXPLAINED_BYTES)
        mask = 1 << (at & 7)
        was_set = self.bits[at >> 3] & mask != 0
        self.bits[at >> 3] |= mask
        return was_set


@final
class RecheckQueue:
    """The keys that wait to be looked at again, and the databases that are ``level``.

    Those are equal, whatever writes with several keys do from now on: all their touched keys were compared at
    one point of the order.
    """

    def __init__(self, group: CopyGroup) -> None:
        self.group = group
        self.waiting: dict[tuple[int, bytes], bool] = {}
        self.converged_dbs: dict[int, bool] = {}
        self.short_rechecks = 0

    def begin_pass(self) -> None:
        """A pass compares everything that was there at its beginning."""
        self.group.touched_keys = {}
        self.converged_dbs.clear()
        self.short_rechecks = 0

    def collect_touched(self, explained: ExplainedKeys) -> bool:
        """What was touched since the last look, but for level databases; a difference in it has no news.

        Whether anything waits.
        """
        touched = self.group.touched_keys or {}
        if self.group.cross_db_write:
            self.group.cross_db_write = False
            self.converged_dbs.clear()
        for db_key in touched:
            if db_key[0] not in self.converged_dbs:
                self.waiting[db_key] = True
                explained.test_and_set(db_key)
        self.group.touched_keys = {}
        return bool(self.waiting)

    def next_db(self) -> int:
        """One in which keys wait."""
        return next(iter(self.waiting))[0]

    def keys_in(self, db: int) -> list[bytes]:
        """Those that wait in this database."""
        return [key for db_key, key in self.waiting if db_key == db]

    def drop_db(self, db: int) -> None:
        """There is no such database."""
        for key in self.keys_in(db):
            del self.waiting[(db, key)]

    def next_batch(self, db: int, reported_sizes: dict[bytes, int | None], sizes: SizeEstimator) -> KeyBatch:
        """The keys to look at now: all of them, if they are not too large or were that too often."""
        keys = self.keys_in(db)
        first_keys = keys[:RECHECK_KEYS]
        batches = sizes.split_keys(first_keys, [reported_sizes.get(key) for key in first_keys])
        batch = batches[0]
        self.short_rechecks += len(batches) > 1
        if len(batches) > 1 and (self.short_rechecks > MAX_SHORT_RECHECKS or is_within_batch_bytes(batches)):
            for other in batches[1:]:
                batch.keys += other.keys
                batch.estimated_bytes += other.estimated_bytes
        if len(batch.keys) == len(keys):
            self.converged_dbs[db] = True
        for key in batch.keys:
            del self.waiting[(db, key)]
        return batch


def is_within_batch_bytes(batches: list[KeyBatch]) -> bool:
    """Whether they are several for the number of their keys alone."""
    return sum([batch.estimated_bytes for batch in batches]) <= BATCH_BYTES
