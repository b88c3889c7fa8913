"""Cursors over several nodes: stateless, unsigned 64-bit decimals, the same after a reload."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.cursor import LARGEST_OWN, advance, numbers, pack, unpack
from kidoproxy.resp.build import array, bulk


@given(st.integers(0, LARGEST_OWN - 1), st.integers(0, 65535))
def test_round_trip(own: int, number: int) -> None:
    """What is packed comes out, and is what Redis's clients accept as a cursor."""
    assert unpack(pack(own, number)) == (own, number)
    assert 0 <= int(pack(own, number)) < 1 << 64


@pytest.mark.parametrize("cursor", [b"", b"x", b"-1", b"1.0", b" 1", b"18446744073709551616", b"0" * 21])
def test_invalid(cursor: bytes) -> None:
    """Not an unsigned 64-bit decimal."""
    assert unpack(cursor) is None


@pytest.mark.parametrize(
    ("own", "following", "cursor"), [(b"7", 5, b"%d" % (7 << 16 | 3)), (b"0", 5, b"5"), (b"0", 0, b"0")]
)
def test_advance(own: bytes, following: int, cursor: bytes) -> None:
    """The node goes on, or the next one begins, or it is over; the keys are untouched."""
    keys = array([bulk(b"x"), bulk(b"y")])

    assert advance(array([bulk(own), keys]), 3, following) == array([bulk(cursor), keys])


def test_errors() -> None:
    """An error stays what it is; a cursor that leaves no room for the node is one."""
    assert advance(b"-ERR no\r\n", 3, 5) == b"-ERR no\r\n"
    large = array([bulk(b"%d" % LARGEST_OWN), array([])])
    assert advance(large, 3, 5).startswith(b"-ERR cursor overflow")


@given(st.lists(st.text(max_size=5), unique=True, max_size=40))
def test_numbers(names: list[str]) -> None:
    """One number each, none twice, none 0."""
    found = numbers(names)

    assert len(set(found)) == len(names)
    assert all(0 < number < 1 << 16 for number in found)


def test_numbers_come_from_names() -> None:
    """The number of a node does not depend on its neighbours, unless two collide."""
    assert numbers(["a", "b"]) == numbers(["b", "a"])[::-1] == [98, 99]
    assert numbers(["a", "a"]) == [98, 99]
