"""The words of an inline command: ``sdssplitargs`` of Redis, quirks included.

Words are split at white space. In double quotes ``\\n \\r \\t \\b \\a``, ``\\xHH`` and ``\\`` before any other
byte are escapes, in single quotes only ``\\'`` is; a closing quote must be followed by white space. Not
every byte that separates words ends one: vertical tab and form feed do not.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.errors import ProtocolError

SPACES: Final = b" \n\r\t\v\f"
WORD_ENDS: Final = b" \n\r\t"
ESCAPES: Final[dict[bytes, bytes]] = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
HEX: Final = b"0123456789abcdefABCDEF"


def split(line: bytes) -> list[bytes]:
    """The words of a line. A NUL in it would make Redis wait for ever for the line's end: refused at once."""
    if b"\0" in line:
        raise ProtocolError("NUL byte in inline request")
    words = Words(line.removesuffix(b"\r"))
    argv: list[bytes] = []
    while words.more():
        argv.append(words.word())
    return argv


@final
class Words:
    """A walk over one line."""

    def __init__(self, line: bytes) -> None:
        self.line = line
        self.at: i64 = 0

    def peek(self, ahead: i64) -> bytes:
        """The byte so far ahead; empty behind the end."""
        return self.line[self.at + ahead : self.at + ahead + 1]

    def more(self) -> bool:
        """Passes over white space; False at the end of the line."""
        while self.peek(0) and self.peek(0) in SPACES:
            self.at += 1
        return self.at < len(self.line)

    def word(self) -> bytes:
        """One word, which may have quoted parts: ``foo"bar"`` is ``foobar``."""
        out: list[bytes] = []
        while True:
            here = self.peek(0)
            self.at += 1
            if not here or here in WORD_ENDS:
                return b"".join(out)
            if here == b'"' or here == b"'":
                self.quoted(here, out)
                return b"".join(out)
            out.append(here)

    def quoted(self, quote: bytes, out: list[bytes]) -> None:
        """The rest of a quoted part, which ends its word."""
        while True:
            here = self.peek(0)
            if not here:
                raise ProtocolError("unbalanced quotes in request")
            self.at += 1
            if here == quote:
                if self.peek(0) and self.peek(0) not in SPACES:
                    raise ProtocolError("unbalanced quotes in request")
                return
            if here == b"\\" and self.peek(0) and (quote == b'"' or self.peek(0) == b"'"):
                out.append(self.escape(quote))
            else:
                out.append(here)

    def escape(self, quote: bytes) -> bytes:
        """The byte that an escape means."""
        digits = self.peek(1) + self.peek(2)
        if quote == b'"' and self.peek(0) == b"x" and len(digits) == 2 and digits[:1] in HEX and digits[1:] in HEX:
            self.at += 3
            return bytes([int(digits, 16)])
        letter = self.peek(0)
        self.at += 1
        return ESCAPES.get(letter, letter) if quote == b'"' else letter
