"""The arguments of an inline command, split as Redis's ``sdssplitargs`` does, quirks included.

Arguments are separated by white space. In double quotes ``\\n \\r \\t \\b \\a``, ``\\xHH`` and ``\\`` before any other
byte are escapes, in single quotes only ``\\'`` is; a closing quote must be followed by white space. Vertical tab and
form feed are white space between arguments, but do not end one.
"""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.resp.errors import ProtocolError

SPACES: Final = b" \n\r\t\v\f"
WORD_ENDS: Final = b" \n\r\t"
QUOTE: Final[i64] = 34
APOSTROPHE: Final[i64] = 39
BACKSLASH: Final[i64] = 92
ESCAPES: Final[dict[int, bytes]] = {ord("n"): b"\n", ord("r"): b"\r", ord("t"): b"\t", ord("b"): b"\b", ord("a"): b"\a"}
HEX_DIGITS: Final = b"0123456789abcdefABCDEF"


def split_args(line: bytes) -> list[bytes]:
    """The arguments of a line. A NUL, behind which Redis waits forever for the line's end, is refused at once."""
    if b"\0" in line:
        raise ProtocolError("NUL byte in inline request")
    splitter = ArgSplitter(line.removesuffix(b"\r"))
    argv: list[bytes] = []
    while splitter.skip_spaces():
        argv.append(splitter.read_word())
    return argv


@final
class ArgSplitter:
    """Splits one line in a single pass, copying runs of bytes."""

    def __init__(self, line: bytes) -> None:
        self.line = line
        self.pos: i64 = 0
        self.size: i64 = len(line)

    def skip_spaces(self) -> bool:
        """Skip white space; False at the end of the line."""
        line = self.line
        pos = self.pos
        while pos < self.size and line[pos] in SPACES:
            pos += 1
        self.pos = pos
        return pos < self.size

    def read_word(self) -> bytes:
        """One argument; ``foo"bar"`` is ``foobar``, and a closing quote ends it."""
        line = self.line
        start = self.pos
        pos = start
        while pos < self.size:
            char: i64 = line[pos]
            if char in (QUOTE, APOSTROPHE):
                self.pos = pos + 1
                fragments = [line[start:pos]]
                self.read_quoted(char, fragments)
                return b"".join(fragments)
            if line[pos] in WORD_ENDS:
                break
            pos += 1
        self.pos = pos + 1
        return line[start:pos]

    def read_quoted(self, quote: i64, fragments: list[bytes]) -> None:
        """Append the rest of a quoted part, which ends its argument, to ``fragments``."""
        line = self.line
        start = self.pos
        pos = start
        while pos < self.size:
            char: i64 = line[pos]
            if char == quote:
                fragments.append(line[start:pos])
                self.pos = pos + 1
                if self.pos < self.size and line[self.pos] not in SPACES:
                    break
                return
            if char == BACKSLASH and pos + 1 < self.size and (quote == QUOTE or line[pos + 1] == quote):
                fragments.append(line[start:pos])
                self.pos = pos + 1
                fragments.append(self.read_escape(quote))
                pos = self.pos
                start = pos
            else:
                pos += 1
        raise ProtocolError("unbalanced quotes in request")

    def read_escape(self, quote: i64) -> bytes:
        """The byte that the escape at ``pos`` stands for."""
        line = self.line
        pos = self.pos
        letter = line[pos]
        digits = line[pos + 1 : pos + 3]
        if (
            quote == QUOTE
            and letter == 120
            and len(digits) == 2
            and digits[:1] in HEX_DIGITS
            and digits[1:] in HEX_DIGITS
        ):
            self.pos = pos + 3
            return bytes([int(digits, 16)])
        self.pos = pos + 1
        literal = line[pos : pos + 1]
        return ESCAPES.get(letter, literal) if quote == QUOTE else literal
