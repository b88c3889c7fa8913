"""Sets of keys with a bound: keys are noted until they have been compared, and their names are clients' bytes."""

from typing import Final, final

#: Bytes of names: of keys whose copies may differ, and of those that are touched while a sync runs.
REPAIR_BYTES: Final = 32 * 1024 * 1024
TOUCHED_BYTES: Final = 64 * 1024 * 1024

#: (database, key) of each.
KeySet = dict[tuple[int, bytes], bool]


@final
class ByteBudget:
    """How many bytes of names a `KeySet` may hold, counted since it was last empty."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def add_keys(self, key_set: KeySet, db: int, keys: list[bytes]) -> bool:
        """Add these keys; if there are too many now, forget all of them and return True."""
        if not key_set:
            self.used = 0
        for key in keys:
            key_set[(db, key)] = True
            self.used += len(key)
        if self.used <= self.limit:
            return False
        key_set.clear()
        return True
