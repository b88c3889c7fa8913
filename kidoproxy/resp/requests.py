"""Requests of clients: bytes in, one request at a time out, as its arguments and as its raw frame.

A request that is whole in one chunk is parsed at once (`parse_multibulk`). Any other is followed by `RequestScanner`,
piece by piece, and parsed when it is whole. The scanner also finds whatever is wrong with a request, as early as Redis
does, and says it in Redis's words.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.resp import limits as defaults
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.inline import split_args
from kidoproxy.resp.scan import CR, DOLLAR, LF, STAR, FramePieces, parse_int64, parse_length, printable

#: A larger request that came in several pieces stays segmented until somebody needs all its arguments.
LARGE_REQUEST_BYTES: Final[i64] = 64 * 1024
#: More arguments than any request has: a step that does all.
UNBOUNDED_STEP: Final = 1 << 60
#: The error for a request that is larger than its client may send.
QUERY_TOO_BIG: Final = "too big query"


@final
class Request:
    """One request: its arguments, and the frame that a node is sent.

    A large one is *segmented*: the frame is ``raw`` and the ``tail_pieces``, and arguments that are not whole in
    ``raw`` are empty in ``argv``, whose length is right. So a value of a megabyte is relayed without being copied.
    `materialize` makes an ordinary request of it.
    """

    def __init__(self, argv: list[bytes], raw: bytes, tail_pieces: list[bytes] | None = None) -> None:
        self.argv = argv
        self.raw = raw
        self.tail_pieces = tail_pieces

    def frame_bytes(self) -> int:
        return len(self.raw) + (sum(map(len, self.tail_pieces)) if self.tail_pieces is not None else 0)

    def memory_cost(self) -> int:
        """What it costs to keep, in bytes: the frame, and the objects of its arguments."""
        return self.frame_bytes() + defaults.REQUEST_OVERHEAD_BYTES + len(self.argv) * defaults.ARGUMENT_OVERHEAD_BYTES

    def materialize(self) -> None:
        """Join the pieces and parse all arguments."""
        if self.tail_pieces is not None:
            RequestMaterializer(self).step(UNBOUNDED_STEP)


@final
class RequestMaterializer:
    """`Request.materialize` in steps; the request is unchanged until the last one."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.raw = b"".join([request.raw, *(request.tail_pieces or [])])
        self.argv: list[bytes] = []
        _, pos = parse_length(self.raw, 1, len(self.raw))
        self.pos: i64 = pos

    def step(self, limit: int) -> bool:
        """Parse at most ``limit`` further arguments; returns whether there are more."""
        raw = self.raw
        argv = self.argv
        size: i64 = len(raw)
        pos = self.pos
        stop = len(argv) + limit
        while pos < size and len(argv) < stop:
            length, pos = parse_length(raw, pos + 1, size)
            argv.append(raw[pos : pos + length])
            pos += length + 2
        self.pos = pos
        if pos < size:
            return True
        self.request.raw = raw
        self.request.tail_pieces = None
        self.request.argv = argv
        return False


@final
class RequestLimits:
    """How much one client may send; its session raises the limits after AUTH."""

    def __init__(
        self,
        arguments: i64 = defaults.MAX_ARGUMENTS,
        bulk_bytes: i64 = defaults.MAX_BULK_BYTES,
        inline_bytes: i64 = defaults.MAX_INLINE_BYTES,
        query_bytes: i64 = defaults.MAX_QUERY_BUFFER_BYTES,
    ) -> None:
        self.arguments: i64 = arguments
        self.bulk_bytes: i64 = bulk_bytes
        self.inline_bytes: i64 = inline_bytes
        self.query_bytes: i64 = query_bytes


