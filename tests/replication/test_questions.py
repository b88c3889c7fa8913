"""Replies of any shape are read or said to be wrong; never an exception."""

from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replication.key_counts import Census
from kidoproxy.replication.questions import (
    MAX_EXTRA_SECONDS,
    REPLY_SECONDS,
    BatchItem,
    BatchReply,
    Callback,
    first_error,
    parse_array,
    parse_bulk,
    parse_integer,
    parse_keyspace,
    parse_scan_reply,
    seconds_for_bytes,
    send_requests,
    send_transaction,
)
from kidoproxy.resp.encode import array, bulk
from kidoproxy.resp.errors import NodeFailure
from tests.story import Story, copies, lost, refused, ring, story, tick, unheard
from tests.story import given as act
from tests.strategies import replies


class Asked(Callback):
    """Remembers the answers."""

    def __init__(self) -> None:
        self.answers: BatchReply | None = None

    def on_done(self, answer: BatchReply) -> None:
        self.answers = answer

    def problem(self) -> str:
        """How it failed; ? while there is no answer."""
        return "?" if self.answers is None else self.answers.problem


@given(replies())
def test_any_reply(raw: bytes) -> None:
    """Each reader takes each reply."""
    assert first_error([raw, b""]) is not None
    for read in (parse_integer, parse_bulk, parse_array, parse_scan_reply):
        read(raw)
    census = Census([])
    census.is_loaded, census.key_counts = [False], [0]
    census.on_replies(0, raw, raw)


@given(st.binary())
def test_any_keyspace(text: bytes) -> None:
    """Lines that make no sense are passed over; a number has a sane length."""
    assert all(db >= 0 and keys > 0 for db, keys in parse_keyspace(text).items())
    assert parse_keyspace(b"db3:keys=7,expires=0\r\n" + text.replace(b"\r\n", b"")).get(3) == 7


def test_keyspace() -> None:
    """By database, how many keys."""
    text = b"# Keyspace\r\ndb0:keys=1,expires=0\r\ndb-1:keys=2\r\ndb12:keys=0\r\ndb2:keys=x\r\ndb3:7\r\nx:keys=1\r\n"
    assert parse_keyspace(text + b"db" + b"9" * 5000 + b":keys=1\r\n") == {0: 1}


def test_scan_step() -> None:
    """A cursor and keys, or nothing."""
    assert parse_scan_reply(array([bulk(b"7"), array([bulk(b"k")])])) == (b"7", [b"k"])
    for raw in (
        b":1\r\n",
        b"*-1\r\n",
        array([bulk(b"7")]),
        array([bulk(b"x"), array([])]),
        array([b":7\r\n", array([])]),
        array([bulk(b"7"), bulk(b"k")]),
        array([bulk(b"7"), array([b":1\r\n"])]),
    ):
        assert parse_scan_reply(raw) is None


def test_question_in_a_transaction() -> None:
    """The last reply fills the place, or the first error before it."""
    for frames, filled in (
        ([b"+OK\r\n", b"+QUEUED\r\n", b"*0\r\n"], b"*0\r\n"),
        ([b"+OK\r\n", b"-NOPERM no\r\n", b"-EXECABORT x\r\n"], b"-NOPERM no\r\n"),
        ([b"-ERR one\r\n", b"-ERR two\r\n", b"-ERR three\r\n"], b"-ERR one\r\n"),
    ):
        boss = Asked()
        question = BatchItem(BatchReply(boss, 1), 0, 3)
        for frame in frames:
            question.on_reply(frame)
        assert boss.answers is not None
        assert boss.answers.replies == [filled]


def test_seconds() -> None:
    """Large values have more time, within reason."""
    assert seconds_for_bytes(0) == 0
    assert seconds_for_bytes(10_000_000) == 1
    assert seconds_for_bytes(1 << 60) == MAX_EXTRA_SECONDS


def asked(play: Story, own: bool, size: int = 0) -> Asked:
    """A question on the shared connection, or on one of its own."""
    boss = Asked()
    conn = play.exchange.new_unshared(play.node("a"), 2, 0, False) if own else play.link("a")
    send_requests(conn, BatchReply(boss, 1), 0, [[b"PING"]], 0, play.exchange.now, size)
    return boss


def test_deadlines() -> None:
    """A silent node is not waited for, on either connection; a connection that is not there fails the question."""
    play = story(copies("a", "b")) >> act(lambda play: play.link("a").start_connecting())
    for own in (False, True):
        boss = asked(play, own)
        play.settle()
        assert boss.problem() == "?"
        tick(REPLY_SECONDS + 0.2)(play)
        assert boss.problem().startswith(("TIMEOUT a", "NODEDOWN a"))
        unheard(play)
        play.settle()
    play.shy = True
    refused("a")(play)
    boss = asked(play, False)
    assert boss.answers is not None
    assert boss.problem() == "NODEDOWN a (connection refused)"


def test_our_own_traffic_makes_nobody_late() -> None:
    """Behind a large question of ours a client has as much more time, and the node is not given up meanwhile."""
    play = story(ring("a"))
    conn = play.link("a")
    conn.start_connecting()
    play.settle()
    boss = Asked()
    send_transaction(conn, BatchReply(boss, 1), 0, [[b"DUMP", b"k"]], 0, play.exchange.now, 20_000_000)
    play.guest("me").session.feed(b"*2\r\n$3\r\nGET\r\n$4\r\n{a}k\r\n")
    tick(2.0)(play)
    assert conn.is_ready()
    assert play.guest("me").heard == b""
    tick(0.8)(play)
    assert play.guest("me").heard.startswith(b"-TIMEOUT a ")
    unheard(play)
    tick(10.0)(play)
    assert boss.answers is not None


def test_what_a_failure_says() -> None:
    """Code word, node and cause."""
    boss = Asked()
    BatchItem(BatchReply(boss, 1), 0).on_failure(NodeFailure("NODEDOWN", "a", "a:1", "gone", True))
    assert boss.answers is not None
    assert boss.answers.problem == "NODEDOWN a (gone)"


def test_lost() -> None:
    """A connection of our own that is lost fails what waits on it, and is made anew for the next question."""
    play = story(copies("a", "b"))
    boss = asked(play, True)
    play.settle()
    own = play.exchange.unshared_connections[0]
    unheard(play)
    own.transport = None
    own.on_connection_lost("it closed the connection", play.exchange.now, False)
    assert boss.answers is not None
    assert boss.answers.problem == "NODEDOWN a (it closed the connection)"
    lost("a")(play)
