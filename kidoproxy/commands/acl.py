"""What one user may do, by Redis's own rules (ACL): commands, keys, channels.

``+get``, ``-config|set``, ``+@read``, ``-@dangerous``, ``allcommands`` and ``nocommands`` count in the order in which
they stand; a container stands for its subcommands. Commands of the table are decided when the user is made, so that
a request costs one look-up; a command discovered on a node is decided when it is used.

In one thing this is stricter than Redis, which checks each command inside a script by the caller's rules. A node
checks them by the proxy's login. So a user who is limited in any way may run scripts only if a rule names them
(``+eval``, ``+@scripting``): that ``+@all`` covers them is not enough.
"""

from typing import Final, final

from kidoproxy.commands.find import all_specs, find_by_name
from kidoproxy.commands.glob import matches
from kidoproxy.commands.key_access import READS, WRITES, key_accesses
from kidoproxy.commands.spec import NO_AUTH, SCRIPT_NONE, CommandSpec

#: Redis's categories, in its own order.
CATEGORIES: Final = (
    "keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking "
    "dangerous connection transaction scripting"
)
#: They run code on a node, which does not know the caller's rules.
SCRIPT_RUNNERS: Final = tuple([spec.name for spec in all_specs() if spec.script_source != SCRIPT_NONE])

#: More keys than any request has.
UNBOUNDED_STEP: Final = 1 << 60
#: Why a request is denied.
DENIED_COMMAND: Final = 0
DENIED_KEY: Final = 1
DENIED_CHANNEL: Final = 2


@final
class AclRule:
    """``category`` is empty in a rule about one command, ``name`` in a rule about a category."""

    def __init__(self, allow: bool, category: str, name: bytes) -> None:
        self.allow = allow
        self.category = category
        self.name = name

    def target(self) -> str:
        """What it is about: ``@read``, ``config|get``."""
        return f"@{self.category}" if self.category else self.name.decode("utf-8", "surrogateescape")

    def applies_to(self, spec: CommandSpec) -> bool:
        """Whether it is about this command, or about the container that this is a subcommand of."""
        container = spec.name.partition(b"|")[0]
        if not self.category:
            return self.name in (spec.name, container)
        if self.category in spec.categories:
            return True
        container_spec = find_by_name(container)
        return container_spec is not None and self.category in container_spec.categories

    def allows_scripting(self) -> bool:
        """Whether it allows scripts by name."""
        return self.allow and (self.category == "scripting" or self.name in SCRIPT_RUNNERS)


def rule_error(word: str) -> str:
    """Why this word is no rule for commands; empty when it is one. Names with a dot are a module's, and not checked."""
    if word.lower() in ("allcommands", "nocommands"):
        return ""
    if word[:1] not in ("+", "-"):
        return f'"{word}" is no rule: it must begin with + or -'
    name = word[1:].lower()
    if name.startswith("@"):
        known = name[1:] == "all" or name[1:] in CATEGORIES.split()
        return "" if known else f'there is no category "{name}"'
    if "." in name or find_by_name(name.encode()) is not None:
        return ""
    spec = find_by_name(name.partition("|")[0].encode())
    if spec is not None and spec.subcommands is None:
        return f'"{name}" names a first argument, only subcommands can be named; write "{word[0]}{spec.name.decode()}"'
    return f'there is no command "{name}"'


def similar_rules(word: str) -> list[str]:
    """The rules that ``word`` may have been meant for."""
    sign = word[:1]
    if word[1:2] == "@":
        return [f"{sign}@{category}" for category in ["all", *CATEGORIES.split()]]
    return [sign + spec.name.decode() for spec in all_specs()]


@final
class Denial:
    """Why a request is denied: DENIED_COMMAND, or the key or channel at ``position`` of the request."""

    def __init__(self, kind: int, position: int) -> None:
        self.kind = kind
        self.position = position


