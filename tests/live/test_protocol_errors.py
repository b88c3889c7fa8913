"""Real servers as oracle: what they refuse, and with which words, is what `RequestReader` refuses.

Each input is sent whole and the sending side closed behind it, so a server answers all that it can and
hangs up: nothing waits for a clock.
"""

import socket
from collections.abc import Iterator
from typing import Final

import pytest
import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.resp import limits
from kidoproxy.resp.request_scanner import RequestLimits
from tests.needs import needs
from tests.resp.feeding import byte_by_byte, read_replies, read_requests

pytestmark = [pytest.mark.live, pytest.mark.both_builds]

SECONDS: Final = 10.0
LONG: Final = b"1" * (limits.MAX_INLINE_BYTES + 1)
PING: Final = b"*1\r\n$4\r\nPING\r\n"

INPUTS: Final = [
    # The line that says how many arguments there are.
    b"*x\r\n",
    b"*\r\n",
    b"*-\r\n",
    b"*+1\r\n",
    b"*01\r\n",
    b"*-0\r\n",
    b"* 1\r\n",
    b"*1 \r\n",
    b"*1.0\r\n",
    b"*1\n" + PING,
    b"*2147483647\r\n",
    b"*2147483648\r\n",
    b"*9223372036854775807\r\n",
    b"*9223372036854775808\r\n",
    b"*99999999999999999999999999999999\r\n",
    b"*-2147483649\r\n" + PING,
    b"*-9223372036854775808\r\n" + PING,
    b"*-9223372036854775809\r\n" + PING,
    b"*0\r\n" + PING,
    b"*-1\r\n" + PING,
    b"*x\r",
    b"*x",
    b"**1\r\n",
    b"*" + LONG,
    b"*" + LONG[:-2],
    # The line that says how long an argument is.
    b"*1\r\n+OK\r\n",
    b"*1\r\n*1\r\n",
    b"*1\r\n:1\r\n",
    b"*1\r\n4\r\nPING\r\n",
    b"*1\r\n\r\n",
    b"*1\r\n\nx\r\n",
    b"*1\r\n \r\n",
    b"*1\r\n\x80\r\n",
    b"*1\r\n+\r",
    b"*1\r\n+",
    b"*1\r\n$\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$-0\r\n",
    b"*1\r\n$+4\r\nPING\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$4 \r\nPING\r\n",
    b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$4\nPING\r\n",
    b"*1\r\n$536870912\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$9223372036854775808\r\n",
    b"*2\r\n$4\r\nECHO\r\n$x\r\n",
    b"*3\r\n$3\r\nSET\r\n$x\r\n",
    b"*1\r\n$" + LONG,
    b"*1\r\nx" + LONG,
    b"*1\r\n$" + LONG[:-2],
    # Inline.
    b"\r\n\n \t\r\n" + PING,
    b"PING\n" + PING,
    b"PING\r\n",
    b"PING\r\r\n",
    b"PING",
    b"echo 'a b'\r\n",
    b'echo "a\\x41\\n\\"b"\r\n',
    b"echo ''\r\n" + PING,
    b'"echo" "" \r\n',
    b"ec\"ho\" 'x'\r\n",
    b"'\r\n",
    b'"\r\n',
    b'echo "a\r\n',
    b"echo 'a\r\n",
    b'echo "a"\vb\r\n',
    b"echo a\vb\r\n",
    b"\vecho a\f\r\n",
    b'echo "\\x4"\r\n',
    b'echo "\\xzz"\r\n',
    b"$4\r\nPING\r\n",
    b"+PING\r\n",
    b"echo \xff\xa0\r\n",
    LONG,
    LONG[:-1],
]

#: Where Valkey 9 left Redis: it looks at line ends, which Redis only counts.
UNTIDY: Final = [
    b"*0\rx" + PING,
    b"*1\rx$4\rxPINGxx" + PING,
    b"*1\r\n$4\r\nPING\n\r" + PING,
    b"*1\r\n$4\r\nPINGS\r\n" + PING,
    b"*1\r\n$3\r\nPING\r\n" + PING,
]

#: And it lets a quoted part stand anywhere in a word, which Redis refuses.
MIXED: Final = [
    b'echo "a"b\r\n',
    b"echo 'a'b\r\n",
    b"echo 'a\\'\r\n",
    b"echo 'a\\\\'\r\n",
    b'echo "a\\"\r\n',
]

