"""What a request does to each key that it names: reads it, writes it, both, or neither (EXISTS).

Users' rules depend on this, so it errs on the side of more: what is not known counts as both.
"""

from typing import Final

from kidoproxy.commands.keys import key_positions, sort_options, spec_key_positions
from kidoproxy.commands.spec import BY_SPECS, SORT_KEYS, CommandSpec

READS: Final = 1
WRITES: Final = 2

_ACCESS_FLAGS: Final = ("RO", "RW", "OW", "RM")
_WRITE_FLAGS: Final = ("insert", "update", "delete")
_READ_FLAGS: Final = ("RO", "access")
_READ_WRITE_FLAGS: Final = ("RW", "access", "update")
_OVERWRITE_FLAGS: Final = ("OW", "update")


def key_accesses(spec: CommandSpec, argv: list[bytes]) -> list[tuple[list[int], int]]:
    """The positions of the keys of this request, in the order in which Redis names them, by their access."""
    return [(found, access_bits(flags)) for found, flags in keys_and_flags(spec, argv)]


def access_bits(flags: tuple[str, ...]) -> int:
    """READS and WRITES, from the flags of a key specification; a server older than 7.0 gives none."""
    if not any(kind in flags for kind in _ACCESS_FLAGS) or "variable_flags" in flags:
        return READS | WRITES
    bits = READS if "access" in flags else 0
    return bits | WRITES if any(change in flags for change in _WRITE_FLAGS) else bits


def keys_and_flags(spec: CommandSpec, argv: list[bytes]) -> list[tuple[list[int], tuple[str, ...]]]:
    """The positions of the keys, and what is done to them; for SET and BITFIELD that depends on options."""
    if spec.name == b"set":
        reads = b"get" in [word.lower() for word in argv[3:]]
        return [(key_positions(spec, argv), _READ_WRITE_FLAGS if reads else _OVERWRITE_FLAGS)]
    if spec.name == b"bitfield":
        return [(key_positions(spec, argv), _READ_FLAGS if _is_bitfield_read_only(argv) else _READ_WRITE_FLAGS)]
    if spec.key_finder == BY_SPECS:
        return [(spec_key_positions(key_spec, argv), key_spec.flags) for key_spec in spec.key_specs if key_spec.is_key]
    # Found by hand: the first specification is that of the keys read, the last that of the key stored to.
    store_flags = spec.key_specs[-1].flags
    found = key_positions(spec, argv)
    if store_flags[0] != "OW":
        return [(found, spec.key_specs[0].flags)]
    return [([at], store_flags if at != 1 else spec.key_specs[0].flags) for at in found]


def _is_bitfield_read_only(argv: list[bytes]) -> bool:
    """Whether BITFIELD only reads, decided as Redis does: what it does not understand may write."""
    i = 2
    while i < len(argv):
        word = argv[i].lower()
        if word == b"get" and i + 2 < len(argv):
            i += 3
        elif word == b"overflow" and i + 1 < len(argv):
            i += 2
        else:
            return False
    return True


def external_key_option(spec: CommandSpec, argv: list[bytes]) -> str:
    """The option by which SORT may read keys that it does not name, ``BY`` or ``GET``; empty when there is none.

    As Redis has it, BY counts when its pattern has a star, GET always.
    """
    if spec.key_finder != SORT_KEYS:
        return ""
    for option, at in sort_options(argv):
        if option == b"get":
            return "GET"
        if option == b"by" and b"*" in argv[at]:
            return "BY"
    return ""
