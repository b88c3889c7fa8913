"""Lua 5.1's expressions, by the strength of their operators."""

from typing import Final

from kidoproxy.scripts.lexer import NAME, NUMBER, STRING, SYMBOL, Tokens
from kidoproxy.scripts.reader import DEEPEST, Reader
from kidoproxy.scripts.syntax import (
    AND,
    ARGUMENT,
    BASE,
    CALL,
    CALLEE,
    CONCAT,
    CONSTANT,
    FUNCTION,
    INDEX,
    MEASURED,
    METHOD,
    NO_FIELDS,
    NUMERIC,
    OR,
    PAREN,
    TABLE,
    VARARG,
    Node,
)
from kidoproxy.scripts.syntax import NAME as NAMED
from kidoproxy.scripts.syntax import NUMBER as NUMERAL
from kidoproxy.scripts.syntax import STRING as TEXT

#: How strongly binary operators bind, to the left and to the right.
_PRIORITY: Final[dict[bytes, tuple[int, int]]] = {
    b"or": (1, 1),
    b"and": (2, 2),
    b"<": (3, 3),
    b">": (3, 3),
    b"<=": (3, 3),
    b">=": (3, 3),
    b"~=": (3, 3),
    b"==": (3, 3),
    b"..": (5, 4),
    b"+": (6, 6),
    b"-": (6, 6),
    b"*": (7, 7),
    b"/": (7, 7),
    b"%": (7, 7),
    b"^": (10, 9),
}
_UNARY: Final = 8
_COMPARISONS: Final = (b"<", b">", b"<=", b">=", b"~=", b"==")
_ARITHMETIC: Final = (b"+", b"-", b"*", b"/", b"%", b"^")


