"""`kidoproxy.resp.request_reader`: what Redis accepts, refuses and skips, in whatever chunks it arrives."""

import pytest

from kidoproxy.resp import limits as defaults
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits
from tests.resp.feeding import chunkings, read_requests

GET = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
MANY = b"x" * (defaults.MAX_INLINE_BYTES + 1)
PIECE = 64 * 1024

GOOD = [
    (GET, [[b"GET", b"k"]]),
    (GET * 3, [[b"GET", b"k"]] * 3),
    (b"*1\r\n$0\r\n\r\n", [[b""]]),
    (b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\0\xff\r\n", [[b"ECHO", b"\r\n\0\xff"]]),
    (b"*1\r\n$200\r\n" + b"x" * 200 + b"\r\n", [[b"x" * 200]]),
    (b"*0\r\n*-1\r\n*-9223372036854775808\r\n" + GET, [[b"GET", b"k"]]),
    (b"\r\n\n  \r\n" + GET, [[b"GET", b"k"]]),
    (b"PING\r\n", [[b"PING"]]),
    (b"set k 'a b'\n" + GET + b"PING\n", [[b"set", b"k", b"a b"], [b"GET", b"k"], [b"PING"]]),
    (b"$3\r\n", [[b"$3"]]),
    (b"x" * defaults.MAX_INLINE_BYTES + b"\n", [[b"x" * defaults.MAX_INLINE_BYTES]]),
]

#: Redis skips the two bytes of a line end without checking both.
NOT_CANONICAL = [
    b"*2\rx$3\r\nGET\r\n$1\r\nk\r\n",
    b"*2\r\n$3\rxGET\r\n$1\r\nk\r\n",
    b"*2\r\n$3\r\nGETxy$1\r\nk\r\n",
    b"*2\r\n$3\r\nGET\r\n$1\r\nk\rx",
    b"*2\r\n$3\r\nGET\r\n$1\r\nkx\n",
]

BAD = [
    (b"*x\r\n", "invalid multibulk length"),
    (b"*\r\n", "invalid multibulk length"),
    (b"*03\r\n", "invalid multibulk length"),
    (b"*+1\r\n", "invalid multibulk length"),
    (b"* 1\r\n", "invalid multibulk length"),
    (b"*1 \r\n", "invalid multibulk length"),
    (b"*2147483648\r\n", "invalid multibulk length"),
    (b"*99999999999999999999\r\n", "invalid multibulk length"),
    (b"*" + MANY, "too big mbulk count string"),
    (b"*1\r\n+OK\r\n", "expected '$', got '+'"),
    (b"*1\r\n\r\n", "expected '$', got ' '"),
    (b"*1\r\n\nx\r\n", "expected '$', got ' '"),
    (b"*1\r\n\xff\r\n", "expected '$', got '\xff'"),
    (b"*2\r\n$1\r\na\r\nx1\r\n", "expected '$', got 'x'"),
    (b"*1\r\n$\r\n", "invalid bulk length"),
    (b"*1\r\n$x\r\n", "invalid bulk length"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$01\r\n", "invalid bulk length"),
    (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    (b"*1\r\n$" + MANY, "too big bulk count string"),
    (b"*1\r\nx" + MANY, "too big bulk count string"),
    (MANY, "too big inline request"),
    (b"set k 'a\r\n", "unbalanced quotes in request"),
    (b"set k a\0b\r\n", "NUL byte in inline request"),
    (b"\0*1\r\n", "NUL byte in inline request"),
]


@pytest.mark.parametrize(("data", "argvs"), GOOD)
def test_good(data: bytes, argvs: list[list[bytes]]) -> None:
    """Multibulk and inline requests come out one by one; those without arguments are skipped."""
    for chunks in chunkings(data):
        outcome = read_requests(chunks)
        assert (outcome.argvs, outcome.error) == (argvs, "")
        assert outcome.frames == [encode_request(argv) for argv in argvs]
        assert read_requests([*chunks, b"*1\r\n$5\r\nab"]) == outcome


@pytest.mark.parametrize("data", NOT_CANONICAL)
def test_line_ends_are_made_canonical(data: bytes) -> None:
    """What Redis accepts is accepted, but a node, which might be stricter, gets a canonical frame."""
    for chunks in chunkings(data):
        assert read_requests([*chunks, GET]) == ([GET, GET], "", [[b"GET", b"k"], [b"GET", b"k"]])


@pytest.mark.parametrize(("data", "error"), BAD)
def test_bad(data: bytes, error: str) -> None:
    """What Redis refuses is refused in Redis's words, in any chunks, after the requests before it."""
    for chunks in chunkings(GET + data):
        assert read_requests(chunks) == ([GET], error, [[b"GET", b"k"]])
        assert read_requests([*chunks, GET]) == ([GET], error, [[b"GET", b"k"]])


@pytest.mark.parametrize("data", [b"*x\r", b"*1\r\n+\r", b"*1\r\n$x\r", MANY[:-1], b"*" + MANY[:-2]])
def test_errors_wait_for_their_header(data: bytes) -> None:
    """As in Redis, a header line is parsed when its CR and one more byte are there, and not before."""
    for chunks in chunkings(data):
        assert read_requests(chunks) == ([], "", [])


def test_errors_do_not_wait_for_more() -> None:
    """A bad header line is refused although the rest of the request is missing."""
    assert read_requests([b"*3\r\n$3\r\nSET\r\n$x\r\n"]).error == "invalid bulk length"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"*11\r\n", "unauthenticated multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*1\r\n$16385\r\n", "unauthenticated bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*10\r\n$16384\r\n", ""),
    ],
)
def test_before_auth(data: bytes, error: str) -> None:
    """Before AUTH a client may announce little, with an error of its own; the session raises the limits."""
    limits = RequestLimits(
        arguments=defaults.MAX_UNAUTHENTICATED_ARGUMENTS, bulk_bytes=defaults.MAX_UNAUTHENTICATED_BULK_BYTES
    )
    assert read_requests([data], limits).error == error
    limits.arguments = defaults.MAX_ARGUMENTS
    limits.bulk_bytes = defaults.MAX_BULK_BYTES
    assert read_requests([data], limits).error == (error if "invalid" in error else "")


