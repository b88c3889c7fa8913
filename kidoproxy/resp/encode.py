"""Frames that are made here rather than relayed: the proxy's own answers, merged replies, commands to nodes.

What RESP2 lacks is said as Redis says it to a RESP2 client: a map is a flat array, a boolean 1 or 0, a
double a bulk string. ``proto`` is the client's protocol, 2 or 3.
"""

from typing import Final

OK: Final = b"+OK\r\n"
PONG: Final = b"+PONG\r\n"
QUEUED: Final = b"+QUEUED\r\n"

#: Header lines that occur often, made once.
CACHED_HEADERS: Final = 1024
BULK_HEADERS: Final[list[bytes]] = [b"$%d\r\n" % length for length in range(CACHED_HEADERS)]
ARRAY_HEADERS: Final[list[bytes]] = [b"*%d\r\n" % count for count in range(CACHED_HEADERS)]


def simple(text: bytes) -> bytes:
    """A simple string; line ends in it become spaces."""
    return b"+" + one_line(text) + b"\r\n"


def error(text: bytes) -> bytes:
    """An error from its text, code word first; line ends in it become spaces, as in Redis."""
    return b"-" + one_line(text) + b"\r\n"


def one_line(text: bytes) -> bytes:
    """The text without line ends: what a peer sent must never become a frame of its own."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


def integer(value: int) -> bytes:
    """An integer."""
    return b":%d\r\n" % value


def bulk(payload: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%b\r\n" % (len(payload), payload)


def verbatim(proto: int, payload: bytes) -> bytes:
    """A text for people, such as INFO's: a bulk string to those who do not know better."""
    if proto == 3:
        return b"=%d\r\ntxt:%b\r\n" % (len(payload) + 4, payload)
    return bulk(payload)


def array(items: list[bytes]) -> bytes:
    """An array of raw items."""
    return array_header(len(items)) + b"".join(items)


def array_header(count: int) -> bytes:
    """The header line of an array, as which requests travel too."""
    return ARRAY_HEADERS[count] if count < CACHED_HEADERS else b"*%d\r\n" % count


def aggregate_header(type_byte: int, count: int) -> bytes:
    """The header line of an array, set, push or map; a map's ``count`` is that of its pairs."""
    return b"%c%d\r\n" % (type_byte, count)


def null(proto: int) -> bytes:
    """The missing value."""
    return b"_\r\n" if proto == 3 else b"$-1\r\n"


def null_array(proto: int) -> bytes:
    """The missing array."""
    return b"_\r\n" if proto == 3 else b"*-1\r\n"


def mapping(proto: int, flat: list[bytes]) -> bytes:
    """A map of raw items: key, value, key, value …"""
    if proto == 3:
        return b"%%%d\r\n" % (len(flat) // 2) + b"".join(flat)
    return array(flat)


def set_of(proto: int, items: list[bytes]) -> bytes:
    """A set of raw items."""
    if proto == 3:
        return b"~%d\r\n" % len(items) + b"".join(items)
    return array(items)


def push(proto: int, items: list[bytes]) -> bytes:
    """A push frame of raw items, which RESP2 knows as an array that nobody asked for."""
    if proto == 3:
        return b">%d\r\n" % len(items) + b"".join(items)
    return array(items)


def adapt_push(proto: int, raw: bytes) -> bytes:
    """A push that a node sent, for a client that may not know pushes."""
    return raw if proto == 3 else b"*" + raw[1:]


def double(proto: int, value: float) -> bytes:
    """A floating-point number, in the shortest digits that mean it; a whole one without a fraction."""
    text = repr(value).removesuffix(".0").encode("ascii")
    return b",%b\r\n" % text if proto == 3 else bulk(text)


def boolean(proto: int, value: bool) -> bytes:
    """True or false."""
    if proto == 3:
        return b"#t\r\n" if value else b"#f\r\n"
    return b":1\r\n" if value else b":0\r\n"


def encode_request(argv: list[bytes]) -> bytes:
    """A request as clients send it: an array of bulks."""
    return b"".join(append_bulks(argv, [array_header(len(argv))]))


def encode_bulks(argv: list[bytes]) -> bytes:
    """Some of the bulks of a request."""
    return b"".join(append_bulks(argv, []))


def append_bulks(argv: list[bytes], parts: list[bytes]) -> list[bytes]:
    """``parts``, and behind them these arguments as bulks."""
    for arg in argv:
        length = len(arg)
        parts.append(BULK_HEADERS[length] if length < CACHED_HEADERS else b"$%d\r\n" % length)
        parts.append(arg)
        parts.append(b"\r\n")
    return parts
