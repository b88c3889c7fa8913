"""Lua 5.1's grammar: what names stand for, and what is no Lua."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.scripts.expressions import ExpressionParser
from kidoproxy.scripts.lexer import LuaSyntaxError, Tokens
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.reader import MAX_DEPTH
from kidoproxy.scripts.syntax import CALL, NAME, NUMBER, STRING, TABLE, Node

GOOD = [
    b"",
    b"return",
    b"return;",
    b"return 1, 2",
    b"local a, b = 1",
    b"local a local b = a",
    b"local a, b, c = f()",
    b"local a, b = ...",
    b"a.b.c = 1 a[1], b = f(), 2",
    b"f() f'x' f{} f[[x]] a.b:c(1) a.b:c'x' (f)() (f()).x = 1",
    b"if a then b() elseif c then d() else e() end",
    b"while a do break end",
    b"repeat local x = 1 until x == 2",
    b"for i = 1, 2 do f(i) end for i = 1, 2, 3 do end",
    b"for k, v in pairs(t) do f(k, v) end for _, v in ipairs(t) do end for x in f, s, 1 do end",
    b"function f() end function a.b.c(x) end function a.b:c(x, ...) return ... end",
    b"local function f(a, ...) return f(a - 1) end",
    b"local f = function() return end",
    b"return {1, 2; a = 3, ['b'] = 4, f()}, {}, {1,}",
    b"return -a ^ 2 .. b .. c, not a and b or c, #t + 1, #t + 2, a < b, (a or b) and c",
    b"return ('x'):rep(2)",
    b"do local x = 1 end",
    b"return (a), (a.b)",
    b"return nil, true, false, ...",
    b"a = 1; b = 2;",
]
BAD = [
    b"nonsense(",
    b"return return",
    b"return 1 x = 2",
    b"x",
    b"x + 1",
    b"1 = x",
    b"f() = 1",
    b"(a) = 1",
    b"local 1",
    b"if a b end",
    b"if a then",
    b"for i do end",
    b"for i = 1 do end",
    b"for i = 1, 2, 3, 4 do end",
    b"for 1 in x do end",
    b"function () end",
    b"function a:b.c() end",
    b"function f(a,) end",
    b"function f(..., a) end",
    b"end",
    b"return 1 end redis.call('x') function f()",
    b"{}",
    b"a = {1 2}",
    b"a = {[1]}",
    b"a.1 = 2",
    b"a:b = 1",
    b"'x':rep(2)",
    b"goto x",
    b"break x = 1",
    b"f(1,)",
    b"repeat",
    b"a, f() = 1",
]


def luac(text: bytes) -> bool:
    """Whether the real Lua 5.1 takes the text, where there is one to ask; else None."""
    return subprocess.run(["luac5.1", "-p", "-"], input=text, capture_output=True, check=False).returncode == 0


def parses(text: bytes) -> bool:
    """Whether the parser accepts it."""
    try:
        parse(text)
    except LuaSyntaxError:
        return False
    return True


@pytest.mark.parametrize("text", GOOD + BAD)
def test_as_lua(text: bytes) -> None:
    """The parser takes what Lua takes. (A ``break`` outside of a loop it takes too: the node refuses it.)"""
    assert parses(text) == (text in GOOD)
    if shutil.which("luac5.1") is not None and b"..." not in text:
        assert luac(text) == (text in GOOD)


WORDS = st.sampled_from(
    b"a b = ( ) { } [ ] , . : ; .. 1 'x' local function end if then else do while for in repeat until + not".split()
)


@given(st.lists(WORDS, max_size=8).map(b" ".join))
def test_random_words(text: bytes) -> None:
    """Whatever Lua 5.1 takes is taken, so nothing that runs is called unreadable."""
    if not parses(text) and shutil.which("luac5.1") is not None:
        assert not luac(text)


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


def test_long_chains_are_not_deep() -> None:
    """A chain of operands, or of ``elseif``, may be of any length."""
    parse(b"return " + b"a or " * 1000 + b"b and " * 1000 + b"c")
    parse(b"return " + b"1 + " * 1000 + b"1")
    parse(b"if a then " + b"elseif b then " * 1000 + b"end")


def bound(text: bytes, name: bytes) -> list[Node]:
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


def test_values() -> None:
    """Literals keep their kinds and values."""
    tree = parse(b"f('x', 5)")
    assert [(node.kind, node.text) for node in tree.calls[0].children[1:]] == [(STRING, b"x"), (NUMBER, b"5")]
    assert repr(tree.calls[0].children[1]) == "<node 4 b'x' []>"


def test_what_is_global() -> None:
    """Assignments to global names and to fields are kept apart."""
    tree = parse(b"a = 1 b.c = 2 local d = 3 d = 4 function e() end function b.f() end")
    assert sorted(tree.global_values) == [b"a", b"e"]
    assert [node.text for node in tree.assigned_nodes] == [b"a", b"", b"e", b""]


def test_blocks_need_the_whole_parser() -> None:
    """Expressions alone have no blocks."""
    with pytest.raises(NotImplementedError):
        ExpressionParser(Tokens(b"")).parse_block_to_end()
