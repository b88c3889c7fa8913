"""The daemon on its loop, with nodes in the same loop: bugs cost one client, ticks go on, a drain has an end."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import pytest

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.config import Config
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.daemon import Daemon
from kidoproxy.net.listen import ListeningServer
from kidoproxy.net.succession import StartError
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.route import Route
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.upstream.handshake import PING_ECHO
from kidoproxy.upstream.states import READY
from tests.config.files import read
from tests.greet import answers
from tests.net.fakes import info
from tests.net.real import run, until
from tests.ports import free_port

SECONDS: Final = 30


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """A daemon calms the garbage collector for ever."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


class NodeConfig:
    """A server that answers handshakes; whatever else it is asked, it answers +OK or, if it is `silent`, nothing."""

    def __init__(self, run: int = 0) -> None:
        self.run = run
        self.silent = False
        self.asked = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> int:
        """Its port."""
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while head := await reader.readline():
            words = [(await reader.readline(), await reader.readline())[1].strip() for _ in range(int(head[1:]))]
            if words[0] in (b"INFO", b"HELLO") or words[1:] == [PING_ECHO]:
                writer.write(answers(encode_request(words), info(self.run)))
            else:
                self.asked += 1
                if not self.silent:
                    writer.write(b"+OK\r\n")

    def stop(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()


class Client:
    """A client of the daemon."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *words: str) -> None:
        self.writer.write(encode_request([word.encode() for word in words]))

    async def read_line(self) -> bytes:
        """One line, or nothing when the connection has ended."""
        return await asyncio.wait_for(self.reader.readline(), SECONDS)

    def close(self) -> None:
        self.writer.transport.abort()


class Play:
    """A daemon that serves, its nodes, and its clients."""

    def __init__(self, folder: Path, options: str, proxy: str, nodes: int, worker: int | None) -> None:
        self.folder = folder
        self.options = options
        self.proxy = proxy
        self.nodes = [NodeConfig(at) for at in range(nodes)]
        self.worker = worker
        self.clients: list[Client] = []

    async def begin(self) -> None:
        ports = [await node.start() for node in self.nodes]
        self.daemon = Daemon(config_for(self.folder, ports, self.options, self.proxy), self.worker)
        ready = asyncio.Event()
        self.task = asyncio.ensure_future(self.daemon.run(lambda text: ready.set()))
        await asyncio.wait_for(ready.wait(), SECONDS)
        await until(lambda: all(conn.state == READY for conn in self.daemon.executor.all_connections()))

    async def end(self) -> None:
        for client in self.clients:
            client.close()
        self.daemon.stop()
        await asyncio.wait_for(self.task, SECONDS)
        for node in self.nodes:
            node.stop()

    def port(self, listener: ListeningServer | None = None) -> int:
        """Where clients connect, or that of another listener."""
        port: int = (listener or self.daemon.listeners.for_clients()[0]).server.sockets[0].getsockname()[1]
        return port

    async def client(self) -> tuple[Client, ClientIO]:
        """Both ends of a new connection."""
        before = set(self.daemon.clients)
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port()))
        self.clients.append(client)
        await until(lambda: self.daemon.clients - before)
        (ours,) = self.daemon.clients - before
        return client, ours

    async def page(self, path: str) -> bytes:
        """The first line of an admin page."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port(self.daemon.listeners.admin))
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), SECONDS)
        writer.close()
        return answer


def config_for(folder: Path, ports: list[int], options: str = "", proxy: str = "") -> Config:
    nodes = ", ".join(f'"redis://127.0.0.1:{port}"' for port in ports)
    pool = f'[pool.cache]\nlisten = "127.0.0.1:0"\nmode = "ring"\nnodes = [{nodes}]\n{options}\n'
    return read(folder, f"[proxy]\n{proxy}\n{pool}")


@asynccontextmanager
async def serving(
    folder: Path, options: str = "", proxy: str = "", nodes: int = 1, worker: int | None = None
) -> AsyncIterator[Play]:
    """A daemon from its start to its end."""
    play = Play(folder, options, proxy, nodes, worker)
    await play.begin()
    try:
        yield play
    finally:
        await play.end()


def key_on(play: Play, at: int) -> str:
    """A key of that node."""
    name = play.daemon.route_tree.nodes[at].name
    return next(
        key for key in map(str, range(1000)) if f" {name} (" in play.daemon.proxy.contexts[0].root.explain(key.encode())
    )


# -- bugs --------------------------------------------------------------------------------------------


