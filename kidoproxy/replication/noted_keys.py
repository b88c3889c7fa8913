"""Keys that are noted until somebody has looked at them: their names are clients' bytes, so they have a bound."""

from typing import Final, final

#: Bytes of names: of keys whose copies may differ, and of those that are touched while a sync runs.
REPAIR_BYTES: Final = 32 * 1024 * 1024
TOUCHED_BYTES: Final = 64 * 1024 * 1024

#: By database and key.
KeySet = dict[tuple[int, bytes], bool]


@final
class ByteBudget:
    """For so many bytes of names, counted since there were none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def add_keys(self, key_set: KeySet, db: int, keys: list[bytes]) -> bool:
        """Add these; if they are too many now all are forgotten, and that is said."""
        if not key_set:
            self.used = 0
        for key in keys:
            key_set[(db, key)] = True
            self.used += len(key)
        if self.used <= self.limit:
            return False
        key_set.clear()
        return True
