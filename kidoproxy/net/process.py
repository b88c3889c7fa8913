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
#: Files that are neither a client's nor a node's: the loop's own, logs, state, listeners, clients that are turned away.
OTHER_FILES: Final = 64
#: Of each node: its shared connections, one for each protocol and database in use, and those that listen.
NODE_FILES: Final = 8


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


def allow_files(clients: int, nodes: int, lanes: int) -> int:
    """Raise the soft limit of open files to what may be needed, as far as the hard one lets us.

    How many of them clients and lanes may have: the rest is kept for the nodes and for ourselves. A client that blocks
    or watches has a lane beside its own socket, but hardly all do at a time.
    """
    kept = nodes * NODE_FILES + OTHER_FILES
    wanted = kept + clients + lanes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return clients + lanes
    if soft < wanted:
        soft = max(soft, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # Of very few, half.
    kept = min(kept, soft // 2)
    left = soft - kept
    if left < clients:
        why = f"the limit of open files (ulimit -n, LimitNOFILE) is {soft}, and {kept} are kept for nodes and ourselves"
        log.warning("max_clients lowered: from=%d to=%d reason=%s", clients, left, why)
    return min(left, clients + lanes)