@final
class Acl:
    """One user's rules. Keys are ``~pattern``, ``%R~pattern`` or ``%W~pattern``, channels ``&pattern``."""

    def __init__(
        self, commands: str = "+@all", keys: tuple[bytes, ...] = (b"~*",), channels: tuple[bytes, ...] = (b"&*",)
    ) -> None:
        #: What holds where no rule says otherwise.
        self.allow_by_default = False
        self.rules: list[AclRule] = []
        for word in commands.lower().split():
            self.add_rule(word)
        self.all_commands = self.allow_by_default and all(rule.allow for rule in self.rules)
        self.all_keys = b"~*" in keys
        self.all_channels = b"&*" in channels
        self.key_rules: list[bytes] = [b"~*"] if self.all_keys else list(keys)
        self.key_patterns = [(parse_key_access(text), text.partition(b"~")[2]) for text in self.key_rules]
        self.channel_patterns: list[bytes] = [b"*"] if self.all_channels else [text[1:] for text in channels]
        #: Nothing is forbidden: there is nothing to check.
        self.unrestricted = self.all_commands and self.all_keys and self.all_channels
        self.allowed_names: frozenset[bytes] = frozenset(
            [spec.name for spec in all_specs() if self.evaluate_rules(spec)]
        )

    def add_rule(self, word: str) -> None:
        """Add a rule; it replaces an earlier one about the same command or category, or about its subcommands."""
        if word in ("allcommands", "+@all", "nocommands", "-@all"):
            self.allow_by_default = word in ("allcommands", "+@all")
            self.rules = []
            return
        rule = AclRule(word[0] == "+", word[2:] if word[1] == "@" else "", b"" if word[1] == "@" else word[1:].encode())
        target = rule.target()
        self.rules = [old for old in self.rules if old.target() != target and not old.target().startswith(f"{target}|")]
        self.rules.append(rule)

    def evaluate_rules(self, spec: CommandSpec) -> bool:
        """Whether the rules allow one command. One without known categories is denied unless all are allowed."""
        if self.unrestricted or spec.flags & NO_AUTH:
            return True
        runs_script = spec.script_source != SCRIPT_NONE
        allowed = (self.allow_by_default if spec.categories else self.all_commands) and not runs_script
        for rule in self.rules:
            if rule.applies_to(spec) and (not runs_script or not rule.allow or rule.allows_scripting()):
                allowed = rule.allow
        return allowed

    def allows_command(self, spec: CommandSpec) -> bool:
        """Whether the user may run this command at all."""
        if spec.name in self.allowed_names:
            return True
        return find_by_name(spec.name) is None and self.evaluate_rules(spec)

    def may_allow_name(self, name: bytes) -> bool:
        """Whether the rules could allow a command of this lower-case name, of which nothing is known yet."""
        allowed = self.allow_by_default
        for rule in self.rules:
            if rule.category:
                allowed = allowed or rule.allow
            elif rule.name.partition(b"|")[0] == name:
                allowed = rule.allow
        return allowed

    def check(self, spec: CommandSpec, argv: list[bytes]) -> Denial | None:
        """Why this request is denied; None when it is allowed. In Redis's order: command, keys, channels."""
        acl_check = AclCheck(self, spec, argv)
        while acl_check.step(UNBOUNDED_STEP):
            pass
        return acl_check.denial

    def allows_key(self, key: bytes, access: int) -> bool:
        """Whether one of the patterns allows all of this access to the key."""
        return any(access & ~granted == 0 and matches(pattern, key) for granted, pattern in self.key_patterns)

    def allows_channel(self, channel: bytes, is_pattern: bool) -> bool:
        """Whether one of the patterns allows the channel; what is a pattern itself must be one of them."""
        if is_pattern:
            return channel in self.channel_patterns
        return any(matches(pattern, channel) for pattern in self.channel_patterns)

    def allows_reading_all(self) -> bool:
        """Whether any key may be read."""
        return any(pattern == b"*" and granted & READS for granted, pattern in self.key_patterns)

    def is_same_as(self, other: "Acl") -> bool:
        """Whether both have the same rules."""
        return (self.format_commands(), self.format_keys(), self.format_channels()) == (
            other.format_commands(),
            other.format_keys(),
            other.format_channels(),
        )

    # -- as Redis writes rules -------------------------------------------------------------------------------

    def format_commands(self) -> bytes:
        words = ["+@all" if self.allow_by_default else "-@all"]
        words += [("+" if rule.allow else "-") + rule.target() for rule in self.rules]
        return " ".join(words).encode("utf-8", "surrogateescape")

    def format_keys(self) -> bytes:
        return b" ".join(self.key_rules)

    def format_channels(self) -> bytes:
        return b" ".join([b"&" + pattern for pattern in self.channel_patterns])


@final
class AclCheck:
    """`Acl.check` some keys at a time; ``denial`` is the result once `step` has returned False."""

    def __init__(self, acl: Acl, spec: CommandSpec, argv: list[bytes]) -> None:
        self.acl = acl
        self.spec = spec
        self.argv = argv
        self.denial: Denial | None = None
        self.key_accesses: list[tuple[list[int], int]] = []
        self.channel_positions: list[int] = []
        #: The next of ``key_accesses``, and the next position in it; behind the keys come the channels.
        self.access_index = 0
        self.offset = 0
        if not acl.allows_command(spec):
            self.denial = Denial(DENIED_COMMAND, 0)
            return
        if not acl.all_keys:
            self.key_accesses = key_accesses(spec, argv)
        if not acl.all_channels:
            self.channel_positions = channel_positions(spec, argv)

    def step(self, limit: int) -> bool:
        """Check up to ``limit`` more keys or channels. Whether there are others."""
        if self.denial is not None:
            return False
        start = self.offset
        stop = start + limit
        if self.access_index < len(self.key_accesses):
            argv_positions, access = self.key_accesses[self.access_index]
            for at in argv_positions[start:stop]:
                if not self.acl.allows_key(self.argv[at], access):
                    self.denial = Denial(DENIED_KEY, at)
                    return False
            self.advance(stop, len(argv_positions))
            return True
        for at in self.channel_positions[start:stop]:
            if not self.acl.allows_channel(self.argv[at], self.spec.name == b"psubscribe"):
                self.denial = Denial(DENIED_CHANNEL, at)
                return False
        self.offset = stop
        return stop < len(self.channel_positions)

    def advance(self, stop: int, end: int) -> None:
        self.offset = stop
        if stop >= end:
            self.access_index += 1
            self.offset = 0


def parse_key_access(text: bytes) -> int:
    """READS and WRITES, as ``~pattern``, ``%R~pattern`` or ``%W~pattern`` allows them."""
    if text[:1] == b"~":
        return READS | WRITES
    return READS if text[1:2] == b"R" else WRITES


def channel_positions(spec: CommandSpec, argv: list[bytes]) -> list[int]:
    """The positions of the channels that need permission; to unsubscribe needs none."""
    if spec.name in (b"publish", b"spublish"):
        return [1]
    if spec.name in (b"subscribe", b"psubscribe", b"ssubscribe"):
        return list(range(1, len(argv)))
    return []
