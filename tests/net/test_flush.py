"""One write per turn, and nobody's bytes are kept because of somebody else."""

import asyncio
import time

import pytest
import uvloop

from kidoproxy.net.flush import MAX_JOIN_BYTES, ClientSocket, LoopBridge, join_chunks
from kidoproxy.replication.group import group_of
from kidoproxy.replies.jobs import Job
from kidoproxy.replies.transport import Transport
from kidoproxy.resp import limits
from kidoproxy.resp.encode import encode_request
from kidoproxy.session.mode import YIELDED
from kidoproxy.upstream.connection import NodeConnection
from tests.greet import answers
from tests.net.fakes import Net, info
from tests.session.stage import copies, ring

PING = encode_request([b"PING"])


@pytest.mark.parametrize(
    ("out", "size", "chunks"),
    [
        ([b"a"], MAX_JOIN_BYTES + 1, [b"a"]),
        ([b"a", b"b"], MAX_JOIN_BYTES, [b"ab"]),
        ([b"a", b"b"], MAX_JOIN_BYTES + 1, [b"a", b"b"]),
    ],
)
def test_joining_is_for_small_things(out: list[bytes], size: int, chunks: list[bytes]) -> None:
    """One buffer if that is cheap; a large value is not copied once more."""
    assert join_chunks(out, size) == chunks


def test_a_turn_asks_the_loop_once() -> None:
    """However many events a turn has, the loop is asked for one flush, and for none when there is nothing to write."""
    net = Net(ring("a"))
    net.bridge.schedule_flush()
    assert net.loop.soon == []
    clients = [net.client() for _ in range(3)]
    for client, _ in clients:
        client.data_received(encode_request([b"PING"]))
    assert len(net.loop.soon) == 1
    net.turn()
    assert [socket.take() for _, socket in clients] == [b"+PONG\r\n"] * 3
    assert not net.bridge.scheduled_flushes


def test_the_clocks_are_read_together() -> None:
    """One reading sets the executor's clock and the wall clock."""
    net = Net(ring("a"))
    net.bridge.wall_offset = 1_000_000.0
    net.loop.now = 2.5
    assert net.bridge.update_clock() == net.loop.now == net.stage.executor.now
    assert net.stage.proxy.wall_ms == 1_000_002_500


def test_the_wall_clock_is_never_ahead() -> None:
    """However late in a turn it is set: a time to live that is reckoned by it is never longer than it was given."""

    async def late() -> None:
        loop = asyncio.get_running_loop()
        bridge = LoopBridge(loop, ring("a").proxy)
        for _ in range(20):
            until = time.monotonic() + 0.0037
            while time.monotonic() < until:
                bridge.measure_wall_offset()
            await asyncio.sleep(0)
            bridge.update_clock()
            assert 0 <= time.time() * 1000 - bridge.proxy.wall_ms < 60_000

    uvloop.run(late())


def test_connections_without_a_socket_get_one() -> None:
    """A connection that wants a socket, or has given up the one it has, is handed to the connector once a turn."""
    net = Net(ring("a"))
    conn = net.stage.executor.connection(net.stage.node("a"), 2, 0)
    conn.start_connecting()
    net.bridge.schedule_flush()
    net.turn()
    assert not conn.flush_scheduled
    asked: list[NodeConnection] = []
    net.bridge.update_socket = asked.append
    node, _ = net.node("a")
    node.connection.on_connection_lost("silent", net.bridge.update_clock(), True)
    net.bridge.schedule_flush()
    net.turn()
    assert asked == [conn]


