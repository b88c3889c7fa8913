# mypy: disable-error-code="import-not-found, import-untyped"
"""Litestar: its store, and its channels over publish/subscribe and over streams."""

import asyncio
import sys
from contextlib import aclosing
from typing import Any

import redis.asyncio
from litestar.channels.backends.redis import RedisChannelsPubSubBackend, RedisChannelsStreamBackend
from litestar.stores.redis import RedisStore


async def channels(backend: Any) -> None:
    """What is published to one of two channels arrives."""
    await backend.on_startup()
    await backend.subscribe(["news", "mail"])
    async with aclosing(backend.stream_events()) as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.3)
        await backend.publish(b"hello", ["mail"])
        channel, data = await asyncio.wait_for(waiting, 10)
        assert (channel.lower(), data) == ("mail", b"hello"), (channel, data)
    await backend.on_shutdown()


async def main() -> None:
    """All of it."""
    store = RedisStore.with_client(sys.argv[1])
    nested = store.with_namespace("sessions")
    for number in range(20):
        await store.set(f"k{number}", b"v", expires_in=60)
        await nested.set(f"k{number}", b"w")
        assert await store.get(f"k{number}", renew_for=90) == b"v"
    assert await store.expires_in("k1") is not None
    await nested.delete_all()
    assert [await nested.get(f"k{number}") for number in range(20)] == [None] * 20
    assert await store.get("k1") == b"v"
    await store.delete_all()
    assert await store.get("k1") is None
    client = redis.asyncio.Redis.from_url(sys.argv[1])
    await channels(RedisChannelsPubSubBackend(redis=client))
    streams: Any = RedisChannelsStreamBackend(redis=client, history=5)
    await channels(streams)
    await streams.publish(b"more", ["news", "mail", "else"])
    assert await streams.get_history("mail") == [b"hello", b"more"]
    assert await streams.flush_all() == 3
    await client.aclose()


asyncio.run(main())
