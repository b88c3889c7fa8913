"""A few pages for orchestrators: ``/healthz`` (the process lives), ``/readyz`` (it can serve), ``/metrics``.

GET only, one request per connection, small and bounded: this is not a web server.
"""

import asyncio
import contextlib

from kidoproxy.admin.metrics import is_serving, scrape
from kidoproxy.config import Address
from kidoproxy.session.house import House

#: A request that is longer, or takes longer, is not one of ours.
HEADER_BYTES = 8192
SECONDS = 5.0

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def page(house: House, method: str, path: str) -> tuple[str, bytes]:
    """Status line and body."""
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", b"only GET\n"
    if path in ("/healthz", "/health"):
        return "200 OK", b"ok\n"
    if path in ("/readyz", "/ready"):
        if is_serving(house):
            return "200 OK", b"ready\n"
        return "503 Service Unavailable", b"draining\n" if house.draining else b"no node can be reached\n"
    if path == "/metrics":
        return "200 OK", scrape(house)
    return "404 Not Found", b"try /healthz, /readyz or /metrics\n"


class AdminServer:
    """The listener."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def start(self, address: Address) -> asyncio.Server:
        """Listen; OSError when that is not possible."""
        if address.path:
            return await asyncio.start_unix_server(self.serve, address.path, limit=HEADER_BYTES)
        return await asyncio.start_server(self.serve, address.host, address.port, limit=HEADER_BYTES)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
                method, path = (words[0], words[1].partition("?")[0]) if len(words) > 1 else ("", "")
                status, body = page(self.house, method, path)
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {TEXT}\r\nContent-Length: {len(body)}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                if method != "HEAD":
                    writer.write(body)
                await writer.drain()
        writer.close()
