"""The pages for orchestrators: what they say, and that nobody can hold them up."""

import asyncio
import json
import logging

import pytest

from kidoproxy.admin.http import MAX_CONNECTIONS, MAX_HEADER_BYTES, AdminServer, find_page, handle_request
from kidoproxy.admin.worker_totals import WorkerTotals
from kidoproxy.config import Address
from kidoproxy.resp.encode import encode_request
from kidoproxy.session.proxy_state import ProxyState
from tests.net.real import run
from tests.session.stage import InMemoryProxy, ring


def handle(proxy: ProxyState, head: bytes) -> bytes:
    """What the only process answers."""
    return handle_request(proxy, head, WorkerTotals())


def ready() -> InMemoryProxy:
    stage = ring("a")
    stage.ready()
    return stage


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/livez", "200 OK", b"ok\n"),
        ("/healthz", "200 OK", b"ok\n"),
        ("/health", "200 OK", b"ok\n"),
        ("/readyz", "200 OK", b"ready\n"),
        ("/ready", "200 OK", b"ready\n"),
        ("/x", "404 Not Found", b"try /, /livez, /readyz or /metrics\n"),
    ],
)
def test_pages(path: str, status: str, body: bytes) -> None:
    """A status that a machine reads, and a word for a person."""
    assert find_page(ready().proxy, "GET", path, WorkerTotals()) == (status, body)


def test_not_ready() -> None:
    """Alive, but not to be sent clients: no node can be reached, or it is about to stop."""
    stage = ring("a")
    assert find_page(stage.proxy, "GET", "/readyz", WorkerTotals()) == (
        "503 Service Unavailable",
        b"cache: no node can answer: a (not connected yet)\n",
    )
    stage.ready()
    stage.proxy.draining = True
    assert find_page(stage.proxy, "GET", "/readyz", WorkerTotals()) == ("503 Service Unavailable", b"draining\n")
    assert find_page(stage.proxy, "GET", "/healthz", WorkerTotals())[0] == "200 OK"


def test_a_whole_answer() -> None:
    """Length, type, and an end; a query is ignored."""
    head, _, body = handle(ready().proxy, b"GET /livez?x=1 HTTP/1.1\r\nHost: h\r\n\r\n").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert f"Content-Length: {len(body)}" in lines
    assert "Connection: close" in lines
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in lines


