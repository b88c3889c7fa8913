"""The Lua of the prologue for functions of Lua, as text; real servers are asked in the live tests."""

import pytest

from kidoproxy.scripts import prologue_names_lua
from kidoproxy.scripts.parser import parse

PIECES = {name: text for name, text in vars(prologue_names_lua).items() if name.isupper()}


@pytest.mark.parametrize("name", sorted(PIECES))
def test_pieces_are_whole(name: str) -> None:
    """Each piece is Lua by itself, in one line without comments."""
    assert parse(" ".join(PIECES[name].split()).encode()).calls
    assert "--" not in PIECES[name]
