"""Asking an admin listener for the status: over TCP and a unix socket, with a token, and what may answer instead."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kidoproxy.admin.status_client import StatusRefused, fetch_status
from kidoproxy.config import Address
from kidoproxy.config.secret import NO_SECRET, Secret

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"schema": 1}'


@contextmanager
def answering(answer: bytes, path: str = "") -> Iterator[tuple[Address, list[bytes]]]:
    """A listener that gives this answer once, and what it was asked."""
    listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listener.bind(path or ("127.0.0.1", 0))
    listener.listen()
    asked: list[bytes] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            asked.append(client.recv(65536))
            client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    # A listener of all addresses is named by the wildcard.
    yield Address(path=path) if path else Address("0.0.0.0", listener.getsockname()[1]), asked
    thread.join()
    listener.close()


def test_tcp_with_a_token() -> None:
    """The token is shown as the status page wants it."""
    with answering(OK) as (address, asked):
        assert fetch_status(address, Secret("sesame")) == {"schema": 1}
    assert b"GET /status.json HTTP/1.1\r\n" in asked[0]
    assert b"Authorization: Bearer sesame\r\n" in asked[0]


def test_unix_socket(tmp_path: Path) -> None:
    """Without a token nothing is shown."""
    with answering(OK, str(tmp_path / "admin")) as (address, asked):
        assert fetch_status(address, NO_SECRET) == {"schema": 1}
    assert b"Authorization" not in asked[0]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nwhy?\n", "answers 401 Unauthorized: why?"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "is no admin listener of kidoproxy"),
    ],
    ids=["refused", "no status"],
)
def test_refusals(answer: bytes, sentence: str) -> None:
    """In a sentence."""
    with answering(answer) as (address, _), pytest.raises(StatusRefused, match=sentence.replace("?", r"\?")):
        fetch_status(address, NO_SECRET)
