"""Looking into one whole raw reply, as far as a merge or the session needs it.

The frame has been through a `ReplyReader`, so it is well-formed; what may surprise is its type, and asking
a question that its type cannot answer is a `Bug` of ours: ask `kind` first. Attributes in front of a
value are passed over.
"""

import hiredis
from mypy_extensions import i64

from kidoproxy.errors import Bug
from kidoproxy.resp.scan import (
    BANG,
    BAR,
    COLON,
    DOLLAR,
    EQUALS,
    HASH,
    LF,
    MINUS,
    PERCENT,
    PUSH,
    STAR,
    TILDE,
    UNDERSCORE,
    ReplyScanner,
)


def kind(raw: bytes) -> int:
    """The first byte of the value, which says its type."""
    return raw[value_at(raw)]


def is_error(raw: bytes) -> bool:
    """Whether the reply is an error."""
    first: i64 = kind(raw)
    return first in (MINUS, BANG)


def is_null(raw: bytes) -> bool:
    """Whether it is one of the three nulls."""
    at = value_at(raw)
    first: i64 = raw[at]
    return first == UNDERSCORE or (first in (DOLLAR, STAR) and raw[at + 1] == MINUS)


def integer(raw: bytes) -> int:
    """The value of an integer, or of a boolean."""
    at = value_at(raw)
    if raw[at] == COLON:
        return int(line(raw, at))
    if raw[at] == HASH:
        return 1 if line(raw, at) == b"t" else 0
    raise Bug(f"not an integer: {raw[:32]!r}")


def bulk(raw: bytes) -> bytes:
    """The payload of any kind of string, a verbatim one's without its format; the text of a number; empty for null."""
    at = value_at(raw)
    first: i64 = raw[at]
    if is_aggregate(first) and not is_null(raw):
        raise Bug(f"not a string: {raw[:32]!r}")
    if is_null(raw):
        return b""
    if first in (DOLLAR, BANG, EQUALS):
        start = line_end(raw, at)
        return raw[start + 4 : -2] if first == EQUALS else raw[start:-2]
    return line(raw, at)


def error_text(raw: bytes) -> bytes:
    """The text of an error, code word first."""
    if not is_error(raw):
        raise Bug(f"not an error: {raw[:32]!r}")
    return bulk(raw)


def items(raw: bytes) -> list[bytes]:
    """The raw items of an array, set or push; of a map key, value, key, value …; none for a null."""
    at = value_at(raw)
    if is_null(raw):
        return []
    if not is_aggregate(raw[at]):
        raise Bug(f"not an aggregate: {raw[:32]!r}")
    found: list[bytes] = []
    size: i64 = len(raw)
    scanner = ReplyScanner()
    at = line_end(raw, at)
    while at < size:
        end = scanner.advance(raw, at)
        found.append(raw[at:end])
        at = end
    return found


def head(raw: bytes, count: int) -> list[bytes]:
    """The payloads of the first ``count`` items of an array or push, which are bulks; the rest is not looked at."""
    found: list[bytes] = []
    at = line_end(raw, 0)
    size: i64 = len(raw)
    while at < size and len(found) < count and raw[at] == DOLLAR and raw[at + 1] != MINUS:
        start = line_end(raw, at)
        end: i64 = start + int(raw[at + 1 : start - 2])
        found.append(raw[start:end])
        at = end + 2
    return found


def decode(raw: bytes) -> object:
    """The value as Python objects, by hiredis; for the control plane only."""
    reader = hiredis.Reader(notEnoughData=Ellipsis)
    reader.feed(raw[value_at(raw) :])
    return reader.gets()


def is_aggregate(first: i64) -> bool:
    """Whether values of this type have items."""
    return first in (STAR, PERCENT, TILDE, PUSH)


def value_at(raw: bytes) -> i64:
    """Where the value begins, behind the attributes in front of it."""
    at: i64 = 0
    while raw[at] == BAR:
        wanted = 2 * int(line(raw, at))
        at = line_end(raw, at)
        scanner = ReplyScanner()
        for _ in range(wanted):
            at = scanner.advance(raw, at)
    return at


def line_end(raw: bytes, at: i64) -> i64:
    """The place behind the line that holds ``at``."""
    while raw[at] != LF:
        at += 1
    return at + 1


def line(raw: bytes, at: i64) -> bytes:
    """The text of the line that begins at ``at``, without its type and its end."""
    return raw[at + 1 : line_end(raw, at) - 2]
