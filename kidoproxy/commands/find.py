"""Which command is this? The one look-up that every request goes through.

Clients send names in lower or in upper case, so both stand in the dictionary; any other mixture is
lowered first. A container's subcommand is looked up in the container.
"""

from typing import Final

from kidoproxy.commands.overlay import PROXY_ROWS, apply
from kidoproxy.commands.spec import CommandSpec, Row
from kidoproxy.commands.table import ROWS


def build(rows: tuple[Row, ...]) -> dict[bytes, CommandSpec]:
    """The commands of these rows by name, subcommands hung into their containers, corrected by the overlay."""
    named: dict[bytes, CommandSpec] = {}
    for row in rows + PROXY_ROWS:
        spec = CommandSpec(row)
        named[spec.name] = spec
    top: dict[bytes, CommandSpec] = {}
    for name, spec in named.items():
        bar = name.find(b"|")
        if bar < 0:
            top[name] = spec
            continue
        parent = named[name[:bar]]
        if parent.subs is None:
            parent.subs = {}
        parent.subs[name[bar + 1 :]] = spec
    apply(named)
    return top


def _both_cases(specs: dict[bytes, CommandSpec]) -> dict[bytes, CommandSpec]:
    upper = {name.upper(): spec for name, spec in specs.items()}
    return {**specs, **upper}


#: All commands by lower-case name; subcommands are in their container's ``subs``.
COMMANDS: Final[dict[bytes, CommandSpec]] = build(ROWS)
_KNOWN: Final[dict[bytes, CommandSpec]] = _both_cases(COMMANDS)


def find(argv: list[bytes]) -> CommandSpec | None:
    """The spec of this request, in any letter case; None when the table has no such command.

    A container whose subcommand is missing or not known gives the container itself, which has ``subs``.
    """
    name = argv[0]
    spec = _KNOWN.get(name)
    if spec is None:
        spec = COMMANDS.get(name.lower())
        if spec is None:
            return None
    return spec if spec.subs is None else within(spec, argv)


def within(spec: CommandSpec, argv: list[bytes]) -> CommandSpec:
    """The subcommand of this container that the request names; the container when it names none that is known."""
    if spec.subs is None or len(argv) < 2:
        return spec
    return spec.subs.get(argv[1].lower(), spec)


def named(name: bytes) -> CommandSpec | None:
    """The spec with this full name, ``config|get`` for a subcommand, in any letter case."""
    first, bar, second = name.lower().partition(b"|")
    spec = COMMANDS.get(first)
    if spec is None or not bar:
        return spec
    return spec.subs.get(second) if spec.subs is not None else None


def every() -> list[CommandSpec]:
    """All specs, each container in front of its subcommands."""
    found: list[CommandSpec] = []
    for spec in COMMANDS.values():
        found.append(spec)
        if spec.subs is not None:
            found += list(spec.subs.values())
    return found
