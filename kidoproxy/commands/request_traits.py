"""What a request's arguments decide: does it block, which keys does it reach unnamed, may copies repeat it?

Each answer is the careful one: what cannot be understood counts as the more dangerous case, or is an
error that every node gives alike.
"""

import re
from math import inf
from typing import Final

from kidoproxy.commands.expiry import has_absttl, is_relative, option_positions
from kidoproxy.commands.keys import key_positions, sort_options, stream_option
from kidoproxy.commands.spec import (
    ARG_INDEPENDENT,
    BITFIELD_SUBCOMMANDS,
    BLOCKING,
    COPY_ABSOLUTE_EXPIRY,
    COPY_BROADCAST,
    COPY_LEADER,
    COPY_READ,
    COPY_REFUSED,
    COPY_WAIT,
    READ_OR_TTL,
    RESTORE_TTL,
    SEVERAL_KEYS_READ,
    SORT_BY_STORE,
    SORT_KEYS,
    STORE_OR_READ,
    STREAM_KEYS,
    XREADGROUP_CLAIM,
    CommandSpec,
)
from kidoproxy.resp.scan import parse_int64

#: ``LLONG_MAX``: longer than this in milliseconds is refused.
MAX_TIMEOUT_MS: Final = (1 << 63) - 1
#: ``MAX_LONG_DOUBLE_CHARS``: a number that is longer is none.
MAX_FLOAT_BYTES: Final = 5 * 1024
FLOAT_PATTERN: Final = re.compile(
    rb"[+-]?(?:0[xX](?:[0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?"
    rb"|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)"
)


