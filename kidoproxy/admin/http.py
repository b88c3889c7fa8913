"""The admin pages: ``/livez`` (the process lives), ``/readyz`` (it can serve), ``/metrics``, and the status page ``/``
with its data, ``/status.json``, which `kidoproxy.admin.access` guards.

GET and HEAD only, one request per connection, small and bounded: this is not a web server. A client that is
silent or slow, in sending or in reading, is disconnected.
"""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client.core import Metric

from kidoproxy.admin import access
from kidoproxy.admin.metrics import expose
from kidoproxy.admin.node_polls import NodePolls
from kidoproxy.admin.page import content_security_policy, page_html
from kidoproxy.admin.portions import collect_snapshot
from kidoproxy.admin.readiness import unready_reasons
from kidoproxy.admin.status import pool_name_by_node, status_document
from kidoproxy.admin.worker_totals import WorkerTotals
from kidoproxy.config import Address
from kidoproxy.config.secret import NO_SECRET, Secret
from kidoproxy.net.logs import EventLogger
from kidoproxy.net.tasks import in_thread
from kidoproxy.session.proxy_state import ProxyState

log = EventLogger("kidoproxy")

#: A request that is longer, or takes longer, is not one of ours.
MAX_HEADER_BYTES: Final = 8192
CONNECTION_SECONDS: Final = 5.0
#: Whoever is more than so many ends the oldest one: those that hold connections open keep no probe out.
MAX_CONNECTIONS: Final = 128

METRICS_PATH: Final = "/metrics"
READINESS_PATHS: Final = ("/readyz", "/ready")
STATUS_PATH: Final = "/status.json"
PAGE_PATH: Final = "/"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: A status is made no more often, however many look.
STATUS_SECONDS: Final = 1.0
#: Of the pages that browsers open: kept by nobody, and taken for nothing else.
BROWSER_HEADERS: Final = (
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
)


#: Asks the other workers what they count: see `WorkerTotals.take_answers`.
AskWorkers = Callable[[], Awaitable[dict[int, bytes | None]]]


def find_page(proxy: ProxyState, method: str, path: str, totals: WorkerTotals) -> tuple[str, bytes]:
    """Status line and body of a page. ``totals``: what is known of other workers."""
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", b"only GET and HEAD\n"
    if path in ("/livez", "/healthz", "/health"):
        return "200 OK", b"ok\n"
    if path in READINESS_PATHS:
        if reasons := [*unready_reasons(proxy), *totals.unready_reasons()]:
            return "503 Service Unavailable", "".join([f"{line}\n" for line in reasons]).encode("utf-8", "replace")
        return "200 OK", b"ready\n"
    return "404 Not Found", b"try /, /livez, /readyz or /metrics\n"


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


def build_response(
    status: str, body: bytes, with_body: bool, headers: str = "", content_type: str = CONTENT_TYPE
) -> bytes:
    """Status line and headers, and the body if ``with_body``."""
    allow = "Allow: GET, HEAD\r\n" if status.startswith("405") else ""
    lines = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{allow}{headers}"
    return f"{lines}Connection: close\r\n\r\n".encode() + (body if with_body else b"")


class AdminServer:
    """Serves the pages. ``timeout_seconds`` is how long a connection may last, in any state.

    ``ask_workers`` and ``totals``: for the pages that speak for several workers. ``token``: what the status page wants
    to be shown; empty: it is for this machine only. ``flush`` has what was queued for nodes sent.
    """

    def __init__(
        self,
        proxy: ProxyState,
        ask_workers: AskWorkers | None = None,
        totals: WorkerTotals | None = None,
        token: Secret = NO_SECRET,
        flush: Callable[[], object] = lambda: None,
        timeout_seconds: float = CONNECTION_SECONDS,
    ) -> None:
        self.proxy = proxy
        self.timeout_seconds = timeout_seconds
        self.ask_workers = ask_workers
        self.totals = totals or WorkerTotals()
        self.token = token
        self.flush = flush
        self.polls = NodePolls()
        #: The last status, and until when it is good.
        self.status = b""
        self.status_until = 0.0
        self.status_lock = asyncio.Lock()
        #: The totals are looked at beside the loop, by one at a time.
        self.totals_lock = asyncio.Lock()
        #: The connections that are open, the oldest first.
        self.open: dict[asyncio.StreamWriter, None] = {}

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
        self.open[writer] = None
        if len(self.open) > MAX_CONNECTIONS:
            oldest = next(iter(self.open))
            del self.open[oldest]
            self.proxy.admin_connections_dropped += 1
            oldest.transport.abort()
        # So that `drain` returns when the kernel has all of it.
        writer.transport.set_write_buffer_limits(high=0)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(self.timeout_seconds):
                    writer.write(await self.read_and_respond(reader, writer.get_extra_info("peername")))
                    await writer.drain()
                    writer.write_eof()
                    # A socket that is closed with bytes unread may lose what it has sent.
                    while await reader.read(MAX_HEADER_BYTES):
                        pass
        except Exception:
            log.exception("admin page failed")
        finally:
            self.open.pop(writer, None)
            writer.transport.abort()

    async def read_and_respond(self, reader: asyncio.StreamReader, peer: object) -> bytes:
        """Read the head of the request and answer it."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return build_response("431 Request Header Fields Too Large", b"too long\n", True)
        method, path = parse_request(head)
        if method in ("GET", "HEAD") and path in (PAGE_PATH, STATUS_PATH):
            return await self.respond_with_status(head, peer, path, method == "GET")
        if path in READINESS_PATHS:
            await self.update_totals()
        if method in ("GET", "HEAD") and path == METRICS_PATH:
            return build_response("200 OK", await self.metrics_page(), method == "GET")
        return handle_request(self.proxy, head, self.totals)

    async def metrics_page(self) -> bytes:
        """The exposition text, made in portions and beside the loop."""
        families = await self.all_families()
        return await in_thread(lambda: expose(families))

    async def all_families(self) -> list[Metric]:
        """The metrics of all workers."""
        await self.update_totals()
        own = await collect_snapshot(self.proxy)
        async with self.totals_lock:
            return await in_thread(lambda: self.totals.families(own))

    async def update_totals(self) -> None:
        if self.ask_workers is not None:
            answers = await self.ask_workers()
            async with self.totals_lock:
                await in_thread(lambda: self.totals.take_answers(answers))

    async def respond_with_status(self, head: bytes, peer: object, path: str, with_body: bool) -> bytes:
        """The status page or its data, for those who may see it."""
        refusal = access.refusal(head, peer, self.token)
        if refusal is not None:
            status, header, sentence = refusal
            return build_response(status, sentence, with_body, BROWSER_HEADERS + header)
        if path == PAGE_PATH:
            policy = f"Content-Security-Policy: {content_security_policy()}\r\nX-Frame-Options: DENY\r\n"
            return build_response(
                "200 OK", page_html(), with_body, BROWSER_HEADERS + policy, "text/html; charset=utf-8"
            )
        body = await self.current_status()
        return build_response("200 OK", body, with_body, BROWSER_HEADERS, "application/json")

    async def current_status(self) -> bytes:
        """The document, at most `STATUS_SECONDS` old."""
        async with self.status_lock:
            if time.monotonic() >= self.status_until:
                await self.make_status()
        return self.status

    async def make_status(self) -> None:
        families = await self.all_families()
        self.status = json.dumps(status_document(self.proxy, families, self.polls)).encode()
        self.status_until = time.monotonic() + STATUS_SECONDS
        # Behind the work of this page, so that their latency does not count it.
        self.polls.ask(self.proxy.executor, list(pool_name_by_node(self.proxy)))
        self.flush()
