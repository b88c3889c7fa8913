"""Bounds that Redis's clients rely on, and that must fit together."""

from kidoproxy.resp import limits


def test_as_redis() -> None:
    """What a stock redis.conf accepts."""
    assert limits.MAX_BULK_BYTES == 512 * 1024 * 1024
    assert limits.MAX_QUERY_BUFFER_BYTES == 1024 * 1024 * 1024
    assert limits.MAX_INLINE_BYTES == 64 * 1024
    assert (limits.MAX_UNAUTHENTICATED_ARGUMENTS, limits.MAX_UNAUTHENTICATED_BULK_BYTES) == (10, 16384)
    assert (limits.MAX_CLIENTS, limits.DATABASE_COUNT) == (10_000, 16)


def test_fit_together() -> None:
    """Nothing waits longer than what waits for it; a large value fits through what is bounded."""
    assert limits.COMMAND_SECONDS <= limits.CONNECT_SECONDS < 5
    assert limits.BACKOFF_MIN_SECONDS < limits.BACKOFF_MAX_SECONDS
    assert limits.MAX_BULK_BYTES < limits.CONNECTION_QUEUE_BYTES
    assert limits.MIN_CUT_THROUGH_BYTES < limits.CLIENT_PAUSE_BYTES < limits.CLIENT_OUTPUT_BYTES
    assert limits.CLIENT_PAUSE_REQUESTS < limits.CONNECTION_QUEUE_REPLIES
