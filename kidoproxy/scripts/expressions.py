"""Lua 5.1's expressions, by operator precedence."""

from typing import Final

from kidoproxy.scripts.lexer import NAME_TOKEN, NUMBER_TOKEN, STRING_TOKEN, SYMBOL_TOKEN, Tokens
from kidoproxy.scripts.syntax import (
    AND,
    APPEND_INDEX,
    CALL,
    CONCAT,
    CONSTANT,
    FUNCTION,
    INDEX,
    LENGTH,
    METHOD,
    NO_FIELDS,
    OR,
    PAREN,
    ROLE_ARGUMENT,
    ROLE_BASE,
    ROLE_CALLEE,
    ROLE_INSPECTED,
    TABLE,
    UNKNOWN_NUMBER,
    VARARG,
    SyntaxNode,
)
from kidoproxy.scripts.syntax import NAME as NAMED
from kidoproxy.scripts.syntax import NUMBER as NUMERAL
from kidoproxy.scripts.syntax import STRING as TEXT
from kidoproxy.scripts.token_stream import MAX_DEPTH, ParserBase

#: How strongly binary operators bind, to the left and to the right.
_BINARY_PRIORITY: Final[dict[bytes, tuple[int, int]]] = {
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
_UNARY_PRIORITY: Final = 8
_COMPARISONS: Final = (b"<", b">", b"<=", b">=", b"~=", b"==")


class ExpressionParser(ParserBase):
    """Reads expressions. ``function`` is the one that is being read, at first ``main``, the text as a whole."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(tokens)
        self.main = SyntaxNode(FUNCTION, 0, b"", [])
        self.function = self.main

    def parse_block_to_end(self) -> None:
        """A block and its ``end``, which is for the parser of statements."""
        raise NotImplementedError

    def parse_expression_list(self) -> list[SyntaxNode]:
        found = [self.parse_expression()]
        while self.accept(b","):
            found.append(self.parse_expression())
        return found

    def parse_expression(self, limit: int = 0) -> SyntaxNode:
        """One expression, of operators that bind more strongly than ``limit``."""
        self.enter_level()
        if self.accept(b"not"):
            self.parse_expression(_UNARY_PRIORITY).role = ROLE_INSPECTED
            left = self.new_node(CONSTANT, b"", [])
        elif self.accept(b"-"):
            self.parse_expression(_UNARY_PRIORITY)
            left = self.new_node(UNKNOWN_NUMBER, b"", [])
        elif self.accept(b"#"):
            operand = self.parse_expression(_UNARY_PRIORITY)
            operand.role = ROLE_INSPECTED
            left = self.new_node(LENGTH, b"", [operand])
        else:
            left = self.parse_simple()
        while self.kinds[self.pos] == SYMBOL_TOKEN:
            symbol = self.values[self.pos]
            priority = _BINARY_PRIORITY.get(symbol)
            if priority is None or priority[0] <= limit:
                break
            self.pos += 1
            left = self.binary_node(symbol, left, self.parse_expression(priority[1]))
        self.depth -= 1
        return left

    def binary_node(self, symbol: bytes, left: SyntaxNode, right: SyntaxNode) -> SyntaxNode:
        if symbol == b"..":
            return self.new_node(CONCAT, b"", [left, *right.children] if right.kind == CONCAT else [left, right])
        if symbol in (b"and", b"or"):
            kind = AND if symbol == b"and" else OR
            # A long chain is no deep tree.
            return append_operand(left, right) if left.kind == kind else self.new_node(kind, b"", [left, right])
        if symbol == b"+" and left.kind == LENGTH and right.kind == NUMERAL and right.text == b"1":
            return self.new_node(APPEND_INDEX, b"", left.children)
        left.role = right.role = ROLE_INSPECTED
        return self.new_node(CONSTANT if symbol in _COMPARISONS else UNKNOWN_NUMBER, b"", [])

    def parse_simple(self) -> SyntaxNode:
        """A literal, a table, a function, or something with suffixes."""
        kind = self.kinds[self.pos]
        value = self.values[self.pos]
        if kind in (NUMBER_TOKEN, STRING_TOKEN):
            self.pos += 1
            return self.new_node(NUMERAL if kind == NUMBER_TOKEN else TEXT, value, [])
        if kind == SYMBOL_TOKEN:
            if value in (b"nil", b"true", b"false"):
                self.pos += 1
                return self.new_node(CONSTANT, value, [])
            if value == b"...":
                self.pos += 1
                return self.new_node(VARARG, b"", [])
            if value == b"{":
                return self.parse_table()
            if value == b"function":
                self.pos += 1
                return self.parse_function_body(False)
        return self.parse_suffixed()

    def parse_table(self) -> SyntaxNode:
        created = self.new_node(TABLE, b"", [])
        self.expect(b"{")
        while not self.is_symbol(b"}"):
            if self.accept(b"["):
                self.parse_expression()
                self.expect(b"]")
                self.expect(b"=")
                self.parse_expression()
                created.field_count += 1
            elif (
                self.kinds[self.pos] == NAME_TOKEN
                and self.values[self.pos + 1] == b"="
                and self.kinds[self.pos + 1] == SYMBOL_TOKEN
            ):
                field = self.values[self.pos]
                self.pos += 2
                if created.fields is NO_FIELDS:
                    created.fields = {}
                created.fields[field] = self.parse_expression()
                created.field_count += 1
            else:
                created.children.append(self.parse_expression())
            if not self.accept(b",") and not self.accept(b";"):
                break
        self.expect(b"}")
        return created

    def parse_function_body(self, is_method: bool) -> SyntaxNode:
        """A function from its parameters to its end."""
        outer = self.function
        created = self.new_node(FUNCTION, b"", [])
        created.first_call, created.first_name = len(self.tree.calls), len(self.tree.name_nodes)
        created.first_slot = len(self.tree.slot_values)
        self.tree.functions.append(created)
        self.function = created
        self.scopes.append({})
        if is_method:
            created.parameter_slots.append(self.declare(b"self"))
        self.parse_parameters(created)
        self.parse_block_to_end()
        self.scopes.pop()
        created.last_call, created.last_name = len(self.tree.calls), len(self.tree.name_nodes)
        created.last_slot = len(self.tree.slot_values)
        self.function = outer
        return created

    def parse_parameters(self, created: SyntaxNode) -> None:
        self.expect(b"(")
        if self.accept(b")"):
            return
        while not self.accept(b"..."):
            created.parameter_slots.append(self.declare(self.expect_name()))
            if not self.accept(b","):
                break
        self.expect(b")")

    def parse_suffixed(self) -> SyntaxNode:
        """A name or something in parentheses, and what is done with it."""
        if self.accept(b"("):
            inner = self.parse_expression()
            self.expect(b")")
            found = self.new_node(PAREN, b"", [inner])
            # A name in parentheses is as without, but cannot be assigned to.
            if inner.kind in (NAMED, INDEX):
                found = inner if self.has_suffix() else found
        else:
            found = self.resolve_name(self.expect_name())
        count = 0
        while True:
            count += 1
            if count > MAX_DEPTH:
                raise self.too_deep_error()
            if self.accept(b"."):
                found = self.index_node(found, self.new_node(TEXT, self.expect_name(), []))
            elif self.accept(b"["):
                key = self.parse_expression()
                self.expect(b"]")
                found = self.index_node(found, key)
            elif self.accept(b":"):
                found = self.new_node(METHOD, self.expect_name(), [found])
                found.children += self.parse_arguments()
            elif self.kinds[self.pos] == STRING_TOKEN or self.is_symbol(b"(") or self.is_symbol(b"{"):
                found = self.parse_call(found)
            else:
                return found

    def has_suffix(self) -> bool:
        """Whether the next token indexes or calls what stands before."""
        return self.kinds[self.pos] == STRING_TOKEN or (
            self.kinds[self.pos] == SYMBOL_TOKEN and self.values[self.pos] in (b".", b"[", b":", b"(", b"{")
        )

    def index_node(self, base: SyntaxNode, key: SyntaxNode) -> SyntaxNode:
        """``base[key]``."""
        base.role = ROLE_BASE
        return self.new_node(INDEX, b"", [base, key])

    def parse_call(self, callee: SyntaxNode) -> SyntaxNode:
        """``callee(…)``."""
        callee.role = ROLE_CALLEE
        created = self.new_node(CALL, b"", [callee])
        created.offset = self.tokens.starts[self.pos]
        self.tree.calls.append(created)
        created.children += self.parse_arguments()
        if is_global(callee, b"pcall") and len(created.children) > 1:
            created.children[1].role = ROLE_CALLEE
        return created

    def parse_arguments(self) -> list[SyntaxNode]:
        """Of a call: a string, a table, or a list in parentheses."""
        if self.kinds[self.pos] == STRING_TOKEN:
            self.pos += 1
            return [self.new_node(TEXT, self.values[self.pos - 1], [])]
        if self.is_symbol(b"{"):
            return [self.parse_table()]
        self.expect(b"(")
        found = [] if self.is_symbol(b")") else self.parse_expression_list()
        self.expect(b")")
        for value in found:
            value.role = ROLE_ARGUMENT
        return found


def is_global(node: SyntaxNode, name: bytes) -> bool:
    """Whether the node is this global name."""
    return node.kind == NAMED and node.slot < 0 and node.text == name


def append_operand(chain: SyntaxNode, operand: SyntaxNode) -> SyntaxNode:
    chain.children.append(operand)
    return chain
