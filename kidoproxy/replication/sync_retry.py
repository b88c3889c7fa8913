"""When a copy is synced by itself: some time after its last sync has failed."""

from typing import Final, final

#: A sync that failed is not begun again before this; the pause doubles up to the second.
RETRY_SECONDS: Final = 1.0
MAX_RETRY_SECONDS: Final = 60.0


@final
class SyncRetry:
    """What the failures of one copy's syncs mean for the next one that nobody requests."""

    def __init__(self) -> None:
        self.retry_at = 0.0
        self.pause = RETRY_SECONDS

    def may_begin(self, now: float) -> bool:
        return now >= self.retry_at

    def on_failure(self, now: float) -> float:
        """Wait twice as long as the last time; returns the seconds until the next attempt."""
        pause = self.pause
        self.retry_at = now + pause
        self.pause = min(2 * pause, MAX_RETRY_SECONDS)
        return pause

    def reset(self) -> None:
        """It is in sync, or somebody has requested its sync."""
        self.retry_at = 0.0
        self.pause = RETRY_SECONDS
