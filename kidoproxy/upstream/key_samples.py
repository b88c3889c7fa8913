"""Which keys are asked for most, and which are largest, by a sample: bounded tables, whatever the keys are.

`HotKeys` is the space-saving sketch (Metwally, Agrawal, El Abbadi 2005): a key that is new takes the place of the
rarest one, and its count with it. A key that makes up more than one in `limits.SKETCHED_KEYS` of what was sampled is in
it for certain; its count is too high by `SketchedKey.error` at most. Counts are halved now and then, so that what was
hot yesterday goes.
"""

from typing import final

from kidoproxy.resp import limits


@final
class SketchedKey:
    """How often a key was met since it came into the sketch, and how many others may be among these."""

    def __init__(self, count: int, error: int) -> None:
        self.count = count
        self.error = error


@final
class HotKeys:
    """See the module."""

    def __init__(self) -> None:
        self.keys: dict[bytes, SketchedKey] = {}
        #: How many samples the counts are of.
        self.samples = 0

    def add(self, key: bytes) -> None:
        """A key was met."""
        key = key[: limits.SHOWN_KEY_BYTES]
        self.samples += 1
        known = self.keys.get(key)
        if known is not None:
            known.count += 1
        elif len(self.keys) < limits.SKETCHED_KEYS:
            self.keys[key] = SketchedKey(1, 0)
        else:
            rarest, found = min(self.keys.items(), key=lambda item: item[1].count)
            del self.keys[rarest]
            self.keys[key] = SketchedKey(found.count + 1, found.count)
        if self.samples >= limits.SKETCHED_SAMPLES:
            self.halve()

    def halve(self) -> None:
        """What came earlier counts half."""
        self.samples //= 2
        for found in self.keys.values():
            found.count //= 2
            found.error //= 2
        self.keys = {key: found for key, found in self.keys.items() if found.count}

    def counts(self) -> list[tuple[bytes, int]]:
        """Each key with how often it was met at least, without those that may be there by chance."""
        found = [(key, known.count - known.error) for key, known in self.keys.items()]
        return [item for item in found if item[1] > 1]


@final
class BigKeys:
    """The largest requests and replies that there were for a key, in bytes: the keys with the largest of all."""

    def __init__(self) -> None:
        self.sizes: dict[bytes, int] = {}

    def note(self, key: bytes, size: int) -> None:
        """A request or a reply for this key was that large."""
        key = key[: limits.SHOWN_KEY_BYTES]
        if size <= self.sizes.get(key, 0):
            return
        if key not in self.sizes and len(self.sizes) >= limits.SKETCHED_KEYS:
            smallest = min(self.sizes, key=lambda known: self.sizes[known])
            if self.sizes[smallest] >= size:
                return
            del self.sizes[smallest]
        self.sizes[key] = size