def parse_multibulk(buf: bytes, pos: i64, limits: RequestLimits, argv: list[bytes]) -> i64:
    """Append the arguments of the multibulk request at ``pos`` to ``argv``; returns the offset behind it.

    0 when it is not whole in ``buf``, or not valid. The negative offset when it is not canonical: Redis accepts any two
    bytes in place of some line ends, but a node might not.
    """
    size: i64 = len(buf)
    start = pos
    arguments_left, pos = parse_length(buf, pos + 1, size)
    if arguments_left < 0 or arguments_left > limits.arguments:
        return 0
    is_canonical = buf[pos - 1] == LF
    while arguments_left > 0:
        if pos >= size or buf[pos] != DOLLAR:
            return 0
        length, pos = parse_length(buf, pos + 1, size)
        if length < 0 or length > limits.bulk_bytes:
            return 0
        end = pos + length
        if end + 2 > size:
            return 0
        if buf[pos - 1] != LF or buf[end] != CR or buf[end + 1] != LF:
            is_canonical = False
        argv.append(buf[pos:end])
        pos = end + 2
        arguments_left -= 1
    if pos - start > limits.query_bytes:
        return 0
    return pos if is_canonical else -pos


def parse_first_arguments(buf: bytes, argv: list[bytes]) -> int:
    """The number of arguments of the canonical request that begins in ``buf``; appends those that are whole there."""
    size: i64 = len(buf)
    count, pos = parse_length(buf, 1, size)
    while pos < size and buf[pos] == DOLLAR:
        length, pos = parse_length(buf, pos + 1, size)
        if length < 0 or pos + length > size:
            break
        argv.append(buf[pos : pos + length])
        pos += length + 2
    return int(count)


@final
class RequestReader:
    """Splits the bytes of one client into requests. After a `ProtocolError` it raises the same one again."""

    def __init__(self, limits: RequestLimits) -> None:
        self.limits: RequestLimits = limits
        self.chunk: bytes = b""
        self.pos: i64 = 0
        self.size: i64 = 0
        #: Chunks that came while an earlier one was unfinished; those before ``next_chunk`` have been loaded.
        self.queued_chunks: list[bytes] = []
        self.next_chunk: i64 = 0
        self.queued_bytes: i64 = 0
        #: All bytes that were ever fed.
        self.fed_bytes: i64 = 0
        self.in_progress: bool = False
        self.pieces: FramePieces = FramePieces()
        self.scanner: RequestScanner = RequestScanner(limits)
        self.protocol_error: str = ""

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self.fed_bytes += len(data)
        if self.pos < self.size or self.queued_chunks:
            self.queued_chunks.append(data)
            self.queued_bytes += len(data)
            return
        self.chunk = data
        self.pos = 0
        self.size = len(data)

    def next(self) -> Request | None:
        """One request; None when more bytes are needed. Requests without arguments are skipped, as in Redis."""
        if self.protocol_error:
            raise ProtocolError(self.protocol_error)
        while self.pos < self.size or self._load_chunk():
            pos = self.pos
            if not self.in_progress and self.chunk[pos] == STAR:
                argv: list[bytes] = []
                end = parse_multibulk(self.chunk, pos, self.limits, argv)
                if end > 0:
                    self.pos = end
                    if argv:
                        whole = pos == 0 and end == self.size
                        return Request(argv, self.chunk if whole else self.chunk[pos:end])
                    continue
            request = self._scan_partial()
            if request is not None and request.argv:
                return request
        return None

    def buffered_bytes(self) -> int:
        """Bytes that were fed and are not part of a request that was returned."""
        return self.pieces.size + self.size - self.pos + self.queued_bytes

    def _load_chunk(self) -> bool:
        """Go on to the next chunk that was fed; False if there is none."""
        while self.queued_chunks:
            self.chunk = self.queued_chunks[self.next_chunk]
            self.next_chunk += 1
            if self.next_chunk == len(self.queued_chunks):
                self.queued_chunks.clear()
                self.next_chunk = 0
            self.pos = 0
            self.size = len(self.chunk)
            self.queued_bytes -= self.size
            if self.size:
                return True
        return False

    def _scan_partial(self) -> Request | None:
        """Continue with a request that is not whole in one chunk, or not valid; None until it is whole."""
        try:
            end = self.scanner.advance(self.chunk, self.pos)
        except ProtocolError as error:
            self.protocol_error = str(error)
            raise
        if end < 0:
            self.pieces.add(self.chunk if self.pos == 0 else self.chunk[self.pos :])
            self.pos = self.size
            self.chunk = b""
            self.in_progress = True
            return None
        self.pieces.add(self.chunk[self.pos : end])
        self.pos = end
        self.in_progress = False
        if self.pieces.size > LARGE_REQUEST_BYTES and self.scanner.is_canonical:
            return self._build_segmented(self.pieces.take_parts())
        return self._build_complete(self.pieces.take_joined())

    def _build_segmented(self, pieces: list[bytes]) -> Request:
        """A segmented request, if name and first key are whole in its first piece; else an ordinary one."""
        argv: list[bytes] = []
        first = pieces[0]
        count = parse_first_arguments(first, argv)
        if len(argv) < 2 or len(pieces) == 1:
            return self._build_complete(b"".join(pieces))
        argv.extend([b""] * (count - len(argv)))
        return Request(argv, first, pieces[1:])

    def _build_complete(self, raw: bytes) -> Request:
        """The request whose bytes are ``raw``, with a canonical frame."""
        if raw[0] != STAR:
            argv = self.scanner.inline_argv
            return Request(argv, encode_request(argv))
        argv = []
        is_canonical = parse_multibulk(raw, 0, self.limits, argv) > 0
        return Request(argv, raw if is_canonical else encode_request(argv))


