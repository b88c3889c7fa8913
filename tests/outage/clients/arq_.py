# mypy: disable-error-code="import-not-found, import-untyped, misc"
"""arq."""

import asyncio
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from tests.outage.notes import URL, produce_async, ran

SETTINGS: Any = RedisSettings.from_dsn(URL)


async def run(ctx: Any, number: int) -> int:
    ran(number)
    return number


class WorkerSettings:
    """The settings that the ``arq`` command reads."""

    functions = (run,)
    redis_settings = SETTINGS
    poll_delay = 0.1


async def send_all() -> None:
    pool = await create_pool(SETTINGS)
    await produce_async(lambda number: pool.enqueue_job("run", number))


def main() -> None:
    """The producer."""
    asyncio.run(send_all())
