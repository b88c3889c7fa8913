"""Decoding parts of one whole raw reply, as far as a merge or the session needs them.

The frame has been through a `ReplyReader`, so it is well-formed. Its type may be any: a function that cannot answer for
that type raises `InternalError`, so ask `type_byte` first. Attributes in front of a value are skipped.
"""

from typing import Final

from mypy_extensions import i64

from kidoproxy.resp.errors import InternalError
from kidoproxy.resp.reply_scanner import ReplyScanner
from kidoproxy.resp.scan import (
    BANG,
    BAR,
    COLON,
    DOLLAR,
    EQUALS,
    GREATER,
    HASH,
    LF,
    MINUS,
    PERCENT,
    STAR,
    TILDE,
    UNDERSCORE,
    parse_int64,
)

#: A line with a number is no longer.
MAX_LENGTH_LINE: Final = 24


def type_byte(raw: bytes) -> int:
    """The byte that says the value's type."""
    return raw[value_start(raw)]


def is_error(raw: bytes) -> bool:
    """Whether the reply is an error."""
    first: i64 = type_byte(raw)
    return first in (MINUS, BANG)


def is_null(raw: bytes) -> bool:
    """Whether it is one of the three nulls of RESP2 and RESP3."""
    pos = value_start(raw)
    first: i64 = raw[pos]
    return first == UNDERSCORE or (first in (DOLLAR, STAR) and raw[pos + 1] == MINUS)


def integer_value(raw: bytes) -> int:
    """The value of an integer, or of a boolean as 0 or 1."""
    pos = value_start(raw)
    if raw[pos] == COLON:
        return int(line_text(raw, pos))
    if raw[pos] == HASH:
        return 1 if line_text(raw, pos) == b"t" else 0
    raise InternalError(f"not an integer: {raw[:32]!r}")


def string_value(raw: bytes) -> bytes:
    """The payload of a string (a verbatim one without its format), or the text of a number; empty for a null."""
    pos = value_start(raw)
    first: i64 = raw[pos]
    if is_aggregate(first) and not is_null(raw):
        raise InternalError(f"not a string: {raw[:32]!r}")
    if is_null(raw):
        return b""
    if first in (DOLLAR, BANG, EQUALS):
        start = next_line(raw, pos)
        return raw[start + 4 : -2] if first == EQUALS else raw[start:-2]
    return line_text(raw, pos)


def error_text(raw: bytes) -> bytes:
    """The text of an error, code word first."""
    if not is_error(raw):
        raise InternalError(f"not an error: {raw[:32]!r}")
    return string_value(raw)


def items(raw: bytes) -> list[bytes]:
    """The raw items of an array, set or push; of a map its keys and values in turn; none for a null."""
    pos = value_start(raw)
    if is_null(raw):
        return []
    if not is_aggregate(raw[pos]):
        raise InternalError(f"not an aggregate: {raw[:32]!r}")
    found: list[bytes] = []
    size: i64 = len(raw)
    scanner = ReplyScanner()
    pos = next_line(raw, pos)
    while pos < size:
        end = scanner.advance(raw, pos)
        found.append(raw[pos:end])
        pos = end
    return found


def first_bulks(raw: bytes, count: int) -> list[bytes]:
    """The payloads of the leading bulk strings of an array or push, at most ``count``; the rest is not parsed."""
    found: list[bytes] = []
    pos = next_line(raw, 0)
    size: i64 = len(raw)
    while pos < size and len(found) < count and raw[pos] == DOLLAR and raw[pos + 1] != MINUS:
        start = next_line(raw, pos)
        end: i64 = start + int(raw[pos + 1 : start - 2])
        found.append(raw[start:end])
        pos = end + 2
    return found


def leading_bulks(raw: bytes, count: int) -> list[bytes]:
    """As `first_bulks`, of bytes that may end anywhere or be anything: what is not whole is left out."""
    found: list[bytes] = []
    pos = raw.find(b"\n", 0, MAX_LENGTH_LINE) + 1 if raw[:1] == b"*" else 0
    while pos and len(found) < count and raw[pos : pos + 1] == b"$":
        start = raw.find(b"\n", pos, pos + MAX_LENGTH_LINE) + 1
        size = parse_int64(raw[pos + 1 : start - 2]) if start else None
        if size is None or size < 0 or start + size + 2 > len(raw):
            break
        found.append(raw[start : start + size])
        pos = start + size + 2
    return found


def is_aggregate(first: i64) -> bool:
    """Whether values of this type have items."""
    return first in (STAR, PERCENT, TILDE, GREATER)


def value_start(raw: bytes) -> i64:
    """The offset of the value, behind the attributes in front of it."""
    pos: i64 = 0
    while raw[pos] == BAR:
        item_count = 2 * int(line_text(raw, pos))
        pos = next_line(raw, pos)
        scanner = ReplyScanner()
        for _ in range(item_count):
            pos = scanner.advance(raw, pos)
    return pos


def next_line(raw: bytes, pos: i64) -> i64:
    """The offset behind the end of the line that holds ``pos``."""
    while raw[pos] != LF:
        pos += 1
    return pos + 1


def line_text(raw: bytes, pos: i64) -> bytes:
    """The text of the line that begins at ``pos``, without type byte and line end."""
    return raw[pos + 1 : next_line(raw, pos) - 2]
