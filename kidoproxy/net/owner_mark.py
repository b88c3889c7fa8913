"""Who this process is among those that may own copies, and whether another one on this machine has ended."""

import hashlib
import os
import socket
from pathlib import Path
from typing import Final

from kidoproxy.replication.owner_marks import OwnerMark
from kidoproxy.replication.ownership import Ownership

PROC: Final = Path("/proc")
#: Of /proc/PID/stat: when the process began, counted from the field behind the name in parentheses.
START_FIELD: Final = 19


def machine_id() -> str:
    """The same for all processes that see each other's process ids, until the next boot; empty if it cannot be told."""
    try:
        boot_id = (PROC / "sys/kernel/random/boot_id").read_text()
        namespace = os.readlink(PROC / "self/ns/pid")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot_id} {namespace}".encode()).hexdigest()[:16]


def process_start(pid: int) -> int:
    """When a process of this machine began, in ticks since the boot; 0 if it has ended. OSError if we may not know."""
    fields = (PROC / str(pid) / "stat").read_text("latin-1").rpartition(")")[2].split()
    # A zombie has ended: its sockets are closed.
    return 0 if fields[0] in "ZX" else int(fields[START_FIELD])


def own_start() -> int:
    """When this process began; 0 if it cannot be told."""
    try:
        return process_start(os.getpid())
    except OSError:
        return 0


def exists(pid: int) -> bool:
    """Whether there is a process of this id, even one that /proc hides from us (``hidepid``, ``ProtectProc``)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def is_dead(mark: OwnerMark) -> bool:
    """Whether the process of ``mark`` is known to have ended; of another machine's nobody knows."""
    machine = machine_id()
    if not machine or mark.machine != machine or mark.pid <= 0 or not mark.pid_started:
        return False
    if not exists(mark.pid):
        return True
    try:
        return process_start(mark.pid) != mark.pid_started
    except OSError:
        return False


def new_ownership(pool: str, proxy_id: str, started_ms: int, take_over: bool) -> Ownership:
    """The claim of this process to the copies of ``pool``."""
    mark = OwnerMark(pool, proxy_id, started_ms, socket.gethostname(), machine_id(), os.getpid(), own_start())
    return Ownership(mark, take_over, is_dead)
