"""Many clients that get in each other's way: nothing is lost, and who waits disturbs nobody else."""

import asyncio
import resource
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
import redis.asyncio

from kidoproxy.resp.encode import encode_request
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

CLIENTS: Final = 50
TIMES: Final = 4
WAITING: Final = 1000
SECONDS: Final = 60
GETS: Final = 200
#: Far more than a GET needs, even where other things are going on.
LATENCY_SECONDS: Final = 0.25


@pytest.fixture(scope="module")
def proxy(serve_proxy: Starter) -> RunningProxy:
    """A ring of three."""
    return serve_proxy("ring", 3, timeout_ms=10_000)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process have as many connections as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def increment(port: int, key: str) -> list[int]:
    """A client that adds one to what it read, so many times, trying again when another was quicker."""
    made: list[int] = []
    opened: Any = redis.asyncio.Redis(port=port)
    async with opened as client, client.pipeline() as pipe:
        while len(made) < TIMES:
            await pipe.watch(key)
            value = int(await pipe.get(key) or 0) + 1
            pipe.multi()
            pipe.set(key, value)
            try:
                await pipe.execute()
            except redis.WatchError:
                continue
            made.append(value)
    return made


async def test_watched_counters(proxy: RunningProxy) -> None:
    """Fifty clients count with WATCH, on every node: each number is given out once and none is left out."""
    keys = [proxy.keys_on(at, 1, "counter")[0] for at in range(3)]
    async with asyncio.timeout(SECONDS):
        made = await asyncio.gather(*[increment(proxy.port, keys[at % 3]) for at in range(CLIENTS)])
    for at, key in enumerate(keys):
        numbers = sorted(number for mine in made[at::3] for number in mine)
        assert numbers == list(range(1, TIMES * len(made[at::3]) + 1))
        assert proxy.client().get(key) == b"%d" % len(numbers)


async def test_one_watched_counter(proxy: RunningProxy) -> None:
    """The same with all of them at one counter."""
    async with asyncio.timeout(SECONDS):
        made = await asyncio.gather(*[increment(proxy.port, "counter") for _ in range(CLIENTS)])
    assert sorted(number for mine in made for number in mine) == list(range(1, CLIENTS * TIMES + 1))


class Waiting:
    """A client that waits for an element of a list."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def begin(cls, port: int, key: str) -> "Waiting":
        """Connect and wait."""
        made = cls(*await asyncio.open_connection("127.0.0.1", port))
        made.writer.write(encode_request([b"BLPOP", key.encode(), b"0"]))
        return made

    async def served(self) -> bytes:
        """The element that it got."""
        first = await self.reader.readline()
        assert first == b"*2\r\n"
        return [await self.reader.readline() for _ in range(4)][3].strip()


async def seconds_of_get(client: Any, key: str) -> float:
    """What nine of ten GETs stay below, asked one after another."""
    taken = []
    for _ in range(GETS):
        begun = time.monotonic()
        assert await client.get(key) == b"v"
        taken.append(time.monotonic() - begun)
    return sorted(taken)[GETS * 9 // 10]


async def test_a_thousand_that_wait(proxy: RunningProxy, many_files: None) -> None:
    """While a thousand clients wait at one node GET stays quick, on it and on the others; then all are served."""
    line = proxy.keys_on(0, 1, "line")[0]
    others = [proxy.keys_on(at, 1, "value")[0] for at in range(3)]
    info = proxy.client()
    for key in others:
        info.set(key, "v")
    async with asyncio.timeout(SECONDS), redis.asyncio.Redis(port=proxy.port) as client:
        waiting = await asyncio.gather(*[Waiting.begin(proxy.port, line) for _ in range(WAITING)])
        await asyncio.to_thread(eventually, lambda: info.info("clients")["blocked_clients"] == WAITING, SECONDS)
        for key in others:
            assert await seconds_of_get(client, key) < LATENCY_SECONDS
        assert await client.rpush(line, *range(WAITING)) == WAITING
        served = await asyncio.gather(*[one.served() for one in waiting])
        assert sorted(served, key=int) == [b"%d" % number for number in range(WAITING)]
        assert await client.exists(line) == 0
        for one in waiting:
            one.writer.close()
        await asyncio.gather(*[one.writer.wait_closed() for one in waiting])
