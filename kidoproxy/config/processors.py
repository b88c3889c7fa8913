"""How many processors this process may use: those it may run on, and no more than its control group has time for."""

import math
import os
from pathlib import Path
from typing import Final

#: The limit of a container, "<microseconds> <period>" or "max <period>" (cgroup v2; where there is none: no limit).
CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")
MOST_WORKERS: Final = 256


def usable_processors(cpu_max: Path = CPU_MAX) -> int:
    """At least 1; of two and a half processors 3."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, _quota(cpu_max), MOST_WORKERS))


def _quota(cpu_max: Path) -> int:
    try:
        quota, period = cpu_max.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return MOST_WORKERS
