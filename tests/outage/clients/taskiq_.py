# mypy: disable-error-code="import-not-found, import-untyped"
"""taskiq, with the broker of taskiq-redis that keeps a list."""

import asyncio
from typing import Any

from taskiq_redis import ListQueueBroker

from tests.outage.notes import URL, produce_async, ran

broker: Any = ListQueueBroker(URL, queue_name="taskiq:outage")


async def run(number: int) -> int:
    """The job."""
    ran(number)
    return number


task: Any = broker.register_task(run, task_name="run")


async def send_all() -> None:
    """Enqueue jobs."""
    await broker.startup()
    await produce_async(task.kiq)


def main() -> None:
    """What sends."""
    asyncio.run(send_all())
