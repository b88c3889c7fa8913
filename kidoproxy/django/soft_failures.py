"""How often a cache was asked in vain, in this process: counted by operation, and logged once a minute."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

LOG_SECONDS: Final = 60.0
#: For so long a proxy that could not be reached is not tried again: a page waits for it once, not at each fragment.
PAUSE_SECONDS: Final = 1.0

logger: Final = logging.getLogger("kidoproxy.django")


class SoftFailures:
    """The failures of one LOCATION, for all threads."""

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._silent = 0
        self._next_log = float("-inf")
        self._paused_until = float("-inf")

    def note(self, operation: str, cause: str, *, unreachable: bool = False) -> None:
        """One operation was a miss, or did nothing; ``unreachable``: because the proxy itself was not there."""
        now = self._clock()
        with self._lock:
            self._counts[operation] += 1
            if unreachable:
                self._paused_until = now + PAUSE_SECONDS
            if now < self._next_log:
                self._silent += 1
                return
            self._next_log = now + LOG_SECONDS
            silent, self._silent = self._silent, 0
        logger.warning(
            "cache at %s: %s counts as a miss (%s); %d more since the last such line",
            self._place, operation, cause, silent,
        )  # fmt: skip

    def is_paused(self) -> bool:
        """Whether the proxy could not be reached a moment ago."""
        return self._clock() < self._paused_until

    def counts(self) -> dict[str, int]:
        """Operation -> how often it failed since the process began."""
        with self._lock:
            return dict(self._counts)


#: One for each LOCATION in the settings: caches are made anew for each thread.
by_place: Final[dict[str, SoftFailures]] = {}


def soft_failures_at(place: str) -> SoftFailures:
    """The failures of this LOCATION, the same object for all."""
    return by_place.setdefault(place, SoftFailures(place))
