"""Sockets to nodes: opened when a connection wants one, closed when it gives one up, and why one failed."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kidoproxy.net.connect import Connector, ConnectTarget
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.listen import KEEPALIVE_SECONDS
from kidoproxy.net.node_io import NodeIO
from kidoproxy.net.tasks import Tasks
from kidoproxy.resp import limits
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.states import CONNECTING, DOWN, READY
from tests.greet import answers
from tests.net.fakes import INFO
from tests.net.real import run, until
from tests.session.stage import ring

PEM = Path(__file__).with_name("localhost.pem")


class Node:
    """A server that answers a handshake, unless a test forbids it; it keeps its side of each connection."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.answers_handshake = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if not self.answers_handshake:
            writer.transport.abort()
            return
        while data := await reader.read(1 << 16):
            writer.write(answers(data, INFO))

    @asynccontextmanager
    async def tcp(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Listen; the port."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            self.close(server)

    def close(self, server: asyncio.Server) -> None:
        """Leave no socket open: the loop is about to end."""
        server.close()
        for writer in self.writers:
            writer.transport.abort()


class Stand:
    """A ring of one node, and the connector of its connections."""

    def __init__(self, target: ConnectTarget) -> None:
        self.stage = ring("a")
        self.tasks = Tasks()
        self.bridge = LoopBridge(asyncio.get_running_loop(), self.stage.proxy)
        self.connector = Connector(self.bridge, {self.stage.node("a"): target}, self.tasks)
        self.bridge.update_socket = self.connector.update_socket

    def connect(self) -> NodeConnection:
        """The connection wants a socket."""
        conn = self.stage.executor.connection(self.stage.node("a"), 2, 0)
        conn.start_connecting()
        self.bridge.schedule_flush()
        return conn

    def close(self, conn: NodeConnection) -> None:
        """Hang up, so that nobody connects again."""
        assert isinstance(conn.transport, NodeIO)
        conn.transport.abort()
        conn.transport = None


def to(port: int, tls: ssl.SSLContext | None = None, patience: float = 10.0) -> ConnectTarget:
    return ConnectTarget("127.0.0.1", port, "", tls, patience)


def server_tls() -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(PEM)
    return tls


def client_tls(trusts: bool) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=str(PEM) if trusts else None)
    tls.check_hostname = False
    return tls


async def cause_of(target: ConnectTarget) -> str:
    """Why the connection to that target is down."""
    stand = Stand(target)
    conn = stand.connect()
    await until(lambda: conn.state == DOWN)
    assert not stand.connector.connecting
    return conn.cause


def test_a_connection_gets_its_socket() -> None:
    """One attempt at a time, however often the connection asks for a socket; after its handshake it is ready."""

    async def scenario() -> None:
        node = Node()
        async with node.tcp() as port:
            stand = Stand(to(port))
            conn = stand.connect()
            await until(lambda: stand.connector.connecting)
            stand.connector.update_socket(conn)
            assert len(stand.tasks.running) == 1
            await until(lambda: conn.state == READY)
            assert len(node.writers) == 1
            assert not stand.connector.connecting
            assert isinstance(conn.transport, NodeIO)
            assert conn.transport.transport is not None
            # A dedicated connection may block for a long time, and is not pinged.
            ours = conn.transport.transport.get_extra_info("socket")
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_SECONDS
            stand.close(conn)

    run(scenario())


def test_a_node_on_a_unix_socket(tmp_path: Path) -> None:
    """A path instead of host and port."""

    async def scenario() -> None:
        path = str(tmp_path / "node.sock")
        node = Node()
        server = await asyncio.start_unix_server(node.serve, path)
        stand = Stand(ConnectTarget("", 0, path, None, 10.0))
        conn = stand.connect()
        await until(lambda: conn.state == READY)
        stand.close(conn)
        node.close(server)

    run(scenario())


def test_a_node_behind_tls() -> None:
    """Its certificate is checked, and found good."""

    async def scenario() -> None:
        async with Node().tcp(server_tls()) as port:
            stand = Stand(to(port, client_tls(True)))
            conn = stand.connect()
            await until(lambda: conn.state == READY)
            stand.close(conn)

    run(scenario())


def test_a_certificate_that_nobody_vouches_for() -> None:
    """The connection is down, and says what is wrong with it."""

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        async with Node().tcp(server_tls()) as port:
            cause = await cause_of(to(port, client_tls(False)))
        assert cause == "its certificate is not trusted: self-signed certificate"

    run(scenario())


def test_a_node_that_does_not_speak_tls() -> None:
    """It is named as such, and not by a number of OpenSSL."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"-ERR Protocol error: unbalanced quotes in request\r\n")
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert await cause_of(to(port, client_tls(True))) == "tls: wrong version number"
        server.close()

    run(scenario())


def test_a_node_that_refuses() -> None:
    """Nobody listens there: down at once, with the system's words and no address in them."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))

        async def scenario() -> None:
            assert await cause_of(to(nobody.getsockname()[1])) == "connection refused"

        run(scenario())


