"""What expressions may stand for: too much of anything becomes unknown, and nothing takes longer than its text."""

import pytest

from kidoproxy.scripts.analysis import Analysis, Analyzer
from kidoproxy.scripts.forms import ANY_TEXT_PART, MAX_FORM_PARTS, MAX_FORMS, StringForm
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.values import ValueTracker


def forms(before: str, expression: str) -> list[StringForm]:
    """The forms of an expression."""
    tree = parse(f"{before} redis.call('get', {expression})".encode())
    pending = next(pending for pending in tree.calls if [part.text for part in pending.children[1:2]] == [b"get"])
    return Analyzer(tree, Analysis(), ValueTracker(tree)).values.string_forms(pending.children[2], 0)


def texts(before: str, expression: str) -> list[str]:
    """`forms` in a short notation: ``K1``, ``A2``, ``A2+``, ``K*`` and ``?`` beside what is written."""
    signs = ["", "K{}", "K*", "A{}", "A{}+", "?"]
    return [
        "|".join(signs[kind].format(number) + text.decode() for kind, number, _, text in form)
        for form in forms(before, expression)
    ]


@pytest.mark.parametrize(
    ("before", "expression", "found"),
    [
        ("", "'x'", ["x"]),
        ("", "5", ["5"]),
        ("", "05", ["5"]),
        ("", "1.5", ["?"]),
        ("", "0", ["?"]),
        ("", "nil", []),
        ("", "{}", []),
        ("", "a < b", []),
        ("", "a + b", ["?"]),
        ("", "x", ["?"]),
        ("", "KEYS[1]", ["K1"]),
        ("", "KEYS[x]", ["K*"]),
        ("", "ARGV[2]", ["A2"]),
        ("", "ARGV[x]", ["?"]),
        ("", "ARGV['1']", ["?"]),
        ("", "x.y", ["?"]),
        ("", "KEYS[1] .. 'x' .. ARGV[1]", ["K1|x|A1"]),
        ("", "(KEYS[1] or ARGV[1]) .. 'x'", ["K1|x", "A1|x"]),
        ("", "KEYS[1] and ARGV[1]", ["A1"]),
        ("", "KEYS[1] .. nil", ["K1|?"]),
        ("", "tostring(KEYS[1])", ["K1"]),
        ("", "tostring()", ["?"]),
        ("", "string.format('%s:%d:%s', KEYS[1], 5, ARGV[1])", ["K1|:|?|:|A1"]),
        ("", "string.format('%s%%%s', KEYS[1], ARGV[1])", ["K1|?"]),
        ("", "string.format('x%5s', KEYS[1])", ["x|?"]),
        ("", "'' .. ''", [""]),
        ("", "KEYS[1] .. ''", ["K1"]),
        ("", "string.format('%s')", ["?"]),
        ("", "string.format(x, 1)", ["?"]),
        ("", "string.format()", ["?"]),
        ("", "('a%s'):format(KEYS[1])", ["a|K1"]),
        ("", "KEYS[1]:sub(1)", ["?"]),
        ("", "f()", ["?"]),
        ("local a = 'x' a = KEYS[1]", "a", ["x", "K1"]),
        ("local a", "a", []),
        ("local a = a", "a", ["?"]),
        ("local a = 'x' a = a .. 'y'", "a", ["x", "?|y"]),
        ("local k = KEYS", "k[2]", ["K2"]),
        ("local k = KEYS k = {}", "k[2]", ["?"]),
        ("local k = KEYS or ARGV", "k[2]", ["?"]),
        ("for _, k in ipairs(KEYS) do x = k end local k = KEYS[1]", "k", ["K1"]),
        ("local k for _, v in ipairs(KEYS) do k = v end", "k", ["K*"]),
        ("local k for _, v in ipairs(ARGV) do k = v end", "k", ["A1+"]),
        ("local k for _, v in pairs(ARGV) do k = v end", "k", ["?"]),
        ("local k for i = 2, #ARGV do k = ARGV[i] end", "k", ["A2+"]),
        ("local k for i = 2, #ARGV, 2 do k = ARGV[i] end", "k", ["A2+"]),
        ("local k for i = 2, #KEYS do k = ARGV[i] end", "k", ["?"]),
        ("local k for i = 2, 5 do k = ARGV[i] end", "k", ["?"]),
        ("local k for i = x, #ARGV do k = ARGV[i] end", "k", ["?"]),
        ("local k for i = 2, #ARGV do i = 1 k = ARGV[i] end", "k", ["?"]),
        ("local function f(x) return KEYS[1] .. x end", "f('y')", ["K1|y"]),
        ("local function f(x, y) return x .. y end", "f('a', ARGV[1])", ["a|A1"]),
        ("local function f(x, y) return x .. y end f('b', 'c')", "f('a', ARGV[1])", ["b|c", "b|A1", "a|c", "a|A1"]),
        ("local function f(x, y) return y end", "f(g())", ["?"]),
        ("local function f(x, y) return y end", "f('a')", []),
        ("local function f(x) return x end local g = f", "f('a')", ["?", "a"]),
        ("local function f(x) return f(x) end", "f('a')", ["?"]),
        ("local function f(x) return x end f = 1", "f('a')", ["?"]),
        ("local function f(x) return x end pcall(f, 'b')", "f('a')", ["b", "a"]),
        ("local t = {} function t:f(x) return x end", "t:f('a')", ["?"]),
        ("KEYS[1] = 'x'", "KEYS[1]", ["?"]),
        ("KEYS = {}", "KEYS[1]", ["?"]),
        ("table.insert(KEYS, 'x')", "KEYS[1]", ["?"]),
        ("local t = {KEYS}", "KEYS[1]", ["?"]),
        ("local function f() return KEYS end f()[1] = 'x'", "KEYS[1]", ["?"]),
        ("if KEYS == nil or not KEYS then return KEYS end while KEYS do end repeat until KEYS", "KEYS[1]", ["K1"]),
        ("local k = KEYS k[1] = 'x'", "KEYS[1]", ["?"]),
        ("local function f(k) return k[1] end", "f(KEYS)", ["K1"]),
        ("local n = table.concat(KEYS, ',')", "KEYS[1]", ["K1"]),
    ],
)
def test_forms(before: str, expression: str, found: list[str]) -> None:
    """All that an expression may be is listed, and nothing that it cannot be."""
    assert texts(before, expression) == found


def test_bounds() -> None:
    """Too many values, too long ones and too long chains become unknown."""
    many = " ".join(f"if x then a = '{number}' end" for number in range(MAX_FORMS + 1))
    assert texts(f"local a {many}", "a") == ["?"]
    assert texts("", " .. ".join(["('a' or 'b')"] * 6))[0] == "a|a|a|a|?|?"
    long = forms("", " .. ".join(["KEYS[1]"] * (MAX_FORM_PARTS + 9)))
    assert len(long) == 1
    assert len(long[0]) == MAX_FORM_PARTS
    assert long[0][-1] == ANY_TEXT_PART
    chain = "local a0 = 'x' " + "".join(f"local a{n + 1} = a{n} " for n in range(60))
    assert texts(chain, "a60") == ["?"]
