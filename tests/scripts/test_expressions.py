"""Lua 5.1's expressions: literals, precedence, and chains of operators."""

import pytest

from kidoproxy.scripts.expressions import ExpressionParser
from kidoproxy.scripts.lexer import Tokens
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.syntax import (
    AND,
    APPEND_INDEX,
    CONCAT,
    CONSTANT,
    LENGTH,
    NAME,
    NUMBER,
    OR,
    PAREN,
    STRING,
    UNKNOWN_NUMBER,
    SyntaxNode,
)


def expression(text: bytes) -> SyntaxNode:
    """The node of an expression."""
    return parse(b"f(" + text + b")").calls[0].children[1]


@pytest.mark.parametrize(
    ("text", "kind", "children"),
    [
        (b"a or b and c", OR, [NAME, AND]),
        (b"a and b or c", OR, [AND, NAME]),
        (b"a or b or c", OR, [NAME, NAME, NAME]),
        (b"a .. b .. c", CONCAT, [NAME, NAME, NAME]),
        (b"a .. b or c", OR, [CONCAT, NAME]),
        (b"(a .. b) .. c", CONCAT, [PAREN, NAME]),
        (b"a + b .. c", CONCAT, [UNKNOWN_NUMBER, NAME]),
        (b"a == b", CONSTANT, []),
        (b"not a == b", CONSTANT, []),
        (b"-a ^ 2", UNKNOWN_NUMBER, []),
        (b"#t", LENGTH, [NAME]),
        (b"#t + 1", APPEND_INDEX, [NAME]),
        (b"#t + 2", UNKNOWN_NUMBER, []),
        (b"#t - 1", UNKNOWN_NUMBER, []),
        (b"1 + #t", UNKNOWN_NUMBER, []),
        (b"'#' + 1", UNKNOWN_NUMBER, []),
        (b"#t + '1'", UNKNOWN_NUMBER, []),
    ],
)
def test_precedence(text: bytes, kind: int, children: list[int]) -> None:
    """Operators bind as in Lua; of arithmetic only the place behind a table's end is of interest."""
    node = expression(text)
    assert (node.kind, [child.kind for child in node.children]) == (kind, children)


def test_long_chains_are_not_deep() -> None:
    """A chain of operands, or of ``elseif``, may be of any length."""
    parse(b"return " + b"a or " * 1000 + b"b and " * 1000 + b"c")
    parse(b"return " + b"1 + " * 1000 + b"1")
    parse(b"if a then " + b"elseif b then " * 1000 + b"end")


def test_values() -> None:
    """Literals keep their kinds and values."""
    tree = parse(b"f('x', 5)")
    assert [(node.kind, node.text) for node in tree.calls[0].children[1:]] == [(STRING, b"x"), (NUMBER, b"5")]
    assert repr(tree.calls[0].children[1]) == "<node 4 b'x' []>"


def test_blocks_need_the_whole_parser() -> None:
    """Expressions alone have no blocks."""
    with pytest.raises(NotImplementedError):
        ExpressionParser(Tokens(b"")).parse_block_to_end()
