"""``python -m tests.bench.floor PORT BYTES``: a uvloop server that says +OK after every BYTES received.

It does nothing that a proxy does: no parsing, no node. No proxy on uvloop can cost less than this.
"""

import asyncio
import sys
from typing import cast

import uvloop


class Floor(asyncio.Protocol):
    """Counts bytes and answers; one write per turn."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Answers every whole request in it."""
        count, self._held = divmod(self._held + len(data), self._size)
        if count:
            self._transport.write(b"+OK\r\n" * count)


async def serve(port: int, size: int) -> None:
    """Serves until it is killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Floor(size), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