def test_a_node_that_is_silent() -> None:
    """An attempt has a time, TLS included; then the connection is down and waits for the next."""
    with socket.create_server(("127.0.0.1", 0)) as silent:

        async def scenario() -> None:
            target = to(silent.getsockname()[1], client_tls(True), 0.05)
            assert await cause_of(target) == "no connection in time"

        run(scenario())


def test_a_host_that_is_no_name() -> None:
    """What cannot even be asked of DNS is a cause like others."""

    async def scenario() -> None:
        assert "label too long" in await cause_of(ConnectTarget("x" * 70, 6379, "", None, 10.0))

    run(scenario())


def test_a_lost_connection_is_made_again() -> None:
    """A node that drops a ready connection is connected to again; one that drops the next one too is not, at once."""

    async def scenario() -> None:
        node = Node()
        async with node.tcp() as port:
            stand = Stand(to(port))
            conn = stand.connect()
            await until(lambda: conn.state == READY)
            node.writers[0].transport.abort()
            await until(lambda: len(node.writers) == 2 and conn.state == READY)
            assert conn.reconnects == 1
            node.answers_handshake = False
            node.writers[1].transport.abort()
            await until(lambda: conn.state == DOWN)
            assert len(node.writers) == 2

    run(scenario())


def test_a_connection_that_gave_its_socket_up() -> None:
    """The old socket is closed, and a new one is opened if the connection wants it."""

    async def scenario() -> None:
        node = Node()
        async with node.tcp() as port:
            stand = Stand(to(port))
            conn = stand.connect()
            await until(lambda: conn.state == READY)
            old = conn.transport
            conn.on_connection_lost("no reply for 1000 ms", stand.bridge.update_clock(), False)
            assert conn.state == CONNECTING
            stand.bridge.schedule_flush()
            await until(lambda: conn.state == READY)
            assert conn.transport is not old
            assert len(node.writers) == 2
            conn.on_connection_lost("again", stand.bridge.update_clock(), True)
            stand.bridge.schedule_flush()
            await until(lambda: conn.transport is None)
            assert not stand.tasks.running

    run(scenario())


def test_a_connection_that_is_given_up_while_it_connects() -> None:
    """A connection that comes when nobody wants it any more is closed."""

    async def scenario() -> None:
        node = Node()
        async with node.tcp() as port:
            stand = Stand(to(port))
            conn = stand.connect()
            await until(lambda: len(stand.tasks.running) > 0)
            conn.mark_down(stand.bridge.update_clock())
            await until(lambda: not stand.tasks.running)
            assert conn.transport is None
            assert conn.state == DOWN

    run(scenario())


def test_a_bug_does_not_end_the_attempts(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody expected is logged, and the connection is down like any other, to be tried again."""

    async def scenario() -> None:
        target = ConnectTarget("", 6379, "", None, 10.0)
        # No loop can resolve a host that is not even a string.
        vars(target)["host"] = object()
        assert await cause_of(target)

    run(scenario())
    assert "connect failed: node=a" in caplog.text


def test_dedicated_connections_are_opened_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many clients that block do not flood a node; all are served in the end, and shared connections do not wait."""

    async def scene() -> None:
        node = Node()
        async with node.tcp() as port:
            stand = Stand(ConnectTarget("127.0.0.1", port, "", None, 5.0))
            executor = stand.stage.executor
            opening = 0
            most = 0
            plain = stand.connector.open

            async def counted(conn: NodeConnection, target: ConnectTarget) -> NodeIO:
                nonlocal opening, most
                opening += conn.dedicated
                most = max(most, opening)
                try:
                    return await plain(conn, target)
                finally:
                    opening -= conn.dedicated

            monkeypatch.setattr(stand.connector, "open", counted)
            dedicated = [
                executor.new_unshared(stand.stage.node("a"), 2, 0, True)
                for _ in range(3 * limits.DEDICATED_CONNECTING_PER_NODE)
            ]
            for conn in dedicated:
                conn.start_connecting()
            given_up = dedicated.pop()
            stand.bridge.schedule_flush()
            await asyncio.sleep(0)
            executor.close_unshared(given_up)
            shared = stand.connect()
            await until(lambda: shared.state == READY and all(conn.state == READY for conn in dedicated))
            assert most == limits.DEDICATED_CONNECTING_PER_NODE
            assert given_up.state == DOWN
            await stand.tasks.stop()
            for conn in [*dedicated, shared]:
                if isinstance(conn.transport, NodeIO):
                    conn.transport.abort()
            await asyncio.sleep(0)

    run(scene())


def test_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    """A unix socket whose backlog is full refuses at once, where TCP would wait: a place will be free soon."""

    async def scene() -> None:
        path = str(tmp_path / "node")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            first = socket.socket(socket.AF_UNIX)
            first.connect(path)
            stand = Stand(ConnectTarget("", 0, path, None, 10.0))
            conn = stand.connect()
            await asyncio.sleep(0)
            assert conn.state == CONNECTING
            accepted, _ = await asyncio.to_thread(listener.accept)
            await until(lambda: conn.transport is not None)
            stand.close(conn)
            await stand.tasks.stop()
            first.close()
            accepted.close()
            await asyncio.sleep(0)

    run(scene())
