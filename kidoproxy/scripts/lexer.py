"""Lua 5.1 in tokens, as ``llex.c`` of Redis and Valkey cuts them.

Each byte is read once. What the language does not allow is a `LuaSyntaxError`: the node would refuse it too, and
what only another Lua would take (``\\x41``, ``goto``) is not guessed at.
"""

import re
from typing import Final, final

from mypy_extensions import mypyc_attr

#: A longer text is not read: that would hold up all other clients.
MAX_ANALYSED_BYTES: Final = 128 * 1024
MAX_TOKENS: Final = 10_000

# Kinds of tokens.
SYMBOL_TOKEN: Final = 0  # operators and keywords
NAME_TOKEN: Final = 1
NUMBER_TOKEN: Final = 2
STRING_TOKEN: Final = 3
END_TOKEN: Final = 4

KEYWORDS: Final = frozenset(
    b"and break do else elseif end false for function if in local nil not or repeat return then true until "
    b"while".split()
)

_TOKEN: Final = re.compile(
    rb"""(?:
    ([A-Za-z_][A-Za-z0-9_]*)
  | (\.?[0-9][0-9.]*(?:[eE][+-]?)?[A-Za-z0-9_]*)
  | ("[^"\\\r\n]*(?:\\(?:\r\n|\n\r|[\x00-\xff])[^"\\\r\n]*)*"|'[^'\\\r\n]*(?:\\(?:\r\n|\n\r|[\x00-\xff])[^'\\\r\n]*)*')
  | (--\[=*\[|\[=*\[)
  | (--[^\r\n]*)
  | (\.\.\.|\.\.|==|~=|<=|>=|[-+*/%\^\#<>=(){}\[\];:,.])
    )[ \t\r\n\v\f]*""",
    re.VERBOSE,
)
_SPACE: Final = re.compile(rb"[ \t\r\n\v\f]*")
_LINE_END: Final = re.compile(rb"\r\n|\n\r|\r|\n")
_NUMBER: Final = re.compile(rb"(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\Z")
_ESCAPE: Final = re.compile(rb"\\(?:([0-9]{1,3})|(\r\n|\n\r|\r|\n)|([\x00-\xff]))")
_ESCAPE_LETTERS: Final = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
#: Escapes that other versions of Lua read otherwise.
_UNSUPPORTED_ESCAPES: Final = (b"x", b"z", b"u")


@mypyc_attr(native_class=False)
class LuaSyntaxError(Exception):
    """The text is not Lua 5.1, or it is larger than what is read; the sentence says what and in which line."""


@final
class Tokens:
    """The tokens of ``text``, the last one END_TOKEN: their ``kinds``, ``values``, and where each ``starts``."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.kinds: list[int] = []
        self.values: list[bytes] = []
        self.starts: list[int] = []
        self.comment_count = 0
        if len(text) > MAX_ANALYSED_BYTES:
            raise LuaSyntaxError(f"it is larger than the {MAX_ANALYSED_BYTES // 1024} KiB that are read")
        # The first line ``#!lua flags=no-writes`` is Redis 7's own, not Lua.
        at = (text + b"\n").find(b"\n") if text.startswith(b"#!") else 0
        matched = _SPACE.match(text, at)
        at = matched.end() if matched is not None else at
        while at < len(text):
            at = self.read_token(at)
        self.add_token(END_TOKEN, b"", at)

    def read_token(self, at: int) -> int:
        """Cut the token at ``at``, and the space behind it; where the next one begins."""
        found = _TOKEN.match(self.text, at)
        if found is None:
            raise LuaSyntaxError(f"line {self.line_number(at)} has what is no Lua 5.1")
        kind = found.lastindex
        raw = found.group(kind) if kind is not None else b""
        if kind == 1:
            self.add_token(SYMBOL_TOKEN if raw in KEYWORDS else NAME_TOKEN, raw, at)
        elif kind == 6:
            self.add_token(SYMBOL_TOKEN, raw, at)
        elif kind == 3:
            self.add_token(STRING_TOKEN, raw[1:-1] if b"\\" not in raw else self.unescape(raw[1:-1], at), at)
        elif kind == 2:
            if _NUMBER.match(raw) is None:
                raise LuaSyntaxError(f"line {self.line_number(at)} has a malformed number")
            self.add_token(NUMBER_TOKEN, raw, at)
        elif kind == 4:
            return self.read_long_bracket(raw, at)
        else:
            self.count_comment()
        return found.end()

    def count_comment(self) -> None:
        """A comment takes as long to read as a token."""
        self.comment_count += 1
        self.check_limit()

    def check_limit(self) -> None:
        if len(self.kinds) + self.comment_count > MAX_TOKENS:
            raise LuaSyntaxError(f"it has more than the {MAX_TOKENS} words and signs that are read")

    def add_token(self, kind: int, value: bytes, at: int) -> None:
        self.check_limit()
        self.kinds.append(kind)
        self.values.append(value)
        self.starts.append(at)

    def read_long_bracket(self, opening: bytes, at: int) -> int:
        """Read a comment or a string in long brackets, of any level; where what follows begins."""
        text = self.text
        comment = opening.startswith(b"--")
        level = len(opening) - (4 if comment else 2)
        start = at + len(opening)
        end = text.find(b"]" + b"=" * level + b"]", start)
        # Lua 5.1 refuses what the versions before it nested.
        if end < 0 or (level == 0 and text.find(b"[[", start, end) >= 0):
            raise LuaSyntaxError(
                f"line {self.line_number(at)} begins a long {'comment' if comment else 'string'} without an end"
            )
        if comment:
            self.count_comment()
        else:
            first = _LINE_END.match(text, start, end)
            self.add_token(
                STRING_TOKEN, _LINE_END.sub(b"\n", text[first.end() if first is not None else start : end]), at
            )
        after = _SPACE.match(text, end + level + 2)
        return after.end() if after is not None else len(text)

    def unescape(self, raw: bytes, at: int) -> bytes:
        """The value of a string with escapes."""
        pieces: list[bytes] = []
        done = 0
        for found in _ESCAPE.finditer(raw):
            pieces.append(raw[done : found.start()])
            pieces.append(self.decode_escape(found, at))
            done = found.end()
        pieces.append(raw[done:])
        return b"".join(pieces)

    def decode_escape(self, found: "re.Match[bytes]", at: int) -> bytes:
        if found.group(1):
            number = int(found.group(1))
            if number > 255:
                raise LuaSyntaxError(f"line {self.line_number(at)} has an escape sequence that is too large")
            return bytes([number])
        if found.group(2):
            return b"\n"
        letter: bytes = found.group(3)
        if letter in _UNSUPPORTED_ESCAPES:
            raise LuaSyntaxError(
                f"line {self.line_number(at)} has the escape \\{letter.decode()}, which is not Lua 5.1"
            )
        return _ESCAPE_LETTERS.get(letter, letter)

    def line_number(self, at: int) -> int:
        """The number of the line of this byte, from 1."""
        return self.text.count(b"\n", 0, at) + 1
