# mypy: disable-error-code="import-not-found, import-untyped"
"""arq: results, retries, jobs for later, an abort."""

import asyncio
import sys
from typing import Any

from arq import Retry, create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func


async def add(ctx: Any, a: int, b: int) -> int:
    """Two arguments, one result."""
    return a + b


async def third_time(ctx: Any) -> int:
    """Succeeds when it is tried for the third time."""
    if ctx["job_try"] < 3:
        raise Retry(defer=0.05)
    tried: int = ctx["job_try"]
    return tried


async def forever(ctx: Any) -> None:
    """Ends when it is aborted."""
    await asyncio.sleep(60)


async def main() -> None:
    """All of it."""
    pool = await create_pool(RedisSettings.from_dsn(sys.argv[1]))
    worker: Any = Worker(
        [func(add), func(third_time), func(forever)],
        redis_pool=pool,
        poll_delay=0.05,
        allow_abort_jobs=True,
        handle_signals=False,
        max_tries=5,
    )
    running = asyncio.create_task(worker.async_run())
    jobs = [await pool.enqueue_job("add", number, 1) for number in range(10)]
    assert [await job.result(timeout=10, poll_delay=0.05) for job in jobs] == list(range(1, 11))
    assert await (await pool.enqueue_job("third_time")).result(timeout=10, poll_delay=0.05) == 3
    assert await (await pool.enqueue_job("add", 1, 1, _defer_by=0.2)).result(timeout=10, poll_delay=0.05) == 2
    assert await pool.enqueue_job("add", 1, 1, _job_id="once") is not None
    assert await pool.enqueue_job("add", 1, 1, _job_id="once") is None
    doomed = await pool.enqueue_job("forever")
    await asyncio.sleep(0.3)
    assert await doomed.abort(timeout=10, poll_delay=0.05)
    assert len(await pool.all_job_results()) > 10
    running.cancel()
    await asyncio.wait([running])
    await worker.close()


asyncio.run(main())
