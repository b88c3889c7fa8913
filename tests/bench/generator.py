"""The clients: many connections in one closed loop, far cheaper than what they measure.

Each connection has one prepared batch under way; when its whole reply is there it is compared with the
expected bytes (one memcmp when it came in one piece), its latency is noted, and the next batch leaves.
A sample ends when nothing is under way any more, so that the proxy's CPU time belongs to exactly the
commands that were counted.

One thread, level-triggered epoll, no event loop library, no parser: about 7 us per unpipelined command,
nearly all of it the kernel's, which is what redis-benchmark spends too, and less than it with pipelining.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from tests.bench.workloads import Batch

RECEIVE: Final = 256 * 1024
GROUP: Final = 100  # connections opened at a time; nutcracker's listen backlog is 512
SILENCE: Final = 10.0  # seconds without any reply after which a sample is given up


class WrongAnswer(Exception):
    """The proxy said something else than it should have, or nothing: its speed is of no interest."""


@dataclass(frozen=True)
class Sample:
    """What one proxy did in one sample. ``latencies`` has one entry per batch, in seconds."""

    batches: int
    seconds: float
    latencies: list[float]


class Client:
    """One connection, its batch under way, and how much of the reply is there."""

    __slots__ = ("began", "fd", "got", "recv", "rest", "send", "sock", "want")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=SILENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()
        self.send = self.sock.send
        self.recv = self.sock.recv
        self.want = b""
        self.got = 0
        self.began = 0.0
        self.rest: memoryview | None = None

    def more(self, data: bytes) -> bool:
        """A reply in pieces: whether it is whole now."""
        if not data:
            raise WrongAnswer("the proxy closed the connection")
        if not self.want.startswith(data, self.got):
            raise WrongAnswer(f"{data[:80]!r} instead of {self.want[self.got : self.got + 80]!r}")
        self.got += len(data)
        if self.got < len(self.want):
            return False
        self.got = 0
        return True


class Load:
    """A group of connections to one proxy; use it as a context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._epoll.close()
        for client in self._clients.values():
            client.sock.close()

    def open(self, count: int, first: Batch, fits: Callable[[socket.socket], bool] | None = None) -> None:
        """Connects, and asks one batch on each new connection: then the proxy has surely accepted it.

        A connection that does not ``fit`` is closed again, and another one is tried.
        """
        while len(self._clients) < count:
            fresh = [Client(self._port) for _ in range(min(GROUP, count - len(self._clients)))]
            for client in fresh:
                if fits is not None and not fits(client.sock):
                    client.sock.close()
            fresh = [client for client in fresh if client.sock.fileno() >= 0]
            for client in fresh:
                self._clients[client.fd] = client
                self._epoll.register(client.fd, select.EPOLLIN)
            self._drive(fresh, [first], 0.0)

    def run(self, batches: list[Batch], seconds: float) -> Sample:
        """All connections ask for so long, each as fast as it is answered."""
        return self._drive(list(self._clients.values()), batches, seconds)

    def run_paced(self, batches: list[Batch], seconds: float, rate: float) -> Sample:
        """``rate`` batches a second, each at its moment on a connection that waits for nothing.

        A latency begins when a batch was due: what waits for a connection, or for this process, is late.
        """
        now, by_fd = time.perf_counter, self._clients
        free, latencies, nth = deque(by_fd.values()), list[float](), 0
        began = now()
        due = began
        while due < began + seconds or len(free) < len(by_fd):
            moment = now()
            while free and due <= moment and due < began + seconds:
                self._ask(free.popleft(), batches[nth % len(batches)], due)
                nth += 1
                due = began + nth / rate
            wait = SILENCE if due >= began + seconds or not free else max(0.0, due - now())
            for fd, event in self._epoll.poll(wait):
                client = by_fd[fd]
                if client.rest is not None and event & select.EPOLLOUT:
                    self._push(client, client.rest)
                data = client.recv(RECEIVE) if event & ~select.EPOLLOUT else b""
                if data and ((not client.got and data == client.want) or client.more(data)):
                    latencies.append(now() - client.began)
                    free.append(client)
        return Sample(nth, now() - began, latencies)

    def _drive(self, clients: list[Client], batches: list[Batch], seconds: float) -> Sample:
        now, poll, by_fd = time.perf_counter, self._epoll.poll, self._clients
        latencies: list[float] = []
        done, count, nth = latencies.append, len(batches), 0
        began = now()
        stop = began + seconds
        for client in clients:
            self._ask(client, batches[nth % count], now())
            nth += 1
        waiting, whole = len(clients), list[Client]()
        while waiting:
            events = poll(SILENCE)
            if not events:
                raise WrongAnswer(f"no reply within {SILENCE:.0f} s")
            whole.clear()
            for fd, event in events:
                client = by_fd[fd]
                if client.rest is not None and event & select.EPOLLOUT:
                    self._push(client, client.rest)
                if not event & ~select.EPOLLOUT:
                    continue
                data = client.recv(RECEIVE)
                if (client.got or data != client.want) and not client.more(data):
                    continue
                done(now() - client.began)
                whole.append(client)
            moment = now()
            if moment >= stop:
                waiting -= len(whole)
                continue
            for client in whole:
                self._ask(client, batches[nth % count], now())
                nth += 1
        return Sample(nth, now() - began, latencies)

    def _ask(self, client: Client, batch: Batch, moment: float) -> None:
        client.want = batch.reply
        client.began = moment
        sent = client.send(batch.request)
        if sent < len(batch.request):
            client.rest = memoryview(batch.request)[sent:]
            self._epoll.modify(client.fd, select.EPOLLIN | select.EPOLLOUT)

    def _push(self, client: Client, rest: memoryview) -> None:
        rest = rest[client.send(rest) :]
        client.rest = rest if rest else None
        if not rest:
            self._epoll.modify(client.fd, select.EPOLLIN)
