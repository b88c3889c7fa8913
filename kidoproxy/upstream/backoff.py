"""When a connection that failed is tried again."""

from typing import final

from kidoproxy.resp import limits


@final
class Backoff:
    """A pause that doubles each time, spread so that many proxies do not try together.

    It starts anew after a connection that was of use; one that was ready and soon lost is a failure like others.
    """

    def __init__(self) -> None:
        self.delay = limits.BACKOFF_MIN_SECONDS
        self.immediate_retry_used = False
        self.retry_at = 0.0
        self.random_state = 1
        #: Of the connection that is ready: since when, and the replies that had come before it.
        self.ready_since = 0.0
        self.replies_before = 0

    def on_ready(self, now: float, replies: int) -> None:
        """A connection is ready; ``replies`` had come on those before it."""
        self.ready_since = now
        self.replies_before = replies

    def on_closed(self, now: float, replies: int) -> None:
        """It is lost. If it has lasted, or answered its share, the next failure begins anew."""
        if now - self.ready_since >= limits.STABLE_SECONDS or replies - self.replies_before >= limits.STABLE_REPLIES:
            self.reset()

    def take_immediate_retry(self) -> bool:
        """Whether the next attempt may be made at once: the first time after a connection that was of use."""
        if self.immediate_retry_used:
            return False
        self.immediate_retry_used = True
        return True

    def schedule_retry(self, now: float, attempted_at: float) -> None:
        """Another failure, of an attempt that began at ``attempted_at``: set ``retry_at``."""
        self.random_state = (self.random_state * 1103515245 + 12345) & 0x7FFFFFFF
        delay = min(self.delay * (0.75 + 0.5 * (self.random_state / 0x7FFFFFFF)), limits.BACKOFF_MAX_SECONDS)
        self.retry_at = max(now, attempted_at + delay)
        self.delay = min(self.delay * 2, limits.BACKOFF_MAX_SECONDS)

    def reset(self) -> None:
        """A connection was of use: the next failure begins anew."""
        self.delay = limits.BACKOFF_MIN_SECONDS
        self.immediate_retry_used = False
