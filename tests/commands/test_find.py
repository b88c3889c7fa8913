"""Looking a command up: any letter case, subcommands, what is not there."""

import pytest

from kidoproxy.commands.find import COMMANDS, all_specs, build_table, find, find_by_name, resolve_subcommand


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"get k", b"get"),
        (b"GET k", b"get"),
        (b"gEt k", b"get"),
        (b"CONFIG GET x", b"config|get"),
        (b"config gEt", b"config|get"),
        (b"config", b"config"),
        (b"config nonsense", b"config"),
        (b"proxy nodes", b"proxy|nodes"),
        (b"client no-evict on", b"client|no-evict"),
        (b"restore-asking", b"restore-asking"),
        (b"nonsense", None),
        (b"config|get", None),
        (b"GETT", None),
        (b"\xff", None),
    ],
)
def test_find(line: bytes, name: bytes | None) -> None:
    """The spec of the subcommand when there is one, else of the command; None when the table lacks it."""
    spec = find(line.split())
    assert (spec.name if spec is not None else None) == name


def test_empty_name() -> None:
    """An empty name is a name that no command has."""
    assert find([b""]) is None


def test_named() -> None:
    """By the full name, which only a subcommand has a bar in."""
    for name in (b"get", b"CONFIG|Get"):
        spec = find_by_name(name)
        assert spec is not None
        assert spec.name == name.lower()
    for name in (b"nonsense", b"nonsense|get", b"config|nonsense", b"get|nonsense"):
        assert find_by_name(name) is None


def test_within() -> None:
    """Of a command that is no container it is the command."""
    get, config = COMMANDS[b"get"], COMMANDS[b"config"]
    assert resolve_subcommand(get, [b"get", b"get"]) is get
    assert resolve_subcommand(config, [b"config"]) is config
    assert resolve_subcommand(config, [b"config", b"SET"]).name == b"config|set"


def test_every() -> None:
    """Subcommands follow their container; each is found by its name."""
    names = [spec.name for spec in all_specs()]
    assert names.index(b"config|get") > names.index(b"config")
    assert len(names) == len(set(names)) > 400
    assert all(find_by_name(name) is not None for name in names)


def test_build_needs_all() -> None:
    """A table that lacks what the overlay corrects is refused at import, not at some request."""
    with pytest.raises(KeyError):
        build_table(())
