"""The Lua of the prologue, as text: what it does is asked of real servers in tests/live/test_interposed_scripts.py."""

import pytest

from kidoproxy.scripts import prologue_lua
from kidoproxy.scripts.parser import parse

PIECES = {name: text for name, text in vars(prologue_lua).items() if name.isupper()}


@pytest.mark.parametrize("name", sorted(set(PIECES) - {"HEAD", "END"}))
def test_pieces_are_whole(name: str) -> None:
    """Each piece is Lua by itself, and stays so in one line."""
    assert parse(PIECES[name].encode()).calls or name in ("MOMENT", "OPTIONS", "TRIM")
    assert parse(" ".join(PIECES[name].split()).encode())
