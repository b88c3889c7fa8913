"""Bounds that Redis's clients rely on, and that must fit together."""

from kidoproxy import limits


def test_as_redis() -> None:
    """What a stock redis.conf accepts."""
    assert limits.BULK_BYTES == 512 * 1024 * 1024
    assert limits.QUERY_BUFFER_BYTES == 1024 * 1024 * 1024
    assert limits.INLINE_BYTES == 64 * 1024
    assert (limits.UNAUTHENTICATED_ARGUMENTS, limits.UNAUTHENTICATED_BULK_BYTES) == (10, 16384)
    assert (limits.CLIENTS, limits.DATABASES) == (10_000, 16)


def test_fit_together() -> None:
    """Nothing waits longer than what waits for it; a large value fits through what is bounded."""
    assert limits.COMMAND_SECONDS <= limits.CONNECT_SECONDS < 5
    assert limits.BACKOFF_FIRST_SECONDS < limits.BACKOFF_LAST_SECONDS
    assert limits.BULK_BYTES < limits.LINK_QUEUE_BYTES
    assert limits.CUT_THROUGH_BYTES < limits.CLIENT_PAUSE_BYTES < limits.CLIENT_OUTPUT_BYTES
    assert limits.CLIENT_PAUSE_CALLS < limits.LINK_QUEUE_LEGS
