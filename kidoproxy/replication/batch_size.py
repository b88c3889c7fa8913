"""How many keys may travel at one time: as many as their values are small."""

from typing import Final, final

#: About so many bytes are asked for at one time; one value that is larger travels alone.
BATCH_BYTES: Final = 256 * 1024
#: What a value is taken to need before any was seen, where the node does not say.
DEFAULT_VALUE_BYTES: Final = 4096
#: Most keys of one batch, however small they are.
BATCH_KEYS: Final = 100


@final
class KeyBatch:
    """Keys that travel together, and about how many bytes their values have."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.estimated_bytes = 0


@final
class SizeEstimator:
    """What values need, learned from those that came."""

    def __init__(self) -> None:
        self.estimate = DEFAULT_VALUE_BYTES

    def observe(self, keys: int, size: int) -> None:
        """So many values had so many bytes."""
        if keys:
            self.estimate = (self.estimate + max(size // keys, 64)) // 2

    def size_or_estimate(self, reported: int | None) -> int:
        """What a node said of a value, or a guess."""
        return self.estimate if reported is None else reported

    def split_keys(self, keys: list[bytes], reported: list[int | None]) -> list[KeyBatch]:
        """The keys in their order, in batches."""
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