def test_limits_change_between_two_requests() -> None:
    """A limit that the session raises holds for the next request, even in the same chunk."""
    limits = RequestLimits(arguments=1)
    reader = RequestReader(limits)
    reader.feed(b"*1\r\n$4\r\nAUTH\r\n" + GET)
    first = reader.next()
    assert first is not None
    assert first.argv == [b"AUTH"]
    limits.arguments = 2
    second = reader.next()
    assert second is not None
    assert second.argv == [b"GET", b"k"]


@pytest.mark.parametrize(
    ("limits", "data", "error"),
    [
        (RequestLimits(arguments=100), b"*101\r\n", "invalid multibulk length"),
        (RequestLimits(arguments=100), b"*100\r\n", ""),
        (RequestLimits(bulk_bytes=20_000), b"*1\r\n$20001\r\n", "invalid bulk length"),
        (RequestLimits(bulk_bytes=20_000), b"*1\r\n$20000\r\n", ""),
        (RequestLimits(bulk_bytes=2**40), b"*1\r\n$536870913\r\n", ""),
        (RequestLimits(inline_bytes=4), b"PINGS\r\n", "too big inline request"),
        (RequestLimits(inline_bytes=4), b"PING\n", ""),
        (RequestLimits(query_bytes=len(GET) - 1), GET, "too big query"),
        (RequestLimits(query_bytes=len(GET)), GET + GET, ""),
        (RequestLimits(query_bytes=20), b"*1\r\n$1000\r\n" + b"x" * 10, "too big query"),
        (RequestLimits(query_bytes=20), b"x" * 21, "too big query"),
    ],
)
def test_configured_limits(limits: RequestLimits, data: bytes, error: str) -> None:
    """Arguments, bytes of one argument, of a line and of a whole request are bounded."""
    for chunks in chunkings(data):
        assert read_requests(chunks, limits).error == error


def test_announced_lengths_allocate_nothing() -> None:
    """Not even the largest that Redis accepts."""
    reader = RequestReader(RequestLimits())
    reader.feed(b"*2147483647\r\n$536870912\r\n")
    assert reader.next() is None
    assert reader.buffered_bytes() == 25
    assert (reader.scanner.arguments_left, reader.scanner.bulk_bytes_left) == (2147483646, 536870914)


def test_a_chunk_that_is_one_request_is_not_copied() -> None:
    """In the commonest case the frame is the chunk itself."""
    reader = RequestReader(RequestLimits())
    chunk = b"*1\r\n$300\r\n" + b"x" * 300 + b"\r\n"
    reader.feed(chunk)
    request = reader.next()
    assert request is not None
    assert request.raw is chunk


