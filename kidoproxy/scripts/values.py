"""What the expressions of a script may stand for: global names, and strings made of literals, KEYS and ARGV.

Where several strings are possible all of them are listed, within the bounds of `kidoproxy.scripts.forms`.
"""

from typing import Final

from kidoproxy.scripts.expressions import is_global
from kidoproxy.scripts.forms import (
    ANY_TEXT_PART,
    ARGV_ITEM,
    ARGV_RANGE,
    EMPTY_FORM,
    KEYS_ANY,
    KEYS_ITEM,
    LITERAL,
    MAX_FORM_PARTS,
    MAX_FORMS,
    UNKNOWN_FORM,
    StringForm,
    dedupe_forms,
    literal_text,
    truncate_form,
)
from kidoproxy.scripts.registration import is_register_function, parse_flags, parse_registration
from kidoproxy.scripts.syntax import (
    AND,
    CALL,
    CONCAT,
    CONSTANT,
    EACH_INDEX,
    FUNCTION,
    INDEX,
    LENGTH,
    METHOD,
    NAME,
    NUMBER,
    OR,
    OTHER,
    PAREN,
    RANGE,
    ROLE_CALLEE,
    ROLE_TARGET,
    STRING,
    TABLE,
    VARARG,
    SyntaxNode,
    SyntaxTree,
)

#: If a name stands for more functions than this, none of them is followed.
MAX_FUNCTIONS: Final = 4
#: How many names behind names are followed.
MAX_ALIAS_DEPTH: Final = 40
#: How many passes over the names are made to reach a fixpoint.
MAX_PASSES: Final = 8
#: A name that may be more than this may be anything.
MAX_PATHS: Final = 8
#: The path of what may be any global.
ANY_PATH: Final = b"?"

NAMESPACES: Final = frozenset(b"redis server string table math bit struct cjson cmsgpack os KEYS ARGV".split())


