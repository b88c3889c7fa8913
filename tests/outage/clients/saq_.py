# mypy: disable-error-code="import-not-found, import-untyped"
"""SAQ."""

import asyncio
from typing import Any

from saq import Queue

from tests.outage.notes import URL, produce_async, ran

queue: Any = Queue.from_url(URL)


async def run(ctx: Any, *, number: int) -> int:
    ran(number)
    return number


settings = {"queue": queue, "functions": [run], "concurrency": 2}


async def send_all() -> None:
    await queue.connect()
    await produce_async(lambda number: queue.enqueue("run", number=number))


def main() -> None:
    """The producer."""
    asyncio.run(send_all())
