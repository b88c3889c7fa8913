"""The answers to COMMAND and its subcommands: what is served here, in the shape in which Redis says it.

A command that is refused is listed too: clients read this list to learn where keys are, not what is allowed.
"""

from collections.abc import Sequence
from typing import Final

from kidoproxy.commands.find import COMMANDS, all_specs, find, find_by_name
from kidoproxy.commands.glob import matches
from kidoproxy.commands.key_access import keys_and_flags
from kidoproxy.commands.keys import key_positions
from kidoproxy.commands.spec import (
    BEGIN_INDEX,
    BEGIN_KEYWORD,
    FIND_KEYNUM,
    FIND_RANGE,
    NO_MANDATORY_KEYS,
    CommandSpec,
    KeySpec,
)
from kidoproxy.resp import errors
from kidoproxy.resp.encode import array, bulk, integer, mapping, null, set_of, simple

HELP: Final[tuple[bytes, ...]] = (
    b"COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    b"(no subcommand)",
    b"    Return details about all commands.",
    b"COUNT",
    b"    Return the total number of commands known here.",
    b"LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]",
    b"    Return a list of all commands known here.",
    b"INFO [<command-name> ...]",
    b"    Return details about multiple commands.",
    b"    If no command names are given, details for all commands are returned.",
    b"DOCS [<command-name> ...]",
    b"    Return documentation details about multiple commands.",
    b"    If no command names are given, documentation details for all",
    b"    commands are returned.",
    b"GETKEYS <full-command>",
    b"    Return the keys from a full command.",
    b"GETKEYSANDFLAGS <full-command>",
    b"    Return the keys and the access flags from a full command.",
    b"HELP",
    b"    Print this help.",
)


#: What never changes is made once: by protocol, an entry of COMMAND, of COMMAND DOCS, and all of them (under ``b""``).
_ENTRY_CACHE: Final[dict[tuple[int, bytes], bytes]] = {}
_DOC_CACHE: Final[dict[tuple[int, bytes], bytes]] = {}
ALL_COMMANDS: Final = b""


def command_reply(argv: list[bytes], proto: int) -> bytes:
    """The reply to this COMMAND request, for a client that speaks ``proto``."""
    spec = find(argv)
    if len(argv) == 1:
        return _all_entries_reply(proto)
    if spec is None or spec.subcommands is not None:
        return errors.unknown_subcommand(argv)
    if not spec.accepts(len(argv)):
        return errors.wrong_arity(spec.name)
    if spec.name == b"command|count":
        return integer(len(COMMANDS))
    if spec.name == b"command|info":
        return _info_reply(argv[2:], proto)
    if spec.name == b"command|list":
        return _list_reply(argv[2:])
    if spec.name == b"command|docs":
        return _docs_reply(argv[2:], proto)
    if spec.name == b"command|help":
        return array([simple(text) for text in HELP])
    return _getkeys_reply(argv[2:], proto, spec.name == b"command|getkeysandflags")


def _all_entries_reply(proto: int) -> bytes:
    """The COMMAND answer."""
    found = _ENTRY_CACHE.get((proto, ALL_COMMANDS))
    if found is None:
        found = array([build_entry(each, proto) for each in COMMANDS.values()])
        _ENTRY_CACHE[(proto, ALL_COMMANDS)] = found
    return found


def _cached_entry(spec: CommandSpec, proto: int) -> bytes:
    """The element for a command of the table."""
    found = _ENTRY_CACHE.get((proto, spec.name))
    if found is None:
        found = build_entry(spec, proto)
        _ENTRY_CACHE[(proto, spec.name)] = found
    return found


def build_entry(spec: CommandSpec, proto: int) -> bytes:
    """One element of the COMMAND answer, subcommands included."""
    subs = list(spec.subcommands.values()) if spec.subcommands is not None else []
    fields = [
        bulk(spec.name),
        integer(spec.arity),
        _string_set(spec.flag_names, "", proto),
        integer(spec.first_key),
        integer(spec.last_key),
        integer(spec.key_step),
        _string_set(spec.categories, "@", proto),
        set_of(proto, [_bulk_text(tip) for tip in spec.tips]),
        set_of(proto, [_key_spec(key_spec, proto) for key_spec in spec.key_specs]),
        array([build_entry(sub, proto) for sub in subs]),
    ]
    return array(fields)


def _bulk_text(word: str) -> bytes:
    return bulk(word.encode())


def _string_set(words: tuple[str, ...], prefix: str, proto: int) -> bytes:
    """A set of simple strings."""
    return set_of(proto, [simple((prefix + word).encode()) for word in words])


def _integer_map(names: tuple[str, ...], values: tuple[int, ...], proto: int) -> bytes:
    flat: list[bytes] = []
    for name, value in zip(names, values, strict=True):
        flat += [_bulk_text(name), integer(value)]
    return mapping(proto, flat)


def _search_step(kind: str, spec: bytes, proto: int) -> bytes:
    return mapping(proto, [_bulk_text("type"), _bulk_text(kind), _bulk_text("spec"), spec])


