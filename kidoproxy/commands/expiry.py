"""A relative time to live made absolute, so that copies expire together however late one of them gets the write.

The rewritten request must be answered exactly like the original. So whatever Redis would complain about
(not a number, zero, too large, two units at once, …) is left as it is: Redis itself says what is wrong.
"""

from typing import Final

_LARGEST: Final = 9223372036854775807
#: The latest moment that Redis keeps for a field of a hash.
_LARGEST_FIELD: Final = (1 << 48) - 2

_SECONDS: Final = 1000
_MILLISECONDS: Final = 1


def absolute(argv: list[bytes], now_ms: int) -> list[bytes] | None:
    """The same request with an absolute expiry; None when there is nothing to rewrite, or nothing valid."""
    name = argv[0].lower()
    if name in (b"set", b"getex", b"msetex", b"hsetex", b"hgetex"):
        return _options_absolute(argv, now_ms)
    if name == b"setex":
        return _setex_absolute(argv, _SECONDS, now_ms)
    if name == b"psetex":
        return _setex_absolute(argv, _MILLISECONDS, now_ms)
    if name == b"expire":
        return _expire_absolute(argv, _SECONDS, now_ms)
    if name == b"pexpire":
        return _expire_absolute(argv, _MILLISECONDS, now_ms)
    if name == b"hexpire":
        return _hexpire_absolute(argv, _SECONDS, now_ms)
    if name == b"hpexpire":
        return _hexpire_absolute(argv, _MILLISECONDS, now_ms)
    if name == b"restore":
        return _restore_absolute(argv, now_ms)
    return None


def options(argv: list[bytes]) -> list[int]:
    """Where the option words of SET, GETEX, MSETEX, HSETEX and HGETEX are; not their values, keys or fields."""
    name = argv[0].lower()
    count = len(argv)
    if name == b"set":
        i = 3
    elif name == b"msetex":
        i = 2 + 2 * _pairs(argv, 1)
    else:
        i = 2
    found: list[int] = []
    while i < count:
        word = argv[i].lower()
        if word == b"fields" and name in (b"hsetex", b"hgetex"):
            i += 2 + _pairs(argv, i + 1) * (2 if name == b"hsetex" else 1)
            continue
        found.append(i)
        i += 2 if word in (b"ex", b"px", b"exat", b"pxat", b"ifeq", b"ifne", b"ifdeq", b"ifdne") else 1
    return found


def is_relative(word: bytes) -> bool:
    """Whether this option word counts from now."""
    return word in (b"EX", b"PX", b"ex", b"px", b"Ex", b"Px", b"eX", b"pX")


def _pairs(argv: list[bytes], i: int) -> int:
    """The count at ``i``; past the end of the request when it is none."""
    number = _integer(argv[i]) if i < len(argv) else None
    return number if number is not None and 0 <= number < len(argv) else len(argv)


def _integer(text: bytes) -> int | None:
    """A signed 64-bit integer, written as Redis insists: no spaces, no plus sign, no leading zeros."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[:1] == b"0" and text != b"0"):
        return None
    number = int(text)
    return number if -_LARGEST - 1 <= number <= _LARGEST else None


def _moment(text: bytes, unit: int, now_ms: int, largest: int) -> bytes | None:
    """The moment that lies so many units ahead; None when it does not, or when Redis would refuse it."""
    number = _integer(text)
    if number is None or number < 1:
        return None
    moment = number * unit + now_ms
    if number * unit > _LARGEST or moment > largest:
        return None
    return b"%d" % moment


def _options_absolute(argv: list[bytes], now_ms: int) -> list[bytes] | None:
    unit = 0
    found = list(argv)
    for i in options(argv):
        word = argv[i].lower()
        if word in (b"exat", b"pxat", b"keepttl", b"persist"):
            return None
        if not is_relative(word):
            continue
        mine = _SECONDS if word == b"ex" else _MILLISECONDS
        if unit not in (0, mine) or i + 1 == len(argv):
            return None
        unit = mine
        moment = _moment(argv[i + 1], unit, now_ms, _LARGEST)
        if moment is None:
            return None
        found[i] = b"PXAT"
        found[i + 1] = moment
    return found if unit else None


def _setex_absolute(argv: list[bytes], unit: int, now_ms: int) -> list[bytes] | None:
    if len(argv) != 4:
        return None
    moment = _moment(argv[2], unit, now_ms, _LARGEST)
    return None if moment is None else [b"SET", argv[1], argv[3], b"PXAT", moment]


def _expire_absolute(argv: list[bytes], unit: int, now_ms: int) -> list[bytes] | None:
    """Only what lies ahead: "at once" is the same on every copy, and as a moment it would wait for its clock."""
    if len(argv) < 3:
        return None
    moment = _moment(argv[2], unit, now_ms, _LARGEST)
    return None if moment is None else [b"PEXPIREAT", argv[1], moment, *argv[3:]]


def _hexpire_absolute(argv: list[bytes], unit: int, now_ms: int) -> list[bytes] | None:
    if len(argv) < 6:
        return None
    moment = _moment(argv[2], unit, now_ms, _LARGEST_FIELD)
    return None if moment is None else [b"HPEXPIREAT", argv[1], moment, *argv[3:]]


def _restore_absolute(argv: list[bytes], now_ms: int) -> list[bytes] | None:
    """A time to live of 0 means forever, and stays."""
    if len(argv) < 4 or is_absolute_restore(argv):
        return None
    moment = _moment(argv[2], _MILLISECONDS, now_ms, _LARGEST)
    return None if moment is None else [argv[0], argv[1], moment, *argv[3:], b"ABSTTL"]


def is_absolute_restore(argv: list[bytes]) -> bool:
    """Whether RESTORE says ABSTTL."""
    return any(word.lower() == b"absttl" for word in argv[4:])
