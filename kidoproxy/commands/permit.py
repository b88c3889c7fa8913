"""What one user may do, by Redis's own rules: commands, keys, channels. Read once; then a command is one look-up.

``+get``, ``-config|set``, ``+@read``, ``-@dangerous``, ``allcommands`` and ``nocommands`` count in the order in which
they stand; a container stands for its subcommands. What the table has is judged when the user is made, what a
node taught us when it is used.

In one thing we are stricter than Redis. It judges each command inside a script by the caller's rules; a node
judges them by ours, the proxy's own login. So whoever is limited in any way may run scripts only if a rule says
so by name (``+eval``, ``+@scripting``): that ``+@all`` covers them is not enough.
"""

from typing import Final, final

from kidoproxy.commands.access import READS, WRITES, accesses
from kidoproxy.commands.find import every, named
from kidoproxy.commands.glob import matches
from kidoproxy.commands.spec import NO_AUTH, CommandSpec

#: Redis's categories, in its own order.
CATEGORIES: Final = (
    "keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking "
    "dangerous connection transaction scripting"
)
#: They run code on a node, where nobody judges by the caller's rules.
RUNNERS: Final = (b"eval", b"eval_ro", b"evalsha", b"evalsha_ro", b"fcall", b"fcall_ro")

#: More keys than any request has.
ALL_KEYS: Final = 1 << 60
#: Why a request is denied.
COMMAND: Final = 0
KEY: Final = 1
CHANNEL: Final = 2


@final
class Rule:
    """``category`` is empty in a rule about one command, ``name`` in a rule about a category."""

    def __init__(self, allow: bool, category: str, name: bytes) -> None:
        self.allow = allow
        self.category = category
        self.name = name

    def target(self) -> str:
        """What it is about: ``@read``, ``config|get``."""
        return f"@{self.category}" if self.category else self.name.decode("utf-8", "surrogateescape")

    def touches(self, spec: CommandSpec) -> bool:
        """Whether it is about this command, or about the container that this is a subcommand of."""
        container = spec.name.partition(b"|")[0]
        if not self.category:
            return self.name in (spec.name, container)
        if self.category in spec.categories:
            return True
        above = named(container)
        return above is not None and self.category in above.categories

    def grants_scripts(self) -> bool:
        """Whether it allows scripts in so many words."""
        return self.allow and (self.category == "scripting" or self.name in RUNNERS)


def mistake(word: str) -> str:
    """Why this word is no rule for commands; empty when it is one. Names with a dot are a module's, and believed."""
    if word.lower() in ("allcommands", "nocommands"):
        return ""
    if word[:1] not in ("+", "-"):
        return f'"{word}" is no rule: it must begin with + or -'
    name = word[1:].lower()
    if name.startswith("@"):
        known = name[1:] == "all" or name[1:] in CATEGORIES.split()
        return "" if known else f'there is no category "{name}"'
    if "." in name or named(name.encode()) is not None:
        return ""
    spec = named(name.partition("|")[0].encode())
    if spec is not None and spec.subs is None:
        return f'"{name}" names a first argument, only subcommands can be named; write "{word[0]}{spec.name.decode()}"'
    return f'there is no command "{name}"'


def similar(word: str) -> list[str]:
    """The rules that ``word`` may have been meant for."""
    sign = word[:1]
    if word[1:2] == "@":
        return [f"{sign}@{category}" for category in ["all", *CATEGORIES.split()]]
    return [sign + spec.name.decode() for spec in every()]


@final
class Denial:
    """Why a request is denied: COMMAND, or the KEY or CHANNEL at ``at``."""

    def __init__(self, kind: int, at: int) -> None:
        self.kind = kind
        self.at = at