def _key_spec(key: KeySpec, proto: int) -> bytes:
    if key.begin_kind == BEGIN_INDEX:
        begin = _search_step("index", _integer_map(("index",), (key.begin_position,), proto), proto)
    elif key.begin_kind == BEGIN_KEYWORD:
        word = [_bulk_text("keyword"), bulk(key.keyword.upper()), _bulk_text("startfrom"), integer(key.begin_position)]
        begin = _search_step("keyword", mapping(proto, word), proto)
    else:
        begin = _search_step("unknown", mapping(proto, []), proto)
    if key.find_kind == FIND_RANGE:
        find_keys = _search_step("range", _integer_map(("lastkey", "keystep", "limit"), key.find_args, proto), proto)
    elif key.find_kind == FIND_KEYNUM:
        find_keys = _search_step(
            "keynum", _integer_map(("keynumidx", "firstkey", "keystep"), key.find_args, proto), proto
        )
    else:
        find_keys = _search_step("unknown", mapping(proto, []), proto)
    notes = [_bulk_text("notes"), _bulk_text(key.notes)] if key.notes else []
    flags = [_bulk_text("flags"), _string_set(key.flags, "", proto)]
    return mapping(proto, [*notes, *flags, _bulk_text("begin_search"), begin, _bulk_text("find_keys"), find_keys])


def _info_reply(names: list[bytes], proto: int) -> bytes:
    """Those asked for, null for one that is not known; all when none is asked for."""
    if not names:
        return _all_entries_reply(proto)
    found = [find_by_name(name) for name in names]
    return array([_cached_entry(spec, proto) if spec is not None else null(proto) for spec in found])


def _list_reply(words: list[bytes]) -> bytes:
    """The names, subcommands included, that pass the filter."""
    names = [spec.name for spec in all_specs()]
    if not words:
        return array([bulk(name) for name in names])
    if len(words) != 3 or words[0].lower() != b"filterby":
        return errors.SYNTAX
    kind, filter_value = words[1].lower(), words[2].lower()
    if kind == b"pattern":
        names = [name for name in names if matches(filter_value, name)]
    elif kind == b"aclcat":
        names = [spec.name for spec in all_specs() if filter_value.decode("latin-1") in spec.categories]
    elif kind == b"module":
        names = []
    else:
        return errors.SYNTAX
    return array([bulk(name) for name in names])


def _docs_reply(names: list[bytes], proto: int) -> bytes:
    """Those asked for, without those that are not known; all when none is asked for."""
    if names:
        return _docs_map([find_by_name(name) for name in names], proto)
    found = _DOC_CACHE.get((proto, ALL_COMMANDS))
    if found is None:
        found = _docs_map(list(COMMANDS.values()), proto)
        _DOC_CACHE[(proto, ALL_COMMANDS)] = found
    return found


def _docs_map(specs: Sequence[CommandSpec | None], proto: int) -> bytes:
    flat: list[bytes] = []
    for spec in specs:
        if spec is not None:
            flat += [bulk(spec.name), _cached_doc(spec, proto)]
    return mapping(proto, flat)


def _cached_doc(spec: CommandSpec, proto: int) -> bytes:
    found = _DOC_CACHE.get((proto, spec.name))
    if found is None:
        found = _build_doc(spec, proto)
        _DOC_CACHE[(proto, spec.name)] = found
    return found


def _build_doc(spec: CommandSpec, proto: int) -> bytes:
    flat = [
        _bulk_text("summary"),
        _bulk_text(spec.summary),
        _bulk_text("since"),
        _bulk_text(spec.since),
        _bulk_text("group"),
        _bulk_text(spec.group),
    ]
    if spec.subcommands is not None:
        subs: list[bytes] = []
        for sub in spec.subcommands.values():
            subs += [bulk(sub.name), _cached_doc(sub, proto)]
        flat += [_bulk_text("subcommands"), mapping(proto, subs)]
    return mapping(proto, flat)


def _getkeys_reply(argv: list[bytes], proto: int, with_flags: bool) -> bytes:
    """The keys of the request ``argv``, or the error that Redis has for it."""
    spec = find(argv)
    if spec is None:
        return errors.INVALID_COMMAND
    if not any(key_spec.is_key for key_spec in spec.key_specs):
        return errors.NO_KEY_ARGUMENTS
    if not spec.accepts(len(argv)):
        return errors.INVALID_ARGUMENT_COUNT
    found = key_positions(spec, argv)
    if not found and spec.flags & NO_MANDATORY_KEYS == 0:
        return errors.INVALID_ARGUMENTS
    if not with_flags:
        return array([bulk(argv[at]) for at in found])
    elements: list[bytes] = []
    for argv_positions, flags in keys_and_flags(spec, argv):
        flag_set = _string_set(flags, "", proto)
        elements += [array([bulk(argv[at]), flag_set]) for at in argv_positions]
    return array(elements)
