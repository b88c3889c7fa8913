"""COMMAND and its subcommands. Their shape is compared with real servers' in ``live/test_answers.py``."""

from typing import Any

import pytest

from kidoproxy.commands.command_reply import HELP, command_reply
from kidoproxy.commands.find import COMMANDS, all_specs
from kidoproxy.commands.keys import key_positions
from kidoproxy.resp.decode import integer_value, is_error, items
from tests.decoding import decode


def ask(line: str, proto: int = 2) -> Any:
    """The decoded reply; an error's text."""
    raw = command_reply(line.encode().split(), proto)
    return raw[1:-2].decode() if is_error(raw) else decode(raw)


def test_whole() -> None:
    """Without arguments, and INFO without names: every command once, ten fields each."""
    raw = command_reply([b"COMMAND"], 2)
    assert raw == command_reply([b"command", b"info"], 2)
    entries = decode(raw)
    assert [entry[0] for entry in entries] == list(COMMANDS)
    assert all(len(entry) == 10 for entry in entries)
    assert integer_value(command_reply([b"COMMAND", b"COUNT"], 2)) == len(entries)
    assert len(items(command_reply([b"COMMAND"], 3))) == len(entries)


def test_info() -> None:
    """In the order asked for, null for what is not known, subcommands by their full name."""
    get, nothing, sub = ask("command info GET nonsense config|get")
    assert get[:6] == [b"get", 2, [b"fast", b"readonly"], 1, 1, 1]
    assert get[6] == [b"@fast", b"@read", b"@string"]
    assert nothing is None
    assert sub[0] == b"config|get"
    begin = [b"begin_search", [b"type", b"index", b"spec", [b"index", 1]]]
    find_keys = [b"find_keys", [b"type", b"range", b"spec", [b"lastkey", 0, b"keystep", 1, b"limit", 0]]]
    assert get[8] == [[b"flags", [b"RO", b"access"], *begin, *find_keys]]
    assert command_reply(b"command info nonsense".split(), 3) == b"*1\r\n_\r\n"


def test_list() -> None:
    """All names, or those that pass the filter."""
    assert ask("command list") == [spec.name for spec in all_specs()]
    assert ask("command list filterby pattern XGROUP*t*") == [
        b"xgroup|create",
        b"xgroup|createconsumer",
        b"xgroup|destroy",
        b"xgroup|setid",
    ]
    assert b"geoadd" in ask("command list filterby aclcat Geo")
    assert ask("command list filterby aclcat nonsense") == ask("command list filterby module json") == []
    for line in ("command list filterby nonsense x", "command list filterby", "command list x y z"):
        assert ask(line) == "ERR syntax error"


def test_docs() -> None:
    """A map by name with what clients show; what is not known is left out."""
    docs = ask("command docs get nonsense proxy|nodes")
    assert docs[::2] == [b"get", b"proxy|nodes"]
    assert docs[1][:4] == [b"summary", b"Returns the string value of a key", b"since", b"1.0.0"]
    everything: Any = decode(command_reply([b"COMMAND", b"DOCS"], 3))
    assert len(everything) == len(COMMANDS)
    assert b"xgroup|create" in everything[b"xgroup"][b"subcommands"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("get a", [b"a"]),
        ("mset a 1 b 2", [b"a", b"b"]),
        ("eval s 0 x", []),
        ("nonsense a", "ERR Invalid command specified"),
        ("ping", "ERR The command has no key arguments"),
        ("publish c m", "ERR The command has no key arguments"),
        ("spublish c m", "ERR The command has no key arguments"),
        ("get", "ERR Invalid number of arguments specified for command"),
        ("mset a", "ERR Invalid number of arguments specified for command"),
        ("zunion 5 a", "ERR Invalid arguments specified for command"),
    ],
)
def test_getkeys(line: str, expected: Any) -> None:
    """The keys, or Redis's own error."""
    assert ask("command getkeys " + line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("set a b", [[b"a", [b"OW", b"update"]]]),
        ("set get b", [[b"get", [b"OW", b"update"]]]),
        ("set a b nx get", [[b"a", [b"RW", b"access", b"update"]]]),
        ("bitfield a get u8 0", [[b"a", [b"RO", b"access"]]]),
        ("bitfield a set u8 0 1", [[b"a", [b"RW", b"access", b"update"]]]),
        ("sort a store b", [[b"a", [b"RO", b"access"]], [b"b", [b"OW", b"update"]]]),
        ("sort_ro a", [[b"a", [b"RO", b"access"]]]),
        ("xread streams a 0", [[b"a", [b"RO", b"access"]]]),
        ("georadius a 1 2 3 m storedist b", [[b"a", [b"RO", b"access"]], [b"b", [b"OW", b"update"]]]),
        ("zunionstore d 1 a", [[b"d", [b"OW", b"update"]], [b"a", [b"RO", b"access"]]]),
    ],
)
def test_getkeys_and_flags(line: str, expected: Any) -> None:
    """What is done to each key."""
    assert ask("command getkeysandflags " + line) == expected


def test_flags_of_all() -> None:
    """Every command with keys has flags for each of them."""
    for spec in all_specs():
        argv = [*spec.name.split(b"|"), *[b"1"] * max(abs(spec.arity), 6)]
        argv = argv[: spec.arity] if spec.arity > 0 else argv
        if key_positions(spec, argv) and spec.accepts(len(argv)):
            assert ask(f"command getkeysandflags {b' '.join(argv).decode()}"), argv


def test_errors() -> None:
    """What Redis says to a subcommand that is not there, or has too few or too many arguments."""
    assert ask("command nonsense") == "ERR unknown subcommand 'nonsense'. Try COMMAND HELP."
    assert ask("command count x") == "ERR wrong number of arguments for 'command|count' command"
    assert ask("command getkeys") == "ERR wrong number of arguments for 'command|getkeys' command"
    assert ask("command help") == list(HELP)
