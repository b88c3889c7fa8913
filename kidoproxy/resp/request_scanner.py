"""Finding the end of a request that arrives in pieces, and whatever is wrong with it.

Errors are raised as early as Redis finds them, and in Redis's words. As in a reply, each byte is scanned once: the
state of an unfinished request is the number of missing arguments, the missing bytes of the current one, and at most
one incomplete line.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.resp import limits as defaults
from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.inline import split_args
from kidoproxy.resp.scan import CR, DOLLAR, LF, STAR, parse_int64, parse_length, printable

#: The error for a request that is larger than its client may send.
QUERY_TOO_BIG: Final = "too big query"
#: The error for a client that speaks TLS to a plain listener. Redis waits for the end of a line that never comes.
TLS_HELLO: Final = "TLS, and this listener is a plain one"
#: How a TLS handshake begins: the type of its first record (RFC 8446, 5.1). No command does.
_TLS_HANDSHAKE: Final[i64] = 0x16


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
            if self.first_byte == _TLS_HANDSHAKE:
                raise ProtocolError(TLS_HELLO)
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
