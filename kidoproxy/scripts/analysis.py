"""What a script calls and whether every copy would come to the same result, as far as its text proves it.

`Analysis` is what is remembered for each text. It errs on the side of refusal in all that hides a command or makes a
result uncertain; of a key that nobody can compute from text and request it says nothing.
"""

import re
from typing import Final, final

from kidoproxy.commands.find import COMMANDS, within
from kidoproxy.commands.judge import copy_class, sort_patterns
from kidoproxy.commands.keys import keys
from kidoproxy.commands.spec import (
    COPY_ALL,
    COPY_READ,
    ONE,
    READ_OR_TTL,
    SORT_KEYS,
    SPLIT,
    TTL_OPTIONS,
    CommandSpec,
)
from kidoproxy.scripts.builtins import CALLERS, HARMLESS, HIDING, READERS, UNSTEADY
from kidoproxy.scripts.lexer import Malformed
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.scalars import Scalars
from kidoproxy.scripts.syntax import (
    ARGUMENT,
    BASE,
    BOUND,
    CALLEE,
    INDEX,
    MEASURED,
    NAME,
    OTHER,
    TARGET,
    VALUE,
    Node,
    Tree,
)
from kidoproxy.scripts.values import (
    ANY_KEY,
    ANY_PATH,
    ARGS,
    HOLE,
    KEY,
    NAMESPACES,
    UNKNOWN,
    Form,
    Values,
    is_open,
    literal,
)

#: What stands for an argument that is not known: no option and no number is written so.
SOMETHING: Final = b"\0?"
#: Commands that speak of all keys of a node: in a script they see one node's.
WHOLE: Final = frozenset(b"keys scan dbsize randomkey flushdb flushall swapdb".split())
#: Of so many parts may the names of a script's keys be in all; real ones have some hundred.
MOST_PARTS: Final = 2048
MOST_UNPACKED: Final = 4096
#: About how many bytes a part, and a command, take.
PART_BYTES: Final = 100
#: Without one of these words no script reaches a command.
_ABLE: Final = re.compile(rb"redis|server|_G|load|dofile|getfenv|require|module|package|debug")
_CHANCE: Final = ("nondeterministic_output", "nondeterministic_output_order")
#: They tell of a node's memory, or of when a consumer was seen, and have no tip that says so.
_UNTOLD: Final = (b"memory|usage", b"xinfo|stream")


@final
class Called:
    """One call: the command's name in lower case, its spec if it has one here, and its arguments' forms.

    ``opened``: more arguments may follow that are not known.
    """

    def __init__(self, name: bytes, spec: CommandSpec | None, arguments: list[list[Form]], opened: bool) -> None:
        self.name = name
        self.spec = spec
        self.arguments = arguments
        self.opened = opened

    def argv(self) -> list[bytes]:
        """The request, with `SOMETHING` for what is not known from the text alone."""
        found = [self.name]
        for forms in self.arguments:
            text = literal(forms[0]) if len(forms) == 1 else None
            found.append(text if text is not None else SOMETHING)
        return found


@final
class Name:
    """A key that ``command`` uses beside those that are declared. A pattern: up to the first of ``signs``.

    ``wanted``: it must be known where all names of the pattern live.
    """

    def __init__(self, command: bytes, form: Form, signs: bytes, wanted: bool) -> None:
        self.command = command
        self.form = form
        self.signs = signs
        self.wanted = wanted


@final
class Analysis:
    """Sentences are empty where there is nothing to say.

    * ``unread``: why the text could not be read, and nothing else is known;
    * ``hidden``: what may hide a command that it calls; ``unnamed``: that a command's name is not written there;
    * ``unsteady``: why copies might come to different results;
    * ``commands``: what it calls, by full name, with their specs if they have one;
    * ``keyed``: the first command that needs a key; ``whole``: the first that speaks of a whole node;
    * ``dynamic``: calls whose command the request names (see `kidoproxy.scripts.request`); ``nameless``: how many
      calls have no name in the text, those among them;
    * ``names``: keys to look at with each request, of ``parts`` in all.
    """

    def __init__(self) -> None:
        self.unread = ""
        self.hidden = ""
        self.unnamed = ""
        self.unsteady = ""
        self.keyed = b""
        self.whole = b""
        self.commands: dict[bytes, CommandSpec | None] = {}
        self.dynamic: list[Called] = []
        self.names: list[Name] = []
        self.nameless = 0
        self.parts = 0
        #: The command that the pool does not serve, and why, once that was asked: a book has but one pool.
        self.denied = b""
        self.denied_why = ""
        self.is_judged = False

    def hides(self, why: str) -> None:
        """The first reason counts."""
        self.hidden = self.hidden or why

    def differs(self, why: str) -> None:
        """The first reason counts."""
        self.unsteady = self.unsteady or why

    def weight(self) -> int:
        """About how many bytes it takes to remember this."""
        return PART_BYTES * (4 + self.parts + len(self.commands) + 4 * len(self.dynamic))

    def fate(self) -> str:
        """Why copies must not run it; empty when they may."""
        return self.unread or self.hidden or self.unnamed or self.unsteady


