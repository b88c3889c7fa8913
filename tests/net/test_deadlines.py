"""Deadlines are enforced at every tick, however late it comes; a stall of the loop is not the nodes' fault."""

import pytest

from kidoproxy.net.deadlines import LATE_TICK_SECONDS, MAX_GRACE_SECONDS, TICK_SECONDS, Deadlines
from kidoproxy.net.node_io import NodeIO
from kidoproxy.net.ticker import Ticker
from tests.net.fakes import Net, Socket
from tests.session.stage import ring

#: What a client of these nodes is patient for.
PATIENCE = 0.5


class Waiting:
    """A client that has asked a node."""

    def __init__(self) -> None:
        self.net = Net(ring("a"))
        self.node: NodeIO
        self.node, _ = self.net.node("a")
        self.socket: Socket
        self.client, self.socket = self.net.client()
        self.ticker = Ticker()
        self.deadlines = Deadlines(self.net.bridge, self.ticker)
        self.net.say(self.client, "GET", "k")

    def tick(self, seconds: float) -> bytes:
        """A tick so long after the last one, and the turn behind it; what the client gets."""
        self.net.loop.now += seconds
        self.deadlines.tick()
        self.net.turn()
        return self.socket.take()


def test_in_time() -> None:
    """A tick that comes in time judges at once."""
    waiting = Waiting()
    for _ in range(int(PATIENCE / TICK_SECONDS)):
        assert waiting.tick(TICK_SECONDS) == b""
    assert waiting.tick(TICK_SECONDS).startswith(b"-TIMEOUT a ")


def test_replies_that_lie_in_the_socket_are_read_first() -> None:
    """After a stall of our own a reply that is there already is the reply, however late it is."""
    waiting = Waiting()
    waiting.net.loop.now += 60.0
    waiting.deadlines.tick()
    waiting.node.data_received(b"$-1\r\n")
    waiting.net.turn()
    assert waiting.socket.take() == b"$-1\r\n"
    assert waiting.tick(TICK_SECONDS) == b""


@pytest.mark.parametrize("stall", [LATE_TICK_SECONDS, 0.2, 0.3, 1.0])
def test_a_loop_that_is_always_late_judges_all_the_same(stall: float) -> None:
    """Where every tick is late the client waits for its patience, the grace, and one stall more at most."""
    waiting = Waiting()
    waited = 0.0
    reply = b""
    while not reply:
        reply = waiting.tick(stall)
        waited += stall
        assert waited <= PATIENCE + MAX_GRACE_SECONDS + stall + TICK_SECONDS
    assert reply.startswith(b"-TIMEOUT a ")
    assert waited >= PATIENCE


def test_a_stall_is_not_the_nodes_fault() -> None:
    """What was sent just before it is given the time that we were away."""
    waiting = Waiting()
    assert waiting.tick(PATIENCE + MAX_GRACE_SECONDS - 0.01) == b""
    assert waiting.tick(TICK_SECONDS).startswith(b"-TIMEOUT a ")
