"""An event loop that turns when a test says so, sockets in memory, and a proxy behind them."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

from kidoproxy.net.client_io import ClientIO
from kidoproxy.net.flush import LoopBridge
from kidoproxy.net.node_io import NodeIO
from kidoproxy.resp.encode import encode_request
from kidoproxy.upstream.connection import NodeConnection
from tests.greet import answers, greet
from tests.session.stage import InMemoryProxy


def info(run: int) -> bytes:
    """What INFO server of the server says whose run id ends so; no two servers have one."""
    return b"run_id:abc%d\r\nredis_version:7.0.15\r\nuptime_in_seconds:9\r\n" % run


INFO = info(0)


class Loop:
    """What a loop bridge needs of a loop. Time moves when a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.soon: list[Callable[[], object]] = []
        self.later: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def call_later(self, seconds: float, callback: Callable[..., object], *args: object) -> None:
        self.later.append((self.now + seconds, partial(callback, *args)))


class Socket(asyncio.Transport):
    """A transport that remembers. ``unwritten`` is what the other side has not taken."""

    def __init__(
        self, peer: object = ("10.9.9.9", 5000), here: object = ("127.0.0.1", 6380), sock: object = None
    ) -> None:
        super().__init__({"peername": peer, "sockname": here, "socket": sock})
        self.written: list[bytes] = []
        self.reading = True
        self.closed = self.aborted = self.sent_eof = False
        self.unwritten = 0
        self.high: int | None = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.unwritten

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.written.extend(list_of_data)

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def ended(self) -> str:
        """How the socket was closed from here, if it was."""
        return "aborted" if self.aborted else "closed" if self.closed else ""

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def write_eof(self) -> None:
        self.sent_eof = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def take(self) -> bytes:
        """What was written since last time."""
        written, self.written = self.written, []
        return b"".join(written)


class Net:
    """A loop bridge over a stage, and what is connected to it."""

    def __init__(self, stage: InMemoryProxy) -> None:
        self.stage = stage
        self.loop = Loop()
        self.bridge = LoopBridge(cast(asyncio.AbstractEventLoop, self.loop), stage.proxy)
        self.clients: set[ClientIO] = set()

    def turn(self) -> None:
        """The loop goes round until nothing is left to do."""
        while self.loop.soon:
            soon, self.loop.soon = self.loop.soon, []
            for callback in soon:
                callback()

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.loop.now += seconds
        self.bridge.update_clock()
        later, self.loop.later = self.loop.later, []
        for at, callback in later:
            if at <= self.loop.now:
                callback()
            else:
                self.loop.later.append((at, callback))

    def client(self, socket: Socket | None = None) -> tuple[ClientIO, Socket]:
        """A client connects."""
        socket = socket or Socket()
        client = ClientIO(self.bridge, self.stage.pool, self.clients)
        client.connection_made(socket)
        return client, socket

    def connecting(self, name: str) -> tuple[NodeIO, Socket]:
        """A socket to the node that its connection does not use yet."""
        conn = self.stage.executor.connection(self.stage.node(name), 2, 0)
        conn.start_connecting()
        node, socket = NodeIO(self.bridge, conn), Socket()
        node.connection_made(socket)
        return node, socket

    def node(self, name: str) -> tuple[NodeIO, Socket]:
        """A node whose handshake is over."""
        node, socket = self.connecting(name)
        node.attach(self.bridge.update_clock(), 1.0)
        self.bridge.schedule_flush()
        self.turn()
        node.data_received(answers(socket.take(), INFO))
        return node, socket

    def say(self, client: ClientIO, *words: str) -> None:
        """A client sends a command, and the loop goes round."""
        client.data_received(encode_request([word.encode() for word in words]))
        self.turn()


def monitoring(net: Net, client: ClientIO) -> NodeConnection:
    """The client has said MONITOR, and node ``a`` has said yes; the dedicated connection on which it speaks."""
    net.say(client, "MONITOR")
    dedicated = net.stage.executor.unshared_connections[0]
    dedicated.on_connected(net.bridge.update_clock(), 1.0)
    dedicated.feed(greet(dedicated, b"", 7), net.bridge.update_clock())
    dedicated.feed(b"+OK\r\n", net.bridge.update_clock())
    net.turn()
    return dedicated
