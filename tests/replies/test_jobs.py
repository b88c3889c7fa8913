"""`kidoproxy.replies.jobs`: work in slices."""

import pytest

from kidoproxy.replies.jobs import FreeListJob, Job, Jobs
from kidoproxy.resp import limits


def test_jobs_say_what_a_step_is() -> None:
    """The base class has no step."""
    with pytest.raises(NotImplementedError):
        Job().step()


def test_a_turn_ends_when_it_is_late() -> None:
    """Every turn one step of each job, in order; jobs that had none come first in the next turn."""
    jobs = Jobs()
    first, second = FreeListJob([b""] * (limits.SLICE_UNITS + 1)), FreeListJob([b""])
    jobs.add(first)
    jobs.add(second)
    jobs.step_all(lambda: True)
    assert jobs.queue == [second, first]
    jobs.step_all(lambda: False)
    assert jobs.queue == []
    assert (first.items, second.items) == ([], [])


def test_a_step_that_raises_ends_its_job_alone() -> None:
    """Its exception is the caller's; the other jobs go on in the next turn."""
    jobs = Jobs()
    other = FreeListJob([b""])
    jobs.add(Job())
    jobs.add(other)
    with pytest.raises(NotImplementedError):
        jobs.step_all(lambda: False)
    assert jobs.queue == [other]
