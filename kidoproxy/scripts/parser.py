"""Lua 5.1's grammar, as ``lparser.c`` has it, read once from left to right."""

from typing import Final, final

from kidoproxy.scripts.expressions import Expressions, is_global
from kidoproxy.scripts.lexer import END, SYMBOL, Tokens
from kidoproxy.scripts.reader import bound
from kidoproxy.scripts.syntax import (
    CALL,
    CONSTANT,
    INDEX,
    MEASURED,
    METHOD,
    NUMERIC,
    OTHER,
    RANGE,
    VARARG,
    Node,
    Tree,
)
from kidoproxy.scripts.syntax import NAME as NAMED
from kidoproxy.scripts.syntax import STRING as TEXT

_BLOCK_ENDS: Final = (b"end", b"else", b"elseif", b"until", b"")


def parse(text: bytes) -> Tree:
    """The tree of this text; `Malformed` when it is none."""
    parser = Parser(Tokens(text))
    parser.chunk()
    return parser.tree


@final
class Parser(Expressions):
    """See the module."""

    def chunk(self) -> None:
        """The whole text."""
        self.block()
        if self.kinds[self.at] != END:
            raise self.wrong()

    # -- statements ----------------------------------------------------------------------------------------

    def block(self) -> None:
        """Statements, in a scope of their own, up to what ends a block."""
        self.enter()
        self.scopes.append({})
        self.statements()
        self.scopes.pop()
        self.depth -= 1

    def statements(self) -> None:
        """Up to what ends a block."""
        while not (self.values[self.at] in _BLOCK_ENDS and self.kinds[self.at] in (SYMBOL, END)):
            last = self.is_symbol(b"return") or self.is_symbol(b"break")
            self.statement()
            self.accept(b";")
            if last:
                if not (self.values[self.at] in _BLOCK_ENDS and self.kinds[self.at] in (SYMBOL, END)):
                    raise self.wrong()
                return

    def statement(self) -> None:
        """One of them."""
        if self.accept(b"if"):
            self.condition()
        elif self.accept(b"while"):
            self.test()
            self.expect(b"do")
            self.closed()
        elif self.accept(b"do"):
            self.closed()
        elif self.accept(b"for"):
            self.loop()
        elif self.accept(b"repeat"):
            self.repeat()
        elif self.accept(b"function"):
            self.named_function()
        elif self.accept(b"local"):
            self.local()
        elif self.accept(b"return"):
            self.give_back()
        elif not self.accept(b"break"):
            self.assignment()

    def closed(self) -> None:
        """A block and its end."""
        self.block()
        self.expect(b"end")

    def condition(self) -> None:
        """Behind ``if``."""
        self.test()
        self.expect(b"then")
        self.block()
        while self.accept(b"elseif"):
            self.test()
            self.expect(b"then")
            self.block()
        if self.accept(b"else"):
            self.block()
        self.expect(b"end")

    def test(self) -> None:
        """A condition."""
        self.expression().role = MEASURED

    def repeat(self) -> None:
        """Behind ``repeat``: the condition sees the names of the block."""
        self.enter()
        self.scopes.append({})
        self.statements()
        self.expect(b"until")
        self.test()
        self.scopes.pop()
        self.depth -= 1

    def loop(self) -> None:
        """Behind ``for``."""
        names = [self.name()]
        if self.accept(b"="):
            parts = self.expressions()
            if not 2 <= len(parts) <= 3:
                raise self.wrong()
            values = [self.node(RANGE, b"", parts)]
        else:
            while self.accept(b","):
                names.append(self.name())
            self.expect(b"in")
            values = self.visited(self.expressions())
        self.expect(b"do")
        self.scopes.append({})
        for at, name in enumerate(names):
            slot = self.declare(name)
            self.tree.bound[slot].append(values[at] if at < len(values) else self.node(OTHER, b"", []))
        self.closed()
        self.scopes.pop()

    def visited(self, given: list[Node]) -> list[Node]:
        """What the names of ``for … in`` stand for: of ``ipairs(t)`` a number, and an element of ``t``."""
        first = given[0]
        if len(given) == 1 and first.kind == CALL and len(first.parts) == 2 and is_global(first.parts[0], b"ipairs"):
            first.parts[1].role = MEASURED
            return [
                self.node(NUMERIC, b"", []),
                Node(INDEX, first.at, b"", [first.parts[1], Node(OTHER, 0, b"each", [])]),
            ]
        return []

    def named_function(self) -> None:
        """Behind ``function``."""
        target = self.variable(self.name())
        method = False
        while not method and (self.is_symbol(b".") or self.is_symbol(b":")):
            method = self.is_symbol(b":")
            self.at += 1
            target = self.indexed(target, self.node(TEXT, self.name(), []))
        self.bind(target, self.body(method))

    def local(self) -> None:
        """Behind ``local``."""
        if self.accept(b"function"):
            slot = self.declare(self.name())
            self.tree.bound[slot].append(self.body(False))
            return
        names = [self.name()]
        while self.accept(b","):
            names.append(self.name())
        values = self.expressions() if self.accept(b"=") else []
        for at, name in enumerate(names):
            slot = self.declare(name)
            value = self.given(values, at)
            if value is not None:
                bound(value)
                self.tree.bound[slot].append(value)

    def given(self, values: list[Node], at: int) -> Node | None:
        """The value for the name in this place; None for nil."""
        if at < len(values):
            return values[at]
        return self.node(OTHER, b"", []) if values and values[-1].kind in (CALL, METHOD, VARARG) else None

    def give_back(self) -> None:
        """Behind ``return``."""
        if not (self.values[self.at] in _BLOCK_ENDS and self.kinds[self.at] in (SYMBOL, END)) and not self.is_symbol(
            b";"
        ):
            values = self.expressions()
            if self.function is self.main:
                # It goes to the client.
                values[0].role = MEASURED
            self.function.parts.append(values[0])

    def assignment(self) -> None:
        """A call, or an assignment."""
        target = self.suffixed()
        if target.kind in (CALL, METHOD) and not self.is_symbol(b"=") and not self.is_symbol(b","):
            return
        targets = [target]
        while self.accept(b","):
            targets.append(self.suffixed())
        self.expect(b"=")
        values = self.expressions()
        for at, target in enumerate(targets):
            if target.kind not in (NAMED, INDEX):
                raise self.wrong()
            value = self.given(values, at)
            self.bind(target, value if value is not None else self.node(CONSTANT, b"nil", []))
