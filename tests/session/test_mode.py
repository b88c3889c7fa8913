"""`kidoproxy.session.mode`: what a session waits for, and which moves there are."""

import pytest

from kidoproxy.session.mode import BLOCKED, CLOSING, MODE_NAMES, MOVES, PAUSED, READY, WAITING_FOR_REPLIES, YIELDED
from tests.story import client, node, ring, story, to, to_client

MODES = range(len(MODE_NAMES))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", MODES)
def test_only_legal_moves_are_made(mode: int, target: int) -> None:
    """A move that the table does not have is an error, but a closing session ignores it and stays closing."""
    session = (story(ring("a")) >> client(b"")).client("me").session
    session.mode = mode
    if target in MOVES[mode] or mode == CLOSING:
        session.enter(target)
        assert session.mode == (CLOSING if mode == CLOSING else target)
    else:
        with pytest.raises(RuntimeError, match=MODE_NAMES[target]):
            session.enter(target)
        assert session.mode == mode


def test_the_table() -> None:
    """A session waits for one thing at a time, can always go on, and can always be closed."""
    assert len(MOVES) == len(MODE_NAMES)
    assert all(CLOSING in moves for moves in MOVES)
    assert all(READY in MOVES[mode] for mode in MODES if mode not in (READY, CLOSING))
    assert [mode for mode in MODES if set(MOVES[mode]) & {YIELDED, WAITING_FOR_REPLIES, BLOCKED, PAUSED}] == [
        READY,
        PAUSED,
    ]


def test_a_resume_that_nobody_waited_for() -> None:
    """Two wake-ups in one turn are as good as one."""
    play = story(ring("a")) >> client("GET {a}1") << to("a", "GET {a}1")
    session = play.client("me").session
    session.resume()
    assert session.mode == READY
    play >> node("a", "$-1") << to_client("$-1")