@final
class Permit:
    """See the module. Keys are ``~pattern``, ``%R~pattern`` or ``%W~pattern``, channels ``&pattern``."""

    def __init__(
        self, commands: str = "+@all", keys: tuple[bytes, ...] = (b"~*",), channels: tuple[bytes, ...] = (b"&*",)
    ) -> None:
        #: What holds where no rule says otherwise.
        self.base = False
        self.rules: list[Rule] = []
        for word in commands.lower().split():
            self.add(word)
        self.all_commands = self.base and all(rule.allow for rule in self.rules)
        self.all_keys = b"~*" in keys
        self.all_channels = b"&*" in channels
        self.key_texts: list[bytes] = [b"~*"] if self.all_keys else list(keys)
        self.key_patterns = [(access_of(text), text.partition(b"~")[2]) for text in self.key_texts]
        self.channel_patterns: list[bytes] = [b"*"] if self.all_channels else [text[1:] for text in channels]
        #: Nothing is forbidden: there is nothing to judge.
        self.free = self.all_commands and self.all_keys and self.all_channels
        self.allowed: frozenset[bytes] = frozenset([spec.name for spec in every() if self.covers(spec)])

    def add(self, word: str) -> None:
        """One more rule; it takes the place of an earlier one about the same, or about its subcommands."""
        if word in ("allcommands", "+@all", "nocommands", "-@all"):
            self.base = word in ("allcommands", "+@all")
            self.rules = []
            return
        rule = Rule(word[0] == "+", word[2:] if word[1] == "@" else "", b"" if word[1] == "@" else word[1:].encode())
        target = rule.target()
        self.rules = [old for old in self.rules if old.target() != target and not old.target().startswith(f"{target}|")]
        self.rules.append(rule)

    def covers(self, spec: CommandSpec) -> bool:
        """What the rules come to for one command. What has no category known is denied unless all are allowed."""
        if self.free or spec.flags & NO_AUTH:
            return True
        runs = spec.name in RUNNERS
        allowed = (self.base if spec.categories else self.all_commands) and not runs
        for rule in self.rules:
            if rule.touches(spec) and (not runs or not rule.allow or rule.grants_scripts()):
                allowed = rule.allow
        return allowed

    def allows(self, spec: CommandSpec) -> bool:
        """Whether the user may run this command at all."""
        if spec.name in self.allowed:
            return True
        return named(spec.name) is None and self.covers(spec)

    def may_allow(self, name: bytes) -> bool:
        """Whether the rules can come to allow a command of this name, in lower case, of which nothing is known yet."""
        allowed = self.base
        for rule in self.rules:
            if rule.category:
                allowed = allowed or rule.allow
            elif rule.name.partition(b"|")[0] == name:
                allowed = rule.allow
        return allowed

    def check(self, spec: CommandSpec, argv: list[bytes]) -> Denial | None:
        """Why this request is denied; None when it is allowed. In Redis's order: command, keys, channels."""
        checking = Checking(self, spec, argv)
        while checking.step(ALL_KEYS):
            pass
        return checking.denial

    def reaches(self, key: bytes, access: int) -> bool:
        """Whether one of the patterns allows all of this access to the key."""
        return any(access & ~may == 0 and matches(pattern, key) for may, pattern in self.key_patterns)

    def hears(self, channel: bytes, is_pattern: bool) -> bool:
        """Whether one of the patterns allows the channel; what is a pattern itself must be one of them."""
        if is_pattern:
            return channel in self.channel_patterns
        return any(matches(pattern, channel) for pattern in self.channel_patterns)

    def reads_all(self) -> bool:
        """Whether any key may be read."""
        return any(pattern == b"*" and may & READS for may, pattern in self.key_patterns)

    # -- as Redis writes it ----------------------------------------------------------------------------------

    def commands(self) -> bytes:
        """The rules for commands."""
        words = ["+@all" if self.base else "-@all"]
        words += [("+" if rule.allow else "-") + rule.target() for rule in self.rules]
        return " ".join(words).encode("utf-8", "surrogateescape")

    def keys(self) -> bytes:
        """The patterns of keys."""
        return b" ".join(self.key_texts)

    def channels(self) -> bytes:
        """The patterns of channels."""
        return b" ".join([b"&" + pattern for pattern in self.channel_patterns])


@final
class Checking:
    """`Permit.check` some keys at a time; ``denial`` is the result when `step` has said that there is no more to do."""

    def __init__(self, permit: Permit, spec: CommandSpec, argv: list[bytes]) -> None:
        self.permit = permit
        self.spec = spec
        self.argv = argv
        self.denial: Denial | None = None
        self.keys: list[tuple[list[int], int]] = []
        self.channels: list[int] = []
        #: Which of ``keys`` is looked at, and where in it; behind the keys come the channels.
        self.part = 0
        self.at = 0
        if not permit.allows(spec):
            self.denial = Denial(COMMAND, 0)
            return
        if not permit.all_keys:
            self.keys = accesses(spec, argv)
        if not permit.all_channels:
            self.channels = channels_of(spec, argv)

    def step(self, most: int) -> bool:
        """So many keys or channels further. Whether there are more."""
        if self.denial is not None:
            return False
        start = self.at
        stop = start + most
        if self.part < len(self.keys):
            where, access = self.keys[self.part]
            for at in where[start:stop]:
                if not self.permit.reaches(self.argv[at], access):
                    self.denial = Denial(KEY, at)
                    return False
            self.passed(stop, len(where))
            return True
        for at in self.channels[start:stop]:
            if not self.permit.hears(self.argv[at], self.spec.name == b"psubscribe"):
                self.denial = Denial(CHANNEL, at)
                return False
        self.at = stop
        return stop < len(self.channels)

    def passed(self, stop: int, end: int) -> None:
        """These keys may be touched."""
        self.at = stop
        if stop >= end:
            self.part += 1
            self.at = 0


def access_of(text: bytes) -> int:
    """What ``~pattern``, ``%R~pattern`` or ``%W~pattern`` allows."""
    if text[:1] == b"~":
        return READS | WRITES
    return READS if text[1:2] == b"R" else WRITES


def channels_of(spec: CommandSpec, argv: list[bytes]) -> list[int]:
    """Where the channels of this request are that need permission; to leave one needs none."""
    if spec.name in (b"publish", b"spublish"):
        return [1]
    if spec.name in (b"subscribe", b"psubscribe", b"ssubscribe"):
        return list(range(1, len(argv)))
    return []
