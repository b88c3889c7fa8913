"""How long a copy waits after a sync of it has failed."""

from kidoproxy.replication.sync_retry import MAX_RETRY_SECONDS, SyncRetry


def test_the_pause_doubles_up_to_a_bound() -> None:
    """One second, two, four … a minute; after a success it begins anew."""
    retry = SyncRetry()
    assert retry.may_begin(0.0)
    assert [retry.on_failure(10.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert not retry.may_begin(69.9)
    assert retry.may_begin(10.0 + MAX_RETRY_SECONDS)
    retry.reset()
    assert retry.on_failure(0.0) == 1
