"""Which request a node took long for, found once for each read."""

from typing import Final

import pytest

from kidoproxy.replies.aggregate import AggregateSlot, ListReplies
from kidoproxy.replies.handler import DelegatingHandler, IgnoreReply
from kidoproxy.replies.transport import Transport
from kidoproxy.resp import limits
from kidoproxy.resp.encode import encode_request
from kidoproxy.session.session import ClientSession
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.slow_log import SlowRequest
from kidoproxy.upstream.slow_requests import mark_write, sample_write
from tests.session.stage import InMemoryProxy, request, ring

SLOW: Final = 0.2
NIL: Final = b"$-1\r\n"


class Play:
    """One node, one client; time moves as the test says."""

    def __init__(self) -> None:
        self.stage: InMemoryProxy = ring("a")
        self.stage.proxy.slow_log.set_threshold(SLOW)
        self.conn: NodeConnection = self.stage.connection("a")
        self.conn.take_output()
        self.session: ClientSession = self.stage.client()
        self.session.replies.transport = Transport()
        self.at(10.0)

    def at(self, now: float) -> None:
        self.stage.executor.now = now

    def ask(self, *frames: bytes) -> None:
        """The client sends these in one go, and they are written."""
        self.session.feed(b"".join(frames))
        mark_write(self.conn, self.stage.executor.now)
        self.conn.take_output()

    def answer(self, now: float, raw: bytes) -> None:
        self.at(now)
        self.conn.feed(raw, now)

    def found(self) -> list[SlowRequest]:
        return self.stage.proxy.slow_log.requests


def shown(found: SlowRequest) -> tuple[list[bytes], float, float]:
    return found.words, round(found.queue_seconds, 3), round(found.node_seconds, 3)


def test_a_slow_request_on_an_idle_connection() -> None:
    """All of its time is the node's, however long the connection had been idle; a write has its arguments, too."""
    play = Play()
    play.ask(request("SET", "k", "v" * 100))
    play.answer(10.3, b"+OK\r\n")
    (found,) = play.found()
    assert shown(found) == ([b"SET", b"k", b"v" * limits.SLOW_LOG_WORD_BYTES + b"..."], 0.0, 0.3)
    assert (found.client, found.node_name, found.at) == ("", "a", 10.3)
    play.at(20.0)
    play.ask(request("GET", "k"))
    play.answer(20.1, NIL)
    assert len(play.found()) == 1


def test_the_culprit_and_those_that_waited() -> None:
    """The first reply after the silence is what the node took long for; the last one only waited."""
    play = Play()
    play.ask(request("GET", "fast"), request("GET", "slow"), request("GET", "behind"))
    play.answer(10.05, NIL)
    play.answer(10.4, NIL + NIL)
    (found,) = play.found()
    assert shown(found) == ([b"GET", b"slow"], 0.05, 0.35)
    play.ask(*[request("GET", f"x{number}") for number in range(9)])
    for number in range(9):
        play.answer(10.5 + number * 0.12, NIL)
    assert [shown(found) for found in play.found()[1:]] == [
        ([b"GET", b"x%d" % number], round(0.1 + number * 0.12, 3), 0.0) for number in range(1, 9)
    ]


def test_those_that_waited_are_not_all_noted() -> None:
    """One in a while, however many there are."""
    play = Play()
    play.ask(*[request("GET", "x") for _ in range(100)])
    for number in range(100):
        play.answer(10.15 + number * 0.001, NIL)
    assert len(play.found()) == 1


@pytest.mark.parametrize(
    ("words", "shown_words"),
    [
        (["CONFIG", "SET", "requirepass", "hunter2"], [b"CONFIG", b"(redacted)"]),
        (["GET", "k"], [b"GET", b"k"]),
        (["MGET", *[f"k{number}" for number in range(20)]], [b"MGET", *[b"k%d" % number for number in range(7)]]),
    ],
)
def test_what_is_shown(words: list[str], shown_words: list[bytes]) -> None:
    """A few words, and no secrets."""
    play = Play()
    if words[0] == "CONFIG":
        words = ["PROXY", "NODE", "a", "CONFIG", "GET", "*"]
        shown_words = [b"CONFIG", b"(redacted)"]
    play.ask(request(*words))
    play.answer(11.0, b"*0\r\n")
    assert play.found()[0].words == shown_words


