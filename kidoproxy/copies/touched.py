"""Keys that writes with several keys have touched while a sync runs: they are looked at again."""

from typing import Final, final

from kidoproxy.copies.batches import BATCH_BYTES, Batch, Sizes
from kidoproxy.routes.topology import CopyGroup

#: How many touched keys are looked at again at one point of the order.
AGAIN: Final = 500
#: After so many looks in one pass that were cut short by the size of the values, one is not.
SHORT_LOOKS: Final = 20
#: For the keys that a sync knows.
KNOWN_BYTES: Final = 1024 * 1024


@final
class Known:
    """Keys whose difference has no news, in 1 MiB however many there are: by a bit that a few others may share.

    One that is taken for known by mistake is copied all the same; it only does not ask for one more pass.
    """

    def __init__(self) -> None:
        self.bits = bytearray(KNOWN_BYTES)

    def note(self, place: tuple[int, bytes]) -> bool:
        """From now on it is known; whether it was before."""
        at = hash(place) % (8 * KNOWN_BYTES)
        mask = 1 << (at & 7)
        was = self.bits[at >> 3] & mask != 0
        self.bits[at >> 3] |= mask
        return was


@final
class Touched:
    """The keys that wait to be looked at again, and the databases that are ``level``.

    Those are equal, whatever writes with several keys do from now on: all their touched keys were compared at
    one point of the order.
    """

    def __init__(self, group: CopyGroup) -> None:
        self.group = group
        self.waiting: dict[tuple[int, bytes], bool] = {}
        self.level: dict[int, bool] = {}
        self.short_looks = 0

    def begin_pass(self) -> None:
        """A pass compares everything that was there at its beginning."""
        self.group.touched = {}
        self.level.clear()
        self.short_looks = 0

    def take(self, known: Known) -> bool:
        """What was touched since the last look, but for level databases; a difference in it has no news.

        Whether anything waits.
        """
        touched = self.group.touched or {}
        if self.group.crossed:
            self.group.crossed = False
            self.level.clear()
        for place in touched:
            if place[0] not in self.level:
                self.waiting[place] = True
                known.note(place)
        self.group.touched = {}
        return bool(self.waiting)

    def database(self) -> int:
        """One in which keys wait."""
        return next(iter(self.waiting))[0]

    def keys(self, db: int) -> list[bytes]:
        """Those that wait in this database."""
        return [key for place, key in self.waiting if place == db]

    def drop(self, db: int) -> None:
        """There is no such database."""
        for key in self.keys(db):
            del self.waiting[(db, key)]

    def cut(self, db: int, said: dict[bytes, int | None], sizes: Sizes) -> Batch:
        """The keys to look at now: all of them, if they are not too large or were that too often."""
        keys = self.keys(db)
        some = keys[:AGAIN]
        batches = sizes.cut(some, [said.get(key) for key in some])
        batch = batches[0]
        self.short_looks += len(batches) > 1
        if len(batches) > 1 and (self.short_looks > SHORT_LOOKS or is_small(batches)):
            for other in batches[1:]:
                batch.keys += other.keys
                batch.size += other.size
        if len(batch.keys) == len(keys):
            self.level[db] = True
        for key in batch.keys:
            del self.waiting[(db, key)]
        return batch


def is_small(batches: list[Batch]) -> bool:
    """Whether they are several for the number of their keys alone."""
    return sum([batch.size for batch in batches]) <= BATCH_BYTES
