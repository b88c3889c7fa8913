"""Where does a frame end? The walk over bytes that the readers of requests and replies share.

Two promises. A byte is looked at once, however small the pieces are in which a frame arrives: what is
known about an unfinished frame is three numbers (items still wanted, bytes of the current bulk still to
come, a header line that was cut in two), so a value of 100 MB in pieces costs O(n). And nothing that a
peer claims is believed before it is there: a length is a number to count down, never memory to set aside,
and nesting is a count, never recursion.

Numbers are as strict as ``string2ll`` of Redis and hiredis: no sign but ``-``, no leading zeros.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.errors import ProtocolError

CR: Final[i64] = 13
LF: Final[i64] = 10
ZERO: Final[i64] = 48
NINE: Final[i64] = 57
PLUS: Final[i64] = 43
MINUS: Final[i64] = 45
COLON: Final[i64] = 58
DOLLAR: Final[i64] = 36
STAR: Final[i64] = 42
UNDERSCORE: Final[i64] = 95
HASH: Final[i64] = 35
COMMA: Final[i64] = 44
PAREN: Final[i64] = 40
BANG: Final[i64] = 33
EQUALS: Final[i64] = 61
PERCENT: Final[i64] = 37
TILDE: Final[i64] = 126
PUSH: Final[i64] = 62
BAR: Final[i64] = 124

KINDS: Final = b"+-:$*_#,(!=%~>|"
#: Digits that surely fit; longer numbers take the exact way through `string2ll`.
PLAIN_DIGITS: Final[i64] = 18
#: The longest header line is a sign and the 19 digits of a 64-bit number.
HEADER_BYTES: Final[i64] = 32
#: As hiredis: more items than this in one aggregate is a lie.
MOST_ITEMS: Final[i64] = 4_294_967_295
#: Lines longer than this are searched, not walked through.
SHORT_LINE: Final[i64] = 64
#: More payload than this is a lie, and our sums must not overflow.
MOST_BYTES: Final[i64] = 4_611_686_018_427_387_904
#: Pieces smaller than this are joined with their neighbours, so that each one's object is not the dearer part.
SMALL_BYTES: Final[i64] = 4096
SMALL_PIECES: Final[i64] = 256


def number(buf: bytes, at: i64, size: i64) -> tuple[i64, i64]:
    """The plain number of a header line and the place behind its line end; -1 where the exact way is needed.

    That the line end's second byte is a line feed is left to the caller: Redis does not ask for it.
    """
    first = at
    stop = min(size, at + PLAIN_DIGITS)
    value: i64 = 0
    while at < stop:
        digit: i64 = buf[at]
        if digit < ZERO or digit > NINE:
            break
        value = value * 10 + digit - ZERO
        at += 1
    if at == first or at + 1 >= size or buf[at] != CR or (buf[first] == ZERO and at - first > 1):
        return -1, at
    return value, at + 2


def line_end(buf: bytes, at: i64, size: i64) -> i64:
    """Where the first CR or LF is from ``at`` on; ``size`` when there is none."""
    end = buf.find(b"\r", at)
    if end < 0:
        end = size
    feed = buf.find(b"\n", at, end)
    return end if feed < 0 else feed


#: Most bytes that are kept of what a node says of itself.
FACT_BYTES: Final = 64


def visible(raw: bytes) -> bytes:
    """A fact that a node tells of itself, for pages, logs and the state file: short, and nothing but visible ASCII."""
    return bytes([byte for byte in raw[:FACT_BYTES] if 33 <= byte <= 126])


def string2ll(text: bytes) -> int | None:
    """A 64-bit number exactly as Redis reads it; None when it is none."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[:1] == b"0" and len(text) > 1):
        return None
    value = int(text)
    if not -(2**63) <= value < 2**63:
        return None
    return value


