# mypy: disable-error-code="import-untyped"
"""channels_redis through the proxy: the layer that keeps messages in sorted sets, and the one of publish/subscribe."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import redis
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from tests.live.proxies import Starter

pytestmark = pytest.mark.live

TOGETHER: Final = ["@channels_redis"]
SECONDS: Final = 20


@asynccontextmanager
async def core(url: str) -> AsyncIterator[Any]:
    """The layer of most people, as one process has it."""
    layer = RedisChannelLayer(hosts=[url])
    try:
        async with asyncio.timeout(SECONDS):
            yield layer
    finally:
        await layer.close_pools()


@asynccontextmanager
async def pubsub(url: str) -> AsyncIterator[Any]:
    """The layer that keeps nothing, as one process has it."""
    layer = RedisPubSubChannelLayer(hosts=[url])
    try:
        async with asyncio.timeout(SECONDS):
            yield layer
    finally:
        await layer.flush()


@pytest.fixture(params=[core, pubsub])
def layers(request: pytest.FixtureRequest) -> Any:
    """Makes each kind of layer."""
    return request.param


@pytest.fixture
def client(server: str) -> Iterator[Any]:
    """A client that sees what the layers have left there, and that begins with nothing."""
    with redis.Redis.from_url(server) as made:
        made.flushall()
        yield made


async def test_channel(server: str, layers: Any) -> None:
    """What one process sends to a channel of another arrives there, in order."""
    async with layers(server) as sender, layers(server) as receiver:
        channel = await receiver.new_channel()
        for number in range(10):
            await sender.send(channel, {"type": "note", "number": number})
        got = [await receiver.receive(channel) for _ in range(10)]
        assert [message["number"] for message in got] == list(range(10))


async def test_group(server: str, layers: Any) -> None:
    """What is sent to a group arrives once in each of its channels, in whichever process they are."""
    async with layers(server) as one, layers(server) as other:
        places = [(layer, await layer.new_channel()) for layer in (one, other, one, other)]
        for layer, channel in places:
            await layer.group_add("room", channel)
        left_layer, left = places.pop()
        await left_layer.group_discard("room", left)
        await one.group_send("room", {"type": "news", "text": "hello"})
        await one.group_send("room", {"type": "news", "text": "again"})
        for layer, channel in places:
            got = [(await layer.receive(channel))["text"] for _ in range(2)]
            assert got == ["hello", "again"]


async def test_waiting(server: str, layers: Any) -> None:
    """A receiver that came before the message gets it as soon as it is there."""
    async with layers(server) as sender, layers(server) as receiver:
        channel = await receiver.new_channel()
        waiting = asyncio.ensure_future(receiver.receive(channel))
        await sender.send(channel, {"type": "note", "text": "late"})
        assert (await waiting)["text"] == "late"


async def test_plain_channel(server: str, client: Any) -> None:
    """A worker's channel, to which many send, gives it each message once, and nothing is left."""
    async with core(server) as one, core(server) as other, core(server) as worker:
        for number in range(6):
            await (one, other)[number % 2].send("work", {"type": "job", "number": number})
        got = [await worker.receive("work") for _ in range(6)]
        assert [message["number"] for message in got] == list(range(6))
    assert client.keys("asgi*") == []


async def test_unfinished(server: str, client: Any) -> None:
    """What a receiver took and died over is delivered again: a script that has its keys among its arguments."""
    async with core(server) as layer:
        await layer.send("work", {"type": "job", "number": 1})
        ((taken, score),) = client.zpopmin("asgiwork")
        client.zadd("asgiwork$inflight", {taken: score})
        assert (await layer.receive("work"))["number"] == 1


async def test_flush(server: str, client: Any) -> None:
    """A layer that is emptied leaves nothing: its script looks for keys by their beginning."""
    client.set("mine", 1)
    async with core(server) as layer:
        await layer.group_add("room", await layer.new_channel())
        await layer.send("work", {"type": "job"})
        assert len(client.keys("asgi*")) == 2
        await layer.flush()
    assert client.keys() == [b"mine"]


async def test_apart(own_proxy: Starter) -> None:
    """Without ``together`` a group whose channels do not meet is refused with their names; pub/sub needs no set."""
    url = own_proxy("ring", 3).url
    async with core(url) as layer:
        for number in range(20):
            await layer.group_add("room", f"specific.{number}!x")
        with pytest.raises(redis.ResponseError, match=r"don't hash to the same node .*first-key='asgispecific\."):
            await layer.group_send("room", {"type": "news"})
    async with pubsub(url) as one, pubsub(url) as other:
        channel = await other.new_channel()
        await other.group_add("room", channel)
        await one.group_send("room", {"type": "news", "text": "hello"})
        assert (await other.receive(channel))["text"] == "hello"
