"""What names mean, and how deep a text may be nested."""

import pytest

from kidoproxy.scripts.lexer import LuaSyntaxError
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.syntax import CALL, NAME, TABLE, SyntaxNode
from kidoproxy.scripts.token_stream import MAX_DEPTH


@pytest.mark.parametrize(
    "text",
    [
        b"return " + b"(" * 200 + b"1" + b")" * 200,
        b"return " + b"{" * 200 + b"}" * 200,
        b"return " + b"f(" * 200 + b")" * 200,
        b"do " * 200 + b"end " * 200,
        b"return " + b"a.." * 200 + b"a",
        b"return " + b"not " * 200 + b"a",
        b"return a" + b".b" * 200,
        b"return " + b"function() return " * 200 + b"1 " + b"end " * 200,
        b"repeat " * 200 + b"until a " * 200,
    ],
)
def test_depth_is_bounded(text: bytes) -> None:
    """However deep a text is nested, the parser is not: its stack is bounded."""
    with pytest.raises(LuaSyntaxError, match=f"more than {MAX_DEPTH} levels"):
        parse(text)


def bound(text: bytes, name: bytes) -> list[SyntaxNode]:
    """What the last use of this name may stand for."""
    tree = parse(text)
    uses = [node for node in tree.name_nodes if node.kind == NAME and node.text == name]
    return tree.slot_values[uses[-1].slot] if uses[-1].slot >= 0 else []


def test_scopes() -> None:
    """A name means what is declared nearest around it, and outside of that the global one."""
    assert [node.text for node in bound(b"local a = 1 do local a = 2 end f(a)", b"a")] == [b"1"]
    assert [node.text for node in bound(b"local a = 1 do local a = 2 f(a) end", b"a")] == [b"2"]
    assert bound(b"do local a = 1 end f(a)", b"a") == []
    assert [node.text for node in bound(b"local a = 1 a = 2 f(a)", b"a")] == [b"1", b"2"]
    assert [node.text for node in bound(b"local a = 1 repeat local a = 2 until a", b"a")] == [b"2"]
    assert [node.kind for node in bound(b"local a = 'x' local a = a .. 'y' f(a)", b"a")] == [9]
    assert [node.kind for node in bound(b"local a, b = {}, f() g(a, b)", b"a")] == [TABLE]
    assert [node.kind for node in bound(b"local a, b = {}, f() g(a, b)", b"b")] == [CALL]
    assert [node.kind for node in bound(b"local a, b = f() g(a, b)", b"b")] == [0]
    assert bound(b"local a, b = 1 f(b)", b"b") == []
    assert bound(b"for i = 1, 2 do end f(i)", b"i") == []


def test_what_is_global() -> None:
    """Assignments to global names and to fields are kept apart."""
    tree = parse(b"a = 1 b.c = 2 local d = 3 d = 4 function e() end function b.f() end")
    assert sorted(tree.global_values) == [b"a", b"e"]
    assert [node.text for node in tree.assigned_nodes] == [b"a", b"", b"e", b""]