def test_head_has_no_body() -> None:
    """HEAD says what GET would, without it."""
    answer = handle(ready().proxy, b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_other_methods() -> None:
    """Nothing can be changed here."""
    answer = handle(ready().proxy, b"POST /healthz HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"Allow: GET, HEAD\r\n" in answer


@pytest.mark.parametrize(
    "head", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"\xff \xfe \xfd\r\n\r\n", b"a b c d\r\n\r\n"]
)
def test_garbage(head: bytes) -> None:
    """What is not HTTP gets an error that says so."""
    assert handle(ready().proxy, head).startswith(b"HTTP/1.1 400 Bad Request\r\n")


class Client:
    """One connection to the pages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read_all(self) -> bytes:
        """All that comes until the end of the connection."""
        text = b""
        try:
            while data := await asyncio.wait_for(self.reader.read(65536), 10):
                text += data
        except ConnectionResetError:
            # Closed while something was unread.
            pass
        return text

    def close(self) -> None:
        self.writer.transport.abort()


async def ask(stage: InMemoryProxy, said: bytes, seconds: float = 10.0, then_eof: bool = False) -> bytes:
    """What a client gets that sends this."""
    server = await AdminServer(stage.proxy, timeout_seconds=seconds).start(Address("127.0.0.1", 0))
    client = Client(*await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1]))
    client.writer.write(said)
    if then_eof:
        client.writer.write_eof()
    response = await client.read_all()
    client.close()
    server.close()
    return response


def test_a_request_over_a_socket() -> None:
    """One request, one answer, and the connection is closed, though the client would have stayed."""

    async def scenario() -> None:
        response = await ask(ready(), b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n", 0.2)
        assert response.startswith(b"HTTP/1.1 200 OK\r\n")
        assert response.endswith(b"\r\n\r\nok\n")
        assert response.count(b"HTTP/1.1") == 1

    run(scenario())


def test_an_oversized_request() -> None:
    """It gets an error that says so, and is not read to its end."""

    async def scenario() -> None:
        response = await ask(ready(), b"GET /" + b"x" * 3 * MAX_HEADER_BYTES, 0.2)
        assert response.startswith(b"HTTP/1.1 431 ")

    run(scenario())


@pytest.mark.parametrize(("said", "then_eof"), [(b"", False), (b"GET /healthz HTTP/1.1\r\n", False), (b"GET", True)])
def test_silent_slow_and_gone_clients_hold_nothing(said: bytes, then_eof: bool) -> None:
    """Who does not finish its request in time, or hangs up, gets nothing and is gone."""

    async def scenario() -> None:
        assert await ask(ready(), said, 0.05, then_eof) == b""

    run(scenario())


def test_a_client_that_does_not_read_holds_nothing() -> None:
    """An answer that is not taken is thrown away with its connection."""

    async def scenario() -> None:
        admin = AdminServer(ready().proxy, timeout_seconds=0.2)
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # More than the kernel takes.
            writer.write(b"x" * 50_000_000)
            await admin.handle_connection(reader, writer)
            assert writer.transport.is_closing()
            done.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = Client(*await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1], limit=1))
        client.writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
        await asyncio.wait_for(done.wait(), 10)
        client.close()
        server.close()

    run(scenario())


def test_a_bug_in_a_page_costs_one_request(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, the connection ends, and the next request is served."""

    async def scenario() -> None:
        stage = ready()
        servers = stage.executor.connection_sets
        stage.executor.connection_sets = [*servers, None]  # type: ignore[list-item]
        with caplog.at_level(logging.ERROR):
            assert await ask(stage, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
        stage.executor.connection_sets = servers
        assert (await ask(stage, b"GET /metrics HTTP/1.1\r\n\r\n", 0.2)).startswith(b"HTTP/1.1 200")

    run(scenario())
    assert "admin page failed" in caplog.text


def test_redis_clients_that_lost_their_way() -> None:
    """A RESP request to the admin port ends soon, whatever it is."""

    async def scenario() -> None:
        assert await ask(ready(), encode_request([b"PING"]), 0.05) == b""

    run(scenario())


async def test_status_page_and_its_data() -> None:
    """Both come with what keeps a browser from doing anything else with them; HEAD has no body."""
    stage = ready()
    page = await ask(stage, b"GET / HTTP/1.1\r\nHost: localhost:9380\r\n\r\n")
    assert b"Content-Type: text/html; charset=utf-8\r\n" in page
    assert b"Content-Security-Policy: default-src 'none'; script-src 'sha256-" in page
    assert page.endswith(b"</html>\n")
    data = await ask(stage, b"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"Content-Type: application/json\r\n" in head
    assert b"Cache-Control: no-store\r\n" in head
    assert json.loads(body)["nodes"][0]["name"] == "a"
    empty = await ask(stage, b"HEAD /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert empty.endswith(b"\r\n\r\n")


async def test_status_is_refused_to_other_sites() -> None:
    """A name that leads here from somebody's browser is none of this machine's."""
    answer = await ask(ready(), b"GET /status.json HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"admin_token_file" in answer


async def test_status_is_made_once_for_many() -> None:
    """However many look: one document a second, and one INFO for each node."""
    stage = ready()
    pages = AdminServer(stage.proxy)
    assert await pages.current_status() is await pages.current_status()
    pages.status_until = 0.0
    await pages.current_status()
    assert stage.connection("a").pending_count() == 1


async def test_those_who_hold_connections_keep_nobody_out() -> None:
    """The oldest gives way, and a probe is answered."""
    pages = AdminServer(ready().proxy, timeout_seconds=60)
    server = await pages.start(Address("127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    silent = [Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(MAX_CONNECTIONS)]
    probe = Client(*await asyncio.open_connection("127.0.0.1", port))
    probe.writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
    assert (await probe.read_all()).endswith(b"ok\n")
    assert await silent[0].read_all() == b""
    assert len(pages.open) <= MAX_CONNECTIONS
    assert pages.proxy.admin_connections_dropped >= 1
    for client in (*silent, probe):
        client.close()
    server.close()


async def test_those_who_look_at_once_share_a_status() -> None:
    """While the other workers are asked, nobody asks them again."""
    asked: list[int] = []

    async def ask_workers() -> dict[int, bytes | None]:
        asked.append(1)
        await asyncio.sleep(0)
        return {}

    pages = AdminServer(ready().proxy, ask_workers)
    await asyncio.gather(*[pages.current_status() for _ in range(5)])
    assert asked == [1]
