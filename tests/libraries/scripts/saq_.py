# mypy: disable-error-code="import-not-found, import-untyped"
"""SAQ: results, retries, jobs for later, an abort, a sweep, what its pages ask."""

import asyncio
import sys
import time
from typing import Any

from saq import Queue, Worker


async def add(ctx: Any, *, a: int, b: int) -> int:
    """Two arguments, one result."""
    return a + b


async def second_time(ctx: Any) -> int:
    """Succeeds when it is tried for the second time."""
    if ctx["job"].attempts < 2:
        raise OSError("not yet")
    attempts: int = ctx["job"].attempts
    return attempts


async def forever(ctx: Any) -> None:
    """Ends when it is aborted."""
    await asyncio.sleep(60)


async def main() -> None:
    """All of it."""
    queue: Any = Queue.from_url(sys.argv[1])
    await queue.connect()
    worker: Any = Worker(
        queue, functions=[add, second_time, forever], concurrency=3, timers={"schedule": 1, "abort": 1}
    )
    running = asyncio.create_task(worker.start())
    # Its first sweep comes at the start, and takes what has just been begun for forgotten.
    await asyncio.sleep(1)
    assert await queue.map("add", [{"a": number, "b": 1} for number in range(10)]) == list(range(1, 11))
    assert await queue.apply("second_time", retries=3, timeout=10) == 2
    later = await queue.enqueue("add", a=1, b=1, scheduled=time.time() + 1)
    await later.refresh(10)
    assert later.result == 2
    doomed = await queue.enqueue("forever", timeout=60)
    await asyncio.sleep(0.5)
    await doomed.abort("enough")
    await queue.sweep()
    assert (await queue.info(jobs=True))["name"] == "default"
    assert await queue.count("queued") == 0
    await worker.stop()
    running.cancel()
    await asyncio.wait([running])
    await queue.disconnect()


asyncio.run(main())
