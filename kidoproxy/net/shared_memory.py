"""What the workers of one proxy share in memory, whichever of them dies: made before the first fork."""

import contextlib
import mmap
import os
import signal
import struct
import time
from pathlib import Path
from typing import Final

NUMBER: Final = struct.Struct("=Q")
PROCESS: Final = struct.Struct("=QQ")
POLL_SECONDS: Final = 0.01
#: The fields of /proc/PID/stat behind the name, in parentheses; when the process began is the 20th of them.
STATE_FIELD: Final = 0
BEGAN_FIELD: Final = 19


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


class StartedProcess:
    """One that a worker has started: should that worker die, its parent can end it. It is known by when it began."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, PROCESS.size)

    def note(self, pid: int) -> None:
        PROCESS.pack_into(self.memory, 0, pid, began_at(pid))

    def forget(self) -> None:
        PROCESS.pack_into(self.memory, 0, 0, 0)

    def end(self, seconds: float) -> int:
        """Have it end: in good order, and after so many ``seconds`` at once. Its id, if there was one; else 0."""
        pid, began = PROCESS.unpack_from(self.memory)
        self.forget()
        if not pid or began_at(pid) != began:
            return 0
        deadline = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            while began_at(pid) == began:
                if time.monotonic() >= deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(POLL_SECONDS)
        return int(pid)


def began_at(pid: int) -> int:
    """When this process began, in ticks since the machine's start; 0 if it is gone, or waits for its parent's word."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0
    return 0 if fields[STATE_FIELD] in "ZX" else int(fields[BEGAN_FIELD])
