"""The nodes of a syntax tree."""

from kidoproxy.scripts import syntax
from kidoproxy.scripts.parser import parse
from kidoproxy.scripts.syntax import FUNCTION, NO_FIELDS, STRING, SyntaxNode


def test_kinds_and_roles_are_distinct() -> None:
    """Two kinds of one number would be one kind."""
    numbers = {name: value for name, value in vars(syntax).items() if name.isupper() and isinstance(value, int)}
    roles = [value for name, value in numbers.items() if name.startswith("ROLE_")]
    kinds = [value for name, value in numbers.items() if not name.startswith("ROLE_")]
    assert sorted(roles) == list(range(len(roles)))
    assert sorted(kinds) == list(range(len(kinds)))


def test_nodes_share_no_fields() -> None:
    """Nodes without fields share one empty dictionary, which no table ever writes to."""
    parse(b"local t = {a = 1, {b = 2}, {}}")
    assert SyntaxNode(STRING, 0, b"x", []).fields is NO_FIELDS
    assert NO_FIELDS == {}


def test_a_function_knows_what_lies_in_it() -> None:
    """Its calls and names are ranges of the tree's; those of an inner function lie within."""
    tree = parse(b"f(1) local function g() h(2) return function() k(3) end end l(4)")
    outer, inner = tree.functions
    assert outer.kind == inner.kind == FUNCTION
    called = [
        [call.children[0].text for call in tree.calls[each.first_call : each.last_call]] for each in tree.functions
    ]
    assert called == [[b"h", b"k"], [b"k"]]
    assert outer.first_name <= inner.first_name <= inner.last_name <= outer.last_name
