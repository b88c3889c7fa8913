"""The handshake of a connection to a node: what the proxy says first, and what a good node answers."""

from kidoproxy.resp.encode import bulk
from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import PING_ECHO

#: What the proxy says first, after a login and a database.
HANDSHAKE = ("HELLO 2", "PING kidoproxy", "INFO server")
#: The same on a dedicated connection.
LEASED_HANDSHAKE = ("PING kidoproxy", "CLIENT ID")


def greet(conn: NodeConnection, info: bytes, number: int = 1, clients: bytes = b"") -> bytes:
    """What a good node answers to the handshake that `conn` has just queued, which counts as written then."""
    return answers(b"".join(conn.take_output()), info, number, clients)


def answers(written: bytes, info: bytes, number: int = 1, clients: bytes = b"") -> bytes:
    """The replies to a handshake; `number` is the id of a dedicated connection, `clients` the text of CLIENT LIST."""
    reader = RequestReader(RequestLimits())
    reader.feed(written)
    found = b""
    while (request := reader.next()) is not None:
        name = request.argv[0]
        if name == b"INFO":
            found += bulk(info)
        elif name == b"PING":
            found += bulk(PING_ECHO)
        elif request.argv[1:] == [b"LIST"]:
            found += bulk(clients)
        else:
            found += b":%d\r\n" % number if request.argv[1:] == [b"ID"] else b"+OK\r\n"
    return found
