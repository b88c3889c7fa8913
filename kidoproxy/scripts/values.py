"""What the expressions of a script may stand for: global names, and strings made of literals, KEYS and ARGV.

A string is a `Form`: parts in a row, some known from the text, some from the request, some not at all. Where several
values are possible all of them are told; what is too much to tell is a hole, which may be anything.
"""

from typing import Final

from kidoproxy.scripts.expressions import is_global
from kidoproxy.scripts.registration import is_registrar, registration
from kidoproxy.scripts.syntax import (
    AND,
    CALL,
    CALLEE,
    CONCAT,
    CONSTANT,
    FUNCTION,
    INDEX,
    METHOD,
    NAME,
    NUMBER,
    OR,
    OTHER,
    PAREN,
    RANGE,
    STRING,
    TABLE,
    TARGET,
    VARARG,
    Node,
    Tree,
)

# Parts of a form: what it is, a number, another number, a text.
LITERAL: Final = 0  # text
KEY: Final = 1  # KEYS[number]
ANY_KEY: Final = 2  # one of KEYS
ARG: Final = 3  # ARGV[number]
ARGS: Final = 4  # one of ARGV, from the first number on, by steps of the second
HOLE: Final = 5  # anything

Part = tuple[int, int, int, bytes]
Form = tuple[Part, ...]

ANYTHING: Final[Part] = (HOLE, 0, 0, b"")
UNKNOWN: Final[Form] = (ANYTHING,)
EMPTY: Final[Form] = ((LITERAL, 0, 0, b""),)
#: More values for one expression are not told, nor are longer ones.
MOST_FORMS: Final = 16
MOST_PARTS: Final = 32
#: A name that stands for more functions than this stands for none that is followed.
MOST_FUNCTIONS: Final = 4
#: How many names behind names are followed.
FAR: Final = 40
#: How often the names are gone through until nothing new is learned.
PASSES: Final = 8
#: A name that may be more than this may be anything.
MOST_PATHS: Final = 8
#: The path of what may be any global.
ANY_PATH: Final = b"?"

NAMESPACES: Final = frozenset(b"redis server string table math bit struct cjson cmsgpack os KEYS ARGV".split())


