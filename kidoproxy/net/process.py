"""What the process asks of its machine: memory that it may keep, open files, a calm garbage collector."""

import contextlib
import ctypes
import gc
import logging
import resource
from typing import Final

log = logging.getLogger("kidoproxy")

#: Of mallopt(3).
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
HEAP_BYTES: Final = 16 * 1024 * 1024
#: Files that are neither a client's nor a node's: the loop's own, logs, state, listeners.
OTHER_FILES: Final = 64


def keep_heap() -> None:
    """Keep freed memory for the next large value (glibc): giving it back costs a page fault for each 4 KiB."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, HEAP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * HEAP_BYTES)


def calm_collector() -> None:
    """What stands now stays; and a pipelined batch, thousands of calls that soon go, is no garbage to look for."""
    keep_heap()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def allow_files(clients: int, nodes: int, lanes: int) -> None:
    """Raise the soft limit of open files to what may be needed, as far as the hard one lets us; say what is missing.

    A client that blocks or watches has a lane beside its own socket, but hardly all do at a time.

    At the limit the loop closes who comes new, without a word: ``max_clients`` says it better.
    """
    least = clients + nodes * 4 + OTHER_FILES
    wanted = least + lanes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    can = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(can, soft), hard))
    if can < least:
        log.warning("few open files: limit=%d wanted=%d reason=not all of max_clients can be served", can, least)
