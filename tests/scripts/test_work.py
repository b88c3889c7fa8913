"""To read a text takes work that grows with the text and no faster, whatever stands in it. Counted, not timed."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.scripts.analysis import analyze
from kidoproxy.scripts.lexer import MAX_TOKENS
from kidoproxy.scripts.library import analyze_library


def work(text: bytes) -> int:
    """How many lines of the package are run for this text."""
    count = 0

    def line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def entered(frame: FrameType, event: str, arg: Any) -> Any:
        return line(frame, event, arg) if "kidoproxy" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        analyze(text)
        analyze_library(text)
    finally:
        sys.settrace(before)
    return count


#: Texts that are made of so many pieces of a kind.
KINDS: Final[dict[str, Callable[[int], bytes]]] = {
    "comments without an end": lambda n: b"--[[\n" * n,
    "comments": lambda n: b"--[[ ]] " * n + b"return redis",
    "levels": lambda n: b"".join(b"--[%s[ ]%s] " % (b"=" * at, b"=" * at) for at in range(n // 30)) + b"redis",
    "strings without an end": lambda n: b"redis '" + b"\\'" * n,
    "escapes": lambda n: b"return redis.call('get', '" + b"\\65" * n + b"')",
    "calls in calls": lambda n: b"redis.call('set', " * n,
    "calls": lambda n: b"redis.call('get', KEYS[1]) " * n,
    "names": lambda n: b"redis.call('get', KEYS[1] .. ARGV[1] .. 'x') " * n,
    "aliases": lambda n: b"local a0 = redis " + b"".join(b"local a%d = a%d " % (at + 1, at) for at in range(n)),
    "aliases backwards": lambda n: b"local x local y " + b"x = y y = x y = redis " * n,
    "one name": lambda n: b"local a " + b"".join(b"a = a%d " % at for at in range(n)) + b"redis.call(a)",
    "growing": lambda n: b"local s = '' " + b"s = s .. KEYS[1] .. (x or 'a') " * n + b"redis.call('get', s)",
    "choices": lambda n: b"local x = redis or " + b"a or " * n + b"b redis.call('get', x)",
    "rows": lambda n: b"redis.call('get', " + b".. ".join([b"KEYS[1]"] * 40) + b") " * 1 + b"f(" + b"x," * n + b"x)",
    "functions": lambda n: b"local function f(k) return redis.call('get', k) end " + b"f(KEYS[1]) " * n,
    "functions of functions": lambda n: (
        b"local f = redis.call "
        + b"".join(b"local function f%d(k) return f%d(k) .. f%d(k) end " % (at + 1, at, at) for at in range(1, n // 4))
    ),
    "recursion": lambda n: (
        b"local f, g redis.call('x') " + b"f = function(k) return f(k) .. g(k) .. f(g(k)) end g = f " * (n // 6)
    ),
    "tables": lambda n: b"local t = {'get'} " + b"redis.call(unpack(t)) t[#t + 1] = 'x' " * (n // 2),
    "encoded": lambda n: b"local t = {} " + b"redis.call('set', KEYS[1], cjson.encode(t)) " * (n // 2),
    "printed": lambda n: b"local t = 1 " + b"t = t redis.call('set', KEYS[1], tostring(t)) " * (n // 2),
    "registered": lambda n: (
        b"local function h() return redis.call('get', 'x') end "
        + b"".join(b"redis.register_function('f%d', function() return h() end) " % at for at in range(n // 4))
    ),
    "registered by a name of many meanings": lambda n: b"local r " + b"r = redis.x " * n + b"r('f', nil) " * n,
    "input by a name of many meanings": lambda n: (
        b"local k " + b"k = KEYS " * n + b"redis.call('get', k[1]) " * (n // 2)
    ),
    "unpacked": lambda n: b"local t = {'mget', " + b"'a', " * n + b"} " + b"redis.call(unpack(t)) " * n,
    "nonsense": lambda n: b"redis ) ( " * n,
}


@pytest.mark.parametrize("kind", KINDS)
def test_work_grows_with_the_text(kind: str) -> None:
    """Four times the text is no more than about four times the work, for each kind of text that could be hard."""
    small, large = (work(KINDS[kind](n)) for n in (100, 400))
    assert large <= 5 * small + 2000, (small, large)


@pytest.mark.parametrize("kind", KINDS)
def test_work_is_bounded(kind: str) -> None:
    """However large the text is, there is no more to do than for as many tokens as are read."""
    assert work(KINDS[kind](20_000)) < 200 * MAX_TOKENS


def test_unpacking_is_bounded() -> None:
    """A table that is unpacked again and again is not followed for ever."""
    text = b"local t = {'mget', " + b"'a', " * 1000 + b"} " + b"redis.call(unpack(t)) " * 4
    assert not analyze(text).hidden_reason
    assert analyze(text + b"redis.call(unpack(t)) ").hidden_reason == "it unpacks more than is followed"


PIECES: Final = st.sampled_from(
    b"redis.call('get', |local a = |a|(|)| .. | or |function(a) |end |{|}|, |--[[|]]|'|\n|KEYS[1]|a = a |if a then "
    b"|redis.|unpack(|tostring(|#|return ".split(b"|")
)


@given(st.lists(PIECES, min_size=1, max_size=6).map(b"".join), st.lists(PIECES, max_size=3).map(b"".join))
def test_no_repetition_is_hard(piece: bytes, end: bytes) -> None:
    """Whatever is repeated, with whatever behind it: work grows with the text."""
    small, large = (work(b"redis " + piece * n + end) for n in (50, 200))
    assert large <= 6 * small + 5000, (small, large)
