"""Who this process is among those that may own copies, and whether another one on this machine has ended."""

import hashlib
import os
import socket
from pathlib import Path
from typing import Final

from kidoproxy.replication.ownership import OwnerMark, Ownership

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
    """When a process of this machine began, in ticks since the boot; 0 if there is none, or it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text("latin-1").rpartition(")")[2].split()
    except OSError:
        return 0
    # A zombie has ended: its sockets are closed.
    return 0 if fields[0] in "ZX" else int(fields[START_FIELD])


def is_dead(mark: OwnerMark) -> bool:
    """Whether the process of ``mark`` is known to have ended; of another machine's nobody knows."""
    machine = machine_id()
    return bool(machine) and mark.machine == machine and 0 < mark.pid_started != process_start(mark.pid)


def new_ownership(pool: str, proxy_id: str, started_ms: int, take_over: bool) -> Ownership:
    """The claim of this process to the copies of ``pool``."""
    pid = os.getpid()
    mark = OwnerMark(pool, proxy_id, started_ms, socket.gethostname(), machine_id(), pid, process_start(pid))
    return Ownership(mark, take_over, is_dead)
