"""`kidoproxy.resp.limits`: Redis's values where clients rely on them, and relations that must hold."""

from kidoproxy.resp import limits


def test_redis_defaults() -> None:
    """The values of a stock redis.conf."""
    assert limits.MAX_BULK_BYTES == 512 * 1024 * 1024
    assert limits.MAX_QUERY_BUFFER_BYTES == 1024 * 1024 * 1024
    assert limits.MAX_INLINE_BYTES == 64 * 1024
    assert (limits.MAX_UNAUTHENTICATED_ARGUMENTS, limits.MAX_UNAUTHENTICATED_BULK_BYTES) == (10, 16384)
    assert (limits.MAX_CLIENTS, limits.DATABASE_COUNT) == (10_000, 16)


def test_relations() -> None:
    """No deadline is longer than the one around it; the largest value fits into every buffer on its way."""
    assert limits.COMMAND_SECONDS <= limits.CONNECT_SECONDS < 5
    assert limits.BACKOFF_MIN_SECONDS < limits.BACKOFF_MAX_SECONDS
    assert limits.MAX_BULK_BYTES < limits.CONNECTION_QUEUE_BYTES
    assert limits.MIN_CUT_THROUGH_BYTES < limits.READ_STOP_BYTES < limits.CLIENT_OUTPUT_BYTES
    assert limits.MAX_OPEN_REQUESTS < limits.CONNECTION_QUEUE_REPLIES
