"""The answers to COMMAND and its subcommands: what is served here, in the shape in which Redis says it.

A command that is refused is listed too: clients read this list to learn where keys are, not what is allowed.
"""

from collections.abc import Sequence
from typing import Final

from kidoproxy import errors
from kidoproxy.commands.access import keys_and_flags
from kidoproxy.commands.find import COMMANDS, every, find, named
from kidoproxy.commands.glob import matches
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import INDEX, KEYNUM, KEYWORD, NO_MANDATORY_KEYS, RANGE, CommandSpec, KeySpec
from kidoproxy.resp.build import array, bulk, integer, mapping, null, setof, simple

INVALID_COMMAND: Final = b"-ERR Invalid command specified\r\n"
INVALID_COUNT: Final = b"-ERR Invalid number of arguments specified for command\r\n"
INVALID_ARGUMENTS: Final = b"-ERR Invalid arguments specified for command\r\n"
NO_KEYS: Final = b"-ERR The command has no key arguments\r\n"

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
_ENTRIES: Final[dict[tuple[int, bytes], bytes]] = {}
_DOCS: Final[dict[tuple[int, bytes], bytes]] = {}
ALL: Final = b""


def command_answer(argv: list[bytes], proto: int) -> bytes:
    """The reply to this COMMAND request, for a client that speaks ``proto``."""
    spec = find(argv)
    if len(argv) == 1:
        return _all_entries(proto)
    if spec is None or spec.subs is not None:
        return errors.unknown_subcommand(argv)
    if not spec.accepts(len(argv)):
        return errors.wrong_arity(spec.name)
    if spec.name == b"command|count":
        return integer(len(COMMANDS))
    if spec.name == b"command|info":
        return _info(argv[2:], proto)
    if spec.name == b"command|list":
        return _list(argv[2:])
    if spec.name == b"command|docs":
        return _docs(argv[2:], proto)
    if spec.name == b"command|help":
        return array([simple(text) for text in HELP])
    return _getkeys(argv[2:], proto, spec.name == b"command|getkeysandflags")


def _all_entries(proto: int) -> bytes:
    """The COMMAND answer."""
    found = _ENTRIES.get((proto, ALL))
    if found is None:
        found = array([entry(each, proto) for each in COMMANDS.values()])
        _ENTRIES[(proto, ALL)] = found
    return found


def _entry(spec: CommandSpec, proto: int) -> bytes:
    """The element for a command of the table."""
    found = _ENTRIES.get((proto, spec.name))
    if found is None:
        found = entry(spec, proto)
        _ENTRIES[(proto, spec.name)] = found
    return found


def entry(spec: CommandSpec, proto: int) -> bytes:
    """One element of the COMMAND answer, subcommands included."""
    subs = list(spec.subs.values()) if spec.subs is not None else []
    fields = [
        bulk(spec.name),
        integer(spec.arity),
        _words(spec.flag_names, "", proto),
        integer(spec.first),
        integer(spec.last),
        integer(spec.step),
        _words(spec.categories, "@", proto),
        setof(proto, [_text(tip) for tip in spec.tips]),
        setof(proto, [_key_spec(key_spec, proto) for key_spec in spec.key_specs]),
        array([entry(sub, proto) for sub in subs]),
    ]
    return array(fields)


def _text(word: str) -> bytes:
    return bulk(word.encode())


def _words(words: tuple[str, ...], prefix: str, proto: int) -> bytes:
    """A set of simple strings."""
    return setof(proto, [simple((prefix + word).encode()) for word in words])


def _numbers(names: tuple[str, ...], values: tuple[int, ...], proto: int) -> bytes:
    flat: list[bytes] = []
    for name, value in zip(names, values, strict=True):
        flat += [_text(name), integer(value)]
    return mapping(proto, flat)


def _step(kind: str, spec: bytes, proto: int) -> bytes:
    return mapping(proto, [_text("type"), _text(kind), _text("spec"), spec])


