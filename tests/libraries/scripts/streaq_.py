# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"
"""streaQ: results, retries, jobs for later, a task that waits for another, an abort."""

import asyncio
import sys
from typing import Any

from streaq import Worker
from streaq.types import StreaqRetry

worker: Any = Worker(redis_url=sys.argv[1], concurrency=3, handle_signals=False)
tried: list[int] = []


@worker.task
async def add(a: int, b: int) -> int:
    """Two arguments, one result."""
    return a + b


@worker.task(max_tries=3)
async def second_time() -> int:
    """Succeeds when it is tried for the second time."""
    tried.append(1)
    if len(tried) < 2:
        raise StreaqRetry("not yet", delay=0.1)
    return len(tried)


async def main() -> None:
    """All of it."""
    running = asyncio.create_task(worker.run_async())
    await asyncio.sleep(1)
    tasks = [await add.enqueue(number, 1) for number in range(10)]
    assert [(await task.result(10)).result for task in tasks] == list(range(1, 11))
    assert (await (await second_time.enqueue()).result(10)).result == 2
    assert (await (await add.enqueue(1, 1).start(delay=1)).result(10)).result == 2
    first = await add.enqueue(1, 2)
    assert (await (await add.enqueue(3, 4).start(after=first.id)).result(10)).result == 7
    doomed = await add.enqueue(1, 1).start(delay=60)
    assert await doomed.abort(5)
    running.cancel()
    await asyncio.wait([running])


asyncio.run(main())
