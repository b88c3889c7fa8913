"""What the process asks of its machine: memory that it may keep, open files, garbage collection at long intervals."""

import contextlib
import ctypes
import gc
import resource
from typing import Final

from kidoproxy.net.logs import EventLogger

log = EventLogger("kidoproxy")

#: Of mallopt(3).
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
KEPT_HEAP_BYTES: Final = 16 * 1024 * 1024
#: Files that are neither a client's nor a node's: the loop's own, logs, state, listeners, clients that are rejected.
RESERVED_FILES: Final = 64
#: Of each node: its shared connections, one for each protocol and database in use, and those that subscribe.
FILES_PER_NODE: Final = 8


def tune_malloc() -> None:
    """Keep freed memory for the next large value (glibc): giving it back costs a page fault for each 4 KiB."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_HEAP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * KEPT_HEAP_BYTES)


def tune_gc() -> None:
    """Do not search what was built at the start, nor after every pipelined batch: its objects go by themselves."""
    tune_malloc()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def raise_file_limit(clients: int, nodes: int, dedicated: int) -> int:
    """Raise the soft limit of open files to what may be needed, as far as the hard one lets us.

    Returns how many of them clients and dedicated connections may have: the rest is kept for the nodes and for the
    process itself. A client that blocks or watches has a dedicated connection beside its own; hardly all do at a time.
    """
    reserved = nodes * FILES_PER_NODE + RESERVED_FILES
    needed = reserved + clients + dedicated
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return clients + dedicated
    if soft < needed:
        soft = max(soft, needed if hard == resource.RLIM_INFINITY else min(needed, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # Of very few, half.
    reserved = min(reserved, soft // 2)
    available = soft - reserved
    if available < clients:
        reason = f"ulimit -n (LimitNOFILE) is {soft}, and {reserved} are kept for nodes and the proxy itself"
        log.warning("max_clients lowered", **{"from": clients, "to": available, "reason": reason})
    return min(available, clients + dedicated)
