"""The table of commands, and the look-up in it that every request goes through.

Clients send names in lower or in upper case, so both are keys of the dictionary; any other mixture is
lowered first. A container's subcommand is looked up in the container.
"""

from typing import Final

from kidoproxy.commands.overlay import apply_overlay
from kidoproxy.commands.proxy_command import PROXY_ROWS
from kidoproxy.commands.spec import CommandSpec, Row
from kidoproxy.commands.table import ROWS


def build_table(rows: tuple[Row, ...]) -> dict[bytes, CommandSpec]:
    """The commands of these rows by name, subcommands in their containers, corrected by the overlay."""
    specs_by_name: dict[bytes, CommandSpec] = {}
    for row in rows + PROXY_ROWS:
        spec = CommandSpec(row)
        specs_by_name[spec.name] = spec
    top_level: dict[bytes, CommandSpec] = {}
    for name, spec in specs_by_name.items():
        separator = name.find(b"|")
        if separator < 0:
            top_level[name] = spec
            continue
        parent = specs_by_name[name[:separator]]
        if parent.subcommands is None:
            parent.subcommands = {}
        parent.subcommands[name[separator + 1 :]] = spec
    apply_overlay(specs_by_name)
    return top_level


def _with_upper_case(specs: dict[bytes, CommandSpec]) -> dict[bytes, CommandSpec]:
    upper = {name.upper(): spec for name, spec in specs.items()}
    return {**specs, **upper}


#: All commands by lower-case name; subcommands are in their container's ``subcommands``.
COMMANDS: Final[dict[bytes, CommandSpec]] = build_table(ROWS)
_BY_LOWER_OR_UPPER: Final[dict[bytes, CommandSpec]] = _with_upper_case(COMMANDS)


def find(argv: list[bytes]) -> CommandSpec | None:
    """The spec of this request, in any letter case; None when the table has no such command.

    A container whose subcommand is missing or not known gives the container itself, which has ``subcommands``.
    """
    name = argv[0]
    spec = _BY_LOWER_OR_UPPER.get(name)
    if spec is None:
        spec = COMMANDS.get(name.lower())
        if spec is None:
            return None
    return spec if spec.subcommands is None else resolve_subcommand(spec, argv)


def resolve_subcommand(spec: CommandSpec, argv: list[bytes]) -> CommandSpec:
    """The subcommand of this container that the request names; the container when it names none that is known."""
    if spec.subcommands is None or len(argv) < 2:
        return spec
    return spec.subcommands.get(argv[1].lower(), spec)


def find_by_name(name: bytes) -> CommandSpec | None:
    """The spec with this full name, ``config|get`` for a subcommand, in any letter case."""
    first, separator, second = name.lower().partition(b"|")
    spec = COMMANDS.get(first)
    if spec is None or not separator:
        return spec
    return spec.subcommands.get(second) if spec.subcommands is not None else None


def all_specs() -> list[CommandSpec]:
    """All specs, each container in front of its subcommands."""
    found: list[CommandSpec] = []
    for spec in COMMANDS.values():
        found.append(spec)
        if spec.subcommands is not None:
            found += list(spec.subcommands.values())
    return found
