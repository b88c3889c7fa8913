"""`kidoproxy.replies.durations`: what Prometheus reads of them."""

from kidoproxy.replies.durations import MILLISECOND_BUCKETS, Durations


def test_durations() -> None:
    """A bucket includes its upper bound; longer ones than all are counted too; the longest is known."""
    turns = Durations(MILLISECOND_BUCKETS)
    for seconds in (0.0, MILLISECOND_BUCKETS[0], MILLISECOND_BUCKETS[-1], MILLISECOND_BUCKETS[-1] + 1):
        turns.observe(seconds)
    assert turns.bucket_counts == [2, *[0] * (len(MILLISECOND_BUCKETS) - 2), 1, 1]
    assert turns.longest_seconds == MILLISECOND_BUCKETS[-1] + 1
    turns.observe(0.0)
    assert turns.longest_seconds == MILLISECOND_BUCKETS[-1] + 1
    turns.add(turns)
    found = dict(turns.cumulative())
    assert (found["0.001"], found["0.5"], found["1.0"], found["+Inf"]) == (6, 6, 8, 10)
    assert turns.total_seconds == 2 * (MILLISECOND_BUCKETS[0] + 2 * MILLISECOND_BUCKETS[-1] + 1)
