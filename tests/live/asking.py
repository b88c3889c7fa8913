"""Asking two servers the same, byte for byte: requests written as lines, replies kept raw."""

import socket
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from kidoproxy.resp.decode import items, type_byte
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.inline import split_args
from kidoproxy.resp.reply_reader import ReplyReader

SECONDS: Final = 20.0
ARRAYS: Final = b"*~%>"


def lines(text: str) -> list[list[bytes]]:
    """Requests, one a line, written as for redis-cli; blank lines and lines with ``#`` in front are none."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            words = split_args(line.strip().encode())
            assert words, line
            found.append(words)
    return found


def connect(url: str) -> socket.socket:
    """A bare connection to ``redis://host:port`` or ``unix:///path``."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        connection.connect(parts.path)
        return connection
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)), SECONDS)


def replies(url: str, requests: Sequence[list[bytes]]) -> list[bytes]:
    """The raw replies to requests that are sent at one go on a connection of their own, which QUIT ends.

    A server that has read QUIT answers what came before it, says +OK and hangs up: nothing waits for a clock.
    """
    with connect(url) as connection:
        connection.sendall(b"".join([encode_request(words) for words in [*requests, [b"QUIT"]]]))
        reader = ReplyReader()
        while piece := connection.recv(1 << 16):
            reader.feed(piece)
    found = []
    while (reply := reader.next()) is not None:
        found.append(reply)
    assert not reader.held_bytes()
    return found


# -- what may differ between two equal servers ---------------------------------------------------------

Normaliser = Callable[[bytes], object]


def exact(raw: bytes) -> object:
    """Nothing may differ."""
    return raw


def in_any_order(raw: bytes) -> object:
    """The members may stand in any order, on every level."""
    if raw[:1] not in (b"*", b"~", b"%"):
        return raw
    return raw[:1], sorted(repr(in_any_order(item)) for item in items(raw))


def pairs_in_any_order(raw: bytes) -> object:
    """The same for the fields of a map, which RESP2 writes as a flat array."""
    if raw[:1] not in (b"*", b"%"):
        return raw
    flat = items(raw)
    return raw[:1], sorted(zip(flat[::2], flat[1::2], strict=True))


def shape(raw: bytes) -> object:
    """Only the types must be the same; an error must be the same error."""
    if raw[:1] == b"-":
        return raw
    first = chr(type_byte(raw))
    if raw[:1] == b"%":
        return first, sorted(repr(item) for item in items(raw)[::2])
    if raw[:1] in (b"*", b"~"):
        return first, sorted({str(shape(item)) for item in items(raw)})
    return first, raw[:3] == b"$-1"


def first_type(raw: bytes) -> object:
    """Only the outermost type must be the same; an error must be the same error."""
    return raw if raw[:1] == b"-" else chr(type_byte(raw))
