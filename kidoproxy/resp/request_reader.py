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
from kidoproxy.resp.request_scanner import RequestLimits, RequestScanner
from kidoproxy.resp.scan import CR, DOLLAR, LF, STAR, FramePieces, parse_length

#: A larger request that came in several pieces stays segmented until somebody needs all its arguments.
LARGE_REQUEST_BYTES: Final[i64] = 64 * 1024
#: More arguments than any request has: a step that does all.
UNBOUNDED_STEP: Final = 1 << 60


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