def may_block(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether this request may wait on its node for something to happen: XREAD does so with BLOCK only."""
    if spec.flags & BLOCKING == 0:
        return False
    if spec.key_finder == STREAM_KEYS:
        return stream_option(argv, b"block") > 0
    return True


def waits_for_new_entries(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether an XREAD waits for what comes after the moment at which its node reads it (``$``)."""
    return may_block(spec, argv) and b"$" in argv[stream_option(argv) + 1 :]


def block_timeout(spec: CommandSpec, argv: list[bytes]) -> float:
    """How many seconds the node may take by the request's own time-out: infinite for ever, 0 if it makes no sense.

    A node refuses at once what makes no sense.
    """
    at, unit = spec.timeout_position, spec.timeout_units_per_second
    if spec.key_finder == STREAM_KEYS:
        at, unit = stream_option(argv, b"block") + 1, 1000
    elif at < 0:
        at += len(argv)
    elif at == 0:
        # A module's command that may block, for a time that its COMMAND INFO does not say.
        return inf
    if at >= len(argv):
        return 0.0
    value = parse_timeout(argv[at]) if unit == 1 else parse_int64(argv[at])
    if value is None or not 0 <= value * (1000 // unit) <= MAX_TIMEOUT_MS:
        return 0.0
    return inf if value == 0 else value / unit


def parse_timeout(text: bytes) -> float | None:
    """The value of a time-out in seconds, as ``strtold`` reads one (hexadecimal too) and servers take it from there."""
    if len(text) >= MAX_FLOAT_BYTES or FLOAT_PATTERN.fullmatch(text) is None:
        return None
    unsigned = text.lstrip(b"+-")
    try:
        return float.fromhex(text.decode("ascii")) if unsigned[:2].lower() == b"0x" else float(text)
    except OverflowError:
        return inf


def added_elements(spec: CommandSpec, raw: bytes) -> int:
    """How many elements a request surely adds to its key, given that it is not refused; 0 where nobody can say."""
    if spec.name in (b"lpush", b"rpush"):
        return int(raw[1 : raw.index(b"\r")]) - 2
    return 1 if spec.name == b"xadd" else 0


def filled_keys(spec: CommandSpec, written_keys: list[bytes]) -> list[bytes]:
    """The keys of a write in which elements may be found behind it that were not there before."""
    if spec.flags & BLOCKING:
        # It takes them; two of them move one to their second key.
        return written_keys[1:] if spec.moves_element else []
    return [] if spec.takes_only else written_keys


def external_key_patterns(spec: CommandSpec, argv: list[bytes]) -> list[bytes]:
    """The patterns by which SORT or SORT_RO reads keys that it does not name.

    A pattern without a star reads no key: BY then means "do not sort", GET gives the element (``#``) or nil.
    """
    if spec.key_finder != SORT_KEYS:
        return []
    return [argv[at] for at in sort_pattern_positions(argv) if b"*" in argv[at]]


def replication_class(spec: CommandSpec, argv: list[bytes]) -> int:
    """What a copy pool does with this request: a COPY constant of `spec`."""
    arg_dependence = spec.arg_dependence
    if arg_dependence == ARG_INDEPENDENT:
        return spec.replication
    if arg_dependence == XREADGROUP_CLAIM:
        return COPY_REFUSED if stream_option(argv, b"claim") else COPY_WAIT
    if arg_dependence == SORT_BY_STORE:
        return _classify_sort(spec, argv)
    if arg_dependence == STORE_OR_READ:
        return COPY_BROADCAST if len(key_positions(spec, argv)) > 1 else COPY_READ
    if arg_dependence == SEVERAL_KEYS_READ:
        return COPY_READ if len(argv) > 2 else COPY_BROADCAST
    if arg_dependence == BITFIELD_SUBCOMMANDS:
        return _classify_bitfield(argv)
    if arg_dependence == RESTORE_TTL:
        return COPY_BROADCAST if has_absttl(argv) or argv[2:3] == [b"0"] else COPY_ABSOLUTE_EXPIRY
    return _classify_ttl(argv, arg_dependence == READ_OR_TTL)


def has_no_relative_expiry(spec: CommandSpec, argv: list[bytes], unknown: bytes) -> bool:
    """Whether a command that may name an expiry surely names none, or a moment; ``unknown`` may be any argument."""
    at = 3 if spec.name == b"set" else 2
    while at < len(argv):
        word = argv[at].lower()
        if word in (b"pxat", b"exat"):
            at += 1
        elif word == unknown:
            return False
        at += 1
    return replication_class(spec, argv) in (COPY_BROADCAST, COPY_READ)


def target_database(spec: CommandSpec, argv: list[bytes]) -> int | None:
    """The second database that MOVE, or COPY with DB, writes to; None for all others."""
    if spec.name == b"move":
        return parse_database(argv[2])
    found: int | None = None
    if spec.name == b"copy":
        at = 3
        while at < len(argv):
            if argv[at].lower() == b"db":
                at += 1
                # The last one counts; one that is none is an error.
                found = parse_database(argv[at]) if at < len(argv) else None
            at += 1
    return found


def may_change_other_database(spec: CommandSpec, argv: list[bytes], unknown: bytes) -> bool:
    """Whether a request may be a MOVE, or a COPY with DB; ``unknown`` may be any argument."""
    if spec.name == b"copy":
        return any(word.lower() in (b"db", unknown) for word in argv[3:])
    return spec.name == b"move"


def parse_database(text: bytes) -> int | None:
    """The number of a database as servers read it; None when it is none, and nothing is written."""
    number = parse_int64(text)
    return number if number is not None and number >= 0 else None


def replication_refusal(spec: CommandSpec, argv: list[bytes]) -> str:
    """Why a copy pool refuses this request; empty when it does not."""
    return spec.replication_reason if replication_class(spec, argv) == COPY_REFUSED else ""


def sort_pattern_positions(argv: list[bytes]) -> list[int]:
    """Where SORT's patterns are, those of BY and of GET."""
    return [at for option, at in sort_options(argv) if option != b"store"]


def _classify_sort(spec: CommandSpec, argv: list[bytes]) -> int:
    """Without STORE it is a read; without BY all ties are broken by the elements themselves."""
    if len(key_positions(spec, argv)) < 2:
        return COPY_READ
    has_by = any(option == b"by" for option, _ in sort_options(argv))
    return COPY_LEADER if has_by else COPY_BROADCAST


def _classify_bitfield(argv: list[bytes]) -> int:
    for word in argv[2:]:
        if word.lower() in (b"set", b"incrby"):
            return COPY_BROADCAST
    return COPY_READ


def _classify_ttl(argv: list[bytes], is_read_without_options: bool) -> int:
    if len(argv) == 3 and not is_read_without_options:
        # SET key value, the most frequent write of all.
        return COPY_BROADCAST
    found = option_positions(argv)
    for i in found:
        if is_relative(argv[i]):
            return COPY_ABSOLUTE_EXPIRY
    return COPY_READ if is_read_without_options and not found else COPY_BROADCAST