class Values:
    """See the module."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        #: For each local variable the global names that it may stand for, and its strings once they are known.
        self.aliases: list[list[bytes]] = [[] for _ in tree.bound]
        self.strings: dict[int, list[Form]] = {}
        #: Whether it stands for global names only.
        self.sure: dict[int, bool] = {}
        self.open: set[int] = set()
        #: KEYS or ARGV may have been changed by the script.
        self.changed = False
        #: For each local variable the functions of the script that it stands for; none where they are too many.
        self.own = [few_functions(values) for values in tree.bound]
        #: Of a library the functions by the names that they are called by.
        self.registered: dict[bytes, list[Node]] = {}
        #: The local variables that may stand for what registers them.
        self.registrars = {slot for slot, values in enumerate(tree.bound) if any(map(is_registrar, values))}
        #: The nodes that are seen to register, and to be registered.
        self.registering: set[int] = set()
        #: Some function is registered in a way that is not followed.
        self.unclear = False
        self.pass_arguments()
        self.follow()

    # -- functions ---------------------------------------------------------------------------------------

    def pass_arguments(self) -> None:
        """Bind the parameters of the script's own functions to what they are called with."""
        tree = self.tree
        own = self.own
        registered = {id(function) for function in self.register(own)}
        direct = {id(function) for functions in own for function in functions}
        loose: set[int] = {slot for slot in range(len(own)) if own[slot] and len(own[slot]) != len(tree.bound[slot])}
        for node in tree.names:
            if node.kind == NAME and node.slot >= 0 and node.role not in (CALLEE, TARGET) and own[node.slot]:
                loose.add(node.slot)
        for function in tree.functions:
            if id(function) not in direct and id(function) not in registered:
                self.anything(function)
        for slot in loose:
            for function in own[slot]:
                self.anything(function)
        for call in tree.calls:
            callee = call.parts[0]
            arguments = call.parts[1:]
            if is_global(callee, b"pcall") and arguments:
                callee = arguments[0]
                arguments = arguments[1:]
            if callee.kind == NAME and callee.slot >= 0:
                for function in own[callee.slot]:
                    self.given(function, arguments)

    def register(self, own: list[list[Node]]) -> list[Node]:
        """Bind the first two parameters of a library's functions to their keys and arguments; these functions."""
        found: list[Node] = []
        for call in self.tree.calls:
            if not self.registers(call.parts[0]):
                continue
            self.registering.add(id(call.parts[0]))
            name, callback = registration(call)
            functions = [callback] if callback.kind == FUNCTION else []
            if callback.kind == NAME and callback.slot >= 0:
                functions = own[callback.slot]
                # Being registered is no way to be called with anything.
                callback.role = CALLEE
                self.registering.add(id(callback))
            self.unclear = self.unclear or not name or not functions
            for function in functions:
                self.registered.setdefault(name, []).append(function)
                for slot, given in zip(function.slots, (b"KEYS", b"ARGV"), strict=False):
                    self.tree.bound[slot].append(Node(NAME, function.at, given, []))
                for slot in function.slots[2:]:
                    self.tree.bound[slot].append(Node(CONSTANT, function.at, b"nil", []))
            found += functions
        return found

    def registers(self, callee: Node) -> bool:
        """Whether this is ``redis.register_function``, or a local name for it."""
        return callee.slot in self.registrars if callee.kind == NAME else is_registrar(callee)

    def anything(self, function: Node) -> None:
        """It may be called with anything."""
        for slot in function.slots:
            self.tree.bound[slot].append(Node(OTHER, function.at, b"", []))

    def given(self, function: Node, arguments: list[Node]) -> None:
        """It is called with these."""
        for at, slot in enumerate(function.slots):
            if at < len(arguments):
                value = arguments[at]
                self.tree.bound[slot].append(value)
            elif arguments and is_open(arguments[-1]):
                self.tree.bound[slot].append(Node(OTHER, function.at, b"", []))

    # -- global names ------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Learn what global names the local variables stand for, until there is nothing more to learn."""
        for _ in range(PASSES):
            changed = False
            self.strings.clear()
            self.sure.clear()
            for slot, values in enumerate(self.tree.bound):
                found = self.aliases[slot]
                for value in values:
                    for path in self.paths(value):
                        if path not in found and ANY_PATH not in found:
                            found.append(path)
                            changed = True
                if len(found) > MOST_PATHS:
                    self.aliases[slot] = [ANY_PATH]
            if not changed:
                return
        # A chain that is longer than any that makes sense: whoever is part of one may be anything.
        for found in self.aliases:
            if found:
                found.append(ANY_PATH)

    def paths(self, node: Node) -> list[bytes]:
        """The global names that this may stand for: ``redis.call``; none for what is no global."""
        if node.kind == NAME:
            return [node.text] if node.slot < 0 else self.aliases[node.slot]
        if node.kind == INDEX:
            return self.members(node)
        if node.kind == PAREN:
            return self.paths(node.parts[0])
        if node.kind == AND:
            return self.paths(node.parts[-1])
        if node.kind == OR:
            found = {path for part in node.parts for path in self.paths(part)}
            return sorted(found) if len(found) <= MOST_PATHS else [ANY_PATH]
        return []

    def only_path(self, node: Node) -> bytes:
        """The one global name that this stands for; empty when it may be something else."""
        paths = self.paths(node)
        if len(paths) != 1:
            return b""
        if node.kind == NAME and node.slot >= 0:
            sure = self.sure.get(node.slot)
            if sure is None:
                sure = self.sure[node.slot] = all(self.paths(value) for value in self.tree.bound[node.slot])
            return paths[0] if sure else b""
        return paths[0]

    def members(self, node: Node) -> list[bytes]:
        """The same for ``base[key]``."""
        found: list[bytes] = []
        for base in self.paths(node.parts[0]):
            if base in (b"KEYS", b"ARGV", ANY_PATH):
                continue
            keys = [literal(form) for form in self.forms(node.parts[1], 0)]
            if not keys or None in keys:
                found.append(base + b".?")
            else:
                found += [base + b"." + key for key in keys if key is not None]
        return found

    # -- strings -----------------------------------------------------------------------------------------

    def forms(self, node: Node, depth: int) -> list[Form]:
        """The strings that this may be; none for what is never a string."""
        kind = node.kind
        if depth > FAR:
            return [UNKNOWN]
        if kind == STRING:
            return [((LITERAL, 0, 0, node.text),)]
        if kind == NUMBER:
            return [((LITERAL, 0, 0, b"%d" % whole(node)),)] if whole(node) else [UNKNOWN]
        if kind in (CONSTANT, FUNCTION, TABLE):
            return []
        if kind == NAME:
            return self.variable(node, depth)
        if kind == INDEX:
            return self.element(node, depth)
        if kind == CONCAT:
            return self.joined(node.parts, depth)
        if kind == PAREN:
            return self.forms(node.parts[0], depth + 1)
        if kind == AND:
            return self.forms(node.parts[-1], depth + 1)
        if kind == OR:
            found: list[Form] = []
            for part in node.parts:
                found = few(found + self.forms(part, depth + 1))
            return found
        if kind in (CALL, METHOD):
            return self.result(node, depth)
        return [UNKNOWN]

    def variable(self, node: Node, depth: int) -> list[Form]:
        """What a local variable may be."""
        slot = node.slot
        if slot < 0 or slot in self.open:
            return [UNKNOWN]
        known = self.strings.get(slot)
        if known is None:
            self.open.add(slot)
            known = []
            for value in self.tree.bound[slot]:
                known = few(known + self.forms(value, depth + 1))
            self.open.discard(slot)
            self.strings[slot] = known
        return known

    def element(self, node: Node, depth: int) -> list[Form]:
        """An element of KEYS or ARGV."""
        path = self.only_path(node.parts[0])
        if path not in (b"KEYS", b"ARGV") or self.changed:
            return [UNKNOWN]
        number = whole(node.parts[1])
        if path == b"KEYS":
            return [((KEY, number, 0, b""),)] if number else [((ANY_KEY, 0, 0, b""),)]
        return [((ARG, number, 0, b""),)] if number else [self.counted(node.parts[1])]

    def counted(self, key: Node) -> Form:
        """ARGV by the variable of a numeric loop that runs from a number to its end, or by that of ``ipairs``."""
        if key.text == b"each":
            return ((ARGS, 1, 1, b""),)
        if key.kind == NAME and key.slot >= 0 and len(self.tree.bound[key.slot]) == 1:
            loop = self.tree.bound[key.slot][0]
            if loop.kind == RANGE and loop.parts[1].text == b"#" and loop.parts[1].parts:
                first = whole(loop.parts[0])
                step = whole(loop.parts[2]) if len(loop.parts) == 3 else 1
                if first and step and self.only_path(loop.parts[1].parts[0]) == b"ARGV":
                    return ((ARGS, first, step, b""),)
        return UNKNOWN

    def joined(self, nodes: list[Node], depth: int) -> list[Form]:
        """One behind the other."""
        found: list[Form] = [()]
        for node in nodes:
            if all(len(form) == MOST_PARTS and form[-1] == ANYTHING for form in found):
                break
            ends = self.forms(node, depth + 1) or [UNKNOWN]
            if len(found) * len(ends) > MOST_FORMS:
                ends = [UNKNOWN]
            found = [shortened(form + end) if end != EMPTY else form for form in found for end in ends]
        return [form or EMPTY for form in found]

    def result(self, node: Node, depth: int) -> list[Form]:
        """What a call gives: of functions that make strings in plain sight, and of the script's own."""
        if node.kind == METHOD:
            return self.formatted([node.parts[0], *node.parts[1:]], depth) if node.text == b"format" else [UNKNOWN]
        callee = node.parts[0]
        if callee.kind == NAME and callee.slot >= 0:
            functions = self.own[callee.slot]
            if functions and len(functions) == len(self.tree.bound[callee.slot]):
                return self.returned(callee.slot, functions, depth)
        path = self.only_path(callee)
        if path == b"tostring" and len(node.parts) == 2:
            return self.forms(node.parts[1], depth + 1)
        if path == b"string.format" and len(node.parts) > 1:
            return self.formatted(node.parts[1:], depth)
        return [UNKNOWN]

    def returned(self, slot: int, functions: list[Node], depth: int) -> list[Form]:
        """What the functions behind a local name return."""
        mark = -1 - slot
        if mark in self.open:
            return [UNKNOWN]
        known = self.strings.get(mark)
        if known is None:
            self.open.add(mark)
            known = []
            for function in functions:
                for value in function.parts:
                    known = few(known + self.forms(value, depth + 1))
            self.open.discard(mark)
            self.strings[mark] = known
        return known

    def formatted(self, arguments: list[Node], depth: int) -> list[Form]:
        """``string.format`` with ``%s``, and with ``%d``, which is a hole."""
        formats = [literal(form) for form in self.forms(arguments[0], depth + 1)]
        pattern = formats[0] if len(formats) == 1 else None
        if pattern is None:
            return [UNKNOWN]
        pieces = pattern.split(b"%")
        nodes = [Node(STRING, 0, pieces[0], [])]
        for at, piece in enumerate(pieces[1:], 1):
            if piece[:1] not in (b"s", b"d") or at >= len(arguments):
                # What follows an odd directive may belong to other arguments.
                nodes.append(Node(OTHER, 0, b"", []))
                break
            nodes.append(arguments[at] if piece[:1] == b"s" else Node(OTHER, 0, b"", []))
            nodes.append(Node(STRING, 0, piece[1:], []))
        return self.joined(nodes, depth)


def is_open(node: Node) -> bool:
    """Whether it may give any number of values in the last place of a list."""
    return node.kind in (CALL, METHOD, VARARG)


def whole(node: Node) -> int:
    """The number that is written here; 0 if it is none."""
    return int(node.text) if node.kind == NUMBER and node.text.isdigit() and len(node.text) < 9 else 0


def literal(form: Form) -> bytes | None:
    """The string, if the text alone says it."""
    if all(part[0] == LITERAL for part in form):
        return b"".join([part[3] for part in form])
    return None


def few_functions(values: list[Node]) -> list[Node]:
    """The functions among these, if they are not too many."""
    found = [value for value in values if value.kind == FUNCTION]
    return found if len(found) <= MOST_FUNCTIONS else []


def few(forms: list[Form]) -> list[Form]:
    """Each once; something unknown if there are too many."""
    found: list[Form] = []
    for form in forms:
        if form not in found:
            found.append(form)
    return found if len(found) <= MOST_FORMS else [UNKNOWN]


def shortened(form: Form) -> Form:
    """With a hole for what goes on for too long."""
    return form if len(form) <= MOST_PARTS else (*form[: MOST_PARTS - 1], ANYTHING)
