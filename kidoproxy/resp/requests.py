"""Requests of clients: bytes in, one request at a time out, as its arguments and as its raw frame.

A request that lies whole in one chunk is cut out of it at once (`cut`). One that does not is followed by
`RequestScanner`, piece by piece, and cut when it is whole. Whatever is wrong with a request is found by
the scanner, as early as Redis finds it, and said in Redis's words.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy import limits as defaults
from kidoproxy.errors import ProtocolError
from kidoproxy.resp.build import command
from kidoproxy.resp.inline import split
from kidoproxy.resp.scan import CR, DOLLAR, LF, STAR, Pieces, number, printable, string2ll

#: A request of several pieces that is larger than this is not joined unless somebody asks for its arguments.
LARGE_BYTES: Final[i64] = 64 * 1024
#: More arguments than any request has.
ALL_ARGUMENTS: Final = 1 << 60
#: What is said of a request that is larger than its client may send.
TOO_BIG: Final = "too big query"


@final
class Request:
    """One request: its arguments, and the frame that a node is sent.

    A large one is *folded*: the frame stands in ``raw`` and the pieces of ``rest``, and arguments that do
    not stand in ``raw`` as a whole are empty in ``argv``; there are as many as there will be. So a value of
    a megabyte passes without being copied. `unfold` makes an ordinary request of it.
    """

    def __init__(self, argv: list[bytes], raw: bytes, rest: list[bytes] | None = None) -> None:
        self.argv = argv
        self.raw = raw
        self.rest = rest

    def size(self) -> int:
        """Bytes of the frame."""
        return len(self.raw) + (sum(map(len, self.rest)) if self.rest is not None else 0)

    def cost(self) -> int:
        """What it costs to keep: its bytes, and what each argument costs beside them."""
        return self.size() + defaults.REQUEST_COST + len(self.argv) * defaults.ARGUMENT_COST

    def unfold(self) -> None:
        """Join the pieces and cut all arguments."""
        if self.rest is not None:
            Unfolding(self).step(ALL_ARGUMENTS)


@final
class Unfolding:
    """`Request.unfold` some arguments at a time; the request stays as it is until all are cut."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.raw = b"".join([request.raw, *(request.rest or [])])
        self.argv: list[bytes] = []
        _, at = number(self.raw, 1, len(self.raw))
        self.at: i64 = at

    def step(self, most: int) -> bool:
        """So many arguments more. Whether there are others."""
        raw = self.raw
        argv = self.argv
        size: i64 = len(raw)
        at = self.at
        stop = len(argv) + most
        while at < size and len(argv) < stop:
            length, at = number(raw, at + 1, size)
            argv.append(raw[at : at + length])
            at += length + 2
        self.at = at
        if at < size:
            return True
        self.request.raw = raw
        self.request.rest = None
        self.request.argv = argv
        return False


@final
class RequestLimits:
    """How much one client may claim; changed by its session when it has said AUTH."""

    def __init__(
        self,
        arguments: i64 = defaults.ARGUMENTS,
        bulk_bytes: i64 = defaults.BULK_BYTES,
        inline_bytes: i64 = defaults.INLINE_BYTES,
        query_bytes: i64 = defaults.QUERY_BUFFER_BYTES,
    ) -> None:
        self.arguments: i64 = arguments
        self.bulk_bytes: i64 = bulk_bytes
        self.inline_bytes: i64 = inline_bytes
        self.query_bytes: i64 = query_bytes


def cut(buf: bytes, at: i64, limits: RequestLimits, argv: list[bytes]) -> i64:
    """Adds the arguments of the multibulk request at ``at`` and says where it ends.

    0 when it is not whole here or not in order; minus the end when Redis accepts it although a line does not
    end in CR LF: it counts these two bytes and does not look at them, but a node behind us might.
    """
    size: i64 = len(buf)
    start = at
    left, at = number(buf, at + 1, size)
    if left < 0 or left > limits.arguments:
        return 0
    tidy = buf[at - 1] == LF
    while left > 0:
        if at >= size or buf[at] != DOLLAR:
            return 0
        length, at = number(buf, at + 1, size)
        if length < 0 or length > limits.bulk_bytes:
            return 0
        end = at + length
        if end + 2 > size:
            return 0
        if buf[at - 1] != LF or buf[end] != CR or buf[end + 1] != LF:
            tidy = False
        argv.append(buf[at:end])
        at = end + 2
        left -= 1
    if at - start > limits.query_bytes:
        return 0
    return at if tidy else -at