def test_chunks_may_be_fed_before_requests_are_asked_for() -> None:
    """However many chunks wait, empty ones included, requests come out in order; all bytes are counted."""
    reader = RequestReader(RequestLimits())
    assert reader.next() is None
    for chunk in (b"", GET[:9], b"", GET[9:] + b"PI", b"NG\r\n", b""):
        reader.feed(chunk)
    assert reader.buffered_bytes() == len(GET) + 6
    found = [reader.next(), reader.next()]
    assert [request.argv for request in found if request] == [[b"GET", b"k"], [b"PING"]]
    assert reader.buffered_bytes() == 0
    assert reader.next() is None


def test_chunks_keep_their_order() -> None:
    """What is fed after some requests came out is behind all that was fed before, wherever chunks end."""
    reader = RequestReader(RequestLimits())
    fed = 0
    taken = []
    for feeds, takes in ((1, 1), (3, 1), (2, 2), (1, 0), (2, 9)):
        for _ in range(feeds):
            reader.feed(b"*1\r\n$1\r\n%d\r\n" % fed)
            fed += 1
        for _ in range(takes):
            request = reader.next()
            if request is not None:
                taken.append(request.argv[0])
        assert reader.buffered_bytes() == 11 * (fed - len(taken))
    assert taken == [b"%d" % number for number in range(fed)]


def test_many_small_chunks_are_linear() -> None:
    """A client that blocks may go on sending small packets: they are counted once, and never moved."""
    reader = RequestReader(RequestLimits())
    count = 1000
    for number in range(1, count + 1):
        reader.feed(GET)
        assert (reader.queued_bytes, reader.buffered_bytes()) == ((number - 1) * len(GET), number * len(GET))
    for number in range(1, count):
        assert reader.next() is not None
        assert (len(reader.queued_chunks), reader.next_chunk) == (count - 1, number - 1)
    assert reader.next() is not None
    assert (reader.queued_chunks, reader.next_chunk, reader.queued_bytes, reader.next()) == ([], 0, 0, None)


def test_a_broken_reader_stays_broken() -> None:
    """After an error the same error is raised again, whatever is fed."""
    reader = RequestReader(RequestLimits())
    reader.feed(b"*x\r\n" + GET)
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            reader.next()
        assert caught.value.reply == b"-ERR Protocol error: invalid multibulk length\r\n"
        reader.feed(GET)


def test_a_large_value_is_linear() -> None:
    """100 MB in pieces: none is copied, scanned or joined before the last one has come."""
    reader = RequestReader(RequestLimits())
    count = 1600
    reader.feed(b"*2\r\n$3\r\nSET\r\n$%d\r\n" % (count * PIECE))
    assert reader.next() is None
    piece = b"x" * PIECE
    for number in range(1, count + 1):
        reader.feed(piece)
        assert reader.next() is None
        assert (len(reader.pieces.parts), reader.chunk) == (number + 1, b"")
        assert reader.scanner.bulk_bytes_left == (count - number) * PIECE + 2
    assert all(part is piece for part in reader.pieces.parts[1:])
    reader.feed(b"\r\n" + GET)
    request = reader.next()
    assert request is not None
    assert (len(request.argv), len(request.argv[1]), len(request.raw)) == (2, count * PIECE, count * PIECE + 27)
    after = reader.next()
    assert after is not None
    assert after.raw == GET


def test_many_arguments_are_linear() -> None:
    """Many arguments in pieces: of what was scanned only counters remain, so nothing can be scanned again."""
    reader = RequestReader(RequestLimits())
    left = 20_000
    piece = b"$3\r\nabc\r\n" * 500
    reader.feed(b"*%d\r\n" % left)
    assert reader.next() is None
    while left > 500:
        reader.feed(piece)
        assert reader.next() is None
        left -= 500
        assert (reader.scanner.arguments_left, reader.scanner.line_pieces, reader.chunk) == (left, [], b"")
    assert all(part is piece for part in reader.pieces.parts[1:])
    reader.feed(piece)
    request = reader.next()
    assert request is not None
    assert len(request.argv) == 20_000


def test_a_line_in_pieces_is_linear() -> None:
    """The pieces of a long line are kept as they are and joined once."""
    reader = RequestReader(RequestLimits())
    for number in range(1, 60):
        reader.feed(b"x" * 1000)
        assert reader.next() is None
        assert reader.scanner.line_pieces == [b"x" * 1000] * number