class Expressions(Reader):
    """See the module. ``function`` is the one that is being read, at first ``main``, the text as a whole."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(tokens)
        self.main = Node(FUNCTION, 0, b"", [])
        self.function = self.main

    def closed(self) -> None:
        """A block and its end."""
        raise NotImplementedError

    def expressions(self) -> list[Node]:
        """Expressions with commas between."""
        found = [self.expression()]
        while self.accept(b","):
            found.append(self.expression())
        return found

    def expression(self, limit: int = 0) -> Node:
        """One expression, of operators that bind more strongly than ``limit``."""
        self.enter()
        if self.accept(b"not"):
            self.expression(_UNARY).role = MEASURED
            left = self.node(CONSTANT, b"", [])
        elif self.accept(b"-"):
            self.expression(_UNARY)
            left = self.node(NUMERIC, b"", [])
        elif self.accept(b"#"):
            measured = self.expression(_UNARY)
            measured.role = MEASURED
            left = self.node(NUMERIC, b"#", [measured])
        else:
            left = self.simple()
        while self.kinds[self.at] == SYMBOL:
            symbol = self.values[self.at]
            priority = _PRIORITY.get(symbol)
            if priority is None or priority[0] <= limit:
                break
            self.at += 1
            left = self.combined(symbol, left, self.expression(priority[1]))
        self.depth -= 1
        return left

    def combined(self, symbol: bytes, left: Node, right: Node) -> Node:
        """Two operands and their operator."""
        if symbol == b"..":
            return self.node(CONCAT, b"", [left, *right.parts] if right.kind == CONCAT else [left, right])
        if symbol in (b"and", b"or"):
            kind = AND if symbol == b"and" else OR
            # A long row is no deep tree.
            return grown(left, right) if left.kind == kind else self.node(kind, b"", [left, right])
        if symbol == b"+" and left.text == b"#" and right.text == b"1" and right.kind == NUMERAL:
            return self.node(NUMERIC, b"#+1", left.parts)
        left.role = right.role = MEASURED
        return self.node(CONSTANT if symbol in _COMPARISONS else NUMERIC, b"", [])

    def simple(self) -> Node:
        """A literal, a table, a function, or something with suffixes."""
        kind = self.kinds[self.at]
        value = self.values[self.at]
        if kind in (NUMBER, STRING):
            self.at += 1
            return self.node(NUMERAL if kind == NUMBER else TEXT, value, [])
        if kind == SYMBOL:
            if value in (b"nil", b"true", b"false"):
                self.at += 1
                return self.node(CONSTANT, value, [])
            if value == b"...":
                self.at += 1
                return self.node(VARARG, b"", [])
            if value == b"{":
                return self.table()
            if value == b"function":
                self.at += 1
                return self.body(False)
        return self.suffixed()

    def table(self) -> Node:
        """A table constructor."""
        made = self.node(TABLE, b"", [])
        self.expect(b"{")
        while not self.is_symbol(b"}"):
            if self.accept(b"["):
                self.expression()
                self.expect(b"]")
                self.expect(b"=")
                self.expression()
                made.named += 1
            elif self.kinds[self.at] == NAME and self.values[self.at + 1] == b"=" and self.kinds[self.at + 1] == SYMBOL:
                field = self.values[self.at]
                self.at += 2
                if made.fields is NO_FIELDS:
                    made.fields = {}
                made.fields[field] = self.expression()
                made.named += 1
            else:
                made.parts.append(self.expression())
            if not self.accept(b",") and not self.accept(b";"):
                break
        self.expect(b"}")
        return made

    def body(self, method: bool) -> Node:
        """A function from its parameters to its end."""
        outer = self.function
        made = self.node(FUNCTION, b"", [])
        made.first_call, made.first_name = len(self.tree.calls), len(self.tree.names)
        self.tree.functions.append(made)
        self.function = made
        self.scopes.append({})
        if method:
            made.slots.append(self.declare(b"self"))
        self.parameters(made)
        self.closed()
        self.scopes.pop()
        made.last_call, made.last_name = len(self.tree.calls), len(self.tree.names)
        self.function = outer
        return made

    def parameters(self, made: Node) -> None:
        """In parentheses."""
        self.expect(b"(")
        if self.accept(b")"):
            return
        while not self.accept(b"..."):
            made.slots.append(self.declare(self.name()))
            if not self.accept(b","):
                break
        self.expect(b")")

    def suffixed(self) -> Node:
        """A name or something in parentheses, and what is done with it."""
        if self.accept(b"("):
            inner = self.expression()
            self.expect(b")")
            found = self.node(PAREN, b"", [inner])
            # In Lua a name in parentheses cannot be assigned to, and is else as without.
            if inner.kind in (NAMED, INDEX):
                found = inner if self.has_suffix() else found
        else:
            found = self.variable(self.name())
        count = 0
        while True:
            count += 1
            if count > DEEPEST:
                raise self.too_deep()
            if self.accept(b"."):
                found = self.indexed(found, self.node(TEXT, self.name(), []))
            elif self.accept(b"["):
                key = self.expression()
                self.expect(b"]")
                found = self.indexed(found, key)
            elif self.accept(b":"):
                found = self.node(METHOD, self.name(), [found])
                found.parts += self.arguments()
            elif self.kinds[self.at] == STRING or self.is_symbol(b"(") or self.is_symbol(b"{"):
                found = self.called(found)
            else:
                return found

    def has_suffix(self) -> bool:
        """Whether something is done with what stands before."""
        return self.kinds[self.at] == STRING or (
            self.kinds[self.at] == SYMBOL and self.values[self.at] in (b".", b"[", b":", b"(", b"{")
        )

    def indexed(self, base: Node, key: Node) -> Node:
        """``base[key]``."""
        base.role = BASE
        return self.node(INDEX, b"", [base, key])

    def called(self, callee: Node) -> Node:
        """``callee(…)``."""
        callee.role = CALLEE
        made = self.node(CALL, b"", [callee])
        made.at = self.tokens.starts[self.at]
        self.tree.calls.append(made)
        made.parts += self.arguments()
        if is_global(callee, b"pcall") and len(made.parts) > 1:
            made.parts[1].role = CALLEE
        return made

    def arguments(self) -> list[Node]:
        """Of a call: a string, a table, or a list in parentheses."""
        if self.kinds[self.at] == STRING:
            self.at += 1
            return [self.node(TEXT, self.values[self.at - 1], [])]
        if self.is_symbol(b"{"):
            return [self.table()]
        self.expect(b"(")
        found = [] if self.is_symbol(b")") else self.expressions()
        self.expect(b")")
        for value in found:
            value.role = ARGUMENT
        return found


def is_global(node: Node, name: bytes) -> bool:
    """Whether the node is this global name."""
    return node.kind == NAMED and node.slot < 0 and node.text == name


def grown(row: Node, part: Node) -> Node:
    """A row of operands with one more."""
    row.parts.append(part)
    return row