def head(buf: bytes, argv: list[bytes]) -> int:
    """How many arguments the tidy request that begins in ``buf`` has; adds those that are whole there."""
    size: i64 = len(buf)
    count, at = number(buf, 1, size)
    while at < size and buf[at] == DOLLAR:
        length, at = number(buf, at + 1, size)
        if length < 0 or at + length > size:
            break
        argv.append(buf[at : at + length])
        at += length + 2
    return int(count)


@final
class RequestReader:
    """Cuts the bytes of one client into requests. After a `ProtocolError` it stays broken."""

    def __init__(self, limits: RequestLimits) -> None:
        self.limits: RequestLimits = limits
        self.chunk: bytes = b""
        self.at: i64 = 0
        self.size: i64 = 0
        #: Chunks that came before the one in front of them was used up; those before ``head`` have been taken.
        self.waiting: list[bytes] = []
        self.head: i64 = 0
        self.waiting_bytes: i64 = 0
        #: All bytes that ever came.
        self.fed: i64 = 0
        self.unfinished: bool = False
        self.pieces: Pieces = Pieces()
        self.scanner: RequestScanner = RequestScanner(limits)
        self.broken: str = ""

    def feed(self, data: bytes) -> None:
        """More bytes from the client."""
        self.fed += len(data)
        if self.at < self.size or self.waiting:
            self.waiting.append(data)
            self.waiting_bytes += len(data)
            return
        self.chunk = data
        self.at = 0
        self.size = len(data)

    def next(self) -> Request | None:
        """One request; None when more bytes are needed. Requests without arguments are passed over, as Redis does."""
        if self.broken:
            raise ProtocolError(self.broken)
        while self.at < self.size or self._load():
            at = self.at
            if not self.unfinished and self.chunk[at] == STAR:
                argv: list[bytes] = []
                end = cut(self.chunk, at, self.limits, argv)
                if end > 0:
                    self.at = end
                    if argv:
                        whole = at == 0 and end == self.size
                        return Request(argv, self.chunk if whole else self.chunk[at:end])
                    continue
            request = self._follow()
            if request is not None and request.argv:
                return request
        return None

    def buffered(self) -> int:
        """Bytes that were fed and did not come out yet."""
        return self.pieces.size + self.size - self.at + self.waiting_bytes

    def _load(self) -> bool:
        """The next chunk that was fed while an earlier one was not used up."""
        while self.waiting:
            self.chunk = self.waiting[self.head]
            self.head += 1
            if self.head == len(self.waiting):
                self.waiting.clear()
                self.head = 0
            self.at = 0
            self.size = len(self.chunk)
            self.waiting_bytes -= self.size
            if self.size:
                return True
        return False

    def _follow(self) -> Request | None:
        """Goes on with a request that is not whole in one chunk, or not in order."""
        try:
            end = self.scanner.advance(self.chunk, self.at)
        except ProtocolError as error:
            self.broken = str(error)
            raise
        if end < 0:
            self.pieces.add(self.chunk if self.at == 0 else self.chunk[self.at :])
            self.at = self.size
            self.chunk = b""
            self.unfinished = True
            return None
        self.pieces.add(self.chunk[self.at : end])
        self.at = end
        self.unfinished = False
        if self.pieces.size > LARGE_BYTES and self.scanner.tidy:
            return self._fold(self.pieces.take_parts())
        return self._open(self.pieces.take())

    def _fold(self, parts: list[bytes]) -> Request:
        """A large request, with the arguments that are whole in its first piece: its name and first key at least."""
        argv: list[bytes] = []
        first = parts[0]
        count = head(first, argv)
        if len(argv) < 2 or len(parts) == 1:
            return self._open(b"".join(parts))
        argv.extend([b""] * (count - len(argv)))
        return Request(argv, first, parts[1:])

    def _open(self, raw: bytes) -> Request:
        """The request that the scanner found whole."""
        if raw[0] != STAR:
            argv = self.scanner.argv
            return Request(argv, command(argv))
        argv = []
        tidy = cut(raw, 0, self.limits, argv) > 0
        return Request(argv, raw if tidy else command(argv))


