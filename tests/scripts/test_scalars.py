"""What never is a table, and what is known of one."""

import pytest

from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.scalars import ScalarAnalysis, is_scalar_command
from kidoproxy.scripts.syntax import SyntaxNode
from kidoproxy.scripts.values import ValueTracker


def analysed(before: str, expression: str) -> tuple[ScalarAnalysis, SyntaxNode]:
    """The analysis of a text that ends with ``probe(expression)``, and the expression."""
    tree = parse(f"{before} probe({expression})".encode())
    probe = next(call for call in tree.calls if call.children[0].text == b"probe")
    return ScalarAnalysis(tree, ValueTracker(tree)), probe.children[1]


@pytest.mark.parametrize(
    ("before", "expression", "scalar"),
    [
        ("", "1", True),
        ("", "'x' .. y", True),
        ("", "#t", True),
        ("", "#t + 1", True),
        ("", "-x", True),
        ("", "x", False),
        ("", "{}", False),
        ("", "KEYS[1]", True),
        ("", "KEYS", False),
        ("", "x and 1", False),
        ("", "1 or 'x'", True),
        ("", "(KEYS[1])", True),
        ("", "('x'):rep(2)", True),
        ("", "('x'):gmatch('y')", False),
        ("local a = 1", "a", True),
        ("local a = 1 a = {}", "a", False),
        ("local a = 1 local b = a a = b", "b", True),
        ("local a = {} local b = a", "b", False),
        ("for i = 1, 2 do x = i end local i = 1", "i", True),
        ("local function f() return 1 end", "f()", True),
        ("local function f() return {} end", "f()", False),
        ("local function f() return f() end", "f()", True),
        ("local function f() return 1 end f = g", "f()", False),
        ("", "tonumber(x)", True),
        ("", "redis.call('get', KEYS[1])", True),
        ("", "redis.call('GET', KEYS[1])", True),
        ("", "redis.call('mget', KEYS[1])", False),
        ("", "redis.call('nosuch', KEYS[1])", False),
        ("", "redis.call(x)", False),
        ("", "redis.call()", False),
    ],
)
def test_scalars(before: str, expression: str, scalar: bool) -> None:
    """Strings, numbers and what is made of them; of functions and variables what is seen of them."""
    scalars, node = analysed(before, expression)
    assert scalars.is_scalar(node, 0) is scalar


@pytest.mark.parametrize(
    ("before", "elements"),
    [
        ("local t = {'a', 'b'}", [b"a", b"b"]),
        ("local t = {'a'} t[#t + 1] = 'b'", [b"a"]),
        ("local t = {'a'} table.insert(t, 'b')", [b"a"]),
        ("local t = {'a'} table.insert(t, 1, 'b')", []),
        ("local t = {'a'} t[1] = 'b'", []),
        ("local t = {'a'} t['#+1'] = 'b'", []),
        ("local t = {'a'} local u = {} t[#u + 1] = 'b'", []),
        ("local t = {'a'} local u = t", []),
        ("local t = {'a'} f(t)", []),
        ("local t = {'a', x = 1}", []),
        ("local t t = {'a'}", [b"a"]),
        ("local t = {'a'} t = {}", []),
        ("local t = {'a'} t = {'b', x = 1}", []),
        ("local t = {'a'} t = 5", []),
        ("local t = {'a', 'b'} t = {'c', 'd', 'e'}", [b"a|c", b"b|d"]),
        ("local t" + " t = {'a'}" * 16, [b"|".join([b"a"] * 16)]),
        ("local t" + " t = {'a'}" * 17, []),
        ("local t = f()", []),
        ("", []),
    ],
)
def test_known_elements(before: str, elements: list[bytes]) -> None:
    """Of a table that is only ever added to at its end the first elements are known, or which they may be."""
    scalars, node = analysed(f"{before} local n = #t", "0")
    table = next((each for each in scalars.tree.name_nodes if each.text == b"t"), node)
    found = scalars.known_elements(table)
    assert [b"|".join([part.text for part in each.children]) or each.text for each in found] == elements


def test_scalar_commands() -> None:
    """A name in any letter case; what the table lacks may reply with anything."""
    assert is_scalar_command(b"StrLen")
    assert not is_scalar_command(b"hgetall")
    assert not is_scalar_command(b"json.get")
