"""When a read is asked of a second copy, and how many reads may be; see `kidoproxy.upstream.hedged_read`."""

from typing import Final, final

from mypy_extensions import mypyc_attr

#: The share of reads that may be hedged; what was not used is kept for so many at once.
BUDGET: Final = 0.05
MAX_TOKENS: Final = 10.0
#: Reads beyond are not hedged.
MAX_WAITING: Final = 16_384
#: So many that are over are kept, and as many as wait.
MAX_OVER: Final = 64
#: The percentile is known after so many reads; the delay is never below the precision of the clock.
MIN_SAMPLES: Final = 64
MIN_DELAY: Final = 0.001
#: How fast the percentile follows, as a part of itself for each read, and at least so many seconds.
_STEP: Final = 0.02
_MIN_STEP: Final = 0.00001


@mypyc_attr(allow_interpreted_subclasses=True)
class WaitingRead:
    """One that has been sent, as the queue sees it."""

    def __init__(self) -> None:
        self.asked_at = 0.0
        self.hedge_at = 0.0
        self.is_decided = False
        #: It has a place in the queue.
        self.is_waiting = False

    def can_be_hedged(self) -> bool:
        """Whether there is another copy that answers, and nothing that the read must not see."""
        raise NotImplementedError

    def ask_next(self) -> None:
        """Ask that copy."""
        raise NotImplementedError


@final
class HedgeQueue:
    """The reads of one copy pool that wait for their first reply, in the order in which they are to be hedged.

    ``delay`` is in seconds; 0.0 stands for the 95th percentile of the time that reads take, None for never.
    """

    def __init__(self) -> None:
        self.delay: float | None = None
        #: Reads that were asked of a second copy, answered by that one, replies that came too late, and reads that were
        #: not asked twice because too many were.
        self.counts = {"sent": 0, "won": 0, "discarded": 0, "over budget": 0}
        self.p95 = 0.0
        self.sample_count = 0
        self.tokens = 0.0
        #: Those before ``first`` are over, and of the others those that do not wait any more.
        self.waiting: list[WaitingRead] = []
        self.first = 0
        self.waiting_count = 0

    def add(self, read: WaitingRead, now: float) -> None:
        """One that was just sent."""
        self.tokens = min(MAX_TOKENS, self.tokens + BUDGET)
        read.asked_at = now
        delay = self.delay
        if not delay:
            if self.sample_count < MIN_SAMPLES:
                return
            delay = max(self.p95, MIN_DELAY)
        if self.waiting_count < MAX_WAITING:
            read.hedge_at = now + delay
            read.is_waiting = True
            self.waiting_count += 1
            self.waiting.append(read)

    def decide(self, read: WaitingRead) -> None:
        """It has its reply, or will have none: the queue has no use for it, however long the delay is."""
        read.is_decided = True
        if read.is_waiting:
            self.leave(read)
            self.drop_over()

    def leave(self, read: WaitingRead) -> None:
        read.is_waiting = False
        self.waiting_count -= 1

    def drop_over(self) -> None:
        """Forget those that are over when they are more than those that wait, so that each costs one step."""
        if not self.waiting_count:
            self.waiting.clear()
            self.first = 0
        elif len(self.waiting) > 2 * self.waiting_count + MAX_OVER:
            self.waiting = [read for read in self.waiting if read.is_waiting]
            self.first = 0

    def observe(self, seconds: float) -> None:
        """How long the copy that was asked first took. The estimate rises by 19 steps for 1 that it falls."""
        if self.sample_count < MIN_SAMPLES:
            self.sample_count += 1
            self.p95 = max(self.p95, seconds)
            return
        step = max(self.p95 * _STEP, _MIN_STEP)
        self.p95 += step * 0.95 if seconds > self.p95 else -step * 0.05

    def run(self, now: float) -> None:
        """Hedge all that are due."""
        waiting = self.waiting
        index = self.first
        while index < len(waiting):
            read = waiting[index]
            if read.is_waiting:
                if read.hedge_at > now:
                    break
                self.leave(read)
                self.hedge(read)
            index += 1
        self.first = index
        self.drop_over()

    def hedge(self, read: WaitingRead) -> None:
        if self.tokens < 1.0:
            # First, for a look at what stands behind the read costs more, and all may be due at once.
            self.counts["over budget"] += 1
        elif read.can_be_hedged():
            self.tokens -= 1.0
            self.counts["sent"] += 1
            read.ask_next()

    def next_due(self) -> float:
        """When `run` is to be called; 0.0 if nothing waits."""
        return self.waiting[self.first].hedge_at if self.first < len(self.waiting) else 0.0
