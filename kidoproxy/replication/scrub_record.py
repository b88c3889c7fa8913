"""What is known of the scrubs of one copy group: the one that was requested or runs, how it ended, and totals.

Plain data between those who request a scrub (PROXY SCRUB), the supervisor that does it, and the metrics. The states:
`NEVER` or an end, `WAITING` for its turn, `RUNNING`, then `DONE` (every key was compared) or `FAILED` (``problem`` says
why not). The numbers are those of the scrub that ``state`` is about.
"""

from typing import Final, final

NEVER: Final = "never"
WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"

CANCELLED: Final = "cancelled"
#: So many keys that differ are kept for whoever asks; of each so many bytes.
MAX_REPORTED_KEYS: Final = 100
MAX_REPORTED_BYTES: Final = 1024


@final
class ScrubRecord:
    """The scrubs of one group; ``interval``: seconds between two that nobody requests, 0: there are none."""

    def __init__(self) -> None:
        self.interval = 0.0
        self.state = NEVER
        #: The how many-th scrub since the proxy was started this is.
        self.number = 0
        self.dry_run = False
        self.is_cancelled = False
        #: The names of the copies that are compared.
        self.nodes: list[str] = []
        #: Keys that were compared, and the steps of the way there: keys found by SCAN on all copies.
        self.keys = 0
        self.scanned = 0
        self.expected = 0
        self.differences = 0
        self.repaired = 0
        #: Large values of which type, length and expiry were compared; keys that were never free to be compared.
        self.large = 0
        self.skipped = 0
        #: Large values that wait for their repair, and about how many bytes each has: it is given time for them.
        self.large_sizes: dict[tuple[int, bytes], int] = {}
        #: (database, key) of the first that differ.
        self.reported: list[tuple[int, bytes]] = []
        self.problem = ""
        #: When the last one that compared everything ended, in Unix milliseconds; 0: none has.
        self.done_ms = 0
        #: The interval counts from here: a scrub has ended, or there was none yet when the proxy first served; 0: from
        #: now on. It is on disk, so that restarts do not put off the next scrub for ever.
        self.since_ms = 0
        self.total_keys = 0
        self.total_differences = 0
        self.total_repaired = 0

    def is_open(self) -> bool:
        return self.state in (WAITING, RUNNING)

    def request(self, dry_run: bool) -> str:
        """A scrub is wanted; why not, or empty. ``dry_run``: what differs is reported and left as it is."""
        if self.is_open():
            return "it is being scrubbed already"
        self.number += 1
        self.state, self.dry_run, self.is_cancelled = WAITING, dry_run, False
        self.nodes, self.reported, self.problem = [], [], ""
        self.large_sizes.clear()
        self.keys = self.scanned = self.expected = 0
        self.differences = self.repaired = self.large = self.skipped = 0
        return ""

    def begin(self, nodes: list[str]) -> None:
        """It has its turn, over these copies."""
        self.state = RUNNING
        self.nodes = nodes

    def cancel(self) -> str:
        """The scrub that is wanted or runs is not wanted any more; why not, or empty."""
        if not self.is_open():
            return "it is not being scrubbed"
        self.is_cancelled = True
        return ""

    def add_keys(self, count: int) -> None:
        """So many more keys were compared."""
        self.keys += count
        self.total_keys += count

    def add_difference(self, db: int, key: bytes) -> None:
        self.differences += 1
        self.total_differences += 1
        if len(self.reported) < MAX_REPORTED_KEYS:
            self.reported.append((db, key[:MAX_REPORTED_BYTES]))

    def add_repaired(self, count: int) -> None:
        self.repaired += count
        self.total_repaired += count

    def end(self, problem: str, wall_ms: int) -> None:
        """It has compared every key; or ``problem`` says why not."""
        self.state = FAILED if problem else DONE
        self.problem = problem
        if not problem:
            self.done_ms = wall_ms
