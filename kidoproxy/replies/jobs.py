"""Work that is too long for one turn of the loop is done in slices, between which others are served.

Each turn every `Job` of `TurnWork.jobs` gets one step, in the order in which they were added, so that all get the
same share. The size of a step is counted in units of work, never measured in time.
"""

from collections.abc import Callable
from typing import final

from kidoproxy.resp import limits


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
