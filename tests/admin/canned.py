"""A server that answers from a list, and pools that need no file."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kidoproxy.config import (
    Address,
    ClientLimits,
    CopyOptions,
    NodeConfig,
    Pool,
    RingOptions,
)

LIMITS = ClientLimits(10, 1, 1, 1, 0, 1)


def pool_of(
    *nodes: NodeConfig, name: str = "p", mode: str = "copy", listen: Address | None = None, timeout: float = 5.0
) -> Pool:
    return Pool(
        name=name,
        mode=mode,
        listen=() if listen is None else (listen,),
        members=nodes,
        limits=LIMITS,
        connect_timeout=timeout,
        ring=RingOptions() if mode == "ring" else None,
        copy=CopyOptions() if mode == "copy" else None,
    )


def question(connection: socket.socket) -> bytes:
    """What the client sends next, but for the introduction that the library makes."""
    data = connection.recv(65536)
    while b"SETINFO" in data:
        connection.sendall(b"+OK\r\n" * data.count(b"SETINFO"))
        data = connection.recv(65536)
    return data


@contextmanager
def canned(*replies: bytes) -> Iterator[tuple[Address, list[bytes]]]:
    """A listener that answers each piece of bytes with the next reply, then hangs up; and what it was sent."""
    requests: list[bytes] = []

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            for reply in replies:
                requests.append(question(connection))
                connection.sendall(reply)
            question(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield Address("127.0.0.1", listener.getsockname()[1]), requests
        finally:
            thread.join()


def bulk(text: str) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text.encode())


def info(*lines: str) -> tuple[bytes, ...]:
    """The replies to six PINGs and INFO."""
    return (b"+PONG\r\n",) * 6 + (bulk("\r\n".join(lines)),)


def row(name: str, state: str, doing: str = "") -> bytes:
    """One node in ``PROXY NODES``."""
    cells = [bulk(text) for text in ("name", name, "state", state, "sync", doing, "links")]
    return b"*1\r\n*8\r\n%b:1\r\n" % b"".join(cells)
