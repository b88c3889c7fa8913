"""How much memory and time large values and many clients cost: bounds in multiples of what passes through."""

import socket
import sys
import time
from contextlib import ExitStack
from typing import Any, Final

import pytest

from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

MB: Final = 1_000_000
BIG: Final = 256 * MB
PIECE: Final = 1 << 18
#: A server in front of whose port a value of 256 MB passes needs more than the default deadline on a slow machine.
OPTIONS: Final[dict[str, Any]] = {"timeout_ms": 60_000}


def tell(text: str) -> None:
    """A measurement, for ``pytest -s``."""
    sys.stdout.write(f"\n{text}\n")


def header(*words: bytes, last: int) -> bytes:
    """A request up to its last word, which has so many bytes."""
    start = b"*%d\r\n" % (len(words) + 1)
    return start + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]) + b"$%d\r\n" % last


def put(connection: socket.socket, key: bytes, size: int, piece: int = PIECE) -> None:
    """SET of a value of so many bytes, in pieces; the client itself never holds it."""
    data = bytes(piece)
    connection.sendall(header(b"SET", key, last=size))
    for at in range(0, size, piece):
        connection.sendall(data[: size - at])
    connection.sendall(b"\r\n")
    assert connection.recv(100) == b"+OK\r\n"


def fetch(connection: socket.socket, key: bytes, size: int) -> None:
    """GET of the same."""
    connection.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key))
    wanted = len(b"$%d\r\n" % size) + size + 2
    while wanted:
        data = connection.recv(PIECE)
        assert data
        wanted -= len(data)


@pytest.fixture
def ring(own_proxy: Starter) -> RunningProxy:
    """One node behind a proxy that has done nothing yet."""
    proxy = own_proxy("ring", 1, **OPTIONS)
    proxy.client().ping()
    return proxy


def peak(proxy: RunningProxy, before: int) -> float:
    """How much memory the proxy had at most beyond `before`, in multiples of the big value."""
    return (proxy.memory("VmHWM") - before) / BIG


def test_large_set(ring: RunningProxy) -> None:
    """A SET of 256 MB needs the memory of the value about once."""
    before = ring.memory()
    with ring.raw(60) as connection:
        put(connection, b"big", BIG)
    tell(f"SET of 256 MB: peak {peak(ring, before):.2f} times the value")
    assert peak(ring, before) < 1.5


def test_large_get(ring: RunningProxy) -> None:
    """A GET of 256 MB passes through: it needs a small part of the value's memory."""
    node = ring.node_clients()[0]
    node.execute_command("SETRANGE", "big", BIG - 1, "x")
    before = ring.memory()
    with ring.raw(60) as connection:
        fetch(connection, b"big", BIG)
    tell(f"GET of 256 MB: peak {peak(ring, before):.2f} times the value")
    assert peak(ring, before) < 0.25


def test_memory_comes_back(ring: RunningProxy) -> None:
    """Values that have passed leave nothing behind, however many they were."""
    with ring.raw(60) as connection:
        put(connection, b"big", 32 * MB)
        fetch(connection, b"big", 32 * MB)
        after_one = ring.memory("VmHWM")
        for _ in range(10):
            put(connection, b"big", 32 * MB)
            fetch(connection, b"big", 32 * MB)
    assert ring.memory("VmHWM") - after_one < 40 * MB


@pytest.mark.alone
def test_small_pieces_are_linear(ring: RunningProxy) -> None:
    """A value twice as long costs about twice the time, though it comes in small pieces."""
    seconds = []
    with ring.raw(60) as connection:
        for size in (50 * MB, 100 * MB):
            rounds = []
            for _ in range(3):
                started = time.perf_counter()
                put(connection, b"big", size, piece=4096)
                rounds.append(time.perf_counter() - started)
            seconds.append(min(rounds))
    tell(f"50 MB in small pieces: {seconds[0]:.2f} s, 100 MB: {seconds[1]:.2f} s")
    assert seconds[1] / seconds[0] < 3


def test_idle_clients(ring: RunningProxy) -> None:
    """A thousand clients that have said something once and are idle now."""
    count = 1000
    with ExitStack() as stack:
        before = ring.memory()
        for number in range(count):
            connection = stack.enter_context(ring.raw())
            connection.sendall(b"GET key:%d\r\n" % number)
            assert connection.recv(100) == b"$-1\r\n"
        each = (ring.memory() - before) / count
    tell(f"{each / 1024:.1f} KiB for each of {count} idle clients")
    assert each < 6 * 1024


def test_clients_that_go(ring: RunningProxy) -> None:
    """Clients that have gone leave nothing behind: the tenth five hundred need no memory of their own."""
    peaks = []
    client = ring.client()
    for _ in range(10):
        with ExitStack() as stack:
            connections = [stack.enter_context(ring.raw()) for _ in range(500)]
            for connection in connections:
                connection.sendall(b"PING\r\n")
            assert all(connection.recv(10) == b"+PONG\r\n" for connection in connections)
            peaks.append(ring.memory())
        eventually(lambda: len(client.client_list()) <= 2)
    tell(f"RSS in MiB with 500 clients, ten times: {[peak >> 20 for peak in peaks]}")
    assert peaks[-1] - peaks[2] < 8 * MB
