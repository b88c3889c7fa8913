"""What the parser stands on: the next token, and what the names in scope mean."""

from typing import Final

from kidoproxy.scripts.lexer import NAME, SYMBOL, Malformed, Tokens
from kidoproxy.scripts.syntax import AND, BOUND, INDEX, METHOD, OR, PAREN, TARGET, Node, Tree
from kidoproxy.scripts.syntax import NAME as NAMED

#: How deep blocks and expressions may be nested. Lua allows 200; nobody writes half of that.
DEEPEST: Final = 100


class Reader:
    """``at`` is the next token, ``scopes`` the numbers of the local variables by name, the innermost scope last."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.kinds = tokens.kinds
        self.values = tokens.values
        self.at = 0
        self.depth = 0
        self.tree = Tree()
        self.scopes: list[dict[bytes, int]] = [{}]

    # -- tokens ----------------------------------------------------------------------------------------

    def wrong(self) -> Malformed:
        """What stands here makes no sense."""
        start = self.tokens.starts[self.at]
        near = self.values[self.at][:20].decode("ascii", "replace") or "its end"
        return Malformed(f"line {self.tokens.line(start)} is no Lua 5.1 near '{near}'")

    def is_symbol(self, symbol: bytes) -> bool:
        """Whether the next token is this operator or keyword."""
        return self.values[self.at] == symbol and self.kinds[self.at] == SYMBOL

    def accept(self, symbol: bytes) -> bool:
        """Take it if it is next."""
        if self.values[self.at] == symbol and self.kinds[self.at] == SYMBOL:
            self.at += 1
            return True
        return False

    def expect(self, symbol: bytes) -> None:
        """Take it; nothing else may be next."""
        if not self.accept(symbol):
            raise self.wrong()

    def name(self) -> bytes:
        """Take a name."""
        if self.kinds[self.at] != NAME:
            raise self.wrong()
        self.at += 1
        return self.values[self.at - 1]

    def node(self, kind: int, text: bytes, parts: list[Node]) -> Node:
        """A node that begins about here."""
        made = Node(kind, self.tokens.starts[self.at], text, parts)
        if kind in (NAMED, INDEX, METHOD):
            self.tree.names.append(made)
        return made

    def enter(self) -> None:
        """One level deeper."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.too_deep()

    def too_deep(self) -> Malformed:
        """What is nested so deeply is not read."""
        return Malformed(f"it is nested more than {DEEPEST} levels deep")

    # -- names -------------------------------------------------------------------------------------------

    def declare(self, name: bytes) -> int:
        """A new local variable; its number."""
        slot = len(self.tree.bound)
        self.tree.bound.append([])
        self.scopes[-1][name] = slot
        return slot

    def variable(self, name: bytes) -> Node:
        """What this name means here."""
        found = self.node(NAMED, name, [])
        for scope in reversed(self.scopes):
            slot = scope.get(name)
            if slot is not None:
                found.slot = slot
                break
        return found

    def bind(self, target: Node, value: Node) -> None:
        """An assignment."""
        target.role = TARGET
        if target.kind != NAMED:
            self.tree.written.append(target)
        elif target.slot >= 0:
            self.tree.bound[target.slot].append(value)
            bound(value)
        else:
            self.tree.written.append(target)
            self.tree.globals.setdefault(target.text, []).append(value)


def bound(value: Node) -> None:
    """The value gets a local name: what becomes of it is seen there."""
    if value.kind in (AND, OR, PAREN):
        for part in value.parts:
            bound(part)
    elif value.kind in (NAMED, INDEX):
        value.role = BOUND
