"""`kidoproxy.routes.read_order`: which copy a read begins with."""

import pytest

from kidoproxy.routes.read_order import READ_FIRST, READ_NEAREST, READ_RANDOM, in_read_order
from kidoproxy.routes.topology import Node
from tests.story import copies


def nodes(*milliseconds: float) -> list[Node]:
    """Three copies that answer in this time."""
    found: list[Node] = copies("a", "b", "c").nodes
    for node, time in zip(found, milliseconds, strict=True):
        node.reply_seconds = time / 1000
        node.live = True
    return found


def order(found: list[Node], kind: int = READ_NEAREST, turn: int = 0) -> str:
    return "".join([node.name for node in in_read_order(kind, found, turn)])


@pytest.mark.parametrize(
    ("milliseconds", "first_of_turns"),
    [
        ((5.0, 0.5, 9.0), "bbb"),
        ((0.5, 0.55, 9.0), "aba"),
        ((9.0, 8.0, 8.5), "abc"),
        ((0.02, 0.1, 0.5), "aba"),
        ((0.0, 3.0, 0.0), "bbb"),
        ((0.0, 0.0, 0.0), "aaa"),
    ],
)
def test_the_nearest(milliseconds: tuple[float, ...], first_of_turns: str) -> None:
    """Who answers soonest; those that are as near take turns, one that was not measured yet comes last."""
    found = nodes(*milliseconds)
    assert "".join([order(found, turn=turn)[0] for turn in range(3)]) == first_of_turns
    assert all(sorted(order(found, turn=turn)) == ["a", "b", "c"] for turn in range(3))


def test_who_does_not_answer_is_not_near() -> None:
    """However soon it did before."""
    found = nodes(0.1, 5.0, 9.0)
    found[0].suspect = True
    assert order(found) == "bac"
    found[1].live = False
    assert order(found) == "cab"


def test_the_other_orders() -> None:
    """They know nothing of times."""
    found = nodes(9.0, 5.0, 0.1)
    assert order(found, READ_FIRST, 1) == "abc"
    assert order(found, READ_RANDOM, 1) == "bca"
