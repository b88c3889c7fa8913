"""Work that is too long for one turn of the loop is done in slices, between which others are served.

Each turn every `Job` of `TurnWork.jobs` gets one step, in the order in which they were added, so that all get the
same share. The size of a step is counted in units of work, never measured in time.
"""

from collections.abc import Callable
from typing import Final, final

from kidoproxy.resp import limits

#: Upper bounds of the histogram's buckets in seconds; a last bucket counts longer turns.
TURN_DURATION_BUCKETS: Final[tuple[float, ...]] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Job:
    """Work done in steps."""

    def step(self) -> bool:
        """Do about `limits.SLICE_UNITS` units of work; returns whether there is more to do."""
        raise NotImplementedError

    def cancel(self) -> None:
        """The client has gone: there will be no further step."""


@final
class FreeListJob(Job):
    """Frees a very long list in slices: even freeing a million objects takes long."""

    def __init__(self, items: list[bytes]) -> None:
        self.items = items

    def step(self) -> bool:
        del self.items[-limits.SLICE_UNITS :]
        return bool(self.items)


@final
class Jobs:
    """The jobs of the process, in the order of their next steps."""

    def __init__(self) -> None:
        self.queue: list[Job] = []

    def add(self, job: Job) -> None:
        self.queue.append(job)

    def step_all(self, is_late: Callable[[], bool]) -> None:
        """One step of each job, until ``is_late``; unfinished jobs go to the end of the queue.

        An exception of a step, which is a bug, is raised; that job is dropped, the others go on in the next turn.
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
    """A histogram of the durations of the loop's turns, and the longest of them."""

    def __init__(self) -> None:
        self.bucket_counts = [0] * (len(TURN_DURATION_BUCKETS) + 1)
        self.total_seconds = 0.0
        self.longest_seconds = 0.0

    def observe(self, seconds: float) -> None:
        index = 0
        while index < len(TURN_DURATION_BUCKETS) and seconds > TURN_DURATION_BUCKETS[index]:
            index += 1
        self.bucket_counts[index] += 1
        self.total_seconds += seconds
        if seconds > self.longest_seconds:
            self.longest_seconds = seconds
