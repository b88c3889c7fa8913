# mypy: disable-error-code="import-untyped"
"""python-socketio through the proxy: servers and other processes reach each other's clients by publish/subscribe."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest
import redis
import socketio
from aiohttp import web

from tests.wait import eventually

pytestmark = pytest.mark.live

#: One channel and no key: there is nothing that must meet.
TOGETHER: Final[list[str]] = []
SECONDS: Final = 20
CHANNEL: Final = "socketio"
ROOM: Final = "readers"
#: Another program that has something to say to the servers' clients.
EMITS: Final = """
import sys, socketio
manager = socketio.RedisManager(sys.argv[1], write_only=True)
manager.emit("news", {"text": "from outside"}, room="readers")
"""


class Reader:
    """A client of one server, in a room of its own server's, and what it was told."""

    def __init__(self) -> None:
        self.sio = socketio.AsyncClient()
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.sio.on("news", self.hear)

    async def hear(self, news: dict[str, str]) -> None:
        """A message from whichever process."""
        await self.received.put(news["text"])


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[tuple[Any, Reader]]:
    """A Socket.IO server that listens to the others, and a client of it."""
    manager = socketio.AsyncRedisManager(url, channel=CHANNEL)
    server = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)

    async def join(sid: str) -> str:
        await server.enter_room(sid, ROOM)
        return "joined"

    server.on("join", join)
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    reader = Reader()
    try:
        await reader.sio.connect(f"http://127.0.0.1:{runner.addresses[0][1]}")
        assert await reader.sio.call("join") == "joined"
        yield server, reader
    finally:
        await reader.sio.disconnect()
        await server.shutdown()
        await runner.cleanup()
        manager.thread.cancel()
        await asyncio.wait([manager.thread])
        await manager.pubsub.aclose()
        await manager.redis.aclose()


@pytest.fixture
async def served(server: str) -> AsyncIterator[list[tuple[Any, Reader]]]:
    """Two servers, each with a client, that listen to one another."""
    async with AsyncExitStack() as stack, asyncio.timeout(SECONDS):
        made = [await stack.enter_async_context(serving(server)) for _ in range(2)]
        with redis.Redis.from_url(server) as client:
            await asyncio.to_thread(eventually, lambda: dict(client.pubsub_numsub(CHANNEL))[CHANNEL.encode()] == 2)
        yield made


async def told(served: list[tuple[Any, Reader]]) -> list[str]:
    """The next thing that each client hears."""
    return [await reader.received.get() for _, reader in served]


async def test_server_to_all(served: list[tuple[Any, Reader]]) -> None:
    """What one server says reaches its own clients and those of the other, each once and in order."""
    for server, _ in served:
        for text in ("one", "two"):
            await server.emit("news", {"text": text}, room=ROOM)
        assert [await told(served) for _ in range(2)] == [["one", "one"], ["two", "two"]]


async def test_server_to_one(served: list[tuple[Any, Reader]]) -> None:
    """A message for one client finds it at the other server; its answer finds the way back."""
    (one, near), (_, far) = served
    far.sio.on("ask", lambda question: f"{question}: yes")
    assert await one.call("ask", "there?", to=far.sio.get_sid(), timeout=SECONDS) == "there?: yes"
    assert near.received.empty()


async def test_from_outside(server: str, served: list[tuple[Any, Reader]]) -> None:
    """Another process that only sends reaches the clients of all servers."""
    words = [sys.executable, "-c", EMITS, server]
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert await told(served) == ["from outside"] * 2
    manager = socketio.AsyncRedisManager(server, channel=CHANNEL, write_only=True)
    await manager.emit("news", {"text": "again"}, room=ROOM)
    await manager.redis.aclose()
    assert await told(served) == ["again"] * 2
