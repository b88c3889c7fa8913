"""The bad network itself: what it is told to do wrong it does, and nothing else."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.badlink import BadLink

SECONDS = 10.0


def echo(listener: socket.socket) -> None:
    """Sends back what it is sent, on all connections, until the listener is shut down."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    """The same for one, until it ends."""
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(1 << 16):
            connection.sendall(data)


@pytest.fixture
def conn() -> Iterator[BadLink]:
    """A network in front of a server that says everything back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=echo, args=(listener,))
        thread.start()
        with BadLink(f"redis://127.0.0.1:{listener.getsockname()[1]}") as made:
            yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def dial(conn: BadLink) -> socket.socket:
    """A connection through it."""
    return socket.create_connection(("127.0.0.1", conn.port), SECONDS)


def read(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer if the connection ends."""
    data = b""
    while len(data) < count and (piece := connection.recv(count - len(data))):
        data += piece
    return data


def test_passes(conn: BadLink) -> None:
    """A good network passes what it is given, also in small pieces."""
    with dial(conn) as connection:
        connection.sendall(b"hello")
        assert read(connection, 5) == b"hello"
        conn.trickle(2)
        connection.sendall(b"small pieces")
        assert read(connection, 12) == b"small pieces"


def test_stalls(conn: BadLink) -> None:
    """A stalled network passes nothing, and everything once it is healed."""
    with dial(conn) as connection:
        conn.stall()
        connection.sendall(b"late")
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        conn.heal()
        connection.settimeout(SECONDS)
        assert read(connection, 4) == b"late"


def test_cuts_in_the_middle(conn: BadLink) -> None:
    """A network that cuts passes so many bytes and no more; the next connection is whole."""
    with dial(conn) as connection:
        conn.cut_after(3)
        connection.sendall(b"abcdef")
        assert read(connection, 6) == b"abc"
    with dial(conn) as connection:
        connection.sendall(b"abcdef")
        assert read(connection, 6) == b"abcdef"


def test_refuses(conn: BadLink) -> None:
    """A network that refuses cuts what is open, and nobody can connect until it accepts again."""
    with dial(conn) as connection:
        connection.sendall(b"a")
        assert read(connection, 1) == b"a"
        conn.refuse()
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        dial(conn)
    conn.accept()
    with dial(conn) as connection:
        connection.sendall(b"b")
        assert read(connection, 1) == b"b"


def test_swallows(conn: BadLink) -> None:
    """What a black hole is sent never comes back."""
    with dial(conn) as connection:
        conn.swallow()
        connection.sendall(b"gone")
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_one_way(conn: BadLink) -> None:
    """Requests that do not pass are not answered; replies that do not pass are of requests that did."""
    for requests in (True, False):
        with dial(conn) as connection:
            conn.stall(requests=requests, replies=not requests)
            connection.sendall(b"late")
            connection.settimeout(0.05)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            conn.heal()
            connection.settimeout(SECONDS)
            assert read(connection, 4) == b"late"


def test_cuts_requests_in_the_middle(conn: BadLink) -> None:
    """The server has got so many bytes and no more; the next connection is whole."""
    with dial(conn) as connection:
        conn.cut_after(2, replies=False)
        connection.sendall(b"abcdef")
        assert len(read(connection, 6)) <= 2
    with dial(conn) as connection:
        connection.sendall(b"abcdef")
        assert read(connection, 6) == b"abcdef"


def test_holds_old_connections(conn: BadLink) -> None:
    """What is on its way stays so, new connections are well, and in the end it arrives."""
    with dial(conn) as old, dial(conn) as other:
        old.sendall(b"a")
        other.sendall(b"a")
        assert read(old, 1) == read(other, 1) == b"a"
        conn.hold()
        old.sendall(b"late")
        with dial(conn) as connection:
            connection.sendall(b"new")
            assert read(connection, 3) == b"new"
        old.settimeout(0.05)
        with pytest.raises(TimeoutError):
            old.recv(1)
        conn.heal()
        old.settimeout(SECONDS)
        assert read(old, 4) == b"late"


def test_dribbles(conn: BadLink) -> None:
    """Replies come one byte after the other, and time passes between them."""
    with dial(conn) as connection:
        conn.trickle(1, 0.01)
        connection.sendall(b"slow")
        began = time.monotonic()
        assert read(connection, 4) == b"slow"
        assert time.monotonic() - began > 0.025
