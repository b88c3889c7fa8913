"""Whether an expression can be a table, and what is known of one: printed, a table's address tells the nodes apart."""

from typing import Final, final

from kidoproxy.scripts.builtins import CALLERS, PLAIN_REPLIES, READERS, SINGLE, STRING_METHODS
from kidoproxy.scripts.syntax import (
    AND,
    BOUND,
    CALL,
    CONCAT,
    CONSTANT,
    INDEX,
    METHOD,
    NAME,
    NUMBER,
    NUMERIC,
    OR,
    PAREN,
    RANGE,
    STRING,
    TABLE,
    VALUE,
    Node,
    Tree,
)
from kidoproxy.scripts.values import FAR, PASSES, Values, literal

_SURE: Final = (CONCAT, CONSTANT, NUMBER, NUMERIC, RANGE, STRING)


@final
class Scalars:
    """See the module."""

    def __init__(self, tree: Tree, values: Values) -> None:
        self.tree = tree
        self.values = values
        #: For each local variable whether it never is a table, and whether the functions behind it never give one.
        self.plain = [True] * len(tree.bound)
        self.giving = [True] * len(tree.bound)
        self.settle()
        self.changed = self.changed_tables()

    def settle(self) -> None:
        """Begin with hope, and give up whatever does not bear it out until all the rest does."""
        for _ in range(PASSES):
            before = sum(self.plain) + sum(self.giving)
            for slot, values in enumerate(self.tree.bound):
                self.plain[slot] = self.plain[slot] and all(self.is_scalar(value, 0) for value in values)
                own = self.values.own[slot]
                given = [value for function in own for value in function.parts]
                sure = len(own) == len(values) > 0 and all(self.is_scalar(value, 0) for value in given)
                self.giving[slot] = self.giving[slot] and sure
            if sum(self.plain) + sum(self.giving) == before:
                return
        self.plain = [False] * len(self.plain)
        self.giving = [False] * len(self.giving)

    def is_scalar(self, node: Node, depth: int) -> bool:
        """Whether it never is a table or a function."""
        kind = node.kind
        if depth > FAR:
            return False
        if kind in _SURE:
            return True
        if kind == NAME:
            return node.slot >= 0 and self.plain[node.slot]
        if kind == INDEX:
            return self.values.only_path(node.parts[0]) in (b"KEYS", b"ARGV") and not self.values.changed
        if kind in (AND, OR):
            return all(self.is_scalar(part, depth + 1) for part in node.parts)
        if kind == PAREN:
            return self.is_scalar(node.parts[0], depth + 1)
        if kind == METHOD:
            return node.text in STRING_METHODS and self.is_scalar(node.parts[0], depth + 1)
        return kind == CALL and self.gives_scalar(node, depth)

    def gives_scalar(self, call: Node, depth: int) -> bool:
        """The same for what a call gives."""
        callee = call.parts[0]
        path = self.values.only_path(callee)
        if path in SINGLE:
            return True
        if path in CALLERS and len(call.parts) > 1:
            names = [literal(form) for form in self.values.forms(call.parts[1], depth + 1)]
            return bool(names) and all(name is not None and name.lower() in PLAIN_REPLIES for name in names)
        return callee.kind == NAME and callee.slot >= 0 and self.giving[callee.slot]

    def is_list(self, node: Node, depth: int) -> bool:
        """Whether what it writes has no fields whose order nobody has promised."""
        if node.kind == TABLE:
            if node.named > 1 or (node.named and node.parts):
                return False
            return node.named == 0 and all(self.is_list(part, depth + 1) for part in node.parts)
        return self.is_scalar(node, depth)

    def gives_one(self, path: bytes) -> bool:
        """Whether this function gives exactly one value."""
        return path in SINGLE or path in CALLERS

    def beginning(self, table: Node) -> list[Node]:
        """The first elements of a table that the script only ever adds to."""
        if table.kind == TABLE:
            return table.parts
        if table.kind != NAME or table.slot < 0 or len(self.tree.bound[table.slot]) != 1:
            return []
        made = self.tree.bound[table.slot][0]
        if made.kind != TABLE or made.named or table.slot in self.changed:
            return []
        return made.parts

    def changed_tables(self) -> set[int]:
        """The local variables whose table something may change beside what is added at its end."""
        found: set[int] = set()
        for node in self.tree.names:
            if node.kind == NAME and node.slot >= 0 and node.role in (VALUE, BOUND):
                found.add(node.slot)
        for node in self.tree.written:
            base = node.parts[0] if node.kind == INDEX else node
            if base.kind == NAME and base.slot >= 0 and not self.adds(node.parts[1], base.slot):
                found.add(base.slot)
        for call in self.tree.calls:
            path = self.values.only_path(call.parts[0])
            kept = path in READERS or (path == b"table.insert" and len(call.parts) == 3)
            for part in call.parts[1:]:
                if part.kind == NAME and part.slot >= 0 and not kept:
                    found.add(part.slot)
        return found

    def adds(self, key: Node, slot: int) -> bool:
        """Whether this key of a table is the place behind its end."""
        return key.text == b"#+1" and key.parts[0].kind == NAME and key.parts[0].slot == slot
