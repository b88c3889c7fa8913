# mypy: disable-error-code="import-not-found, import-untyped"
"""limits: its four strategies, and a reset of everything."""

import sys

from limits import parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

storage = storage_from_string(sys.argv[1])
for number in range(20):
    for kind in (FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter):
        limiter = kind(storage)
        limit = parse("2/hour")
        who = (kind.__name__, f"user-{number}")
        assert [limiter.hit(limit, *who) for _ in range(3)] == [True, True, False]
        assert not limiter.test(limit, *who)
        assert limiter.get_window_stats(limit, *who).remaining == 0
        limiter.clear(limit, *who)
        assert limiter.hit(limit, *who)
assert storage.reset() >= 60
assert (
    FixedWindowRateLimiter(storage).get_window_stats(parse("2/hour"), "FixedWindowRateLimiter", "user-1").remaining == 2
)
