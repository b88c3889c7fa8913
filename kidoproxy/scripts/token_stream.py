"""The parser's lowest part: the next token, and what the names in scope mean.

`ParserBase` has the position and the scopes, `ExpressionParser` on it the expressions, `Parser` the statements.
"""

from typing import Final

from kidoproxy.scripts.lexer import NAME_TOKEN, SYMBOL_TOKEN, LuaSyntaxError, Tokens
from kidoproxy.scripts.syntax import AND, INDEX, METHOD, OR, PAREN, ROLE_ALIASED, ROLE_TARGET, SyntaxNode, SyntaxTree
from kidoproxy.scripts.syntax import NAME as NAMED

#: How deep blocks and expressions may be nested. Lua allows 200; real scripts need less than half of that.
MAX_DEPTH: Final = 100


class ParserBase:
    """``pos`` is the next token, ``scopes`` the slots of the local variables by name, the innermost scope last."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.kinds = tokens.kinds
        self.values = tokens.values
        self.pos = 0
        self.depth = 0
        self.tree = SyntaxTree()
        self.scopes: list[dict[bytes, int]] = [{}]

    # -- tokens ----------------------------------------------------------------------------------------

    def syntax_error(self) -> LuaSyntaxError:
        """The error to raise where the next token makes no sense."""
        start = self.tokens.starts[self.pos]
        near = self.values[self.pos][:20].decode("ascii", "replace") or "its end"
        return LuaSyntaxError(f"line {self.tokens.line_number(start)} is no Lua 5.1 near '{near}'")

    def is_symbol(self, symbol: bytes) -> bool:
        """Whether the next token is this operator or keyword."""
        return self.values[self.pos] == symbol and self.kinds[self.pos] == SYMBOL_TOKEN

    def accept(self, symbol: bytes) -> bool:
        """Take this operator or keyword if it is next."""
        if self.values[self.pos] == symbol and self.kinds[self.pos] == SYMBOL_TOKEN:
            self.pos += 1
            return True
        return False

    def expect(self, symbol: bytes) -> None:
        if not self.accept(symbol):
            raise self.syntax_error()

    def expect_name(self) -> bytes:
        if self.kinds[self.pos] != NAME_TOKEN:
            raise self.syntax_error()
        self.pos += 1
        return self.values[self.pos - 1]

    def new_node(self, kind: int, text: bytes, children: list[SyntaxNode]) -> SyntaxNode:
        """A node that begins about here."""
        created = SyntaxNode(kind, self.tokens.starts[self.pos], text, children)
        if kind in (NAMED, INDEX, METHOD):
            self.tree.name_nodes.append(created)
        return created

    def enter_level(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.too_deep_error()

    def too_deep_error(self) -> LuaSyntaxError:
        return LuaSyntaxError(f"it is nested more than {MAX_DEPTH} levels deep")

    # -- names -------------------------------------------------------------------------------------------

    def declare(self, name: bytes) -> int:
        """A new local variable; its slot."""
        slot = len(self.tree.slot_values)
        self.tree.slot_values.append([])
        self.scopes[-1][name] = slot
        return slot

    def resolve_name(self, name: bytes) -> SyntaxNode:
        """What this name means here."""
        found = self.new_node(NAMED, name, [])
        for scope in reversed(self.scopes):
            slot = scope.get(name)
            if slot is not None:
                found.slot = slot
                break
        return found

    def assign(self, target: SyntaxNode, value: SyntaxNode) -> None:
        """Note an assignment."""
        target.role = ROLE_TARGET
        if target.kind != NAMED:
            self.tree.assigned_nodes.append(target)
        elif target.slot >= 0:
            self.tree.slot_values[target.slot].append(value)
            mark_aliased(value)
        else:
            self.tree.assigned_nodes.append(target)
            self.tree.global_values.setdefault(target.text, []).append(value)


def mark_aliased(value: SyntaxNode) -> None:
    """The value gets a local name: what becomes of it is seen there."""
    if value.kind in (AND, OR, PAREN):
        for part in value.children:
            mark_aliased(part)
    elif value.kind in (NAMED, INDEX):
        value.role = ROLE_ALIASED