def _key_spec(key: KeySpec, proto: int) -> bytes:
    if key.begin == INDEX:
        begin = _step("index", _numbers(("index",), (key.position,), proto), proto)
    elif key.begin == KEYWORD:
        word = [_text("keyword"), bulk(key.keyword.upper()), _text("startfrom"), integer(key.position)]
        begin = _step("keyword", mapping(proto, word), proto)
    else:
        begin = _step("unknown", mapping(proto, []), proto)
    if key.find == RANGE:
        find_keys = _step("range", _numbers(("lastkey", "keystep", "limit"), key.numbers, proto), proto)
    elif key.find == KEYNUM:
        find_keys = _step("keynum", _numbers(("keynumidx", "firstkey", "keystep"), key.numbers, proto), proto)
    else:
        find_keys = _step("unknown", mapping(proto, []), proto)
    notes = [_text("notes"), _text(key.notes)] if key.notes else []
    flags = [_text("flags"), _words(key.flags, "", proto)]
    return mapping(proto, [*notes, *flags, _text("begin_search"), begin, _text("find_keys"), find_keys])


def _info(names: list[bytes], proto: int) -> bytes:
    """Those asked for, null for one that is not known; all when none is asked for."""
    if not names:
        return _all_entries(proto)
    found = [named(name) for name in names]
    return array([_entry(spec, proto) if spec is not None else null(proto) for spec in found])


def _list(words: list[bytes]) -> bytes:
    """The names, subcommands included, that pass the filter."""
    names = [spec.name for spec in every()]
    if not words:
        return array([bulk(name) for name in names])
    if len(words) != 3 or words[0].lower() != b"filterby":
        return errors.SYNTAX
    kind, wanted = words[1].lower(), words[2].lower()
    if kind == b"pattern":
        names = [name for name in names if matches(wanted, name)]
    elif kind == b"aclcat":
        names = [spec.name for spec in every() if wanted.decode("latin-1") in spec.categories]
    elif kind == b"module":
        names = []
    else:
        return errors.SYNTAX
    return array([bulk(name) for name in names])


def _docs(names: list[bytes], proto: int) -> bytes:
    """Those asked for, without those that are not known; all when none is asked for."""
    if names:
        return _documented([named(name) for name in names], proto)
    found = _DOCS.get((proto, ALL))
    if found is None:
        found = _documented(list(COMMANDS.values()), proto)
        _DOCS[(proto, ALL)] = found
    return found


def _documented(specs: Sequence[CommandSpec | None], proto: int) -> bytes:
    flat: list[bytes] = []
    for spec in specs:
        if spec is not None:
            flat += [bulk(spec.name), _doc(spec, proto)]
    return mapping(proto, flat)


def _doc(spec: CommandSpec, proto: int) -> bytes:
    found = _DOCS.get((proto, spec.name))
    if found is None:
        found = _made_doc(spec, proto)
        _DOCS[(proto, spec.name)] = found
    return found


def _made_doc(spec: CommandSpec, proto: int) -> bytes:
    flat = [_text("summary"), _text(spec.summary), _text("since"), _text(spec.since), _text("group"), _text(spec.group)]
    if spec.subs is not None:
        subs: list[bytes] = []
        for sub in spec.subs.values():
            subs += [bulk(sub.name), _doc(sub, proto)]
        flat += [_text("subcommands"), mapping(proto, subs)]
    return mapping(proto, flat)


def _getkeys(argv: list[bytes], proto: int, with_flags: bool) -> bytes:
    """The keys of the request ``argv``, or the error that Redis has for it."""
    spec = find(argv)
    if spec is None:
        return INVALID_COMMAND
    if not any(key_spec.is_key for key_spec in spec.key_specs):
        return NO_KEYS
    if not spec.accepts(len(argv)):
        return INVALID_COUNT
    found = keys(spec, argv)
    if not found and spec.flags & NO_MANDATORY_KEYS == 0:
        return INVALID_ARGUMENTS
    if not with_flags:
        return array([bulk(argv[at]) for at in found])
    told: list[bytes] = []
    for where, flags in keys_and_flags(spec, argv):
        shown = _words(flags, "", proto)
        told += [array([bulk(argv[at]), shown]) for at in where]
    return array(told)
