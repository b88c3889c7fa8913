"""A relative time to live made absolute, so that copies expire together however late one of them gets the write.

The rewritten request must be answered exactly like the original. So whatever Redis would complain about
(not a number, zero, too large, two units at once, …) is left as it is: Redis itself says what is wrong.
"""

from typing import Final

from kidoproxy.resp.scan import parse_int64

_INT64_MAX: Final = 9223372036854775807
#: The latest moment that Redis keeps for a field of a hash.
_MAX_FIELD_EXPIRY_MS: Final = (1 << 48) - 2

_MS_PER_SECOND: Final = 1000
_MS_PER_MILLISECOND: Final = 1


def with_absolute_expiry(argv: list[bytes], now_ms: int) -> list[bytes] | None:
    """The same request with an absolute expiry; None when there is nothing to rewrite, or nothing valid."""
    name = argv[0].lower()
    if name in (b"set", b"getex", b"msetex", b"hsetex", b"hgetex"):
        return _rewrite_options(argv, now_ms)
    if name == b"setex":
        return _rewrite_setex(argv, _MS_PER_SECOND, now_ms)
    if name == b"psetex":
        return _rewrite_setex(argv, _MS_PER_MILLISECOND, now_ms)
    if name == b"expire":
        return _rewrite_expire(argv, _MS_PER_SECOND, now_ms)
    if name == b"pexpire":
        return _rewrite_expire(argv, _MS_PER_MILLISECOND, now_ms)
    if name == b"hexpire":
        return _rewrite_hexpire(argv, _MS_PER_SECOND, now_ms)
    if name == b"hpexpire":
        return _rewrite_hexpire(argv, _MS_PER_MILLISECOND, now_ms)
    if name == b"restore":
        return _rewrite_restore(argv, now_ms)
    return None


def option_positions(argv: list[bytes]) -> list[int]:
    """Where the option words of SET, GETEX, MSETEX, HSETEX and HGETEX are; not their values, keys or fields."""
    name = argv[0].lower()
    count = len(argv)
    if name == b"set":
        i = 3
    elif name == b"msetex":
        i = 2 + 2 * _parse_count(argv, 1)
    else:
        i = 2
    found: list[int] = []
    while i < count:
        word = argv[i].lower()
        if word == b"fields" and name in (b"hsetex", b"hgetex"):
            i += 2 + _parse_count(argv, i + 1) * (2 if name == b"hsetex" else 1)
            continue
        found.append(i)
        i += 2 if word in (b"ex", b"px", b"exat", b"pxat", b"ifeq", b"ifne", b"ifdeq", b"ifdne") else 1
    return found


def is_relative(word: bytes) -> bool:
    """Whether this option word counts from now."""
    return word in (b"EX", b"PX", b"ex", b"px", b"Ex", b"Px", b"eX", b"pX")


def _parse_count(argv: list[bytes], i: int) -> int:
    """The count at ``i``; past the end of the request when it is none."""
    number = parse_int64(argv[i]) if i < len(argv) else None
    return number if number is not None and 0 <= number < len(argv) else len(argv)


def _absolute_timestamp(text: bytes, unit: int, now_ms: int, max_timestamp: int) -> bytes | None:
    """The moment that lies so many units ahead; None when it does not, or when Redis would refuse it."""
    number = parse_int64(text)
    if number is None or number < 1:
        return None
    timestamp = number * unit + now_ms
    if number * unit > _INT64_MAX or timestamp > max_timestamp:
        return None
    return b"%d" % timestamp


def _rewrite_options(argv: list[bytes], now_ms: int) -> list[bytes] | None:
    unit = 0
    found = list(argv)
    for i in option_positions(argv):
        word = argv[i].lower()
        if word in (b"exat", b"pxat", b"keepttl", b"persist"):
            return None
        if not is_relative(word):
            continue
        option_unit = _MS_PER_SECOND if word == b"ex" else _MS_PER_MILLISECOND
        if unit not in (0, option_unit) or i + 1 == len(argv):
            return None
        unit = option_unit
        timestamp = _absolute_timestamp(argv[i + 1], unit, now_ms, _INT64_MAX)
        if timestamp is None:
            return None
        found[i] = b"PXAT"
        found[i + 1] = timestamp
    return found if unit else None


def _rewrite_setex(argv: list[bytes], unit: int, now_ms: int) -> list[bytes] | None:
    if len(argv) != 4:
        return None
    timestamp = _absolute_timestamp(argv[2], unit, now_ms, _INT64_MAX)
    return None if timestamp is None else [b"SET", argv[1], argv[3], b"PXAT", timestamp]


def _rewrite_expire(argv: list[bytes], unit: int, now_ms: int) -> list[bytes] | None:
    """Only what lies ahead: "at once" is the same on every copy, and as a moment it would wait for its clock."""
    if len(argv) < 3:
        return None
    timestamp = _absolute_timestamp(argv[2], unit, now_ms, _INT64_MAX)
    return None if timestamp is None else [b"PEXPIREAT", argv[1], timestamp, *argv[3:]]


def _rewrite_hexpire(argv: list[bytes], unit: int, now_ms: int) -> list[bytes] | None:
    if len(argv) < 6:
        return None
    timestamp = _absolute_timestamp(argv[2], unit, now_ms, _MAX_FIELD_EXPIRY_MS)
    return None if timestamp is None else [b"HPEXPIREAT", argv[1], timestamp, *argv[3:]]


def _rewrite_restore(argv: list[bytes], now_ms: int) -> list[bytes] | None:
    """A time to live of 0 means forever, and stays."""
    if len(argv) < 4 or has_absttl(argv):
        return None
    timestamp = _absolute_timestamp(argv[2], _MS_PER_MILLISECOND, now_ms, _INT64_MAX)
    return None if timestamp is None else [argv[0], argv[1], timestamp, *argv[3:], b"ABSTTL"]


def has_absttl(argv: list[bytes]) -> bool:
    """Whether RESTORE says ABSTTL."""
    return any(word.lower() == b"absttl" for word in argv[4:])
