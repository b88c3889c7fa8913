"""Pages for health checks and Prometheus: ``/healthz`` (the process lives), ``/readyz`` (it can serve), ``/metrics``.

GET and HEAD only, one request per connection, small and bounded: this is not a web server. A client that is
silent or slow, in sending or in reading, is disconnected.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from kidoproxy.admin.metrics import render
from kidoproxy.admin.readiness import unready_reasons
from kidoproxy.admin.worker_totals import WorkerTotals
from kidoproxy.config import Address
from kidoproxy.net.logs import EventLogger
from kidoproxy.session.proxy_state import ProxyState

log = EventLogger("kidoproxy")

#: A request that is longer, or takes longer, is not one of ours.
MAX_HEADER_BYTES: Final = 8192
CONNECTION_SECONDS: Final = 5.0

METRICS_PATH: Final = "/metrics"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


#: Asks the other workers what they count: see `WorkerTotals.take_answers`.
AskWorkers = Callable[[], Awaitable[dict[int, bytes | None]]]


def find_page(proxy: ProxyState, method: str, path: str, totals: WorkerTotals) -> tuple[str, bytes]:
    """Status line and body of a page. ``totals``: what is known of other workers."""
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", b"only GET and HEAD\n"
    if path in ("/healthz", "/health"):
        return "200 OK", b"ok\n"
    if path in ("/readyz", "/ready"):
        if reasons := unready_reasons(proxy):
            return "503 Service Unavailable", "".join([f"{line}\n" for line in reasons]).encode("utf-8", "replace")
        return "200 OK", b"ready\n"
    if path == METRICS_PATH:
        return "200 OK", render(proxy, totals)
    return "404 Not Found", b"try /healthz, /readyz or /metrics\n"


def parse_request(head: bytes) -> tuple[str, str]:
    """The method and the path of a request; two empty words if it is not HTTP."""
    request_line = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(request_line) != 3 or not request_line[2].startswith("HTTP/"):
        return "", ""
    return request_line[0], request_line[1].partition("?")[0]


def handle_request(proxy: ProxyState, head: bytes, totals: WorkerTotals) -> bytes:
    """The whole response to a request, of which ``head`` is all up to the empty line."""
    method, path = parse_request(head)
    if not method and not path:
        return build_response("400 Bad Request", b"this is not HTTP\n", True)
    status, body = find_page(proxy, method, path, totals)
    return build_response(status, body, method != "HEAD")


def build_response(status: str, body: bytes, with_body: bool) -> bytes:
    """Status line and headers, and the body if ``with_body``."""
    allow = "Allow: GET, HEAD\r\n" if status.startswith("405") else ""
    lines = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n{allow}"
    return f"{lines}Connection: close\r\n\r\n".encode() + (body if with_body else b"")


class AdminServer:
    """Serves the pages. ``timeout_seconds`` is how long a connection may last, in any state.

    ``ask_workers`` and ``totals``: for the page that speaks for several workers.
    """

    def __init__(
        self,
        proxy: ProxyState,
        timeout_seconds: float = CONNECTION_SECONDS,
        ask_workers: AskWorkers | None = None,
        totals: WorkerTotals | None = None,
    ) -> None:
        self.proxy = proxy
        self.timeout_seconds = timeout_seconds
        self.ask_workers = ask_workers
        self.totals = totals or WorkerTotals()

    async def start(self, address: Address, given: socket.socket | None = None) -> asyncio.Server:
        """Listen, with a socket that is there already if it is ``given``; OSError when that is not possible."""
        if given is not None:
            start = asyncio.start_unix_server if given.family == socket.AF_UNIX else asyncio.start_server
            return await start(self.handle_connection, sock=given, limit=MAX_HEADER_BYTES)
        if address.path:
            return await asyncio.start_unix_server(self.handle_connection, address.path, limit=MAX_HEADER_BYTES)
        return await asyncio.start_server(self.handle_connection, address.host, address.port, limit=MAX_HEADER_BYTES)

    async def handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one response, and an end within the time-out."""
        # So that `drain` returns when the kernel has all of it.
        writer.transport.set_write_buffer_limits(high=0)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(self.timeout_seconds):
                    writer.write(await self.read_and_respond(reader))
                    await writer.drain()
                    writer.write_eof()
                    # A socket that is closed with bytes unread may lose what it has sent.
                    while await reader.read(MAX_HEADER_BYTES):
                        pass
        except Exception:
            log.exception("admin page failed")
        finally:
            writer.transport.abort()

    async def read_and_respond(self, reader: asyncio.StreamReader) -> bytes:
        """Read the head of the request and answer it."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return build_response("431 Request Header Fields Too Large", b"too long\n", True)
        if self.ask_workers is not None and parse_request(head)[1] == METRICS_PATH:
            self.totals.take_answers(await self.ask_workers())
        return handle_request(self.proxy, head, self.totals)
