"""Sets of keys with a bound: keys are noted until they have been compared, and their names are clients' bytes.

And the keys that a client watches, which its requests bound.
"""

from typing import Final, final

#: Bytes for keys whose copies may differ, for those touched while a sync runs, and for those that one copy missed.
REPAIR_BYTES: Final = 32 * 1024 * 1024
TOUCHED_BYTES: Final = 64 * 1024 * 1024
MISSED_BYTES: Final = 64 * 1024 * 1024
#: What a key takes beside its bytes: the objects of its name and its pair, and its place in the set.
KEY_OVERHEAD: Final = 200

#: (database, key) of each.
KeySet = dict[tuple[int, bytes], bool]


@final
class ByteBudget:
    """How many bytes a `KeySet` may take, counted since it was last empty."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def remove_keys(self, key_set: KeySet, db: int, keys: list[bytes]) -> None:
        """Take these keys out; all of them are in it."""
        for key in keys:
            del key_set[(db, key)]
            self.used -= len(key) + KEY_OVERHEAD

    def add_keys(self, key_set: KeySet, db: int, keys: list[bytes]) -> bool:
        """Add these keys; if there are too many now, forget all of them and return True."""
        if not key_set:
            self.used = 0
        for key in keys:
            if (db, key) not in key_set:
                self.used += len(key) + KEY_OVERHEAD
            key_set[(db, key)] = True
        if self.used <= self.limit:
            return False
        key_set.clear()
        return True


@final
class WatchedKeys:
    """Keys of a copy pool that one client watches. All writes pass through here, so the proxy itself sees changes."""

    def __init__(self) -> None:
        self.keys: dict[tuple[int, bytes], bool] = {}
        #: When the first of the keys expires, by the wall clock; 0: none does.
        self.first_expiry_ms = 0
        #: One of the keys may have changed.
        self.cas_dirty = False
