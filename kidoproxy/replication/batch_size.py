"""How many keys are copied at one time: as many as their values are small.

Sizes come from MEMORY USAGE. Where a user may not ask for that, they are estimated from the values that have been
copied so far. A batch keeps the order of its keys and is never empty.
"""

from typing import Final, final

#: About so many bytes are asked for at one time; a value that is larger is copied alone.
BATCH_BYTES: Final = 256 * 1024
#: The estimate before any value was seen.
DEFAULT_VALUE_BYTES: Final = 4096
#: Most keys of one batch, however small they are: a write waits for the batch that is under way, some 0.3 ms.
BATCH_KEYS: Final = 32


@final
class KeyBatch:
    """Keys that are copied together, and about how many bytes their values have."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.estimated_bytes = 0


@final
class SizeEstimator:
    """The average size of a value in bytes, learned from those that were copied."""

    def __init__(self) -> None:
        self.estimate = DEFAULT_VALUE_BYTES

    def observe(self, keys: int, size: int) -> None:
        """``keys`` values had ``size`` bytes together."""
        if keys:
            self.estimate = (self.estimate + max(size // keys, 64)) // 2

    def size_or_estimate(self, reported: int | None) -> int:
        return self.estimate if reported is None else reported

    def split_keys(self, keys: list[bytes], reported: list[int | None]) -> list[KeyBatch]:
        """Cut ``keys`` into batches; ``reported`` are their sizes where the node has told them."""
        batches: list[KeyBatch] = []
        batch = KeyBatch()
        for at, key in enumerate(keys):
            size = self.size_or_estimate(reported[at])
            if batch.keys and (batch.estimated_bytes + size > BATCH_BYTES or len(batch.keys) >= BATCH_KEYS):
                batches.append(batch)
                batch = KeyBatch()
            batch.keys.append(key)
            batch.estimated_bytes += size
        if batch.keys:
            batches.append(batch)
        return batches
