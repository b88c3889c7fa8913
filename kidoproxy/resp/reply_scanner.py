"""Finding the end of a reply that may arrive in pieces.

Each byte is scanned once, however small the pieces: the state of an unfinished frame is two counters (values and bytes
of the current bulk string still missing) and at most one incomplete header line, so a value of 100 MB in pieces costs
O(n). Nothing that a node announces is believed before it is there: a length is counted down, never allocated, and
nesting is a count, never recursion.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.scan import (
    BANG,
    BAR,
    COLON,
    COMMA,
    CR,
    DOLLAR,
    EQUALS,
    HASH,
    LF,
    MINUS,
    PAREN,
    PERCENT,
    PLUS,
    STAR,
    UNDERSCORE,
    parse_int64,
    parse_length,
    printable,
)

TYPE_BYTES: Final = b"+-:$*_#,(!=%~>|"
#: The longest header line is a sign and the 19 digits of a 64-bit number.
MAX_HEADER_BYTES: Final[i64] = 32
#: As in hiredis: no aggregate has more items.
MAX_ITEMS: Final[i64] = 4_294_967_295
#: The end of a longer line is searched with ``bytes.find``.
SHORT_LINE_BYTES: Final[i64] = 64
#: No payload is larger; so sums of lengths cannot overflow.
MAX_PAYLOAD_BYTES: Final[i64] = 4_611_686_018_427_387_904


def find_line_end(buf: bytes, pos: i64, size: i64) -> i64:
    """The offset of the first CR or LF at or behind ``pos``; ``size`` when there is none."""
    end = buf.find(b"\r", pos)
    if end < 0:
        end = size
    lf_pos = buf.find(b"\n", pos, end)
    return end if lf_pos < 0 else lf_pos


@final
class ReplyScanner:
    """Finds the end of one reply, attributes in front included, across any number of buffers."""

    def __init__(self) -> None:
        self.items_left: i64 = 1  # values missing until the frame is whole
        self.bulk_bytes_left: i64 = 0  # missing bytes of the current bulk string and its line end
        self.in_line: bool = False  # in a simple string or another line of any length
        self.awaiting_lf: bool = False  # that line's CR was the last byte
        self.partial_header: bytes = b""  # the beginning of a header line that is not whole

    def advance(self, buf: bytes, pos: i64) -> i64:
        """The offset behind the frame that continues (or begins) at ``pos``; -1 when it does not end in ``buf``."""
        size: i64 = len(buf)
        if pos >= size:
            return -1
        if self.bulk_bytes_left or self.in_line or self.partial_header:
            pos = self._resume(buf, pos, size)
            if pos < 0:
                return -1
        while self.items_left > 0:
            if pos >= size:
                return -1
            type_byte: i64 = buf[pos]
            if type_byte == DOLLAR:
                length, end = parse_length(buf, pos + 1, size)
                if length >= 0 and buf[end - 1] == LF:
                    self.items_left -= 1
                    self.bulk_bytes_left = length + 2
                    pos = self._skip_bulk(buf, end, size)
                else:
                    pos = self._read_header(buf, pos, size)
            elif type_byte in (STAR, COLON):
                length, end = parse_length(buf, pos + 1, size)
                if length >= 0 and length <= MAX_ITEMS and buf[end - 1] == LF:
                    self.items_left += length - 1 if type_byte == STAR else -1
                    pos = end
                else:
                    pos = self._read_header(buf, pos, size)
            elif type_byte in (PLUS, MINUS, COMMA, PAREN):
                self.items_left -= 1
                self.in_line = True
                pos = self._skip_line(buf, pos + 1, size)
            else:
                pos = self._read_header(buf, pos, size)
            if pos < 0:
                return -1
        self.items_left = 1
        return pos

    def _resume(self, buf: bytes, pos: i64, size: i64) -> i64:
        """Finish what the last buffer has left open."""
        if self.bulk_bytes_left:
            return self._skip_bulk(buf, pos, size)
        if self.in_line:
            return self._skip_line(buf, pos, size)
        carried_bytes: i64 = len(self.partial_header)
        line = self.partial_header + buf[pos : pos + MAX_HEADER_BYTES]
        self.partial_header = b""
        end = self._parse_header(line, 0, len(line))
        if end < 0:
            self.partial_header = line
            return -1
        pos += end - carried_bytes
        if self.bulk_bytes_left:
            return self._skip_bulk(buf, pos, size)
        return pos

    def _skip_bulk(self, buf: bytes, pos: i64, size: i64) -> i64:
        """Skip the payload of a bulk string and check its line end, which may arrive a byte at a time."""
        end = pos + self.bulk_bytes_left
        if end <= size:
            if buf[end - 1] != LF or (self.bulk_bytes_left > 1 and buf[end - 2] != CR):
                raise ProtocolError("a bulk is longer than it said")
            self.bulk_bytes_left = 0
            return end
        self.bulk_bytes_left = end - size
        if self.bulk_bytes_left == 1 and pos < size and buf[size - 1] != CR:
            raise ProtocolError("a bulk is longer than it said")
        return -1

    def _skip_line(self, buf: bytes, pos: i64, size: i64) -> i64:
        """Skip a line of any length; a lone CR or LF in it means that this is no line."""
        if not self.awaiting_lf:
            stop = min(size, pos + SHORT_LINE_BYTES)
            while pos < stop and buf[pos] != CR and buf[pos] != LF:
                pos += 1
            if pos == stop:
                pos = find_line_end(buf, pos, size)
            if pos >= size:
                return -1
            if buf[pos] == LF:
                raise ProtocolError("a line feed inside a line")
            pos += 1
            if pos >= size:
                self.awaiting_lf = True
                return -1
        if buf[pos] != LF:
            raise ProtocolError("a carriage return inside a line")
        self.awaiting_lf = False
        self.in_line = False
        return pos + 1

    def _read_header(self, buf: bytes, pos: i64, size: i64) -> i64:
        """Read a header line of any kind, and skip the payload if it is a bulk string's."""
        end = self._parse_header(buf, pos, size)
        if end < 0:
            self.partial_header = buf[pos:]
            return -1
        if self.bulk_bytes_left:
            return self._skip_bulk(buf, end, size)
        return end

    def _parse_header(self, buf: bytes, pos: i64, size: i64) -> i64:
        """Apply the header line at ``pos``; returns the offset behind it, or -1 when it is not whole."""
        type_byte: i64 = buf[pos]
        if TYPE_BYTES.find(buf[pos : pos + 1]) < 0:
            raise ProtocolError(f"expected a reply, got '{printable(buf[pos : pos + 1])}'")
        end = pos + 1
        stop = min(size, pos + MAX_HEADER_BYTES)
        while end < stop and buf[end] != CR:
            end += 1
        if end + 1 >= size and end < pos + MAX_HEADER_BYTES:
            return -1
        if end == pos + MAX_HEADER_BYTES or buf[end + 1] != LF:
            raise ProtocolError(f"invalid header line '{printable(buf[pos:end])}'")
        self._apply_header(type_byte, buf[pos + 1 : end])
        return end + 2

    def _apply_header(self, type_byte: i64, text: bytes) -> None:
        """Count what a header line announces."""
        valid: bool
        if type_byte == UNDERSCORE:
            valid = text == b""
            self.items_left -= 1
        elif type_byte == HASH:
            valid = text == b"t" or text == b"f"
            self.items_left -= 1
        else:
            value = parse_int64(text)
            valid = value is not None
            if value is not None:
                valid = self._apply_length(type_byte, value)
        if not valid:
            raise ProtocolError(f"invalid header line '{chr(type_byte)}{printable(text)}'")

    def _apply_length(self, type_byte: i64, value: i64) -> bool:
        """Count an announced length; False when this type cannot have it."""
        if type_byte == COLON:
            self.items_left -= 1
            return True
        if value == -1 and type_byte in (DOLLAR, STAR):  # the nulls of RESP2
            self.items_left -= 1
            return True
        if type_byte in (DOLLAR, BANG, EQUALS):
            self.items_left -= 1
            self.bulk_bytes_left = value + 2
            # A verbatim string begins with its format: "txt:".
            return value <= MAX_PAYLOAD_BYTES and value >= (4 if type_byte == EQUALS else 0)
        if type_byte == BAR:  # not a value itself: the one that it describes follows
            self.items_left += 2 * value
        elif type_byte == PERCENT:
            self.items_left += 2 * value - 1
        else:
            self.items_left += value - 1
        return value >= 0 and value <= MAX_ITEMS
