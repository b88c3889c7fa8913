"""Whether a client has hung up: asked of real sockets, of every kind that listens here."""

import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from kidoproxy.net.hangup import has_hung_up
from tests.net.fakes import Socket


@pytest.fixture(params=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket and ours."""
    if request.param == "unix":
        far, near = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            far = socket.create_connection(server.getsockname())
            near, _ = server.accept()
    with far, near:
        yield far, near


def reset(far: socket.socket) -> None:
    """Without a farewell."""
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()


ENDS: list[Callable[[socket.socket], None]] = [
    lambda far: far.close(),
    lambda far: far.shutdown(socket.SHUT_WR),
    lambda far: far.shutdown(socket.SHUT_RDWR),
    reset,
]


@pytest.mark.parametrize("end", ENDS)
def test_every_end_is_seen(pair: tuple[socket.socket, socket.socket], end: Callable[[socket.socket], None]) -> None:
    """Closed, half-closed or reset: but not before it ends."""
    far, near = pair
    assert not has_hung_up(Socket(sock=near))
    end(far)
    assert has_hung_up(Socket(sock=near))


@pytest.mark.parametrize("end", ENDS[:2])
def test_what_is_unread_comes_first(
    pair: tuple[socket.socket, socket.socket], end: Callable[[socket.socket], None]
) -> None:
    """It has sent something before it hung up: it has not ended until that is read."""
    far, near = pair
    far.sendall(b"PING\r\n")
    end(far)
    assert not has_hung_up(Socket(sock=near))
    near.recv(100)
    assert has_hung_up(Socket(sock=near))


def test_what_is_no_socket_has_not_ended() -> None:
    """A transport may have none."""
    assert not has_hung_up(Socket())