BEFORE_AUTH: Final = [
    b"*10\r\n",
    b"*11\r\n",
    b"*2147483647\r\n",
    b"*2147483648\r\n",
    b"*0\r\n*11\r\n",
    b"*1\r\n$16384\r\n",
    b"*1\r\n$16385\r\n",
    b"*1\r\n$536870912\r\n",
    b"*1\r\n$536870913\r\n",
    b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
    b"echo 1 2 3 4 5 6 7 8 9 10 11 12\r\n",
]


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    """The socket of the Valkey that comes with us."""
    with EmbeddedNodes() as nodes:
        yield nodes.start(1, server="embedded")[0]


@pytest.fixture(scope="module")
def stock() -> Iterator[str]:
    """The socket of the system's Redis."""
    with EmbeddedNodes() as nodes:
        yield nodes.start(1, server=needs("redis-server"))[0]


@pytest.fixture(params=["valkey", "stock"])
def server(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def locked(server: str) -> Iterator[str]:
    """The same server while it wants a password."""
    with redis.Redis.from_url(server, protocol=2, socket_timeout=SECONDS) as client:
        client.config_set("requirepass", "secret")
        yield server
        client.config_set("requirepass", "")


def said_by(url: str, data: bytes) -> tuple[int, list[bytes]]:
    """How many replies a server gives to these bytes before its protocol error, and that error."""
    said = b""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(SECONDS)
        peer.connect(url.removeprefix("unix://"))
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        while part := receive(peer):
            said += part
    replies, error, _ = read_replies([said])
    assert error == ""
    errors = [raw for raw in replies if raw.startswith(b"-ERR Protocol error")]
    return len(replies) - len(errors), errors


def receive(peer: socket.socket) -> bytes:
    """The next bytes. A server that hangs up with bytes unread resets the connection, behind its last words."""
    try:
        return peer.recv(65536)
    except ConnectionResetError:
        return b""


def said_by_us(chunks: list[bytes], bounds: RequestLimits) -> tuple[int, list[bytes]]:
    """The same of ours: each request would get one reply."""
    cut = read_requests(chunks, bounds)
    return len(cut.frames), [b"-ERR Protocol error: " + cut.error.encode("latin-1") + b"\r\n"] if cut.error else []


def assert_same(url: str, data: bytes) -> None:
    """Whole and byte by byte we say what this server says."""
    theirs = said_by(url, data)
    assert said_by_us([data], RequestLimits()) == theirs
    assert said_by_us(byte_by_byte(data), RequestLimits()) == theirs


def shown(data: bytes) -> str:
    """A short name for the case."""
    return repr(data if len(data) < 50 else data[:20] + b"...")


@pytest.mark.parametrize("data", INPUTS, ids=shown)
def test_our_errors_are_theirs(server: str, data: bytes) -> None:
    """The same requests are accepted, and the same sentence refuses the same bytes."""
    assert_same(server, PING + data)


@pytest.mark.parametrize("data", UNTIDY + MIXED, ids=shown)
def test_where_servers_differ_we_are_redis(stock: str, data: bytes) -> None:
    """What Redis and Valkey see differently we see as Redis does."""
    assert_same(stock, PING + data)


@pytest.mark.parametrize("data", UNTIDY, ids=shown)
def test_valkey_gets_requests_in_order(valkey: str, data: bytes) -> None:
    """Valkey refuses line ends that Redis lets pass; the frames that we make of them it accepts."""
    assert said_by(valkey, data) == (0, [b"-ERR Protocol error: invalid CRLF in request\r\n"])
    mended = read_requests([data]).frames
    assert mended
    assert said_by(valkey, b"".join(mended)) == (len(mended), [])


@pytest.mark.parametrize("data", MIXED, ids=shown)
def test_valkey_mixes_quotes(valkey: str, data: bytes) -> None:
    """Where we refuse an inline word as Redis does, Valkey would take it: known, and no more than that."""
    assert said_by(valkey, data) == (1, [])
    assert said_by_us([data], RequestLimits()) == (0, [b"-ERR Protocol error: unbalanced quotes in request\r\n"])


@pytest.mark.parametrize("data", BEFORE_AUTH, ids=shown)
def test_our_errors_before_auth_are_theirs(locked: str, data: bytes) -> None:
    """Who has not said AUTH may claim as much as there, and gets the same sentence."""
    bounds = RequestLimits(limits.MAX_UNAUTHENTICATED_ARGUMENTS, limits.MAX_UNAUTHENTICATED_BULK_BYTES)
    assert said_by_us([data], bounds) == said_by(locked, data)
