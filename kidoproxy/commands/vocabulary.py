"""The commands that one pool serves: the table, less what it denies or renames, plus what its nodes taught us."""

from typing import Final, final

from kidoproxy.commands.find import COMMANDS, find, within
from kidoproxy.commands.spec import CommandSpec

#: Names that no node knew are remembered so that a client cannot make us ask again and again; at most so many.
UNKNOWN_NAMES: Final = 1024
#: The same for those that a node does know.
LEARNED_NAMES: Final = 4096
#: No command has a longer name, so nobody is asked about one; Redis shows no more of an unknown name either.
LONGEST_NAME: Final = 128


@final
class Vocabulary:
    """``deny`` and ``allow`` hold full lower-case names (``config|set``; a container stands for its subcommands).

    ``rename`` maps a command to its new name, or to ``b""`` for off.
    """

    def __init__(self, deny: frozenset[bytes], allow: frozenset[bytes], rename: dict[bytes, bytes]) -> None:
        self.deny = deny
        self.allow = allow
        self.originals: dict[bytes, bytes] = {new: old for old, new in rename.items() if new}
        self.hidden: frozenset[bytes] = frozenset(rename)
        #: Some command that would take the short way is denied or renamed: none may take it unseen.
        self.picky = bool(rename) or any(self.is_plain(name) for name in deny)
        self.learned: dict[bytes, CommandSpec] = {}
        self.unknown: set[bytes] = set()

    def is_plain(self, name: bytes) -> bool:
        """Whether ``name`` is a command of the hot path, or may turn out to be one when a node teaches us about it."""
        spec = COMMANDS.get(name)
        return spec.plain if spec is not None else b"|" not in name

    def original(self, name: bytes) -> bytes | None:
        """The command that a renamed one really is; None for an ordinary name."""
        return self.originals.get(name.lower())

    def find(self, argv: list[bytes]) -> CommandSpec | None:
        """The spec of a request, as `kidoproxy.commands.find.find`."""
        spec = find(argv)
        if spec is None and self.learned:
            spec = self.learned.get(argv[0].lower())
            return within(spec, argv) if spec is not None else None
        return spec

    def meant(self, argv: list[bytes]) -> tuple[list[bytes], CommandSpec | None]:
        """For a command inside another one: as the nodes know it, if this pool has renamed it, and its spec."""
        original = self.original(argv[0])
        if original is not None:
            argv = [original, *argv[1:]]
        elif self.hides(argv[0]):
            return argv, None
        return argv, self.find(argv)

    def hides(self, name: bytes) -> bool:
        """Whether this name has been renamed away: it is then unknown."""
        return name.lower() in self.hidden

    def refused(self, spec: CommandSpec) -> str:
        """Why this pool does not serve ``spec``; empty when it does."""
        container = spec.name.partition(b"|")[0]
        if spec.name in self.deny or container in self.deny:
            return "this pool's configuration denies it"
        if spec.deny_default and spec.name not in self.allow and container not in self.allow:
            return f"{spec.reason}; the pool's `allow` opens it"
        return ""

    def worth_asking(self, name: bytes) -> bool:
        """Whether the nodes should be asked about a command that we do not know.

        ``CONFIG|GET`` is a name to COMMAND INFO, and to nobody who sends it as a request.
        """
        if len(name) > LONGEST_NAME or b"|" in name:
            return False
        return name.lower() not in self.unknown and not self.hides(name)

    def learn(self, name: bytes, spec: CommandSpec | None) -> None:
        """What a node said about ``name``: a spec, or that it does not know it either."""
        if spec is not None and len(self.learned) < LEARNED_NAMES:
            self.learned[name.lower()] = spec
            return
        if len(self.unknown) >= UNKNOWN_NAMES:
            self.unknown.clear()
        self.unknown.add(name.lower())

    def forget(self) -> None:
        """A node came back, perhaps with a module that it did not have: ask again."""
        self.unknown.clear()
