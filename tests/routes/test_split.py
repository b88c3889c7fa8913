"""A request cut by child: every key once, in its order, with what belongs to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.commands.find import COMMANDS
from kidoproxy.resp.build import command
from kidoproxy.routes.split import cut


@pytest.mark.parametrize(
    ("words", "owners", "parts", "places"),
    [
        ("MGET a b c", [0, 2, 0], ["MGET a c", "MGET b"], [[0, 2], [1]]),
        ("MSET a 1 b 2 c 3", [1, 0, 1], ["MSET b 2", "MSET a 1 c 3"], [[1], [0, 2]]),
        ("del a a", [1, 1], ["del a a"], [[0, 1]]),
    ],
)
def test_cut(words: str, owners: list[int], parts: list[str], places: list[list[int]]) -> None:
    """One request per child concerned, in the order of the children."""
    argv = words.encode().split(b" ")
    found = cut(COMMANDS[argv[0].lower()], argv, owners, 3)

    assert [request.raw for request in found.requests] == [command(part.encode().split(b" ")) for part in parts]
    assert found.places == places
    assert found.children == sorted(set(owners))


@given(st.lists(st.tuples(st.binary(max_size=4), st.integers(0, 4)), min_size=1))
def test_nothing_is_lost(keys: list[tuple[bytes, int]]) -> None:
    """Put back by their places, the keys of the parts are the keys of the whole."""
    found = cut(COMMANDS[b"mget"], [b"MGET", *[key for key, _ in keys]], [owner for _, owner in keys], 5)
    whole: list[bytes | None] = [None] * len(keys)
    for request, places in zip(found.requests, found.places, strict=True):
        for key, place in zip(request.argv[1:], places, strict=True):
            assert whole[place] is None
            whole[place] = key

    assert whole == [key for key, _ in keys]