def analyse(text: bytes) -> Analysis:
    """Read a script."""
    found = Analysis()
    try:
        tree = parse(text)
    except Malformed as problem:
        # What has none of these words can call nothing, and the node has the right error for it.
        if _ABLE.search(text) is not None:
            found.unread = str(problem)
        return found
    reading = Reading(tree, found, Values(tree))
    reading.read(tree.names, tree.calls)
    for node in tree.written:
        reading.assigned(node)
    return found


@final
class Reading:
    """The way from a tree to its analysis."""

    def __init__(self, tree: Tree, found: Analysis, values: Values) -> None:
        self.tree = tree
        self.found = found
        self.values = values
        self.look_for_changes()
        self.scalars = Scalars(tree, self.values)
        self.seen: set[tuple[bytes, Form]] = set()
        #: So many values have come out of tables, which may be unpacked again and again.
        self.unpacking = 0

    def begin(self) -> Analysis:
        """The next function of a library: what was found so far belongs to others."""
        self.found = Analysis()
        self.seen = set()
        return self.found

    def read(self, names: list[Node], calls: list[Node]) -> None:
        """Look at these uses of names, and at these calls."""
        for node in names:
            for path in self.values.paths(node) if node.role != TARGET else []:
                self.judge(path, node.role)
        for call in calls:
            self.call(call)

    def look_for_changes(self) -> None:
        """Whether the script may change KEYS or ARGV, whose elements then mean nothing."""
        values = self.values
        for node in self.tree.written:
            base = node if node.kind == NAME else node.parts[0]
            if is_input(values.paths(base)):
                values.changed = True
        for node in self.tree.names:
            if node.role == VALUE and is_input(values.paths(node)):
                values.changed = True
        for call in self.tree.calls:
            callee = call.parts[0]
            if any(part.role == ARGUMENT and is_input(values.paths(part)) for part in call.parts):
                paths = values.paths(callee)
                own = callee.kind == NAME and callee.slot >= 0 and bool(values.own[callee.slot])
                if not own and not (paths and all(path in READERS for path in paths)):
                    values.changed = True
        values.strings.clear()

    # -- names -----------------------------------------------------------------------------------------------

    def judge(self, path: bytes, role: int) -> None:
        """One use of a global name."""
        text = path.decode("ascii", "replace")
        root = path.partition(b".")[0]
        if path in CALLERS:
            if role not in (CALLEE, BOUND):
                self.found.hides(f"it hands {text} around")
        elif path == ANY_PATH or root in HIDING or path in (b"redis.?", b"server.?"):
            self.found.hides(f"it uses {'too many names for one thing' if path == ANY_PATH else text}")
        elif path in (b"redis", b"server"):
            if role not in (BASE, BOUND):
                self.found.hides(f"it hands {text} around")
        elif path in UNSTEADY:
            if path not in (b"tostring", b"cjson.encode", b"cmsgpack.pack") or role not in (CALLEE, BOUND):
                self.found.differs(f"it uses {text}, whose result may differ from node to node")
        elif path in NAMESPACES:
            if role not in (BASE, BOUND, MEASURED) and not is_input([path]):
                self.found.differs(f"it hands {text} around")
        elif path not in HARMLESS and path not in self.tree.globals:
            self.found.differs(f"it uses {text}, of which nothing is known")

    def assigned(self, node: Node) -> None:
        """An assignment to a global name, or to a field."""
        if node.kind == NAME:
            self.found.differs(f"it assigns to the global name {node.text.decode('ascii', 'replace')}")
            return
        for path in self.values.paths(node.parts[0]):
            if not is_input([path]):
                self.found.differs(f"it changes {path.decode('ascii', 'replace')}")

    # -- calls -----------------------------------------------------------------------------------------------

    def call(self, call: Node) -> None:
        """One call."""
        callee = call.parts[0]
        arguments = call.parts[1:]
        paths = self.values.paths(callee)
        if b"pcall" in paths and arguments and arguments[0].role == CALLEE:
            paths = self.values.paths(arguments[0])
            arguments = arguments[1:]
        for path in paths:
            if path in CALLERS:
                self.command(arguments)
                return
            if path == b"tostring" and arguments and not self.scalars.is_scalar(arguments[0], 0):
                self.found.differs("it uses tostring, which may print the address of a table")
            if path in (b"cjson.encode", b"cmsgpack.pack") and not all(
                self.scalars.is_list(each, 0) for each in arguments
            ):
                self.found.differs(f"it uses {path.decode()} with fields, whose order may differ from node to node")

    def command(self, arguments: list[Node]) -> None:
        """``redis.call(…)``."""
        arguments, opened = self.unpacked(arguments)
        forms = [self.argument(node) for node in arguments]
        names = forms[0] if forms else [UNKNOWN]
        for form in names or [UNKNOWN]:
            name = literal(form)
            if name is not None:
                self.named(name.lower(), forms[1:], opened)
            else:
                self.found.unnamed = "it calls a command whose name is not a literal"
                self.found.nameless += 1
                self.found.parts += len(form) + sum([len(forms) for forms in forms[1:]])
                if all(part[0] not in (HOLE, ANY_KEY, ARGS) for part in form):
                    self.found.dynamic.append(Called(b"", None, [[form], *forms[1:]], opened))

    def argument(self, node: Node) -> list[Form]:
        """The forms of one argument; nil and tables, which no command takes, are errors of the node."""
        return self.values.forms(node, 0) or [UNKNOWN]

    def unpacked(self, arguments: list[Node]) -> tuple[list[Node], bool]:
        """The arguments one by one; True when more may follow that are not known."""
        if not arguments or not is_open(arguments[-1]):
            return arguments, False
        last = arguments[-1]
        paths = self.values.paths(last.parts[0]) if last.parts else []
        if not any(path in (b"unpack", b"table.unpack") for path in paths):
            single = bool(paths) and all(self.scalars.gives_one(path) for path in paths)
            return arguments, not single
        table = last.parts[1] if len(last.parts) > 1 else last
        if is_input(self.values.paths(table)):
            each = Node(OTHER, table.at, b"each" if len(last.parts) == 2 else b"", [])
            return [*arguments[:-1], Node(INDEX, table.at, b"", [table, each])], True
        if len(last.parts) != 2:
            # Part of a table: it may begin anywhere.
            return arguments[:-1], True
        beginning = self.scalars.beginning(table)
        self.unpacking += len(beginning)
        if self.unpacking > MOST_UNPACKED:
            self.found.hides("it unpacks more than is followed")
            return arguments[:-1], True
        return [*arguments[:-1], *beginning], True

    def named(self, name: bytes, arguments: list[list[Form]], opened: bool) -> None:
        """A call of a command whose name is known."""
        found = self.found
        called = Called(name, COMMANDS.get(name), arguments, opened)
        argv = called.argv()
        if called.spec is not None:
            called.spec = within(called.spec, argv)
        spec = called.spec
        found.commands[spec.name if spec is not None else name] = spec
        if spec is None or not is_steady(spec, argv, opened):
            found.differs(f"it calls {name[:40].decode('ascii', 'replace')}, which depends on chance, time or order")
        if spec is None:
            return
        if name in WHOLE:
            self.whole(called, argv)
        if any(key.is_key for key in spec.key_specs):
            found.keyed = found.keyed or spec.name
            for at in keys(spec, argv):
                self.name(name, arguments[at - 1], b"", False)
        if spec.finder == SORT_KEYS:
            for at in sort_patterns(argv, True):
                forms = [form for form in arguments[at - 1] if not is_free(form)]
                self.name(name, forms, b"*", True)

    def whole(self, called: Called, argv: list[bytes]) -> None:
        """What speaks of all keys is told apart by its pattern, if that begins as the names of a family do."""
        at = 0
        if called.name == b"keys":
            at = 1
        elif called.name == b"scan":
            at = next((i + 1 for i in range(2, len(argv)) if argv[i].lower() == b"match"), 0)
        if 0 < at < len(argv):
            self.name(called.name, called.arguments[at - 1], b"*?[\\", True)
        else:
            self.found.whole = self.found.whole or called.name

    def name(self, command: bytes, forms: list[Form], signs: bytes, wanted: bool) -> None:
        """A key to look at with each request, unless it is declared, or may be one that nobody knows."""
        if not wanted and any(form[:1] == UNKNOWN for form in forms):
            return
        for form in forms:
            declared = not signs and len(form) == 1 and form[0][0] in (KEY, ANY_KEY)
            if declared or (command, form) in self.seen:
                continue
            self.seen.add((command, form))
            self.found.parts += len(form)
            if self.found.parts > MOST_PARTS:
                self.found.hides("it uses more names of keys than are followed")
                return
            self.found.names.append(Name(command, form, signs, wanted))


def is_input(paths: list[bytes]) -> bool:
    """Whether it may be KEYS or ARGV."""
    return b"KEYS" in paths or b"ARGV" in paths


def is_free(form: Form) -> bool:
    """Whether a pattern of SORT reads no other key."""
    text = literal(form)
    return text is not None and b"*" not in text


def is_steady(spec: CommandSpec, argv: list[bytes], opened: bool) -> bool:
    """Whether copies that run this call come to the same result."""
    if spec.judged in (TTL_OPTIONS, READ_OR_TTL):
        return not opened and is_without_options(spec, argv)
    if spec.reach not in (ONE, SPLIT) or spec.judged or spec.copy not in (COPY_ALL, COPY_READ):
        return False
    return spec.name not in _UNTOLD and not any(tip in _CHANCE for tip in spec.tips)


def is_without_options(spec: CommandSpec, argv: list[bytes]) -> bool:
    """Whether a command that may name an expiry names none, or a moment."""
    at = 3 if spec.name == b"set" else 2
    while at < len(argv):
        word = argv[at].lower()
        if word in (b"pxat", b"exat"):
            at += 1
        elif word == SOMETHING:
            return False
        at += 1
    return copy_class(spec, argv) in (COPY_ALL, COPY_READ)
