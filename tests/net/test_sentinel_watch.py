"""Sentinels on the loopback: most of them are believed, none of them is waited for, and connections follow."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from kidoproxy.config import Address, Secret, SentinelGroup
from kidoproxy.net.connect import Connector, ConnectTarget
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.node_io import NodeIO
from kidoproxy.net.sentinel_watch import ALERT_FOR_SECONDS, SILENT, SentinelWatch, make_watches
from kidoproxy.net.tasks import Tasks
from kidoproxy.resp.encode import array, bulk, null_array
from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits
from kidoproxy.routes.build import RouteTree
from kidoproxy.upstream.master_view import AGREED, KEPT, UNKNOWN
from kidoproxy.upstream.states import DOWN, READY
from tests.greet import answers
from tests.net.fakes import INFO
from tests.net.real import run, until
from tests.net.test_connect import client_tls, server_tls
from tests.session.stage import ring


class Server:
    """Something that listens, and keeps its side of each connection."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.answer(data, writer)

    def answer(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        """A node that greets well."""
        writer.write(answers(data, INFO))

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


class Sentinel(Server):
    """Answers as one that calls ``master`` the master, or says ``raw`` instead."""

    def __init__(self, master: int = 0) -> None:
        super().__init__()
        self.master = master
        self.raw: bytes | None = None
        self.is_silent = False
        self.questions = 0

    def answer(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self.is_silent:
            return
        if self.raw is not None:
            writer.write(self.raw)
            return
        reader = RequestReader(RequestLimits())
        reader.feed(data)
        while (request := reader.next()) is not None:
            name = request.argv[0]
            if name == b"SENTINEL":
                self.questions += 1
                address = array([bulk(b"127.0.0.1"), bulk(b"%d" % self.master)])
                writer.write(address if self.master else null_array(2))
            elif name == b"AUTH":
                writer.write(b"+OK\r\n" if request.argv[1:] == [b"pw"] else b"-WRONGPASS no\r\n")
            else:
                writer.write(array([bulk(name.lower()), bulk(request.argv[1]), b":1\r\n"]))

    def announce(self, port: int) -> None:
        """It has switched to another master, and tells whoever listens."""
        old, self.master = self.master, port
        text = b"m 127.0.0.1 %d 127.0.0.1 %d" % (old, port)
        for writer in self.writers:
            writer.write(array([bulk(b"message"), bulk(b"+switch-master"), bulk(text)]))


class Stand:
    """A ring of one node, ``a``, that sentinels name; ticks as fast as the loop goes round."""

    def __init__(self, sentinels: list[Sentinel], patience: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self.stage = ring("a")
        self.node = self.stage.node("a")
        self.tasks = Tasks()
        self.bridge = LoopBridge(asyncio.get_running_loop(), self.stage.proxy)
        self.target = ConnectTarget("", 0, "", tls, patience)
        addresses = tuple(Address("127.0.0.1", sentinel.port) for sentinel in sentinels)
        self.watch = SentinelWatch(self.bridge, self.node, self.target, SentinelGroup("m", addresses, "", Secret("pw")))
        self.view = self.watch.view
        self.connector = Connector(self.bridge, {self.node: self.target}, self.tasks)
        self.bridge.update_socket = self.connector.update_socket
        self.watch.start(self.tasks)
        self.connection = self.stage.executor.connection(self.node, 2, 0)
        self.connection.start_connecting()
        self.bridge.schedule_flush()

    async def stop(self) -> None:
        await self.tasks.stop()
        transport, self.connection.transport = self.connection.transport, None
        if isinstance(transport, NodeIO):
            transport.abort()


@contextlib.asynccontextmanager
async def listening(*servers: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    """All of them listen."""
    listeners = []
    for server in servers:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
        server.port = listener.sockets[0].getsockname()[1]
        listeners.append(listener)
    try:
        yield
    finally:
        for listener in listeners:
            listener.close()
        for server in servers:
            server.hang_up()


@contextlib.asynccontextmanager
async def three() -> AsyncIterator[tuple[Stand, list[Sentinel], list[Server]]]:
    """Three sentinels and two servers, of which the first is the master and connected to."""
    sentinels, servers = [Sentinel() for _ in range(3)], [Server(), Server()]
    async with listening(*sentinels, *servers):
        for sentinel in sentinels:
            sentinel.master = servers[0].port
        stand = Stand(sentinels)
        await until(lambda: stand.connection.state == READY and len(servers[0].writers) == 1)
        await until(lambda: stand.view.agreeing_count() == 3)
        try:
            yield stand, sentinels, servers
        finally:
            await stand.stop()


def test_a_failover_that_most_announce() -> None:
    """The first one's word moves nobody, and has the others asked at once; the second one's does."""

    async def scenario() -> None:
        async with three() as (stand, sentinels, servers):
            before = [sentinel.questions for sentinel in sentinels]
            stand.watch.alert_until = 0.0
            for sentinel_connection in stand.watch.connections:
                sentinel_connection.asked_at -= 1.0
            sentinels[0].announce(servers[1].port)
            await until(lambda: all(sentinel.questions > n for sentinel, n in zip(sentinels, before, strict=True)))
            assert (stand.node.address, stand.node.failovers) == (f"127.0.0.1:{servers[0].port}", 0)
            sentinels[1].announce(servers[1].port)
            await until(lambda: stand.connection.state == READY and servers[1].writers)
            assert (stand.node.address, stand.node.failovers) == (f"127.0.0.1:{servers[1].port}", 1)
            await until(lambda: stand.connection.cause == "")

    run(scenario())


def test_a_move_without_a_word() -> None:
    """What was not announced is found by asking."""

    async def scenario() -> None:
        async with three() as (stand, sentinels, servers):
            for sentinel in sentinels:
                sentinel.master = servers[1].port
            for sentinel_connection in stand.watch.connections:
                sentinel_connection.asked_at -= 2.0
            stand.watch.tick()
            await until(lambda: servers[1].writers)
            assert stand.node.failovers == 1

    run(scenario())


def test_sentinels_that_are_down_or_lie() -> None:
    """One speaks no Redis, one is gone: the master stays; when they are back they have a vote again."""

    async def scenario() -> None:
        async with three() as (stand, sentinels, servers):
            sentinels[0].raw = b"HTTP/1.1 400 Bad Request\r\n\r\n"
            sentinels[0].hang_up()
            await until(lambda: not stand.view.has_answered[0] and stand.view.failures > 1)
            assert stand.view.state == AGREED
            sentinels[1].is_silent = True
            stand.watch.connections[1].asked_at -= 2.0
            stand.watch.tick()
            stand.watch.connections[1].asked_at -= 20.0
            stand.watch.tick()
            await until(lambda: stand.view.causes[1] == SILENT)
            assert stand.view.state == KEPT
            assert (stand.node.address, stand.connection.state) == (f"127.0.0.1:{servers[0].port}", READY)
            sentinels[0].raw = None
            sentinels[1].is_silent = False
            await until(lambda: stand.view.agreeing_count() == 3)
            assert (stand.view.state, stand.node.failovers) == (AGREED, 0)

    run(scenario())


def test_nobody_knows_the_master() -> None:
    """A connection waits for the sentinels as long as for a socket, then its cause says what they say."""

    async def scenario() -> None:
        sentinels, servers = [Sentinel(), Sentinel()], [Server()]
        async with listening(*sentinels, *servers):
            stand = Stand(sentinels, 0.2)
            await until(lambda: stand.view.has_answered == [True, True])
            assert stand.view.state == UNKNOWN
            await until(lambda: stand.connection.state == DOWN)
            assert stand.connection.cause == (
                "most of its sentinels name no master, 2 of 2 have answered: it knows no master of this name"
            )
            for sentinel in sentinels:
                sentinel.master = servers[0].port
            for sentinel_connection in stand.watch.connections:
                sentinel_connection.asked_at -= 2.0
            stand.watch.tick()
            await until(lambda: stand.connection.state == READY)
            assert stand.node.failovers == 0
            await stand.stop()

    run(scenario())


def test_an_attempt_that_is_under_way_when_the_master_moves() -> None:
    """It is made anew at the new address, without waiting for the old one."""

    async def scenario() -> None:
        silent = Server()
        async with three() as (stand, sentinels, servers), listening(silent):
            stand.target.move("127.0.0.1", silent.port)
            transport = stand.connection.transport
            assert isinstance(transport, NodeIO)
            transport.abort()
            await until(lambda: stand.target.attempts or silent.writers)
            for sentinel in sentinels:
                sentinel.announce(servers[1].port)
            await until(lambda: stand.connection.state == READY and servers[1].writers)

    run(scenario())


def test_a_node_that_says_that_it_is_no_master() -> None:
    """All are asked at once, and often for a while."""

    async def scenario() -> None:
        async with three() as (stand, sentinels, _):
            await until(
                lambda: all(
                    sentinel_connection.dialogue.is_answered() for sentinel_connection in stand.watch.connections
                )
            )
            stand.watch.alert_until = 0.0
            before = [sentinel.questions for sentinel in sentinels]
            for sentinel_connection in stand.watch.connections:
                sentinel_connection.asked_at = stand.bridge.loop.time() - 0.5
            stand.watch.tick()
            assert all(sentinel_connection.dialogue.is_answered() for sentinel_connection in stand.watch.connections)
            stand.node.on_error_reply(b"-READONLY You can't write against a read only replica.\r\n", 100.0)
            await until(lambda: [sentinel.questions for sentinel in sentinels] == [n + 1 for n in before])
            assert stand.watch.alert_until > stand.bridge.loop.time() + ALERT_FOR_SECONDS - 5

    run(scenario())


def test_only_nodes_of_sentinels_are_watched() -> None:
    """A tree without any has no watch."""

    async def scenario() -> None:
        bridge = LoopBridge(asyncio.get_running_loop(), ring("a").proxy)
        assert make_watches(bridge, RouteTree(), {}) == []

    run(scenario())


@pytest.mark.parametrize("is_trusted", [True, False])
def test_sentinels_with_tls(is_trusted: bool) -> None:
    """They are trusted as the master is: both are spoken to through TLS, or not at all."""

    async def scenario() -> None:
        sentinel, server = Sentinel(), Server()
        async with listening(sentinel, server, tls=server_tls()):
            sentinel.master = server.port
            stand = Stand([sentinel], tls=client_tls(is_trusted))
            if is_trusted:
                await until(lambda: stand.connection.state == READY)
            else:
                await until(lambda: stand.view.causes[0].startswith("its certificate is not trusted"))
                assert stand.view.state == UNKNOWN
            await stand.stop()

    run(scenario())


def test_a_sentinel_that_refuses_the_login() -> None:
    """Its words are the cause, and the password is not."""

    async def scenario() -> None:
        sentinel = Sentinel()
        sentinel.raw = b"-WRONGPASS pw is invalid\r\n"
        async with listening(sentinel):
            stand = Stand([sentinel])
            await until(lambda: stand.view.causes[0] == "WRONGPASS *** is invalid")
            await stand.stop()

    run(scenario())
