# mypy: disable-error-code="import-untyped"
"""python-socketio: a server with a client of its own, and a process that emits from outside."""

import asyncio

import socketio
from aiohttp import web

from tests.outage.notes import URL, produce_async, ran


async def serve() -> None:
    """A server, and a client that gets what others emit."""
    server = socketio.AsyncServer(async_mode="aiohttp", client_manager=socketio.AsyncRedisManager(URL))
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = socketio.AsyncClient()
    client.on("news", ran)
    await client.connect(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await client.wait()


async def send_all() -> None:
    manager = socketio.AsyncRedisManager(URL, write_only=True)
    await produce_async(lambda number: manager.emit("news", number))


def main() -> None:
    """The producer."""
    asyncio.run(send_all())


def worker() -> None:
    """The worker."""
    asyncio.run(serve())
