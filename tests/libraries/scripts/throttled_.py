# mypy: disable-error-code="import-not-found, import-untyped"
"""throttled-py: all its algorithms."""

import sys
from typing import Any

from throttled import RateLimiterType, Throttled, per_hour, store

kept: Any = store.RedisStore(server=sys.argv[1])
for kind in RateLimiterType.choice():
    for number in range(10):
        throttled: Any = Throttled(key=f"{kind}-{number}", using=kind, quota=per_hour(2, burst=2), store=kept)
        assert [throttled.limit().limited for _ in range(3)] == [False, False, True], kind
        throttled.peek(f"{kind}-{number}")
