"""How far a sync is, how fast it goes, and how fast it may go. All times are seconds of the loop's clock."""

from typing import Final, final

#: The rate is an average over about so long.
RATE_SECONDS: Final = 5.0
#: `SyncProgress.seconds_left` while nobody can say.
UNKNOWN_SECONDS: Final = -1
#: What a paced sync may catch up on after it had to wait for something else.
BURST_SECONDS: Final = 0.5
#: Of the twentieth of a second between two ticks so much is for the sync, the rest for the clients alone: at full speed
#: it keeps both nodes busy, and one client that waits a little with every write would not come to its end.
WORK_SECONDS: Final = 0.025


@final
class SyncProgress:
    """Keys of the pass that runs, on both sides. Of a pass that is *paced* no more than ``keys_per_s`` (0: any)."""

    def __init__(self, keys_per_s: int, now: float) -> None:
        self.keys_done = 0
        self.keys_total = 0
        #: Keys a second lately.
        self.rate = 0.0
        self.keys_per_s = keys_per_s
        #: How many keys may be looked at now; negative: so many were looked at too early.
        self.allowance = 0.0
        self.measured_at = now
        self.measured_keys = 0
        self.began_at = now
        self.works_until = now + WORK_SECONDS

    def begin_pass(self, keys_total: int) -> None:
        self.keys_done = 0
        self.keys_total = keys_total

    def add(self, keys: int) -> None:
        """So many more have been found; they count now, and are copied next."""
        self.keys_done += keys
        self.measured_keys += keys
        self.allowance -= keys

    def may_go_on(self, now: float) -> bool:
        """Whether the next keys may be looked at now, and not at a later tick."""
        return now < self.works_until and self.is_within_rate()

    def is_within_rate(self) -> bool:
        """Whether its keys a second allow more; all that matters where it has to overtake the clients' writes."""
        return not self.keys_per_s or self.allowance > 0

    def tick(self, now: float) -> None:
        """Some time has gone by."""
        self.works_until = now + WORK_SECONDS
        seconds = now - self.measured_at
        if seconds <= 0:
            return
        most = self.keys_per_s * BURST_SECONDS
        self.allowance = min(self.allowance + self.keys_per_s * seconds, most)
        weight = min(seconds / min(RATE_SECONDS, max(now - self.began_at, seconds)), 1.0)
        self.rate += (self.measured_keys / seconds - self.rate) * weight
        self.measured_at = now
        self.measured_keys = 0

    def seconds_left(self) -> int:
        """Until the end of this pass, at the rate of now."""
        if self.rate < 1 or not self.keys_total:
            return UNKNOWN_SECONDS
        return int(max(self.keys_total - self.keys_done, 0) / self.rate)

    def text(self) -> str:
        """Keys, per cent, rate and time left, as far as they are known."""
        parts = [f"{self.keys_done} of {self.keys_total} keys"]
        if self.keys_total:
            parts[0] += f" ({min(100 * self.keys_done // self.keys_total, 100)} %)"
        if self.rate >= 1:
            parts.append(f"{round(self.rate)} keys/s")
        if self.seconds_left() != UNKNOWN_SECONDS:
            parts.append(f"{self.seconds_left()} s left")
        return ", ".join(parts)
