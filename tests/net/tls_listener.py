"""A TLS listener over a ring of one, and clients of it, for the tests of handshakes."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from kidoproxy.config import Address, ListenerTls
from kidoproxy.config.tls import listener_context
from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.listen import start_listener
from kidoproxy.net.tls import Acceptor
from kidoproxy.session.incidents import TLS_FAILED
from tests.certificates import listener_tls
from tests.net.real import run
from tests.ports import free_port
from tests.session.stage import ring

PEM = Path(__file__).with_name("localhost.pem")
PING = b"*1\r\n$4\r\nPING\r\n"


class Listening:
    """A TLS listener over a ring of one, and what came of its handshakes."""

    def __init__(
        self, client_ca: str = "", min_version: str = "1.2", tls: ListenerTls | str | None = "as the others say"
    ) -> None:
        self.stage = ring("a")
        self.proxy, self.context = self.stage.proxy, self.stage.pool
        if isinstance(tls, str):
            tls = listener_tls(str(PEM), str(PEM), client_ca, min_version)
        self.tls = listener_context(tls) if tls is not None else None
        self.clients: set[ClientIO] = set()
        self.port = free_port()

    async def open(self) -> None:
        """Listen."""
        bridge = LoopBridge(asyncio.get_running_loop(), self.proxy)
        acceptor = Acceptor(bridge, self.context, self.clients, self.tls)
        self.listener = await start_listener(acceptor, Address("127.0.0.1", self.port), False)

    async def close(self) -> None:
        """All is over."""
        self.listener.close()
        for client in list(self.clients):
            client.abort()

    def failures(self) -> int:
        """Handshakes that failed, as the metrics count them."""
        count: int = self.proxy.incidents.total(TLS_FAILED, self.context.name)
        return count

    def lines(self) -> list[str]:
        """What the log says about them."""
        return [str(event) for event in self.proxy.incidents.take_due_events(1_000_000)]


def client_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client that trusts the certificate of these tests."""
    context = ssl.create_default_context(cafile=str(PEM))
    context.minimum_version = context.maximum_version = version
    return context


Scene = Callable[[Listening], Awaitable[None]]


def play(scene: Scene, listening: Listening) -> None:
    """One scene with an open listener."""

    async def scenario() -> None:
        await listening.open()
        try:
            await scene(listening)
        finally:
            await listening.close()

    run(scenario())


async def dial(listening: Listening, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", listening.port, ssl=context, server_hostname="localhost")
