"""Keys of writes that were sent while a sync runs, and have to be compared again.

While nodes are scanned these are the keys of all writes (`sync_pass` says why), else those of writes with several keys.

A copy that is not complete yet may lack one key of such a write, and come to another outcome. Once all keys of a
database that were touched so far have been compared at one point of the order of writes, that database has *converged*:
from there on both copies come to the same outcomes in it, as long as nothing comes in from another database.
"""

from itertools import islice
from typing import Final, final

from kidoproxy.replication.batch_size import BATCH_BYTES, KeyBatch, SizeEstimator
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.noted_keys import KeySet

#: How many touched keys are compared at one point of the order.
RECHECK_KEYS: Final = 500
#: After so many batches in one pass that were cut short by the size of the values, one is not.
MAX_SHORT_RECHECKS: Final = 20
#: With so many touched keys a scan is interrupted to compare some of them.
MANY_TOUCHED_KEYS: Final = 20_000
#: The size of `ExpectedDifferences`.
EXPLAINED_BYTES: Final = 1024 * 1024


@final
class ExpectedDifferences:
    """Keys whose difference, if there is one, is explained by what was noted: it asks for no further pass.

    A set in 1 MiB, however many there are: each key has one bit, which a few others may share. A key that is taken for
    explained by mistake is copied all the same.
    """

    def __init__(self) -> None:
        self.bits = bytearray(EXPLAINED_BYTES)

    def test_and_set(self, db_key: tuple[int, bytes]) -> bool:
        """Add the key; returns whether it was in the set before."""
        at = hash(db_key) % (8 * EXPLAINED_BYTES)
        mask = 1 << (at & 7)
        was_set = self.bits[at >> 3] & mask != 0
        self.bits[at >> 3] |= mask
        return was_set


@final
class RecheckQueue:
    """The keys that wait to be compared again, and the databases that have converged; see the module."""

    def __init__(self, group: CopyGroup) -> None:
        self.group = group
        self.waiting: dict[int, dict[bytes, bool]] = {}
        self.converged_dbs: dict[int, bool] = {}
        self.short_rechecks = 0

    def begin_pass(self) -> None:
        """A pass compares everything that was there at its beginning."""
        self.group.touched_keys = {}
        self.converged_dbs.clear()
        self.short_rechecks = 0

    def collect_touched(self, explained: ExpectedDifferences) -> bool:
        """Add what was touched since the last call, except in converged databases; returns whether any key waits."""
        touched = self.group.touched_keys or {}
        if self.group.cross_db_write:
            self.group.cross_db_write = False
            self.converged_dbs.clear()
        for db_key in touched:
            if db_key[0] not in self.converged_dbs:
                self.waiting.setdefault(db_key[0], {})[db_key[1]] = True
                explained.test_and_set(db_key)
        self.group.touched_keys = {}
        return bool(self.waiting)

    def take_early(self, db: int, explained: ExpectedDifferences) -> list[bytes]:
        """Some touched keys of ``db`` to compare before the scans are over, if there are many: their memory is bounded.

        What is written again after that is touched again.
        """
        touched = self.group.touched_keys or {}
        if len(touched) < MANY_TOUCHED_KEYS:
            return []
        keys = list(islice((key for touched_db, key in touched if touched_db == db), RECHECK_KEYS))
        self.group.touched_budget.remove_keys(touched, db, keys)
        for key in keys:
            explained.test_and_set((db, key))
        return keys

    def collect_differing(self, explained: ExpectedDifferences) -> bool:
        """Add the keys in which the copies differ by their replies, in converged databases, too; if there are any."""
        differing = self.group.differing_keys
        self.group.differing_keys = {}
        self.add_missed(differing, explained)
        return bool(differing)

    def add_missed(self, missed: KeySet, explained: ExpectedDifferences) -> None:
        """These have to be compared as well."""
        for db_key in missed:
            self.waiting.setdefault(db_key[0], {})[db_key[1]] = True
            explained.test_and_set(db_key)

    def next_db(self) -> int:
        """A database in which keys wait; there is one."""
        return next(iter(self.waiting))

    def first_keys(self, db: int) -> list[bytes]:
        """Some of the keys that wait in this database: `RECHECK_KEYS`, or fewer."""
        return list(islice(self.waiting[db], RECHECK_KEYS))

    def drop_db(self, db: int) -> None:
        """Forget the keys of a database that the servers do not have."""
        del self.waiting[db]

    def next_batch(self, db: int, reported_sizes: dict[bytes, int | None], sizes: SizeEstimator) -> KeyBatch:
        """The keys to compare now: all that wait, unless they are too many, or too large (but that only so often).

        ``reported_sizes``: bytes by key, as far as they are known. If all are in the batch the database has converged.
        """
        waiting = self.waiting[db]
        first_keys = self.first_keys(db)
        batches = sizes.split_keys(first_keys, [reported_sizes.get(key) for key in first_keys])
        batch = batches[0]
        self.short_rechecks += len(batches) > 1
        if len(batches) > 1 and (self.short_rechecks > MAX_SHORT_RECHECKS or is_within_batch_bytes(batches)):
            for other in batches[1:]:
                batch.keys += other.keys
                batch.estimated_bytes += other.estimated_bytes
        for key in batch.keys:
            del waiting[key]
        if not waiting:
            del self.waiting[db]
            self.converged_dbs[db] = True
        return batch


def is_within_batch_bytes(batches: list[KeyBatch]) -> bool:
    """Whether they are several only because of the number of their keys."""
    return sum([batch.estimated_bytes for batch in batches]) <= BATCH_BYTES
