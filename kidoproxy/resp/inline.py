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
QUOTE: Final[i64] = 34
APOSTROPHE: Final[i64] = 39
BACKSLASH: Final[i64] = 92
ESCAPES: Final[dict[int, bytes]] = {ord("n"): b"\n", ord("r"): b"\r", ord("t"): b"\t", ord("b"): b"\b", ord("a"): b"\a"}
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
    """A walk over one line: each byte is looked at once, and copied with its neighbours."""

    def __init__(self, line: bytes) -> None:
        self.line = line
        self.at: i64 = 0
        self.size: i64 = len(line)

    def more(self) -> bool:
        """Passes over white space; False at the end of the line."""
        line = self.line
        at = self.at
        while at < self.size and line[at] in SPACES:
            at += 1
        self.at = at
        return at < self.size

    def word(self) -> bytes:
        """One word, which may have quoted parts: ``foo"bar"`` is ``foobar``."""
        line = self.line
        start = self.at
        at = start
        while at < self.size:
            here: i64 = line[at]
            if here in (QUOTE, APOSTROPHE):
                self.at = at + 1
                out = [line[start:at]]
                self.quoted(here, out)
                return b"".join(out)
            if line[at] in WORD_ENDS:
                break
            at += 1
        self.at = at + 1
        return line[start:at]

    def quoted(self, quote: i64, out: list[bytes]) -> None:
        """The rest of a quoted part, which ends its word."""
        line = self.line
        start = self.at
        at = start
        while at < self.size:
            here: i64 = line[at]
            if here == quote:
                out.append(line[start:at])
                self.at = at + 1
                if self.at < self.size and line[self.at] not in SPACES:
                    break
                return
            if here == BACKSLASH and at + 1 < self.size and (quote == QUOTE or line[at + 1] == quote):
                out.append(line[start:at])
                self.at = at + 1
                out.append(self.escape(quote))
                at = self.at
                start = at
            else:
                at += 1
        raise ProtocolError("unbalanced quotes in request")

    def escape(self, quote: i64) -> bytes:
        """The byte that an escape means."""
        line = self.line
        at = self.at
        letter = line[at]
        digits = line[at + 1 : at + 3]
        if quote == QUOTE and letter == 120 and len(digits) == 2 and digits[:1] in HEX and digits[1:] in HEX:
            self.at = at + 3
            return bytes([int(digits, 16)])
        self.at = at + 1
        plain = line[at : at + 1]
        return ESCAPES.get(letter, plain) if quote == QUOTE else plain
