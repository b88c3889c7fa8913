"""Keys that are noted until somebody has looked at them: their names are clients' bytes, so they have a bound."""

from typing import Final, final

#: Bytes of names: of keys whose copies may differ, and of those that are touched while a sync runs.
MEND_BYTES: Final = 32 * 1024 * 1024
TOUCHED_BYTES: Final = 64 * 1024 * 1024

#: By database and key.
Places = dict[tuple[int, bytes], bool]


@final
class Room:
    """For so many bytes of names, counted since there were none."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    def note(self, places: Places, db: int, keys: list[bytes]) -> bool:
        """Add these; if they are too many now all are forgotten, and that is said."""
        if not places:
            self.taken = 0
        for key in keys:
            places[(db, key)] = True
            self.taken += len(key)
        if self.taken <= self.most:
            return False
        places.clear()
        return True
