"""What the scanners of requests and replies share: type bytes, numbers, and the pieces of an unfinished frame.

Numbers are as strict as in ``string2ll`` of Redis and in hiredis: no sign but ``-``, no leading zeros.
"""

from typing import Final, final

from mypy_extensions import i64

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
GREATER: Final[i64] = 62
BAR: Final[i64] = 124

#: Digits that fit into 64 bits in any case; longer numbers are parsed by `parse_int64`.
FAST_DIGITS: Final[i64] = 18
#: A run of so many pieces smaller than this is joined: their objects would cost more than their bytes.
SMALL_PIECE_BYTES: Final[i64] = 4096
SMALL_RUN_PIECES: Final[i64] = 256


def parse_length(buf: bytes, pos: i64, size: i64) -> tuple[i64, i64]:
    """The number at ``pos`` and the offset behind its line end; -1 unless it is whole, plain and short.

    The caller checks that the second byte of the line end is a line feed: Redis does not.
    """
    first = pos
    stop = min(size, pos + FAST_DIGITS)
    value: i64 = 0
    while pos < stop:
        digit: i64 = buf[pos]
        if digit < ZERO or digit > NINE:
            break
        value = value * 10 + digit - ZERO
        pos += 1
    if pos == first or pos + 1 >= size or buf[pos] != CR or (buf[first] == ZERO and pos - first > 1):
        return -1, pos
    return value, pos + 2


#: Bytes that are kept of what a node says of itself.
MAX_INFO_VALUE_BYTES: Final = 64


def visible_ascii(raw: bytes) -> bytes:
    """A value of a node's INFO for the admin page, logs and the state file: short, and visible ASCII only."""
    return bytes([byte for byte in raw[:MAX_INFO_VALUE_BYTES] if 33 <= byte <= 126])


def parse_int64(text: bytes) -> int | None:
    """A signed 64-bit number as Redis's ``string2ll`` reads it; None when ``text`` is none."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[:1] == b"0" and len(text) > 1):
        return None
    value = int(text)
    if not -(2**63) <= value < 2**63:
        return None
    return value


@final
class FramePieces:
    """What has arrived of an unfinished frame, joined once when it is whole."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size: i64 = 0
        self.small_run: i64 = 0

    def add(self, part: bytes) -> None:
        """Add a piece. A long run of small ones is joined, so each byte is copied once more at most."""
        self.parts.append(part)
        self.size += len(part)
        self.small_run = self.small_run + 1 if len(part) < SMALL_PIECE_BYTES else 0
        if self.small_run == SMALL_RUN_PIECES:
            run = b"".join(self.parts[-SMALL_RUN_PIECES:])
            del self.parts[-SMALL_RUN_PIECES:]
            self.parts.append(run)
            self.small_run = 0

    def take_joined(self) -> bytes:
        """Return all bytes, and forget them."""
        parts = self.take_parts()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take_parts(self) -> list[bytes]:
        """Return the pieces, and forget them."""
        parts = self.parts
        self.parts = []
        self.size = 0
        self.small_run = 0
        return parts


def printable(raw: bytes) -> str:
    """Bytes for an error sentence, with line ends replaced as Redis does."""
    return raw.decode("latin-1").replace("\r", " ").replace("\n", " ")
