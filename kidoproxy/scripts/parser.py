"""Lua 5.1's statements, as ``lparser.c`` has them, read once from left to right: `parse` makes the syntax tree."""

from typing import Final, final

from kidoproxy.scripts.expressions import ExpressionParser, is_global
from kidoproxy.scripts.lexer import END_TOKEN, SYMBOL_TOKEN, Tokens
from kidoproxy.scripts.syntax import (
    CALL,
    CONSTANT,
    EACH_INDEX,
    INDEX,
    METHOD,
    OTHER,
    RANGE,
    ROLE_INSPECTED,
    UNKNOWN_NUMBER,
    VARARG,
    SyntaxNode,
    SyntaxTree,
)
from kidoproxy.scripts.syntax import NAME as NAMED
from kidoproxy.scripts.syntax import STRING as TEXT
from kidoproxy.scripts.token_stream import mark_aliased

_BLOCK_ENDS: Final = (b"end", b"else", b"elseif", b"until", b"")


def parse(text: bytes) -> SyntaxTree:
    """The tree of this text; `LuaSyntaxError` when it is none."""
    parser = Parser(Tokens(text))
    parser.parse_chunk()
    return parser.tree


@final
class Parser(ExpressionParser):
    """Reads statements. Each ``parse_…`` method is called behind the keyword that it is named after."""

    def parse_chunk(self) -> None:
        self.parse_block()
        if self.kinds[self.pos] != END_TOKEN:
            raise self.syntax_error()

    # -- statements ----------------------------------------------------------------------------------------

    def parse_block(self) -> None:
        """Statements, in a scope of their own, up to what ends a block."""
        self.enter_level()
        self.scopes.append({})
        self.parse_statements()
        self.scopes.pop()
        self.depth -= 1

    def parse_statements(self) -> None:
        while not self.at_block_end():
            is_last = self.is_symbol(b"return") or self.is_symbol(b"break")
            self.parse_statement()
            self.accept(b";")
            if is_last:
                if not self.at_block_end():
                    raise self.syntax_error()
                return

    def at_block_end(self) -> bool:
        """Whether the next token ends a block."""
        return self.values[self.pos] in _BLOCK_ENDS and self.kinds[self.pos] in (SYMBOL_TOKEN, END_TOKEN)

    def parse_statement(self) -> None:
        if self.accept(b"if"):
            self.parse_if()
        elif self.accept(b"while"):
            self.parse_condition()
            self.expect(b"do")
            self.parse_block_to_end()
        elif self.accept(b"do"):
            self.parse_block_to_end()
        elif self.accept(b"for"):
            self.parse_for()
        elif self.accept(b"repeat"):
            self.parse_repeat()
        elif self.accept(b"function"):
            self.parse_function_statement()
        elif self.accept(b"local"):
            self.parse_local()
        elif self.accept(b"return"):
            self.parse_return()
        elif not self.accept(b"break"):
            self.parse_assignment_or_call()

    def parse_block_to_end(self) -> None:
        self.parse_block()
        self.expect(b"end")

    def parse_if(self) -> None:
        self.parse_condition()
        self.expect(b"then")
        self.parse_block()
        while self.accept(b"elseif"):
            self.parse_condition()
            self.expect(b"then")
            self.parse_block()
        if self.accept(b"else"):
            self.parse_block()
        self.expect(b"end")

    def parse_condition(self) -> None:
        self.parse_expression().role = ROLE_INSPECTED

    def parse_repeat(self) -> None:
        """The condition behind ``until`` sees the names of the block."""
        self.enter_level()
        self.scopes.append({})
        self.parse_statements()
        self.expect(b"until")
        self.parse_condition()
        self.scopes.pop()
        self.depth -= 1

    def parse_for(self) -> None:
        names = [self.expect_name()]
        if self.accept(b"="):
            parts = self.parse_expression_list()
            if not 2 <= len(parts) <= 3:
                raise self.syntax_error()
            values = [self.new_node(RANGE, b"", parts)]
        else:
            while self.accept(b","):
                names.append(self.expect_name())
            self.expect(b"in")
            values = self.for_in_values(self.parse_expression_list())
        self.expect(b"do")
        self.scopes.append({})
        for at, name in enumerate(names):
            slot = self.declare(name)
            self.tree.slot_values[slot].append(values[at] if at < len(values) else self.new_node(OTHER, b"", []))
        self.parse_block_to_end()
        self.scopes.pop()

    def for_in_values(self, iterables: list[SyntaxNode]) -> list[SyntaxNode]:
        """What the names of ``for … in`` stand for: with ``ipairs(t)`` a number, and an element of ``t``."""
        first = iterables[0]
        if (
            len(iterables) == 1
            and first.kind == CALL
            and len(first.children) == 2
            and is_global(first.children[0], b"ipairs")
        ):
            first.children[1].role = ROLE_INSPECTED
            return [
                self.new_node(UNKNOWN_NUMBER, b"", []),
                SyntaxNode(INDEX, first.offset, b"", [first.children[1], SyntaxNode(EACH_INDEX, 0, b"", [])]),
            ]
        return []

    def parse_function_statement(self) -> None:
        target = self.resolve_name(self.expect_name())
        is_method = False
        while not is_method and (self.is_symbol(b".") or self.is_symbol(b":")):
            is_method = self.is_symbol(b":")
            self.pos += 1
            target = self.index_node(target, self.new_node(TEXT, self.expect_name(), []))
        self.assign(target, self.parse_function_body(is_method))

    def parse_local(self) -> None:
        if self.accept(b"function"):
            slot = self.declare(self.expect_name())
            self.tree.slot_values[slot].append(self.parse_function_body(False))
            return
        names = [self.expect_name()]
        while self.accept(b","):
            names.append(self.expect_name())
        values = self.parse_expression_list() if self.accept(b"=") else []
        for at, name in enumerate(names):
            slot = self.declare(name)
            value = self.value_at(values, at)
            if value is not None:
                mark_aliased(value)
                self.tree.slot_values[slot].append(value)

    def value_at(self, values: list[SyntaxNode], at: int) -> SyntaxNode | None:
        """The value for the name in this place; None for nil."""
        if at < len(values):
            return values[at]
        return self.new_node(OTHER, b"", []) if values and values[-1].kind in (CALL, METHOD, VARARG) else None

    def parse_return(self) -> None:
        if not self.at_block_end() and not self.is_symbol(b";"):
            values = self.parse_expression_list()
            if self.function is self.main:
                # The value goes to the client.
                values[0].role = ROLE_INSPECTED
            self.function.children.append(values[0])

    def parse_assignment_or_call(self) -> None:
        target = self.parse_suffixed()
        if target.kind in (CALL, METHOD) and not self.is_symbol(b"=") and not self.is_symbol(b","):
            return
        targets = [target]
        while self.accept(b","):
            targets.append(self.parse_suffixed())
        self.expect(b"=")
        values = self.parse_expression_list()
        for at, target in enumerate(targets):
            if target.kind not in (NAMED, INDEX):
                raise self.syntax_error()
            value = self.value_at(values, at)
            self.assign(target, value if value is not None else self.new_node(CONSTANT, b"nil", []))
