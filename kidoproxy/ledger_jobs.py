"""Work that is too long for one turn of the loop is done in slices: between two of them others are served.

A `Job` stands in `Turn.jobs`, and is taken one step further a turn, in the order in which jobs came; so everybody
who has much to do gets the same share. Steps are cut by counting what they do, never by a clock.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy import limits

#: Upper bounds of the buckets in which turns are counted, in seconds; longer ones are counted behind the last.
TURN_BUCKETS: Final[tuple[float, ...]] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Job:
    """Something that is done a step at a time."""

    def step(self) -> bool:
        """One slice of about `limits.SLICE` units of work. Whether there is more to do."""
        raise NotImplementedError

    def abandon(self) -> None:
        """There will be no further step."""


@final
class Disposal(Job):
    """Lets go of a very long list that nobody needs any more: to free a million objects takes its time, too."""

    def __init__(self, things: list[bytes]) -> None:
        self.things = things

    def step(self) -> bool:
        """Some of them."""
        del self.things[-limits.SLICE :]
        return bool(self.things)


@final
class Jobs:
    """The jobs of one process, in the order in which they are taken further."""

    def __init__(self) -> None:
        self.waiting: list[Job] = []

    def add(self, job: Job) -> None:
        """At the end of the line."""
        self.waiting.append(job)

    def go_on(self, is_late: Callable[[], bool]) -> None:
        """One step of each job, until it is late; who has more to do stands in line again, behind all others.

        An exception of a step is a bug, and the caller's: that job is over, the others go on next time.
        """
        jobs = self.waiting
        self.waiting = []
        at = 0
        try:
            while at < len(jobs):
                job = jobs[at]
                at += 1
                if job.step():
                    self.waiting.append(job)
                if is_late():
                    break
        finally:
            self.waiting = jobs[at:] + self.waiting


@final
class Turns:
    """How long the turns of the loop were: ``counts`` by bucket, and the longest."""

    def __init__(self) -> None:
        self.counts = [0] * (len(TURN_BUCKETS) + 1)
        self.seconds = 0.0
        self.longest = 0.0

    def end(self, seconds: float) -> None:
        """One more turn."""
        at = 0
        while at < len(TURN_BUCKETS) and seconds > TURN_BUCKETS[at]:
            at += 1
        self.counts[at] += 1
        self.seconds += seconds
        if seconds > self.longest:
            self.longest = seconds
