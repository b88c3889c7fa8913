"""Frames that the proxy builds: its own replies, merged replies, requests to nodes.

``proto`` is the client's protocol, 2 or 3. A type that RESP2 lacks is written as Redis writes it for RESP2: a map as a
flat array, a boolean as 1 or 0, a double as a bulk string.
"""

from typing import Final

OK: Final = b"+OK\r\n"
PONG: Final = b"+PONG\r\n"
QUEUED: Final = b"+QUEUED\r\n"

#: Header lines of lengths and counts below this are built once.
CACHED_HEADERS: Final = 1024
BULK_HEADERS: Final[list[bytes]] = [b"$%d\r\n" % length for length in range(CACHED_HEADERS)]
ARRAY_HEADERS: Final[list[bytes]] = [b"*%d\r\n" % count for count in range(CACHED_HEADERS)]


def simple(text: bytes) -> bytes:
    """A simple string; line ends in ``text`` become spaces."""
    return b"+" + one_line(text) + b"\r\n"


def error(text: bytes) -> bytes:
    """An error; ``text`` begins with its code word, line ends in it become spaces, as in Redis."""
    return b"-" + one_line(text) + b"\r\n"


def one_line(text: bytes) -> bytes:
    """The text without line ends, so that what a peer sent cannot become a frame of its own."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


def integer(value: int) -> bytes:
    return b":%d\r\n" % value


def bulk(payload: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(payload), payload)


def verbatim(proto: int, payload: bytes) -> bytes:
    """A verbatim string of format ``txt``, as INFO answers; a bulk string in RESP2."""
    if proto == 3:
        return b"=%d\r\ntxt:%b\r\n" % (len(payload) + 4, payload)
    return bulk(payload)


def array(items: list[bytes]) -> bytes:
    """An array of ``items``, which are raw frames."""
    return array_header(len(items)) + b"".join(items)


def array_header(count: int) -> bytes:
    """The header line of an array, and so of a request."""
    return ARRAY_HEADERS[count] if count < CACHED_HEADERS else b"*%d\r\n" % count


def aggregate_header(type_byte: int, count: int) -> bytes:
    """The header line of an array, set, push or map; a map's ``count`` is that of its pairs."""
    return b"%c%d\r\n" % (type_byte, count)


def null(proto: int) -> bytes:
    return b"_\r\n" if proto == 3 else b"$-1\r\n"


def null_array(proto: int) -> bytes:
    """The null that stands for an array: EXEC that was aborted, a pop that timed out."""
    return b"_\r\n" if proto == 3 else b"*-1\r\n"


def mapping(proto: int, flat: list[bytes]) -> bytes:
    """A map; ``flat`` has keys and values in turn, as raw frames."""
    if proto == 3:
        return b"%%%d\r\n" % (len(flat) // 2) + b"".join(flat)
    return array(flat)


def set_of(proto: int, items: list[bytes]) -> bytes:
    """A set of ``items``, which are raw frames."""
    if proto == 3:
        return b"~%d\r\n" % len(items) + b"".join(items)
    return array(items)


def push(proto: int, items: list[bytes]) -> bytes:
    """A push of ``items``, which are raw frames; RESP2 has arrays for it."""
    if proto == 3:
        return b">%d\r\n" % len(items) + b"".join(items)
    return array(items)


def adapt_push(proto: int, raw: bytes) -> bytes:
    """A push of a RESP3 node for a client that may speak RESP2."""
    return raw if proto == 3 else b"*" + raw[1:]


def double(proto: int, value: float) -> bytes:
    """A floating-point number, in the shortest digits that mean it, without a fraction if it is whole."""
    text = repr(value).removesuffix(".0").encode("ascii")
    return b",%b\r\n" % text if proto == 3 else bulk(text)


def boolean(proto: int, value: bool) -> bytes:
    if proto == 3:
        return b"#t\r\n" if value else b"#f\r\n"
    return b":1\r\n" if value else b":0\r\n"


def encode_request(argv: list[bytes]) -> bytes:
    """A request as clients send it: an array of bulk strings."""
    parts = [array_header(len(argv))]
    for arg in argv:
        length = len(arg)
        parts.append(BULK_HEADERS[length] if length < CACHED_HEADERS else b"$%d\r\n" % length)
        parts.append(arg)
        parts.append(b"\r\n")
    return b"".join(parts)
