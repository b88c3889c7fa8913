"""Batches of requests to a node: replies fill their places, every request has a deadline, and failures say why."""

from kidoproxy.replication.batch import (
    MAX_EXTRA_SECONDS,
    REPLY_SECONDS,
    BatchReply,
    Callback,
    batch_item,
    seconds_for_bytes,
    send_requests,
    send_transaction,
)
from kidoproxy.resp.errors import NodeFailure
from tests.story import Story, copies, lost, refused, ring, story, tick, unheard
from tests.story import given as act


class Recorder(Callback):
    """Remembers the batch that is done."""

    def __init__(self) -> None:
        self.batch: BatchReply | None = None

    def on_done(self, batch_reply: BatchReply) -> None:
        self.batch = batch_reply

    def problem(self) -> str:
        """How it failed; ? while it is not done."""
        return "?" if self.batch is None else self.batch.problem


def test_a_transaction_fills_one_place() -> None:
    """The last reply fills the place, or the first error before it."""
    for frames, filled in (
        ([b"+OK\r\n", b"+QUEUED\r\n", b"*0\r\n"], b"*0\r\n"),
        ([b"+OK\r\n", b"-NOPERM no\r\n", b"-EXECABORT x\r\n"], b"-NOPERM no\r\n"),
        ([b"-ERR one\r\n", b"-ERR two\r\n", b"-ERR three\r\n"], b"-ERR one\r\n"),
    ):
        recorder = Recorder()
        item = batch_item(BatchReply(recorder, 1), 0, 3)
        for frame in frames:
            item.on_reply(frame)
        assert recorder.batch is not None
        assert recorder.batch.replies == [filled]


def test_large_values_have_more_time() -> None:
    """Large values have more time, within reason."""
    assert seconds_for_bytes(0) == 0
    assert seconds_for_bytes(10_000_000) == 1
    assert seconds_for_bytes(1 << 60) == MAX_EXTRA_SECONDS


def ping(play: Story, own: bool, size: int = 0) -> Recorder:
    """A request on the shared connection, or on one of its own."""
    recorder = Recorder()
    conn = play.executor.new_unshared(play.node("a"), 2, 0, False) if own else play.connection("a")
    send_requests(conn, BatchReply(recorder, 1), 0, [[b"PING"]], 0, play.executor.now, size)
    return recorder


def test_every_request_has_a_deadline() -> None:
    """A silent node is not waited for, on either connection; a connection that is not there fails the request."""
    play = story(copies("a", "b")) >> act(lambda play: play.connection("a").start_connecting())
    for own in (False, True):
        recorder = ping(play, own)
        play.settle()
        assert recorder.problem() == "?"
        tick(REPLY_SECONDS + 0.2)(play)
        assert recorder.problem().startswith(("TIMEOUT a", "NODEDOWN a"))
        unheard(play)
        play.settle()
    play.shy = True
    refused("a")(play)
    recorder = ping(play, False)
    assert recorder.batch is not None
    assert recorder.problem() == "NODEDOWN a (connection refused)"


def test_our_own_traffic_makes_nobody_late() -> None:
    """Behind a large request of ours a client has as much more time, and the node is not given up meanwhile."""
    play = story(ring("a"))
    conn = play.connection("a")
    conn.start_connecting()
    play.settle()
    recorder = Recorder()
    send_transaction(conn, BatchReply(recorder, 1), 0, [[b"DUMP", b"k"]], 0, play.executor.now, 20_000_000)
    play.client("me").session.feed(b"*2\r\n$3\r\nGET\r\n$4\r\n{a}k\r\n")
    tick(2.0)(play)
    assert conn.is_ready()
    assert play.client("me").received == b""
    tick(0.8)(play)
    assert play.client("me").received.startswith(b"-TIMEOUT a ")
    unheard(play)
    tick(10.0)(play)
    assert recorder.batch is not None


def test_what_a_failure_says() -> None:
    """Code word, node and cause."""
    recorder = Recorder()
    batch_item(BatchReply(recorder, 1), 0).on_failure(NodeFailure("NODEDOWN", "a", "a:1", "gone", True))
    assert recorder.batch is not None
    assert recorder.batch.problem == "NODEDOWN a (gone)"


def test_a_connection_of_our_own_is_lost() -> None:
    """A connection of our own that is lost fails what waits on it, and is made anew for the next request."""
    play = story(copies("a", "b"))
    recorder = ping(play, True)
    play.settle()
    own = play.executor.unshared_connections[0]
    unheard(play)
    own.transport = None
    own.on_connection_lost("it closed the connection", play.executor.now, False)
    assert recorder.batch is not None
    assert recorder.batch.problem == "NODEDOWN a (it closed the connection)"
    lost("a")(play)
