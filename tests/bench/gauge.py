"""What a process has cost so far, read from ``/proc``: CPU time, system calls, memory.

CPU time is the scheduler's own nanosecond clock (``schedstat``), summed over all threads of the process
and of its children; it holds user and kernel time alike. The loopback's network stack runs in the
process that sends, so a proxy pays for what it sends and not for what it is sent: the same for all.
"""

from dataclasses import dataclass

from tests.processes import PROC, descendants, read, threads


@dataclass(frozen=True)
class Cost:
    """Totals since the process began; the difference of two is the cost of what lay between."""

    cpu_ns: int = 0
    reads: int = 0  # read system calls
    writes: int = 0
    sleeps: int = 0  # times the process had nothing to do
    waited_ns: int = 0  # ready to run while another process had the core

    def __sub__(self, earlier: "Cost") -> "Cost":
        return Cost(
            self.cpu_ns - earlier.cpu_ns,
            self.reads - earlier.reads,
            self.writes - earlier.writes,
            self.sleeps - earlier.sleeps,
            self.waited_ns - earlier.waited_ns,
        )

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.cpu_ns + other.cpu_ns,
            self.reads + other.reads,
            self.writes + other.writes,
            self.sleeps + other.sleeps,
            self.waited_ns + other.waited_ns,
        )


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    return [pid, *descendants(pid)]


def cost(pids: list[int]) -> Cost:
    """What these processes have cost together."""
    total = Cost()
    for pid in pids:
        total += _cost_of(pid)
    return total


def _cost_of(pid: int) -> Cost:
    cpu = sleeps = waited = 0
    for thread in threads(pid):
        times = read(thread / "schedstat").split()
        if times:  # else the thread has just ended
            cpu += int(times[0])
            waited += int(times[1])
            sleeps += fields(read(thread / "status")).get("voluntary_ctxt_switches", 0)
    # That a process has ended is an error here: what it has cost is unknown.
    calls = fields((PROC / str(pid) / "io").read_text())
    return Cost(cpu, calls["syscr"], calls["syscw"], sleeps, waited)


def memory(pids: list[int], field: str) -> int:
    """Bytes of ``VmRSS`` (now) or ``VmHWM`` (the most so far), summed over the processes."""
    return sum(fields((PROC / str(pid) / "status").read_text())[field] for pid in pids) * 1024


def fields(text: str) -> dict[str, int]:
    """The lines ``name: number …`` of a file of /proc; others are left out."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found
