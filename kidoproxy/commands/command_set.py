"""The commands that one pool serves: the table, less what it denies or renames, plus what was discovered on its nodes.

A command that the table lacks is asked of a node once (``COMMAND INFO``); the answer is remembered here either way,
within bounds, so that a client cannot make the proxy ask again and again.
"""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS, find, resolve_subcommand
from kidoproxy.commands.spec import CommandSpec

#: How many names are remembered that no node knew, and that a node did know.
MAX_UNKNOWN_NAMES: Final = 1024
MAX_DISCOVERED_NAMES: Final = 4096
#: No command has a longer name, so no node is asked about one; Redis shows no more of an unknown name either.
MAX_NAME_BYTES: Final = 128


@final
class CommandSet:
    """``deny`` and ``allow`` hold full lower-case names (``config|set``; a container stands for its subcommands).

    ``rename`` maps a command to its new name, or to ``b""`` for off.
    """

    def __init__(self, deny: frozenset[bytes], allow: frozenset[bytes], rename: dict[bytes, bytes]) -> None:
        self.deny = deny
        self.allow = allow
        self.rename = rename
        self.original_names: dict[bytes, bytes] = {new: old for old, new in rename.items() if new}
        self.renamed_away: frozenset[bytes] = frozenset(rename)
        #: Some command of the fast path is denied or renamed: none may take it unchecked.
        self.has_overrides = bool(rename) or any(self.is_fast_path(name) for name in deny)
        self.discovered: dict[bytes, CommandSpec] = {}
        self.unknown_names: set[bytes] = set()

    def is_same_as(self, other: "CommandSet") -> bool:
        """Whether both serve the same commands under the same names."""
        return (self.deny, self.allow, self.rename) == (other.deny, other.allow, other.rename)

    def is_fast_path(self, name: bytes) -> bool:
        """Whether ``name`` is a command of the fast path, or may turn out to be one when a node is asked about it."""
        spec = COMMANDS.get(name)
        return spec.single_key if spec is not None else b"|" not in name

    def original_name(self, name: bytes) -> bytes | None:
        """The command that a renamed one really is; None for an ordinary name."""
        return self.original_names.get(name.lower())

    def find(self, argv: list[bytes]) -> CommandSpec | None:
        """The spec of a request, as `kidoproxy.commands.find.find`, or of a command discovered on a node."""
        spec = find(argv)
        if spec is None and self.discovered:
            spec = self.discovered.get(argv[0].lower())
            return resolve_subcommand(spec, argv) if spec is not None else None
        return spec

    def resolve_nested(self, argv: list[bytes]) -> tuple[list[bytes], CommandSpec | None]:
        """For a command inside another one: as the nodes know it, if this pool has renamed it, and its spec."""
        original = self.original_name(argv[0])
        if original is not None:
            argv = [original, *argv[1:]]
        elif self.is_renamed_away(argv[0]):
            return argv, None
        return argv, self.find(argv)

    def is_renamed_away(self, name: bytes) -> bool:
        """Whether this name has been renamed away: it is then unknown."""
        return name.lower() in self.renamed_away

    def refusal(self, spec: CommandSpec) -> str:
        """Why this pool does not serve ``spec``; empty when it does."""
        container = spec.name.partition(b"|")[0]
        if spec.name in self.deny or container in self.deny:
            return "this pool's configuration denies it"
        if spec.denied_by_default and spec.name not in self.allow and container not in self.allow:
            return f"{spec.reason}; the pool's `allow` opens it"
        return ""

    def should_ask_nodes(self, name: bytes) -> bool:
        """Whether the nodes should be asked about a command that the table lacks.

        ``CONFIG|GET`` is a name to COMMAND INFO, but no client can send it as a request.
        """
        if len(name) > MAX_NAME_BYTES or b"|" in name:
            return False
        return name.lower() not in self.unknown_names and not self.is_renamed_away(name)

    def record_lookup(self, name: bytes, spec: CommandSpec | None) -> None:
        """Remember what a node answered about ``name``; past the bound of known names it is remembered as unknown."""
        if spec is not None and len(self.discovered) < MAX_DISCOVERED_NAMES:
            self.discovered[name.lower()] = spec
            return
        if len(self.unknown_names) >= MAX_UNKNOWN_NAMES:
            self.unknown_names.clear()
        self.unknown_names.add(name.lower())

    def forget_unknown(self) -> None:
        """A node came back, perhaps with a module that it did not have: ask again."""
        self.unknown_names.clear()