class ValueTracker:
    """The values of one syntax tree.

    Making it binds parameters to arguments and finds the aliases of global names; forms of strings are computed when
    they are asked for, and remembered.
    """

    def __init__(self, tree: SyntaxTree) -> None:
        self.tree = tree
        #: For each slot the global names that it may stand for, and its strings once they are known.
        self.aliases: list[list[bytes]] = [[] for _ in tree.slot_values]
        self.form_cache: dict[int, list[StringForm]] = {}
        #: For each slot, once it is known, whether it stands for global names only.
        self.always_global: dict[int, bool] = {}
        self.in_progress: set[int] = set()
        #: KEYS or ARGV may have been changed by the script.
        self.inputs_mutated = False
        #: For each slot the functions of the script that it stands for; none where they are too many.
        self.local_functions = [collect_functions(values) for values in tree.slot_values]
        #: A library's functions by the names under which it registers them.
        self.registered_functions: dict[bytes, list[SyntaxNode]] = {}
        #: Their flags, by the same names; None where they are not known.
        self.registered_flags: dict[bytes, list[bytes] | None] = {}
        #: The slots that may stand for ``redis.register_function``.
        self.registrar_slots = {
            slot for slot, values in enumerate(tree.slot_values) if any(map(is_register_function, values))
        }
        #: The ids of the nodes that register a function, and of those that name one to be registered.
        self.registration_nodes: set[int] = set()
        #: Some function is registered in a way that is not followed.
        self.has_unresolved_registration = False
        self.bind_arguments()
        self.propagate_aliases()

    # -- functions ---------------------------------------------------------------------------------------

    def bind_arguments(self) -> None:
        """Bind the parameters of the script's own functions to what they are called with."""
        followed = {id(function) for function in self.bind_registered(self.local_functions)}
        followed |= {id(function) for functions in self.local_functions for function in functions}
        escaping_slots = self.escaping_slots()
        for function in self.tree.functions:
            if id(function) not in followed:
                self.bind_unknown(function)
        for slot in escaping_slots:
            for function in self.local_functions[slot]:
                self.bind_unknown(function)
        for call_node in self.tree.calls:
            callee = call_node.children[0]
            arguments = call_node.children[1:]
            if is_global(callee, b"pcall") and arguments:
                callee = arguments[0]
                arguments = arguments[1:]
            if callee.kind == NAME and callee.slot >= 0:
                for function in self.local_functions[callee.slot]:
                    self.bind_call(function, arguments)

    def escaping_slots(self) -> set[int]:
        """The slots whose functions may be called otherwise than by their name: it stands elsewhere, or for more."""
        found = {
            slot
            for slot, functions in enumerate(self.local_functions)
            if functions and len(functions) != len(self.tree.slot_values[slot])
        }
        for node in self.tree.name_nodes:
            is_local = node.kind == NAME and node.slot >= 0
            if is_local and node.role not in (ROLE_CALLEE, ROLE_TARGET) and self.local_functions[node.slot]:
                found.add(node.slot)
        return found

    def bind_registered(self, local_functions: list[list[SyntaxNode]]) -> list[SyntaxNode]:
        """Bind the first two parameters of registered functions to KEYS and ARGV; these functions."""
        found: list[SyntaxNode] = []
        for call_node in self.tree.calls:
            if not self.is_registration(call_node.children[0]):
                continue
            self.registration_nodes.add(id(call_node.children[0]))
            name, callback = parse_registration(call_node)
            functions = [callback] if callback.kind == FUNCTION else []
            if callback.kind == NAME and callback.slot >= 0:
                functions = local_functions[callback.slot]
                # To be registered does not let it escape: the node calls it with keys and arguments only.
                callback.role = ROLE_CALLEE
                self.registration_nodes.add(id(callback))
            self.has_unresolved_registration = self.has_unresolved_registration or not name or not functions
            self.registered_flags[name] = parse_flags(call_node)
            for function in functions:
                self.registered_functions.setdefault(name, []).append(function)
                for slot, input_name in zip(function.parameter_slots, (b"KEYS", b"ARGV"), strict=False):
                    self.tree.slot_values[slot].append(SyntaxNode(NAME, function.offset, input_name, []))
                for slot in function.parameter_slots[2:]:
                    self.tree.slot_values[slot].append(SyntaxNode(CONSTANT, function.offset, b"nil", []))
            found += functions
        return found

    def is_registration(self, callee: SyntaxNode) -> bool:
        """Whether this is ``redis.register_function``, or a local name for it."""
        return callee.slot in self.registrar_slots if callee.kind == NAME else is_register_function(callee)

    def bind_unknown(self, function: SyntaxNode) -> None:
        """The function may be called with anything."""
        for slot in function.parameter_slots:
            self.tree.slot_values[slot].append(SyntaxNode(OTHER, function.offset, b"", []))

    def bind_call(self, function: SyntaxNode, arguments: list[SyntaxNode]) -> None:
        """The function is called with these arguments."""
        for at, slot in enumerate(function.parameter_slots):
            if at < len(arguments):
                value = arguments[at]
                self.tree.slot_values[slot].append(value)
            elif arguments and gives_many_values(arguments[-1]):
                self.tree.slot_values[slot].append(SyntaxNode(OTHER, function.offset, b"", []))

    # -- global names ------------------------------------------------------------------------------------

    def propagate_aliases(self) -> None:
        """Find the global names that each slot may stand for, by passes until nothing changes."""
        for _ in range(MAX_PASSES):
            changed = False
            self.form_cache.clear()
            self.always_global.clear()
            for slot, values in enumerate(self.tree.slot_values):
                found = self.aliases[slot]
                for value in values:
                    for path in self.global_paths(value):
                        if path not in found and ANY_PATH not in found:
                            found.append(path)
                            changed = True
                if len(found) > MAX_PATHS:
                    self.aliases[slot] = [ANY_PATH]
            if not changed:
                return
        # A chain of aliases longer than any that makes sense: each of its names may be anything.
        for found in self.aliases:
            if found:
                found.append(ANY_PATH)

    def global_paths(self, node: SyntaxNode) -> list[bytes]:
        """The global names that this may stand for, such as ``redis.call``; none for what is no global."""
        if node.kind == NAME:
            return [node.text] if node.slot < 0 else self.aliases[node.slot]
        if node.kind == INDEX:
            return self.member_paths(node)
        if node.kind == PAREN:
            return self.global_paths(node.children[0])
        if node.kind == AND:
            return self.global_paths(node.children[-1])
        if node.kind == OR:
            found = {path for part in node.children for path in self.global_paths(part)}
            return sorted(found) if len(found) <= MAX_PATHS else [ANY_PATH]
        return []

    def sole_path(self, node: SyntaxNode) -> bytes:
        """The one global name that this always stands for; empty when it may be something else."""
        paths = self.global_paths(node)
        if len(paths) != 1:
            return b""
        if node.kind == NAME and node.slot >= 0:
            always_global = self.always_global.get(node.slot)
            if always_global is None:
                always_global = self.always_global[node.slot] = all(
                    self.global_paths(value) for value in self.tree.slot_values[node.slot]
                )
            return paths[0] if always_global else b""
        return paths[0]

    def member_paths(self, node: SyntaxNode) -> list[bytes]:
        """`global_paths` of ``base[key]``; an unknown key is ``?``."""
        found: list[bytes] = []
        for base in self.global_paths(node.children[0]):
            if base in (b"KEYS", b"ARGV", ANY_PATH):
                continue
            keys = [literal_text(form) for form in self.string_forms(node.children[1], 0)]
            if not keys or None in keys:
                found.append(base + b".?")
            else:
                found += [base + b"." + key for key in keys if key is not None]
        return found

    # -- strings -----------------------------------------------------------------------------------------

    def string_forms(self, node: SyntaxNode, depth: int) -> list[StringForm]:
        """The strings that this may be; none for what is never a string."""
        kind = node.kind
        if depth > MAX_ALIAS_DEPTH:
            return [UNKNOWN_FORM]
        if kind == STRING:
            return [((LITERAL, 0, 0, node.text),)]
        if kind == NUMBER:
            return [((LITERAL, 0, 0, b"%d" % integer_literal(node)),)] if integer_literal(node) else [UNKNOWN_FORM]
        if kind in (CONSTANT, FUNCTION, TABLE):
            return []
        if kind == NAME:
            return self.variable_forms(node, depth)
        if kind == INDEX:
            return self.input_element_forms(node, depth)
        if kind == CONCAT:
            return self.concat_forms(node.children, depth)
        if kind == PAREN:
            return self.string_forms(node.children[0], depth + 1)
        if kind == AND:
            return self.string_forms(node.children[-1], depth + 1)
        if kind == OR:
            found: list[StringForm] = []
            for part in node.children:
                found = dedupe_forms(found + self.string_forms(part, depth + 1))
            return found
        if kind in (CALL, METHOD):
            return self.call_forms(node, depth)
        return [UNKNOWN_FORM]

    def variable_forms(self, node: SyntaxNode, depth: int) -> list[StringForm]:
        """What a local variable may be."""
        slot = node.slot
        if slot < 0 or slot in self.in_progress:
            return [UNKNOWN_FORM]
        cached = self.form_cache.get(slot)
        if cached is None:
            self.in_progress.add(slot)
            cached = []
            for value in self.tree.slot_values[slot]:
                cached = dedupe_forms(cached + self.string_forms(value, depth + 1))
            self.in_progress.discard(slot)
            self.form_cache[slot] = cached
        return cached

    def input_element_forms(self, node: SyntaxNode, depth: int) -> list[StringForm]:
        """An element of KEYS or ARGV."""
        path = self.sole_path(node.children[0])
        if path not in (b"KEYS", b"ARGV") or self.inputs_mutated:
            return [UNKNOWN_FORM]
        number = integer_literal(node.children[1])
        if path == b"KEYS":
            return [((KEYS_ITEM, number, 0, b""),)] if number else [((KEYS_ANY, 0, 0, b""),)]
        return [((ARGV_ITEM, number, 0, b""),)] if number else [self.loop_element_form(node.children[1])]

    def loop_element_form(self, key: SyntaxNode) -> StringForm:
        """ARGV by the variable of a numeric loop that runs from a number to its end, or by that of ``ipairs``."""
        if key.kind == EACH_INDEX:
            return ((ARGV_RANGE, 1, 1, b""),)
        if key.kind == NAME and key.slot >= 0 and len(self.tree.slot_values[key.slot]) == 1:
            loop = self.tree.slot_values[key.slot][0]
            if loop.kind == RANGE and loop.children[1].kind == LENGTH:
                first = integer_literal(loop.children[0])
                step = integer_literal(loop.children[2]) if len(loop.children) == 3 else 1
                if first and step and self.sole_path(loop.children[1].children[0]) == b"ARGV":
                    return ((ARGV_RANGE, first, step, b""),)
        return UNKNOWN_FORM

    def concat_forms(self, nodes: list[SyntaxNode], depth: int) -> list[StringForm]:
        """The strings of these expressions, concatenated in every combination."""
        found: list[StringForm] = [()]
        for node in nodes:
            if all(len(form) == MAX_FORM_PARTS and form[-1] == ANY_TEXT_PART for form in found):
                break
            suffixes = self.string_forms(node, depth + 1) or [UNKNOWN_FORM]
            if len(found) * len(suffixes) > MAX_FORMS:
                suffixes = [UNKNOWN_FORM]
            found = [
                truncate_form(form + suffix) if suffix != EMPTY_FORM else form for form in found for suffix in suffixes
            ]
        return [form or EMPTY_FORM for form in found]

    def call_forms(self, node: SyntaxNode, depth: int) -> list[StringForm]:
        """What a call returns: of ``tostring``, ``string.format``, and the script's own functions."""
        if node.kind == METHOD:
            return (
                self.format_forms([node.children[0], *node.children[1:]], depth)
                if node.text == b"format"
                else [UNKNOWN_FORM]
            )
        callee = node.children[0]
        if callee.kind == NAME and callee.slot >= 0:
            functions = self.local_functions[callee.slot]
            if functions and len(functions) == len(self.tree.slot_values[callee.slot]):
                return self.return_forms(callee.slot, functions, depth)
        path = self.sole_path(callee)
        if path == b"tostring" and len(node.children) == 2:
            return self.string_forms(node.children[1], depth + 1)
        if path == b"string.format" and len(node.children) > 1:
            return self.format_forms(node.children[1:], depth)
        return [UNKNOWN_FORM]

    def return_forms(self, slot: int, functions: list[SyntaxNode], depth: int) -> list[StringForm]:
        """What the functions behind a local name return."""
        cache_key = -1 - slot
        if cache_key in self.in_progress:
            return [UNKNOWN_FORM]
        cached = self.form_cache.get(cache_key)
        if cached is None:
            self.in_progress.add(cache_key)
            cached = []
            for function in functions:
                for value in function.children:
                    cached = dedupe_forms(cached + self.string_forms(value, depth + 1))
            self.in_progress.discard(cache_key)
            self.form_cache[cache_key] = cached
        return cached

    def format_forms(self, arguments: list[SyntaxNode], depth: int) -> list[StringForm]:
        """``string.format`` with ``%s``, and with ``%d``, which may be any text."""
        formats = [literal_text(form) for form in self.string_forms(arguments[0], depth + 1)]
        pattern = formats[0] if len(formats) == 1 else None
        if pattern is None:
            return [UNKNOWN_FORM]
        pieces = pattern.split(b"%")
        nodes = [SyntaxNode(STRING, 0, pieces[0], [])]
        for at, piece in enumerate(pieces[1:], 1):
            if piece[:1] not in (b"s", b"d") or at >= len(arguments):
                # Behind another directive it is not known which argument belongs to which.
                nodes.append(SyntaxNode(OTHER, 0, b"", []))
                break
            nodes.append(arguments[at] if piece[:1] == b"s" else SyntaxNode(OTHER, 0, b"", []))
            nodes.append(SyntaxNode(STRING, 0, piece[1:], []))
        return self.concat_forms(nodes, depth)


def gives_many_values(node: SyntaxNode) -> bool:
    """Whether it may give several values, if it is the last of a list."""
    return node.kind in (CALL, METHOD, VARARG)


def integer_literal(node: SyntaxNode) -> int:
    """The positive integer that is written here; 0 if it is none."""
    return int(node.text) if node.kind == NUMBER and node.text.isdigit() and len(node.text) < 9 else 0


def collect_functions(values: list[SyntaxNode]) -> list[SyntaxNode]:
    """The functions among these values; none if they are too many to follow."""
    found = [value for value in values if value.kind == FUNCTION]
    return found if len(found) <= MAX_FUNCTIONS else []
