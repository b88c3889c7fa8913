"""The states of a connection: which follows which, and when a request may be sent."""

import pytest

from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.states import (
    CONNECTING,
    DOWN,
    HANDSHAKING,
    HELD,
    MOVES,
    NEW,
    READY,
    RECONNECT_PENDING,
    RETRYING,
    SELECT_PENDING,
    STATE_NAMES,
    SUSPECT,
)

#: The shortest way to each state.
WAYS = {
    NEW: (),
    CONNECTING: (CONNECTING,),
    HANDSHAKING: (CONNECTING, HANDSHAKING),
    READY: (CONNECTING, HANDSHAKING, READY),
    DOWN: (DOWN,),
}


def in_state(state: int) -> NodeConnection:
    """A connection that has gone the shortest way to that state."""
    conn = NodeConnection(Node(0, "a", "a:6379", 1), ConnectionOptions(), 2, 0, [])
    for step in WAYS[state]:
        conn.move_to(step)
    return conn


@pytest.mark.parametrize("target", WAYS)
@pytest.mark.parametrize("state", WAYS)
def test_only_legal_moves_are_made(state: int, target: int) -> None:
    """A move that is not in the table is an internal error, which is raised and changes nothing."""
    conn = in_state(state)
    if target in MOVES[state]:
        conn.move_to(target)
        assert conn.state == target
    else:
        with pytest.raises(RuntimeError, match=f"{STATE_NAMES[state]}.*cannot become {STATE_NAMES[target]}"):
            conn.move_to(target)
        assert conn.state == state


@pytest.mark.parametrize("condition", [0, RETRYING, HELD, SUSPECT, SELECT_PENDING, RECONNECT_PENDING])
@pytest.mark.parametrize("state", WAYS)
def test_sent_when_ready_and_nothing_is_the_matter(state: int, condition: int) -> None:
    """A request may be sent at once on a ready connection without conditions, and on no other."""
    conn = in_state(state)
    conn.add_condition(condition)
    assert conn.can_send == (state == READY and condition == 0)
    conn.remove_condition(condition)
    assert conn.can_send == (state == READY)


def test_conditions_do_not_clear_each_other() -> None:
    """What is held while a SELECT is under way stays held when that is answered."""
    conn = in_state(READY)
    conn.add_condition(HELD)
    conn.add_condition(SELECT_PENDING)
    conn.remove_condition(SELECT_PENDING)
    assert conn.held
    assert (conn.can_send, conn.suspect, conn.retrying) == (False, False, False)