def test_a_bug_in_a_session_costs_one_client(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An exception while a client's bytes are handled is logged and ends this client; its neighbour is served."""

    async def scenario() -> None:
        async with serving(tmp_path) as play:
            victim, io = await play.client()
            neighbour, _ = await play.client()
            session = io.session
            assert session is not None
            # What a bare route cannot plan.
            session.context = PoolContext("broken", "ring", Route("broken"), CommandSet(frozenset(), frozenset(), {}))
            victim.say("GET", "k")
            assert await victim.read_line() == b""
            await until(lambda: session.id not in play.daemon.proxy.sessions)
            assert io not in play.daemon.clients
            assert play.daemon.contexts["cache"].client_count == 1
            neighbour.say("SET", "k", "v")
            assert await neighbour.read_line() == b"+OK\r\n"

    run(scenario())
    assert "NotImplementedError" in caplog.text


def test_a_bug_in_one_connection_does_not_stop_the_deadlines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the tick of one connection fails, again and again, those of the others are enforced; it is logged once."""

    async def scenario() -> None:
        async with serving(tmp_path, "timeout_ms = 50", nodes=2) as play:
            broken = play.daemon.executor.connection(play.daemon.route_tree.nodes[0], 2, 0)
            broken.reply_handlers.append(cast(ReplyHandler, None))
            play.nodes[1].silent = True
            client, _ = await play.client()
            client.say("GET", key_on(play, 1))
            assert (await client.read_line()).startswith(b"-TIMEOUT ")
            broken.reply_handlers.clear()

    run(scenario())
    errors_logged = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [text.partition(" to ")[0] for text in errors_logged] == [
        "tick failed: step=connections",
        "tick failed: step=connection",
    ]


# -- clients -----------------------------------------------------------------------------------------


def test_idle_clients_are_closed(tmp_path: Path) -> None:
    """A pool's ``idle_timeout_s`` is kept by the daemon's tick."""

    async def scenario() -> None:
        async with serving(tmp_path, "[pool.cache.limits]\nidle_timeout_s = 60") as play:
            idle, io = await play.client()
            awake, _ = await play.client()
            assert io.session is not None
            io.session.last_active_ms -= 61_000
            assert await idle.read_line() == b""
            awake.say("PING")
            assert await awake.read_line() == b"+PONG\r\n"

    run(scenario())


# -- the end -----------------------------------------------------------------------------------------


def test_draining_is_said_and_a_second_signal_ends_it(tmp_path: Path) -> None:
    """One signal: nobody new, a busy client stays, and the admin pages say so to the end. Another one: the end."""

    async def scenario() -> None:
        proxy = 'admin = "127.0.0.1:0"\ndrain_seconds = 600'
        async with serving(tmp_path, "timeout_ms = 600000", proxy) as play:
            assert await play.page("/readyz") == await play.page("/ready")
            assert (await play.page("/readyz")).startswith(b"HTTP/1.1 200 ")
            play.nodes[0].silent = True
            busy, _ = await play.client()
            busy.say("GET", "k")
            await until(lambda: play.nodes[0].asked)
            port = play.port()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: play.daemon.proxy.draining)
            assert (await play.page("/readyz")).endswith(b"draining\n")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            assert not play.task.done()
            os.kill(os.getpid(), signal.SIGTERM)
            assert await busy.read_line() == b""
            await asyncio.wait_for(play.task, SECONDS)
            assert play.daemon.listeners.admin is not None
            assert not play.daemon.listeners.admin.server.is_serving()

    run(scenario())


def test_a_drain_has_an_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A client whose command never ends is disconnected when the time is over."""

    async def scenario() -> None:
        async with serving(tmp_path, "timeout_ms = 600000", "drain_seconds = 0.1") as play:
            play.nodes[0].silent = True
            busy, _ = await play.client()
            busy.say("GET", "k")
            await until(lambda: play.nodes[0].asked)
            play.daemon.stop()
            assert await busy.read_line() == b""
            await asyncio.wait_for(play.task, SECONDS)

    run(scenario())
    assert "reason=drain time is over" in caplog.text


def test_a_worker_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """It drains, as it does for a signal: who is owed a reply gets it."""

    async def scenario() -> None:
        async with serving(tmp_path, worker=1) as play:
            play.daemon.parent = -1
            await asyncio.wait_for(play.task, SECONDS)
            assert play.daemon.stop_event.is_set()

    run(scenario())


def test_a_parent_that_died_before_its_worker_began(tmp_path: Path) -> None:
    """Who the parent was is known from before the fork, not from whoever has adopted the worker since."""

    async def scenario() -> None:
        await asyncio.wait_for(Daemon(config_for(tmp_path, [free_port()]), 1, parent=-1).run(print), SECONDS)

    run(scenario())


@pytest.mark.parametrize(("worker", "states"), [(None, 2), (0, 2), (1, 0)])
def test_one_process_speaks_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: int | None, states: int
) -> None:
    """The service manager hears READY and STOPPING once, however many workers there are."""
    name = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.setblocking(False)

        async def scenario() -> None:
            async with serving(tmp_path, worker=worker):
                pass

        run(scenario())
        assert [manager.recv(100) for _ in range(states)] == [b"READY=1", b"STOPPING=1"][:states]
        with pytest.raises(BlockingIOError):
            manager.recv(100)


# -- the start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("admin", [False, True])
def test_an_address_that_somebody_has(tmp_path: Path, admin: bool) -> None:
    """It cannot start, one line says why, and what it had opened is closed: no file of a socket stays."""
    path = tmp_path / "kido.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        listen = f'"unix://{path}"' if admin else f'"unix://{path}", "{address}"'
        text = f'[proxy]\nadmin = "{address}"\n' if admin else ""
        text += f'[pool.cache]\nlisten = [{listen}]\nmode = "ring"\nnodes = ["redis://127.0.0.1:1"]\n'
        place = "proxy.admin" if admin else "pool.cache"
        with pytest.raises(StartError) as error:
            run(Daemon(read(tmp_path, text)).run(print))
    assert str(error.value) == f"{place}: cannot listen on {address}: address already in use"
    assert not path.exists()


@pytest.mark.parametrize("worker", [None, 1])
def test_one_server_under_two_names(tmp_path: Path, worker: int | None) -> None:
    """It does not start, in no worker, and one line says which two are one."""

    async def scenario() -> None:
        nodes = [NodeConfig(1), NodeConfig(2), NodeConfig(1)]
        ports = [await node.start() for node in nodes]
        try:
            with pytest.raises(StartError) as error:
                await Daemon(config_for(tmp_path, ports), worker).run(print)
        finally:
            for node in nodes:
                node.stop()
        first, second = f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[2]}"
        says = "it is the same server as {} (one run id); name each server once"
        assert str(error.value) in (
            f'pool.cache: node "{second}": {says.format(first)}',
            f'pool.cache: node "{first}": {says.format(second)}',
        )

    run(scenario())
