"""Lua 5.1 in tokens, byte by byte as the server cuts it."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.scripts.lexer import MAX_ANALYSED_BYTES, MAX_TOKENS, LuaSyntaxError, Tokens


def tokens(text: bytes) -> list[bytes]:
    """Their values."""
    return Tokens(text).values[:-1]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"local x=1", [b"local", b"x", b"=", b"1"]),
        (b"a..b...c", [b"a", b"..", b"b", b"...", b"c"]),
        (b"a.b:c[1]", [b"a", b".", b"b", b":", b"c", b"[", b"1", b"]"]),
        (b"a==b~=c<=d>=e", [b"a", b"==", b"b", b"~=", b"c", b"<=", b"d", b">=", b"e"]),
        (b"1.5 .5 0xfF 1e+5 3", [b"1.5", b".5", b"0xfF", b"1e+5", b"3"]),
        (b"a -- b\nc", [b"a", b"c"]),
        (b"a -- b\rc", [b"a", b"c"]),
        (b"a --[[ b\nc ]] d", [b"a", b"d"]),
        (b"a --[==[ ]] ]=] ]==] d", [b"a", b"d"]),
        (b"a --[=b\nc", [b"a", b"c"]),
        (b"a --[=[ ]=]", [b"a"]),
        (b"a --", [b"a"]),
        (b"[[x]] [==[y]]]==]", [b"x", b"y]]"]),
        (b"[[\nx]] [[\r\nx\r\ny]] [[\n\nx]]", [b"x", b"x\ny", b"\nx"]),
        (b"'a' \"b\" '\"' \"'\"", [b"a", b"b", b'"', b"'"]),
        (rb"'\a\b\f\n\r\t\v\\\'\"\q'", [b"\a\b\f\n\r\t\v\\'\"q"]),
        (rb"'\65\0662\10'", [b"AB2\n"]),
        (b"'a\\\nb\\\r\nc\\\rd'", [b"a\nb\nc\nd"]),
        (b"'\xff\x00'", [b"\xff\x00"]),
        (b"#!lua flags=no-writes\nreturn", [b"return"]),
        (b"#!lua", []),
        (b" \v\f\t", []),
        (b"", []),
    ],
)
def test_tokens(text: bytes, values: list[bytes]) -> None:
    """Comments end where Lua ends them, strings have the values that Lua gives them."""
    assert tokens(text) == values


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"a = 'b", "line 1"),
        (b"\n\na = 'b\nc'", "line 3"),
        (b"a = \"b'", "no Lua"),
        (b"--[[ a ]", "long comment"),
        (b"[=[ a ]]", "long string"),
        (b"[[ a [[ b ]]", "long string"),
        (b"--[[ a [[ b ]]", "long comment"),
        (b"1x", "number"),
        (b"1..2", "number"),
        (b"0x", "number"),
        (b"1e", "number"),
        (b"5ULL", "number"),
        (b"a ~ b", "no Lua"),
        (b"a & b", "no Lua"),
        (b"a \x00", "no Lua"),
        (b"\xc3\xa4 = 1", "no Lua"),
        (b"\x1bLua", "no Lua"),
        (rb"'\256'", "escape"),
        (rb"'\x41'", "not Lua 5.1"),
        (rb"'\z'", "not Lua 5.1"),
        (rb"'\u{41}'", "not Lua 5.1"),
        (b" " * (MAX_ANALYSED_BYTES + 1), "larger than the 128 KiB"),
        (b"a " * (MAX_TOKENS + 1), "more than the 10000"),
        (b"--a\n" * (MAX_TOKENS + 1), "more than the 10000"),
        (b"--[[]]" * (MAX_TOKENS + 1), "more than the 10000"),
    ],
)
def test_malformed(text: bytes, why: str) -> None:
    """What is no Lua 5.1, or too much of it, is an error that names the line."""
    with pytest.raises(LuaSyntaxError, match=why):
        Tokens(text)


PIECES = st.sampled_from(
    [
        b"--",
        b"[[",
        b"]]",
        b"[=[",
        b"]=]",
        b"--[[",
        b"'",
        b'"',
        b"\\",
        b"\n",
        b"\r",
        b"x",
        b"=",
        b"[",
        b"]",
        b" ",
        b"\\\n",
        b"1",
    ]
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_no_byte_is_read_twice(text: bytes) -> None:
    """Tokens begin one behind the other, inside the text, and the last one is the end."""
    try:
        starts = Tokens(text).starts
    except LuaSyntaxError:
        return
    assert starts == sorted(set(starts)) or starts[-1] == len(text)


def luac(text: bytes) -> bool:
    """Whether the real Lua 5.1 takes the text."""
    return subprocess.run(["luac5.1", "-p", "-"], input=text, capture_output=True, check=False).returncode == 0


HARD = [
    b"return '%s'",
    b'return "%s"',
    b"return [[%s]]",
    b"return [=[%s]=]",
    b"--%s\nreturn 1",
    b"--[[%s]] return 1",
    b"--[=[%s]=] return 1",
]


@pytest.mark.parametrize("frame", HARD)
@pytest.mark.parametrize(
    "inside",
    [
        b"",
        b"a",
        b"]",
        b"]]",
        b"[[",
        b"]=]",
        b"\\",
        b"\\\\",
        b"\n",
        b"\r",
        b"\\\n",
        b"'",
        b'"',
        b"\\'",
        b"--",
        b"\\300",
        b"\\0",
    ],
)
def test_as_lua(frame: bytes, inside: bytes) -> None:
    """What Lua 5.1 itself refuses is refused, and the rest is taken; where there is a Lua to ask."""
    text = frame.replace(b"%s", inside)
    try:
        Tokens(text)
    except LuaSyntaxError:
        taken = False
    else:
        taken = True
    if shutil.which("luac5.1") is not None:
        # A comment that ends early leaves what the grammar refuses, not the lexer.
        assert taken or not luac(text)
