"""What each node said, and when it counts as true."""

import pytest

from kidoproxy.django.replies import Replies


def test_is_the_plain_list() -> None:
    """It equals, and shows itself as, the list that the ancestor returned."""
    assert Replies([True, True]) == [True, True]
    assert repr(Replies([1, 0])) == "[1, 0]"


@pytest.mark.parametrize(
    ("said", "true"),
    [
        ([True, True], True),
        ([True, OSError("down")], True),
        ([False, False], False),
        ([True, False], False),
        ([None, OSError("down")], False),
        ([OSError("down")], False),
        ([], False),
    ],
)
def test_truth(said: list[object], true: bool) -> None:
    """It is true when all nodes that answered said something true, so that ``if cache.add(...)`` stays a lock."""
    assert bool(Replies(said)) is true
