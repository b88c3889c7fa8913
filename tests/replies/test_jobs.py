"""`kidoproxy.replies.jobs`: work in slices, and how long turns of the loop take."""

import pytest

from kidoproxy.replies.jobs import TURN_DURATION_BUCKETS, Job, TurnDurations


def test_turn_durations() -> None:
    """A bucket includes its upper bound; longer turns than all are counted too; the longest is known."""
    turns = TurnDurations()
    for seconds in (0.0, TURN_DURATION_BUCKETS[0], TURN_DURATION_BUCKETS[-1], TURN_DURATION_BUCKETS[-1] + 1):
        turns.observe(seconds)
    assert turns.bucket_counts == [2, *[0] * (len(TURN_DURATION_BUCKETS) - 2), 1, 1]
    assert turns.longest_seconds == TURN_DURATION_BUCKETS[-1] + 1
    turns.observe(0.0)
    assert turns.longest_seconds == TURN_DURATION_BUCKETS[-1] + 1


def test_jobs_say_what_a_step_is() -> None:
    """The base class has no step."""
    with pytest.raises(NotImplementedError):
        Job().step()