def test_a_bug_in_one_does_not_keep_the_bytes_of_others(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever raises while a turn is flushed is logged, and the others' bytes leave all the same."""
    net = Net(ring("a", "b"))
    net.node("b")
    sockets = [net.client() for _ in range(3)]
    for client, _ in sockets:
        client.data_received(encode_request([b"PING"]))
    broken = sockets[1][0].session
    assert broken is not None
    broken.replies.transport = Transport()
    net.stage.executor.turn_work.to_resume.append(broken.replies)
    first = net.stage.executor.connection(net.stage.node("a"), 2, 0)
    last = net.stage.executor.connection(net.stage.node("b"), 2, 0)
    first.transport = Transport()
    first.schedule_flush()
    last.schedule_flush()
    net.turn()
    assert [socket.take() for _, socket in sockets] == [b"+PONG\r\n", b"", b"+PONG\r\n"]
    assert not last.flush_scheduled
    assert [record.message for record in caplog.records] == [
        "a client could not go on",
        "a node could not be written to",
        "a client could not be written to",
    ]
    assert all(record.exc_info and record.exc_info[1] for record in caplog.records)


def test_reply_queues_and_connections_without_a_socket_are_skipped() -> None:
    """Their socket is gone; what was meant for it goes nowhere."""
    net = Net(ring("a"))
    client, socket = net.client()
    client.data_received(encode_request([b"PING"]))
    session = client.session
    assert session is not None
    session.replies.transport = None
    net.stage.executor.turn_work.to_resume.append(session.replies)
    net.turn()
    assert socket.take() == b""


def test_a_turn_that_is_late_begins_no_further_slice() -> None:
    """However many have much to do: a turn has its time, and the rest is first in the next one."""
    net = Net(ring("a"))
    net.bridge.turn_seconds = -1.0
    sockets = [net.client() for _ in range(3)]
    for client, _ in sockets:
        client.data_received(PING * (limits.SLICE_UNITS + 1))
    jobs = net.bridge.turn_work.jobs
    line = jobs.queue[:]
    assert len(line) == 3
    for left in (2, 1):
        soon, net.loop.soon = net.loop.soon, []
        for callback in soon:
            callback()
        assert jobs.queue[:left] == line[-left:]
        assert net.bridge.scheduled_flushes
    net.turn()
    assert [socket.take() for _, socket in sockets] == [b"+PONG\r\n" * (limits.SLICE_UNITS + 1)] * 3
    assert not net.bridge.scheduled_flushes


def test_a_turn_lets_go_on_as_many_as_it_has_time_for() -> None:
    """Those who waited go on in their order, in this turn or in a later one."""
    net = Net(ring("a"))
    sockets = [net.client() for _ in range(3)]
    for client, _ in sockets:
        session = client.session
        assert session is not None
        session.enter(YIELDED)
        session.feed(PING * limits.SLICE_UNITS)
        session.wake()
    net.bridge.schedule_flush()
    for done in (1, 2, 3):
        soon, net.loop.soon = net.loop.soon, []
        for callback in soon:
            callback()
        assert [bool(socket.written) for _, socket in sockets] == [at < done for at in range(3)]


def test_a_bug_in_a_slice_costs_that_job_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, it is over, and the others continue."""
    net = Net(ring("a"))
    client, socket = net.client()
    client.data_received(PING * (limits.SLICE_UNITS + 1))
    net.bridge.turn_work.jobs.queue.insert(0, Job())
    net.turn()
    assert socket.take() == b"+PONG\r\n" * (limits.SLICE_UNITS + 1)
    assert [record.message for record in caplog.records] == ["a slice of work failed"]


def test_turns_are_measured() -> None:
    """Each turn that wrote something is counted."""
    net = Net(ring("a"))
    client, _ = net.client()
    net.say(client, "PING")
    net.say(client, "PING")
    assert sum(net.stage.proxy.turn_durations.bucket_counts) == 2


def test_what_a_slow_reader_does_is_for_it_to_say() -> None:
    """The bridge only asks."""
    with pytest.raises(NotImplementedError):
        ClientSocket().check_progress()


def test_one_timer_for_reads_that_may_be_asked_twice() -> None:
    """It is armed for the first that is due, and again while others wait; one that was armed too late does no harm."""
    net = Net(copies("a", "b"))
    first, second = net.stage.node("a"), net.stage.node("b")
    group = group_of(first)
    assert group is not None
    group.mark_in_sync(second)
    group.elected = True
    group.hedges.delay, group.hedges.tokens = 0.050, 10.0
    sockets = [net.connecting(name) for name in "ab"]
    for number, (node, socket) in enumerate(sockets):
        node.attach(net.bridge.update_clock(), 1.0)
        net.bridge.schedule_flush()
        net.turn()
        node.data_received(answers(socket.take(), info(number)))
        net.turn()
        socket.take()

    def asked() -> int:
        """How many GETs the nodes have got since last time."""
        net.turn()
        return sum(socket.take().count(b"GET") for _, socket in sockets)

    clients = [net.client()[0] for _ in range(2)]
    net.say(clients[0], "GET", "k")
    assert asked() == 1
    net.wait(0.045)
    assert asked() == 0
    net.say(clients[1], "GET", "k")
    assert asked() == 1
    net.wait(0.010)
    assert asked() == 1
    assert net.bridge.hedge_timer_at == pytest.approx(net.loop.now + 0.040)
    net.bridge.run_hedges()
    assert asked() == 0
    net.wait(0.050)
    assert asked() == 1
    assert net.bridge.hedge_timer_at == 0.0
    assert [at for at, _ in net.loop.later] == []