def test_a_write_behind_others_has_its_name_alone() -> None:
    """It is not kept for this."""
    play = Play()
    play.ask(request("GET", "a"), request("SET", "k", "v"))
    play.ask(request("GET", "later"))
    play.answer(10.1, NIL)
    play.answer(10.5, b"+OK\r\n")
    assert shown(play.found()[0]) == ([b"set"], 0.1, 0.4)


def test_a_long_request_is_not_kept() -> None:
    """Nor are the bytes of a large one."""
    play = Play()
    play.ask(request("SET", "k", "v" * limits.MAX_SAMPLED_KEY_BYTES))
    play.answer(10.5, b"+OK\r\n")
    assert play.found()[0].words == [b"set"]


def test_what_is_the_proxys_own_is_not_noted() -> None:
    """Nor is what nobody has asked for, nor what blocks on a connection of its client's own."""
    play = Play()
    play.conn.submit(IgnoreReply(), encode_request([b"PING"]), 2, 0, 10.0)
    play.conn.take_output()
    play.answer(10.5, b"+PONG\r\n")
    play.conn.submit(IgnoreReply(), encode_request([b"PING"]), 2, 0, 10.5)
    play.conn.reply_handlers[-1].due = 1e9
    mark_write(play.conn, 10.6)
    play.conn.take_output()
    play.answer(10.65, b"+PONG\r\n")
    play.conn.submit(IgnoreReply(), encode_request([b"PING"]), 2, 0, 10.0)
    play.conn.take_output()
    play.answer(10.7, b"+PONG\r\n")
    play.conn.shared = False
    play.ask(request("GET", "k"))
    play.answer(11.5, NIL)
    play.conn.shared = True
    play.conn.feed(b"", 12.0)
    assert play.found() == []


def test_a_sample_of_a_write() -> None:
    """A key, and how long the first request has waited for the write; of the proxy's own requests neither."""
    play = Play()
    traffic = play.stage.node("a").traffic
    play.session.feed(request("GET", "k"))
    sample_write(play.conn, 10.003)
    assert list(traffic.hot_keys.keys) == [b"k"]
    assert (traffic.queue_durations.bucket_counts[2], sum(traffic.queue_durations.bucket_counts)) == (1, 1)
    play.conn.take_output()
    play.conn.append_output(b"the rest of a value")
    sample_write(play.conn, 10.003)
    mark_write(play.conn, 10.003)
    play.conn.submit(IgnoreReply(), encode_request([b"PING"]), 2, 0, 10.0)
    sample_write(play.conn, 10.003)
    assert sum(traffic.queue_durations.bucket_counts) == 1


def test_whom_a_part_of_a_request_is_for() -> None:
    """Nobody's where nobody waits, or whose socket is not known; ``tests/net/test_node_io.py`` has the others."""
    play = Play()
    pending = play.session.open_pending(None)
    slot = AggregateSlot(ListReplies(DelegatingHandler(pending), 1, False), 0)
    assert slot.client_address() == IgnoreReply().client_address() == ""
    play.session.replies.transport = None
    assert slot.client_address() == ""


def test_a_mark_ends_with_its_connection() -> None:
    """What is asked on the next one is not taken for what was marked on this one."""
    play = Play()
    play.ask(request("SET", "k", "v"))
    assert play.conn.marked_number >= 0
    assert play.conn.marked_payload
    play.conn.on_connection_lost("it closed the connection", 10.1, False)
    assert (play.conn.marked_number, play.conn.marked_payload) == (-1, b"")
