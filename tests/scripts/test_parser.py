"""Lua 5.1's grammar: what is Lua, and what is not."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.scripts.lexer import LuaSyntaxError
from kidoproxy.scripts.parser import parse

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
