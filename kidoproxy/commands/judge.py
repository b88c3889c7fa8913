"""Where a command's name alone does not decide: does this request wait, leave its keys, may copies repeat it?

Each answer is the careful one: what cannot be understood counts as the more dangerous case, or is an
error that every node gives alike.
"""

import re
from math import inf
from typing import Final

from kidoproxy.commands.expiry import is_absolute_restore, is_relative, options
from kidoproxy.commands.keys import keys, stream_word
from kidoproxy.commands.spec import (
    BLOCKING,
    COPY_ALL,
    COPY_EXPIRY,
    COPY_READ,
    COPY_REFUSED,
    KEY_COUNT,
    NOT_JUDGED,
    READ_OR_TTL,
    RESTORE_TTL,
    SORT_KEYS,
    SORT_STORE,
    STORE_KEY,
    STREAM_ID,
    STREAM_KEYS,
    STREAM_TRIM,
    SUBCOMMANDS,
    CommandSpec,
)
from kidoproxy.resp.scan import string2ll

#: ``LLONG_MAX``: longer than this in milliseconds is refused.
LONGEST_MS: Final = (1 << 63) - 1
#: ``MAX_LONG_DOUBLE_CHARS``: a number that is longer is none.
NUMBER_BYTES: Final = 5 * 1024
FLOAT: Final = re.compile(
    rb"[+-]?(?:0[xX](?:[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?"
    rb"|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)"
)


def blocks(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether this request may wait on its node for something to happen: XREAD does so with BLOCK only."""
    if spec.flags & BLOCKING == 0:
        return False
    if spec.finder == STREAM_KEYS:
        return stream_word(argv, b"block") > 0
    return True


def asks_from_now(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether an XREAD waits for what comes after the moment at which its node reads it (``$``)."""
    return blocks(spec, argv) and b"$" in argv[stream_word(argv) + 1 :]


def patience(spec: CommandSpec, argv: list[bytes]) -> float:
    """How many seconds the node may take by the request's own time-out: infinite for ever, 0 if it makes no sense.

    A node refuses at once what makes no sense.
    """
    at, unit = spec.timeout_at, spec.timeout_unit
    if spec.finder == STREAM_KEYS:
        at, unit = stream_word(argv, b"block") + 1, 1000
    elif at < 0:
        at += len(argv)
    elif at == 0:
        # A module's command that may wait: nobody told us for how long.
        return inf
    if at >= len(argv):
        return 0.0
    value = number(argv[at]) if unit == 1 else string2ll(argv[at])
    if value is None or not 0 <= value * (1000 // unit) <= LONGEST_MS:
        return 0.0
    return inf if value == 0 else value / unit


def number(text: bytes) -> float | None:
    """The value of a time-out in seconds, as ``strtold`` reads one (hexadecimal too) and servers take it from there."""
    if len(text) >= NUMBER_BYTES or FLOAT.fullmatch(text) is None:
        return None
    plain = text.lstrip(b"+-")
    try:
        return float.fromhex(text.decode("ascii")) if plain[:2].lower() == b"0x" else float(text)
    except OverflowError:
        return inf


def reaches_outside(spec: CommandSpec, argv: list[bytes]) -> list[bytes]:
    """The patterns by which SORT or SORT_RO reads keys that it does not name.

    A pattern without a star reads no key: BY then means "do not sort", GET gives the element (``#``) or nil.
    """
    if spec.finder != SORT_KEYS:
        return []
    return [argv[at] for at in sort_patterns(argv, True) if b"*" in argv[at]]


def copy_class(spec: CommandSpec, argv: list[bytes]) -> int:
    """What a copy pool does with this request: COPY_READ, COPY_ALL, COPY_EXPIRY or COPY_REFUSED."""
    judged = spec.judged
    if judged == NOT_JUDGED:
        return spec.copy
    if judged == STREAM_ID:
        return _xadd_class(argv)
    if judged == STREAM_TRIM:
        return COPY_REFUSED if b"~" in argv[2:] else COPY_ALL
    if judged == SORT_STORE:
        return _sort_class(spec, argv)
    if judged == STORE_KEY:
        return COPY_ALL if len(keys(spec, argv)) > 1 else COPY_READ
    if judged == KEY_COUNT:
        return COPY_READ if len(argv) > 2 else COPY_ALL
    if judged == SUBCOMMANDS:
        return _bitfield_class(argv)
    if judged == RESTORE_TTL:
        return COPY_ALL if is_absolute_restore(argv) or argv[2:3] == [b"0"] else COPY_EXPIRY
    return _ttl_class(argv, judged == READ_OR_TTL)


def other_database(spec: CommandSpec, argv: list[bytes]) -> int | None:
    """The second database that MOVE, or COPY with DB, writes to; None for all others."""
    if spec.name == b"move":
        return database(argv[2])
    found: int | None = None
    if spec.name == b"copy":
        at = 3
        while at < len(argv):
            if argv[at].lower() == b"db":
                at += 1
                # The last one counts; one that is none is an error.
                found = database(argv[at]) if at < len(argv) else None
            at += 1
    return found


def database(text: bytes) -> int | None:
    """The number of a database as servers read it; None when it is none, and nothing is written."""
    number = string2ll(text)
    return number if number is not None and number >= 0 else None


def copy_refusal(spec: CommandSpec, argv: list[bytes]) -> str:
    """Why a copy pool refuses this request; empty when it does not."""
    return spec.copy_reason if copy_class(spec, argv) == COPY_REFUSED else ""


def sort_patterns(argv: list[bytes], with_get: bool) -> list[int]:
    """Where the patterns of BY are, and of GET when asked for."""
    found: list[int] = []
    count = len(argv)
    i = 2
    while i < count:
        word = argv[i].lower()
        if word == b"limit":
            i += 2
        elif word == b"store":
            i += 1
        elif word in (b"by", b"get"):
            i += 1
            if i < count and (with_get or word == b"by"):
                found.append(i)
        i += 1
    return found


def _sort_class(spec: CommandSpec, argv: list[bytes]) -> int:
    """Without STORE it is a read; without BY all ties are broken by the elements themselves."""
    if len(keys(spec, argv)) < 2:
        return COPY_READ
    return COPY_REFUSED if sort_patterns(argv, False) else COPY_ALL


def _bitfield_class(argv: list[bytes]) -> int:
    for word in argv[2:]:
        if word.lower() in (b"set", b"incrby"):
            return COPY_ALL
    return COPY_READ


def _ttl_class(argv: list[bytes], read_without: bool) -> int:
    if len(argv) == 3 and not read_without:
        # SET key value, the most frequent write of all.
        return COPY_ALL
    found = options(argv)
    for i in found:
        if is_relative(argv[i]):
            return COPY_EXPIRY
    return COPY_READ if read_without and not found else COPY_ALL


def _xadd_class(argv: list[bytes]) -> int:
    """An id that is given, even as ``5-*``, follows from the stream; ``*`` is the node's clock, ``~`` its internals."""
    count = len(argv)
    i = 2
    while i < count:
        word = argv[i].lower()
        if word == b"*":
            return COPY_REFUSED
        if word in (b"maxlen", b"minid"):
            if argv[i + 1 : i + 2] == [b"~"]:
                return COPY_REFUSED
            i += 3 if argv[i + 1 : i + 2] == [b"="] else 2
        elif word == b"limit":
            i += 2
        elif word in (b"nomkstream", b"keepref", b"delref", b"acked"):
            i += 1
        elif word in (b"idmp", b"idmpauto"):
            # Judged by the node's clock: it forgets after a while.
            return COPY_REFUSED
        else:
            return COPY_ALL
    return COPY_ALL