@final
class Pieces:
    """What has arrived of an unfinished frame; joined once."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size: i64 = 0
        self.small: i64 = 0

    def add(self, part: bytes) -> None:
        """One more piece. A long run of tiny ones becomes one: each byte moves once more at most."""
        self.parts.append(part)
        self.size += len(part)
        self.small = self.small + 1 if len(part) < SMALL_BYTES else 0
        if self.small == SMALL_PIECES:
            run = b"".join(self.parts[-SMALL_PIECES:])
            del self.parts[-SMALL_PIECES:]
            self.parts.append(run)
            self.small = 0

    def take(self) -> bytes:
        """All of it, once."""
        parts = self.take_parts()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take_parts(self) -> list[bytes]:
        """All of it, as it came."""
        parts = self.parts
        self.parts = []
        self.size = 0
        self.small = 0
        return parts


@final
class ReplyScanner:
    """Finds the end of one reply, attributes in front included, across any number of buffers."""

    def __init__(self) -> None:
        self.need: i64 = 1  # items still wanted until the frame is whole
        self.skip: i64 = 0  # bytes of the current bulk and its line end that have not come yet
        self.text: bool = False  # inside a simple string or another line of any length
        self.ending: bool = False  # that line's CR was the last byte
        self.carry: bytes = b""  # the first part of a short header line that was cut in two

    def advance(self, buf: bytes, at: i64) -> i64:
        """The place behind the frame that goes on (or begins) at ``at``; -1 when all of ``buf`` belongs to it."""
        size: i64 = len(buf)
        if at >= size:
            return -1
        if self.skip or self.text or self.carry:
            at = self._resume(buf, at, size)
            if at < 0:
                return -1
        while self.need > 0:
            if at >= size:
                return -1
            kind: i64 = buf[at]
            if kind == DOLLAR:
                length, behind = number(buf, at + 1, size)
                if length >= 0 and buf[behind - 1] == LF:
                    self.need -= 1
                    self.skip = length + 2
                    at = self._bulk(buf, behind, size)
                else:
                    at = self._header(buf, at, size)
            elif kind in (STAR, COLON):
                length, behind = number(buf, at + 1, size)
                if length >= 0 and length <= MOST_ITEMS and buf[behind - 1] == LF:
                    self.need += length - 1 if kind == STAR else -1
                    at = behind
                else:
                    at = self._header(buf, at, size)
            elif kind in (PLUS, MINUS, COMMA, PAREN):
                self.need -= 1
                self.text = True
                at = self._line(buf, at + 1, size)
            else:
                at = self._header(buf, at, size)
            if at < 0:
                return -1
        self.need = 1
        return at

    def _resume(self, buf: bytes, at: i64, size: i64) -> i64:
        """Finishes what the last buffer left open."""
        if self.skip:
            return self._bulk(buf, at, size)
        if self.text:
            return self._line(buf, at, size)
        before: i64 = len(self.carry)
        line = self.carry + buf[at : at + HEADER_BYTES]
        self.carry = b""
        behind = self._header_line(line, 0, len(line))
        if behind < 0:
            self.carry = line
            return -1
        at += behind - before
        if self.skip:
            return self._bulk(buf, at, size)
        return at

    def _bulk(self, buf: bytes, at: i64, size: i64) -> i64:
        """Passes over the payload of a bulk and checks its line end, which may come a byte at a time."""
        behind = at + self.skip
        if behind <= size:
            if buf[behind - 1] != LF or (self.skip > 1 and buf[behind - 2] != CR):
                raise ProtocolError("a bulk is longer than it said")
            self.skip = 0
            return behind
        self.skip = behind - size
        if self.skip == 1 and at < size and buf[size - 1] != CR:
            raise ProtocolError("a bulk is longer than it said")
        return -1

    def _line(self, buf: bytes, at: i64, size: i64) -> i64:
        """Passes over a line of any length; a lone CR or LF in it means that we are out of step."""
        if not self.ending:
            stop = min(size, at + SHORT_LINE)
            while at < stop and buf[at] != CR and buf[at] != LF:
                at += 1
            if at == stop:
                at = line_end(buf, at, size)
            if at >= size:
                return -1
            if buf[at] == LF:
                raise ProtocolError("a line feed inside a line")
            at += 1
            if at >= size:
                self.ending = True
                return -1
        if buf[at] != LF:
            raise ProtocolError("a carriage return inside a line")
        self.ending = False
        self.text = False
        return at + 1

    def _header(self, buf: bytes, at: i64, size: i64) -> i64:
        """A header of any kind, the exact way."""
        behind = self._header_line(buf, at, size)
        if behind < 0:
            self.carry = buf[at:]
            return -1
        if self.skip:
            return self._bulk(buf, behind, size)
        return behind

    def _header_line(self, buf: bytes, at: i64, size: i64) -> i64:
        """The place behind a short header line, its meaning noted; -1 when the line is not whole."""
        kind: i64 = buf[at]
        if KINDS.find(buf[at : at + 1]) < 0:
            raise ProtocolError(f"expected a reply, got '{printable(buf[at : at + 1])}'")
        end = at + 1
        stop = min(size, at + HEADER_BYTES)
        while end < stop and buf[end] != CR:
            end += 1
        if end + 1 >= size and end < at + HEADER_BYTES:
            return -1
        if end == at + HEADER_BYTES or buf[end + 1] != LF:
            raise ProtocolError(f"invalid header line '{printable(buf[at:end])}'")
        self._meaning(kind, buf[at + 1 : end])
        return end + 2

    def _meaning(self, kind: i64, text: bytes) -> None:
        """Counts what a header line announces."""
        good: bool
        if kind == UNDERSCORE:
            good = text == b""
            self.need -= 1
        elif kind == HASH:
            good = text == b"t" or text == b"f"
            self.need -= 1
        else:
            value = string2ll(text)
            good = value is not None
            if value is not None:
                good = self._count(kind, value)
        if not good:
            raise ProtocolError(f"invalid header line '{chr(kind)}{printable(text)}'")

    def _count(self, kind: i64, value: i64) -> bool:
        """Counts an announced length; False when this kind cannot have it."""
        if kind == COLON:
            self.need -= 1
            return True
        if value == -1 and kind in (DOLLAR, STAR):  # the nulls of RESP2
            self.need -= 1
            return True
        if kind in (DOLLAR, BANG, EQUALS):
            self.need -= 1
            self.skip = value + 2
            # A verbatim string begins with its format: "txt:".
            return value <= MOST_BYTES and value >= (4 if kind == EQUALS else 0)
        if kind == BAR:  # does not count itself: the value that it describes follows
            self.need += 2 * value
        elif kind == PERCENT:
            self.need += 2 * value - 1
        else:
            self.need += value - 1
        return value >= 0 and value <= MOST_ITEMS


def printable(raw: bytes) -> str:
    """Bytes as they may stand in the sentence of an error; line ends are replaced as Redis does."""
    return raw.decode("latin-1").replace("\r", " ").replace("\n", " ")
