# mypy: disable-error-code="import-untyped"
"""channels_redis: one process sends to a channel on which another one receives."""

import asyncio

from channels_redis.core import RedisChannelLayer

from tests.outage.notes import URL, note, produce_async, ran


async def receive() -> None:
    """Until it is ended; after an error it goes on, as Daphne's next request would."""
    layer = RedisChannelLayer(hosts=[URL])
    while True:
        try:
            ran((await layer.receive("outage"))["number"])
        except Exception as error:  # noqa: BLE001
            note("trouble", 0, f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.1)


async def send_all() -> None:
    """Send messages."""
    layer = RedisChannelLayer(hosts=[URL])
    await produce_async(lambda number: layer.send("outage", {"type": "x", "number": number}))


def main() -> None:
    """What sends."""
    asyncio.run(send_all())


def worker() -> None:
    """What receives."""
    asyncio.run(receive())
