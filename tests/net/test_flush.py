"""One write per turn, and nobody's bytes are kept because of somebody else."""

import asyncio
import time

import pytest
import uvloop

from kidoproxy import limits
from kidoproxy.ledger import Peer
from kidoproxy.ledger_jobs import Job
from kidoproxy.link import NodeLink
from kidoproxy.net.flush import JOIN_BYTES, Hub, SlowReader, joined
from kidoproxy.resp.build import command
from tests.net.fakes import Net
from tests.session.stage import ring

PING = command([b"PING"])


@pytest.mark.parametrize(
    ("out", "size", "chunks"),
    [
        ([b"a"], JOIN_BYTES + 1, [b"a"]),
        ([b"a", b"b"], JOIN_BYTES, [b"ab"]),
        ([b"a", b"b"], JOIN_BYTES + 1, [b"a", b"b"]),
    ],
)
def test_joining_is_for_small_things(out: list[bytes], size: int, chunks: list[bytes]) -> None:
    """One buffer if that is cheap; a large value is not copied once more."""
    assert joined(out, size) == chunks


def test_a_turn_asks_the_loop_once() -> None:
    """However many events a turn has, the loop is asked for one flush, and for none when there is nothing to write."""
    net = Net(ring("a"))
    net.hub.touch()
    assert net.loop.soon == []
    clients = [net.client() for _ in range(3)]
    for client, _ in clients:
        client.data_received(command([b"PING"]))
    assert len(net.loop.soon) == 1
    net.turn()
    assert [socket.take() for _, socket in clients] == [b"+PONG\r\n"] * 3
    assert not net.hub.scheduled


def test_the_clocks_are_read_together() -> None:
    """One reading sets the exchange's clock and the wall clock."""
    net = Net(ring("a"))
    net.hub.wall_offset = 1_000_000.0
    net.loop.now = 2.5
    assert net.hub.now() == net.loop.now == net.stage.exchange.now
    assert net.stage.house.wall_ms == 1_000_002_500


def test_the_wall_clock_is_never_ahead() -> None:
    """However late in a turn it is set: a time to live that is reckoned by it is never longer than it was given."""

    async def late() -> None:
        loop = asyncio.get_running_loop()
        hub = Hub(loop, ring("a").house)
        for _ in range(20):
            until = time.monotonic() + 0.0037
            while time.monotonic() < until:
                hub.set_clock()
            await asyncio.sleep(0)
            hub.now()
            assert 0 <= time.time() * 1000 - hub.house.wall_ms < 60_000

    uvloop.run(late())


def test_links_without_a_socket_are_looked_after() -> None:
    """A link that wants a socket, or has given up the one it has, is handed to the connector once a turn."""
    net = Net(ring("a"))
    link = net.stage.exchange.link(net.stage.node("a"), 2, 0)
    link.wake()
    net.hub.touch()
    net.turn()
    assert not link.dirty
    asked: list[NodeLink] = []
    net.hub.look_after = asked.append
    node, _ = net.node("a")
    node.link.lost("silent", net.hub.now(), True)
    net.hub.touch()
    net.turn()
    assert asked == [link]


def test_a_bug_in_one_does_not_keep_the_bytes_of_others(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever raises while a turn is flushed is told, and the others' bytes leave all the same."""
    net = Net(ring("a", "b"))
    net.node("b")
    sockets = [net.client() for _ in range(3)]
    for client, _ in sockets:
        client.data_received(command([b"PING"]))
    broken = sockets[1][0].session
    assert broken is not None
    broken.ledger.peer = Peer()
    net.stage.exchange.turn.drained.append(broken.ledger)
    first = net.stage.exchange.link(net.stage.node("a"), 2, 0)
    last = net.stage.exchange.link(net.stage.node("b"), 2, 0)
    first.peer = Peer()
    first.mark()
    last.mark()
    net.turn()
    assert [socket.take() for _, socket in sockets] == [b"+PONG\r\n", b"", b"+PONG\r\n"]
    assert not last.dirty
    assert [record.message for record in caplog.records] == [
        "a client could not go on",
        "a node could not be written to",
        "a client could not be written to",
    ]


def test_ledgers_and_links_without_an_owner_are_skipped() -> None:
    """Their socket is gone; what was meant for it goes nowhere."""
    net = Net(ring("a"))
    client, socket = net.client()
    client.data_received(command([b"PING"]))
    session = client.session
    assert session is not None
    session.ledger.peer = None
    net.stage.exchange.turn.drained.append(session.ledger)
    net.turn()
    assert socket.take() == b""


def test_a_turn_that_is_late_begins_no_further_slice() -> None:
    """However many have much to do: a turn has its time, and the rest is first in the next one."""
    net = Net(ring("a"))
    net.hub.turn_seconds = -1.0
    sockets = [net.client() for _ in range(3)]
    for client, _ in sockets:
        client.data_received(PING * (limits.SLICE + 1))
    jobs = net.hub.turn.jobs
    line = jobs.waiting[:]
    assert len(line) == 3
    for left in (2, 1):
        soon, net.loop.soon = net.loop.soon, []
        for callback in soon:
            callback()
        assert jobs.waiting[:left] == line[-left:]
        assert net.hub.scheduled
    net.turn()
    assert [socket.take() for _, socket in sockets] == [b"+PONG\r\n" * (limits.SLICE + 1)] * 3
    assert not net.hub.scheduled


def test_a_turn_lets_go_on_as_many_as_it_has_time_for() -> None:
    """Those who waited go on in their order, in this turn or in a later one."""
    net = Net(ring("a"))
    sockets = [net.client() for _ in range(3)]
    for client, _ in sockets:
        session = client.session
        assert session is not None
        session.stalled = True
        session.feed(PING * limits.SLICE)
        session.wake()
    net.hub.touch()
    for done in (1, 2, 3):
        soon, net.loop.soon = net.loop.soon, []
        for callback in soon:
            callback()
        assert [bool(socket.written) for _, socket in sockets] == [at < done for at in range(3)]


def test_a_bug_in_a_slice_costs_that_job_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is told, it is over, and the others go on."""
    net = Net(ring("a"))
    client, socket = net.client()
    client.data_received(PING * (limits.SLICE + 1))
    net.hub.turn.jobs.waiting.insert(0, Job())
    net.turn()
    assert socket.take() == b"+PONG\r\n" * (limits.SLICE + 1)
    assert [record.message for record in caplog.records] == ["a slice of work failed"]


def test_turns_are_measured() -> None:
    """Each turn that wrote something is counted."""
    net = Net(ring("a"))
    client, _ = net.client()
    net.say(client, "PING")
    net.say(client, "PING")
    assert sum(net.stage.house.turns.counts) == 2


def test_what_a_slow_reader_does_is_for_it_to_say() -> None:
    """The hub only asks."""
    with pytest.raises(NotImplementedError):
        SlowReader().look_again()
