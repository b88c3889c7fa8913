"""What the workers of one proxy share in memory, whichever of them dies: made before the first fork."""

import mmap
import struct
from typing import Final

NUMBER: Final = struct.Struct("=Q")


class ClientIds:
    """The last client id of each worker: one that replaces another goes on behind it."""

    def __init__(self, count: int) -> None:
        self.memory = mmap.mmap(-1, count * NUMBER.size)

    def note(self, worker: int, client_id: int) -> None:
        NUMBER.pack_into(self.memory, worker * NUMBER.size, client_id)

    def last(self, worker: int) -> int:
        """0 if it has had no clients."""
        (client_id,) = NUMBER.unpack_from(self.memory, worker * NUMBER.size)
        return int(client_id)
