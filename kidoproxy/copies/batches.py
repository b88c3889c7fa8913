"""How many keys may travel at one time: as many as their values are small."""

from typing import Final, final

#: About so many bytes are asked for at one time; one value that is larger travels alone.
BATCH_BYTES: Final = 256 * 1024
#: What a value is taken to need before any was seen, where the node does not say.
FIRST_GUESS: Final = 4096
#: Most keys of one batch, however small they are.
BATCH_KEYS: Final = 100


@final
class Batch:
    """Keys that travel together, and about how many bytes their values have."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.size = 0


@final
class Sizes:
    """What values need, learned from those that came."""

    def __init__(self) -> None:
        self.guess = FIRST_GUESS

    def learn(self, keys: int, size: int) -> None:
        """So many values had so many bytes."""
        if keys:
            self.guess = (self.guess + max(size // keys, 64)) // 2

    def of(self, said: int | None) -> int:
        """What a node said of a value, or a guess."""
        return self.guess if said is None else said

    def cut(self, keys: list[bytes], said: list[int | None]) -> list[Batch]:
        """The keys in their order, in batches."""
        batches: list[Batch] = []
        batch = Batch()
        for at, key in enumerate(keys):
            size = self.of(said[at])
            if batch.keys and (batch.size + size > BATCH_BYTES or len(batch.keys) >= BATCH_KEYS):
                batches.append(batch)
                batch = Batch()
            batch.keys.append(key)
            batch.size += size
        if batch.keys:
            batches.append(batch)
        return batches
