"""Work that is too long for one turn of the loop is done in slices: between two of them others are served.

A `Job` stands in `Turn.jobs`, and is taken one step further a turn, in the order in which jobs came; so everybody
who has much to do gets the same share. Steps are cut by counting what they do, never by a clock.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.resp import limits

#: Upper bounds of the buckets in which turns are counted, in seconds; longer ones are counted behind the last.
TURN_DURATION_BUCKETS: Final[tuple[float, ...]] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Job:
    """Something that is done a step at a time."""

    def step(self) -> bool:
        """One slice of about `limits.SLICE` units of work. Whether there is more to do."""
        raise NotImplementedError

    def cancel(self) -> None:
        """There will be no further step."""


@final
class FreeListJob(Job):
    """Lets go of a very long list that nobody needs any more: to free a million objects takes its time, too."""

    def __init__(self, items: list[bytes]) -> None:
        self.items = items

    def step(self) -> bool:
        """Some of them."""
        del self.items[-limits.SLICE_UNITS :]
        return bool(self.items)


@final
class Jobs:
    """The jobs of one process, in the order in which they are taken further."""

    def __init__(self) -> None:
        self.queue: list[Job] = []

    def add(self, job: Job) -> None:
        """At the end of the line."""
        self.queue.append(job)

    def step_all(self, is_late: Callable[[], bool]) -> None:
        """One step of each job, until it is late; who has more to do stands in line again, behind all others.

        An exception of a step is a bug, and the caller's: that job is over, the others go on next time.
        """
        jobs = self.queue
        self.queue = []
        index = 0
        try:
            while index < len(jobs):
                job = jobs[index]
                index += 1
                if job.step():
                    self.queue.append(job)
                if is_late():
                    break
        finally:
            self.queue = jobs[index:] + self.queue


@final
class TurnDurations:
    """How long the turns of the loop were: ``counts`` by bucket, and the longest."""

    def __init__(self) -> None:
        self.bucket_counts = [0] * (len(TURN_DURATION_BUCKETS) + 1)
        self.total_seconds = 0.0
        self.longest_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """One more turn."""
        index = 0
        while index < len(TURN_DURATION_BUCKETS) and seconds > TURN_DURATION_BUCKETS[index]:
            index += 1
        self.bucket_counts[index] += 1
        self.total_seconds += seconds
        if seconds > self.longest_seconds:
            self.longest_seconds = seconds