@final
class RequestScanner:
    """Follows one request across any number of buffers and finds what Redis would not accept."""

    def __init__(self, limits: RequestLimits) -> None:
        self.limits: RequestLimits = limits
        #: The arguments of the inline request that was found last.
        self.argv: list[bytes] = []
        self.first: i64 = -1  # the first byte of the request, -1 before it
        self.left: i64 = -1  # arguments still wanted; -1 before the line that says how many
        self.skip: i64 = 0  # bytes of the current argument and its line end that have not come yet
        self.line: list[bytes] = []  # a line that was cut in pieces, without its CR
        self.line_bytes: i64 = 0
        self.ending: bool = False  # that line's CR was the last byte
        self.passed: i64 = 0  # bytes of this request in earlier buffers
        self.tidy: bool = True  # each line end was seen to be one, so the frame may be passed on as it is

    def advance(self, buf: bytes, at: i64) -> i64:
        """The place behind the request that goes on (or begins) at ``at``; -1 when all of ``buf`` belongs to it."""
        start = at
        if self.first < 0:
            self.first = buf[at]
            self.tidy = self.first == STAR
        if self.first == STAR:
            at = self._multibulk(buf, at)
        else:
            at = self._inline(buf, at)
        size: i64 = len(buf)
        self.passed += (size if at < 0 else at) - start
        if self.passed > self.limits.query_bytes:
            raise ProtocolError(TOO_BIG)
        if at >= 0:
            self.first = -1
            self.left = -1
            self.passed = 0
        return at

    def _multibulk(self, buf: bytes, at: i64) -> i64:
        size: i64 = len(buf)
        while True:
            if self.skip > size - at:
                self.skip -= size - at
                return -1
            if self.skip and (self.skip < 2 or buf[at + self.skip - 2] != CR or buf[at + self.skip - 1] != LF):
                self.tidy = False
            at += self.skip
            self.skip = 0
            if self.left == 0:
                return at
            if at >= size:
                return -1
            if self.left > 0 and buf[at] == DOLLAR and not self.line:
                # A length as it should be, and whole: most of a long request is like that.
                length, behind = number(buf, at + 1, size)
                if 0 <= length <= self.limits.bulk_bytes and buf[behind - 1] == LF:
                    self.left -= 1
                    self.skip = length + 2
                    at = behind
                    continue
            at = self._header(buf, at, size)
            if at < 0:
                return -1

    def _header(self, buf: bytes, at: i64, size: i64) -> i64:
        """Redis reads a header when its CR and one more byte are there; it does not ask which byte."""
        if not self.ending:
            too_big = "too big mbulk count string" if self.left < 0 else "too big bulk count string"
            at = self._line(buf, at, size, b"\r", too_big)
            if at < 0:
                return -1
            at += 1
            if at >= size:
                self.ending = True
                return -1
        self.ending = False
        if buf[at] != LF:
            self.tidy = False
        line = self._whole_line()
        if self.left < 0:
            self._count(line)
        else:
            self._length(line)
        return at + 1

    def _line(self, buf: bytes, at: i64, size: i64, mark: bytes, too_big: str) -> i64:
        """Collects a line up to ``mark`` and says where that is; -1 when it is not here."""
        found: i64 = buf.find(mark, at)
        end = size if found < 0 else found
        self.line_bytes += end - at
        if self.line_bytes > self.limits.inline_bytes:
            raise ProtocolError(too_big)
        self.line.append(buf[at:end])
        return found

    def _whole_line(self) -> bytes:
        line = b"".join(self.line)
        self.line = []
        self.line_bytes = 0
        return line

    def _count(self, line: bytes) -> None:
        """``*3``: how many arguments; none or less than none is a request to pass over."""
        count = string2ll(line[1:])
        if count is None or count > defaults.ARGUMENTS:
            raise ProtocolError("invalid multibulk length")
        if count > self.limits.arguments:
            # Before AUTH the session allows so few; a configured limit is above it.
            early = self.limits.arguments <= defaults.UNAUTHENTICATED_ARGUMENTS
            raise ProtocolError("unauthenticated multibulk length" if early else "invalid multibulk length")
        self.left = max(count, 0)

    def _length(self, line: bytes) -> None:
        """``$3``: how long the next argument is."""
        if line[:1] != b"$":
            # An empty line's first byte is its CR, which Redis shows as a space.
            raise ProtocolError(f"expected '$', got '{printable(line[:1]) or ' '}'")
        length = string2ll(line[1:])
        if length is None or length < 0 or length > max(defaults.BULK_BYTES, self.limits.bulk_bytes):
            raise ProtocolError("invalid bulk length")
        if length > self.limits.bulk_bytes:
            early = self.limits.bulk_bytes <= defaults.UNAUTHENTICATED_BULK_BYTES
            raise ProtocolError("unauthenticated bulk length" if early else "invalid bulk length")
        self.left -= 1
        self.skip = length + 2

    def _inline(self, buf: bytes, at: i64) -> i64:
        """A line of words, as a person types it into telnet."""
        at = self._line(buf, at, len(buf), b"\n", "too big inline request")
        if at < 0:
            return -1
        self.argv = split(self._whole_line())
        return at + 1
