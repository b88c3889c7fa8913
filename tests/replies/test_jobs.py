"""Long work goes in slices, and everybody who has much to do gets the same share."""

import pytest

from kidoproxy.replies.jobs import TURN_DURATION_BUCKETS, Job, TurnDurations


def test_turns_are_counted_by_length() -> None:
    """A bound belongs to its bucket; what is longer than all is counted too; the longest is known."""
    turns = TurnDurations()
    for seconds in (0.0, TURN_DURATION_BUCKETS[0], TURN_DURATION_BUCKETS[-1], TURN_DURATION_BUCKETS[-1] + 1):
        turns.observe(seconds)
    assert turns.bucket_counts == [2, *[0] * (len(TURN_DURATION_BUCKETS) - 2), 1, 1]
    assert turns.longest_seconds == TURN_DURATION_BUCKETS[-1] + 1
    turns.observe(0.0)
    assert turns.longest_seconds == TURN_DURATION_BUCKETS[-1] + 1


def test_a_bare_job_is_none() -> None:
    """Whoever derives from it says what a step is."""
    with pytest.raises(NotImplementedError):
        Job().step()