@final
class RequestScanner:
    """Follows one request across any number of buffers, and refuses what Redis would refuse."""

    def __init__(self, limits: RequestLimits) -> None:
        self.limits: RequestLimits = limits
        #: The arguments of the last inline request.
        self.inline_argv: list[bytes] = []
        self.first_byte: i64 = -1  # of the request; -1 before it
        self.arguments_left: i64 = -1  # not scanned so far; -1 before the line that says how many there are
        self.bulk_bytes_left: i64 = 0  # missing bytes of the current argument and its line end
        self.line_pieces: list[bytes] = []  # the current line, without its CR
        self.line_bytes: i64 = 0
        self.awaiting_lf: bool = False  # that line's CR was the last byte
        self.scanned_bytes: i64 = 0  # bytes of this request in earlier buffers
        self.is_canonical: bool = True  # every line end is CR LF, so the frame may be relayed as it is

    def advance(self, buf: bytes, pos: i64) -> i64:
        """The offset behind the request that continues (or begins) at ``pos``; -1 when it does not end in ``buf``."""
        start = pos
        if self.first_byte < 0:
            self.first_byte = buf[pos]
            self.is_canonical = self.first_byte == STAR
        if self.first_byte == STAR:
            pos = self._multibulk(buf, pos)
        else:
            pos = self._inline(buf, pos)
        size: i64 = len(buf)
        self.scanned_bytes += (size if pos < 0 else pos) - start
        if self.scanned_bytes > self.limits.query_bytes:
            raise ProtocolError(QUERY_TOO_BIG)
        if pos >= 0:
            self.first_byte = -1
            self.arguments_left = -1
            self.scanned_bytes = 0
        return pos

    def _multibulk(self, buf: bytes, pos: i64) -> i64:
        size: i64 = len(buf)
        while True:
            if self.bulk_bytes_left > size - pos:
                self.bulk_bytes_left -= size - pos
                return -1
            if self.bulk_bytes_left and (
                self.bulk_bytes_left < 2
                or buf[pos + self.bulk_bytes_left - 2] != CR
                or buf[pos + self.bulk_bytes_left - 1] != LF
            ):
                self.is_canonical = False
            pos += self.bulk_bytes_left
            self.bulk_bytes_left = 0
            if self.arguments_left == 0:
                return pos
            if pos >= size:
                return -1
            if self.arguments_left > 0 and buf[pos] == DOLLAR and not self.line_pieces:
                # A plain length that is whole in the buffer: most of a long request.
                length, end = parse_length(buf, pos + 1, size)
                if 0 <= length <= self.limits.bulk_bytes and buf[end - 1] == LF:
                    self.arguments_left -= 1
                    self.bulk_bytes_left = length + 2
                    pos = end
                    continue
            pos = self._read_header(buf, pos, size)
            if pos < 0:
                return -1

    def _read_header(self, buf: bytes, pos: i64, size: i64) -> i64:
        """As Redis, read a header line when its CR and one more byte, whichever, are there; -1 until then."""
        if not self.awaiting_lf:
            too_big = "too big mbulk count string" if self.arguments_left < 0 else "too big bulk count string"
            pos = self._collect_line(buf, pos, size, b"\r", too_big)
            if pos < 0:
                return -1
            pos += 1
            if pos >= size:
                self.awaiting_lf = True
                return -1
        self.awaiting_lf = False
        if buf[pos] != LF:
            self.is_canonical = False
        line = self._join_line()
        if self.arguments_left < 0:
            self._parse_argument_count(line)
        else:
            self._parse_bulk_length(line)
        return pos + 1

    def _collect_line(self, buf: bytes, pos: i64, size: i64, terminator: bytes, too_big: str) -> i64:
        """Collect the line up to ``terminator``; returns the offset of that, or -1 when it is not in ``buf``."""
        found: i64 = buf.find(terminator, pos)
        end = size if found < 0 else found
        self.line_bytes += end - pos
        if self.line_bytes > self.limits.inline_bytes:
            raise ProtocolError(too_big)
        self.line_pieces.append(buf[pos:end])
        return found

    def _join_line(self) -> bytes:
        line = b"".join(self.line_pieces)
        self.line_pieces = []
        self.line_bytes = 0
        return line

    def _parse_argument_count(self, line: bytes) -> None:
        """``*3``: the number of arguments; a request with 0 or fewer is empty."""
        count = parse_int64(line[1:])
        if count is None or count > defaults.MAX_ARGUMENTS:
            raise ProtocolError("invalid multibulk length")
        if count > self.limits.arguments:
            # Limits this low are those before AUTH; a configured limit is higher.
            unauthenticated = self.limits.arguments <= defaults.MAX_UNAUTHENTICATED_ARGUMENTS
            raise ProtocolError("unauthenticated multibulk length" if unauthenticated else "invalid multibulk length")
        self.arguments_left = max(count, 0)

    def _parse_bulk_length(self, line: bytes) -> None:
        """``$3``: the length of the next argument."""
        if line[:1] != b"$":
            # An empty line's first byte is its CR, which Redis shows as a space.
            raise ProtocolError(f"expected '$', got '{printable(line[:1]) or ' '}'")
        length = parse_int64(line[1:])
        if length is None or length < 0 or length > max(defaults.MAX_BULK_BYTES, self.limits.bulk_bytes):
            raise ProtocolError("invalid bulk length")
        if length > self.limits.bulk_bytes:
            unauthenticated = self.limits.bulk_bytes <= defaults.MAX_UNAUTHENTICATED_BULK_BYTES
            raise ProtocolError("unauthenticated bulk length" if unauthenticated else "invalid bulk length")
        self.arguments_left -= 1
        self.bulk_bytes_left = length + 2

    def _inline(self, buf: bytes, pos: i64) -> i64:
        """A line of words, as typed into telnet."""
        pos = self._collect_line(buf, pos, len(buf), b"\n", "too big inline request")
        if pos < 0:
            return -1
        self.inline_argv = split_args(self._join_line())
        return pos + 1
