"""Processes and their threads as ``/proc`` shows them.

Any of them may end while it is looked at: what has ended is left out, wherever the walk was when it did.
"""

from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
#: Opening a file of a process that has ended fails with the first, reading one that was open with the second.
GONE: Final = (FileNotFoundError, ProcessLookupError)


def threads(pid: int) -> list[Path]:
    """The folders of the threads of a process; none when it has ended."""
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except GONE:
        return []


def read(path: Path) -> str:
    """The text of a file of /proc; empty when the process or the thread has ended."""
    try:
        return path.read_text()
    except GONE:
        return ""


def descendants(pid: int) -> list[int]:
    """The processes that this one has started, and theirs; each before those that it has started."""
    found = []
    for thread in threads(pid):
        for child in read(thread / "children").split():
            found += [int(child), *descendants(int(child))]
    return found


def is_running(pid: int) -> bool:
    """Whether the process lives; one that only waits to be reaped does not."""
    state = read(PROC / str(pid) / "stat").rpartition(") ")[2]
    return state[:1] not in ("", "Z", "X")
