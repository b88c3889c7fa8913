# mypy: disable-error-code="import-not-found, import-untyped"
"""self-limiters: semaphores and token buckets."""

import asyncio
import sys

from self_limiters import MaxSleepExceededError, Semaphore, TokenBucket


async def through(limiter: object) -> None:
    """Once."""
    async with limiter:  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)


async def main() -> None:
    """All of it."""
    for number in range(10):
        semaphore = Semaphore(f"door-{number}", capacity=2, max_sleep=10, redis_url=sys.argv[1])
        await asyncio.gather(*[through(semaphore) for _ in range(6)])
        bucket = TokenBucket(f"bucket-{number}", 1, 0.05, 1, redis_url=sys.argv[1], max_sleep=10)
        await asyncio.gather(*[through(bucket) for _ in range(4)])
    slow = TokenBucket("slow", 1, 60, 1, redis_url=sys.argv[1], max_sleep=1)
    try:
        await asyncio.gather(*[through(slow) for _ in range(3)])
    except MaxSleepExceededError:
        return
    raise AssertionError("nobody had to wait")


asyncio.run(main())
