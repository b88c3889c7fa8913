# mypy: disable-error-code="import-untyped"
"""channels_redis: one process sends to a channel on which another one receives."""

import asyncio

from channels_redis.core import RedisChannelLayer

from tests.outage.notes import URL, note, produce_async, ran


async def receive() -> None:
    """Receive until the process is ended; after an error try again, as Daphne's next request would."""
    layer = RedisChannelLayer(hosts=[URL])
    while True:
        try:
            ran((await layer.receive("outage"))["number"])
        except Exception as error:  # noqa: BLE001
            note("trouble", 0, f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.1)


async def send_all() -> None:
    layer = RedisChannelLayer(hosts=[URL])
    await produce_async(lambda number: layer.send("outage", {"type": "x", "number": number}))


def main() -> None:
    """The producer."""
    asyncio.run(send_all())


def worker() -> None:
    """The worker."""
    asyncio.run(receive())
