"""Scripts that are close to Lua's bounds for local variables are not given more of them."""

import pytest

from kidoproxy.scripts.analysis import analyze
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.prologue_room import (
    MAX_OWN_LOCALS,
    MAX_UPVALUES,
    MAX_VISITS,
    count_own_locals,
    count_upvalues,
    has_room,
)
from kidoproxy.scripts.ways import WAY_BROADCAST, WAY_INTERPOSED, WAY_LEADER, copy_way


def declared(count: int) -> str:
    """So many local variables."""
    return "".join(f"local a{number} = {number}\n" for number in range(count))


def using(count: int) -> str:
    """A function that uses so many of them."""
    return f"local function f(x) return {' + '.join(f'a{number}' for number in range(count))} + x end\n"


@pytest.mark.parametrize(
    ("text", "own", "upvalues"),
    [
        ("return 1", 0, []),
        ("local a, b for i = 1, 2 do local c end", 4, []),
        ("local a function f(x, y) local z return a + a + x + g end local b", 2, [1]),
        ("local a f(function(x) return function(y) return a + x + y end end, function(z) return z end)", 1, [1, 2, 0]),
        ("local function f() f() end local function g() end local function h() g() f() end", 3, [1, 0, 2]),
    ],
)
def test_counts(text: str, own: int, upvalues: list[int]) -> None:
    """What lies in functions is theirs; what they use from outside counts once, though it is used further in."""
    tree = parse(text.encode())
    assert count_own_locals(tree) == own
    assert [count_upvalues(tree, function) for function in tree.functions] == upvalues


@pytest.mark.parametrize(
    ("text", "room"),
    [
        (declared(MAX_OWN_LOCALS), True),
        (declared(MAX_OWN_LOCALS + 1), False),
        ("local function g()\n" + declared(190) + "end", True),
        (declared(100) + using(MAX_UPVALUES), True),
        (declared(100) + using(MAX_UPVALUES + 1), False),
        (declared(100) + "local x = " + "function() return " * 30 + "a0(a1, a2, a3)" + " end" * 30, False),
    ],
)
def test_room(text: str, room: bool) -> None:
    """Where a prologue might be too much the leader runs the script; functions in functions are looked at so often."""
    assert MAX_VISITS < 30
    assert has_room(parse(text.encode())) == room
    timed = analyze((text + "\nredis.call('expire', KEYS[1], 5)").encode())
    assert copy_way(timed) == (WAY_INTERPOSED if room else WAY_LEADER)
    assert copy_way(analyze((text + "\nredis.call('incr', KEYS[1])").encode())) == WAY_BROADCAST
