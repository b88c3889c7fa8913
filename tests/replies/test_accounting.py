"""`kidoproxy.replies.accounting`: never less than what is held, and 0 when nothing is."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.replies.accounting import HALF_REPLY, OUTPUT_LIMIT, InFlightBytes, ReplyAccounting
from kidoproxy.replies.aggregate import AggregateSlot, ListReplies
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp import limits
from kidoproxy.resp.encode import array, bulk
from kidoproxy.session.mode import READY
from tests import accounts
from tests.story import Event, Story, client, copies, gone, lost, refused, ring, story, tick, unheard

#: Larger than what is not counted one by one.
LARGE: Final = "x" * 20_000
STEP: Final = int(limits.IN_FLIGHT_MARK_BYTES)


def test_the_base_class_has_no_queue() -> None:
    """Writes and open requests are those of the reply queue."""
    accounting = ReplyAccounting()
    for method in (accounting.schedule_write, accounting.open_count):
        with pytest.raises(NotImplementedError):
            method()


@given(st.lists(st.integers(0, 3 * STEP), max_size=30), st.lists(st.integers(0, 30), max_size=30))
def test_in_flight(sizes: list[int], answered: list[int]) -> None:
    """Requests are answered in order: the size is never less than what is in flight, and little more."""
    in_flight, answered_count = InFlightBytes(), 0
    for number, (size, more) in enumerate(zip(sizes, answered + [0] * 30, strict=False), 1):
        in_flight.add(size, number)
        answered_count = min(number, answered_count + more)
        in_flight.mark_answered(answered_count)
        held = sum(sizes[answered_count:number])
        assert held <= in_flight.size() <= held + STEP + max(sizes[: answered_count + 1])
    in_flight.clear()
    assert (in_flight.size(), in_flight.mark_numbers, in_flight.mark_totals) == (0, [], [])


def test_messages_in_between() -> None:
    """A message is inserted in front of all marks, and has no bytes of a request."""
    in_flight = InFlightBytes()
    in_flight.add(STEP, 1)
    in_flight.renumber_marks()
    in_flight.mark_answered(1)
    assert in_flight.size() == STEP
    in_flight.mark_answered(2)
    assert in_flight.size() == 0


def test_early_replies_are_counted() -> None:
    """A reply is held until its turn; a suppressed one is dropped at once, and one in its turn is never counted."""
    replies = ReplyQueue(TurnWork())
    requests = [replies.open_pending(None) for _ in range(4)]
    requests[2].suppressed = True
    for pending, held in ((requests[3], 4), (requests[2], 4), (requests[1], 8)):
        pending.on_reply(b"1234")
        assert replies.held_reply_bytes == held
    assert requests[2].reply == b""
    requests[0].on_reply(b"0")
    assert (replies.held_reply_bytes, b"".join(replies.take_output())) == (0, b"012341234")


def test_a_suppressed_reply_in_front() -> None:
    """What is held leaves in the turn of a suppressed reply."""
    replies = ReplyQueue(TurnWork())
    first, second = replies.open_pending(None), replies.open_pending(None)
    first.suppressed = True
    second.on_reply(b"1234")
    first.on_reply(b"0")
    assert (replies.held_reply_bytes, b"".join(replies.take_output())) == (0, b"1234")


def test_parts_are_counted() -> None:
    """The parts of an aggregated reply that have arrived are charged to the client, however deep they are nested."""
    replies = ReplyQueue(TurnWork())
    outer = ListReplies(replies.open_pending(None), 2, False)
    inner = ListReplies(AggregateSlot(outer, 1), 2, False)
    inner.set_reply(0, b":12\r\n")
    assert replies.held_reply_bytes == 5
    outer.set_reply(0, b"+a\r\n")
    assert replies.held_reply_bytes == 9
    inner.set_reply(1, b"+b\r\n")
    assert (replies.held_reply_bytes, b"".join(replies.take_output())) == (0, b"*2\r\n+a\r\n*2\r\n:12\r\n+b\r\n")


def test_much_is_checked() -> None:
    """Beyond a bound one write is scheduled, as the client's limit is checked there."""
    turn_work = TurnWork()
    replies = ReplyQueue(turn_work)
    replies.open_pending(None)
    for _ in range(3):
        replies.open_pending(None).on_reply(b"x" * (limits.READ_STOP_BYTES // 2 + 1))
    assert (turn_work.reply_queues, replies.backlogged, replies.is_below_limits()) == ([replies], True, False)


def test_a_disconnect_has_one_reason() -> None:
    """The first reason counts, and one write is scheduled."""
    turn_work = TurnWork()
    replies = ReplyQueue(turn_work)
    replies.request_disconnect(OUTPUT_LIMIT)
    replies.request_disconnect(HALF_REPLY)
    assert (replies.disconnect_reason, turn_work.reply_queues) == (OUTPUT_LIMIT, [replies])


def test_discarded_requests_do_not_count() -> None:
    """Nothing is counted for a client that is being disconnected."""
    replies = ReplyQueue(TurnWork())
    replies.open_pending(None)
    replies.open_pending(None).on_reply(b"1234")
    replies.discard_pending()
    assert replies.held_reply_bytes == 0
    replies.add_held_bytes(-4)
    assert replies.held_reply_bytes == 0


def test_no_further_request_while_much_is_held() -> None:
    """A slow node in front of many large replies of others: the next request waits until these have left."""
    half = "y" * (limits.READ_STOP_BYTES // 2)
    play = story(ring("a", "b")) >> client("GET {a}1", "GET {b}1", "GET {b}2", "GET {b}3")
    unheard(play)
    for _ in range(3):
        play.connection("b").feed(bulk(half.encode()), play.executor.now)
    play.settle()
    session = play.client("me").session
    session.feed(b"GET {b}4\r\n")
    assert (session.mode != READY, session.wants_input()) == (True, False)
    session.feed(b"GET {b}5\r\n")
    play.settle()
    assert play.sent["b"] == []
    play.connection("a").feed(b"$-1\r\n", play.executor.now)
    play.settle()
    assert len(play.sent["b"]) == 2


KEYS: Final = [f"{{{tag}}}{number}" for tag in "abc" for number in range(3)]
KEY: Final = st.sampled_from(KEYS)
VALUE: Final = st.sampled_from(["v", LARGE])
REQUEST: Final = st.one_of(
    KEY.map(lambda key: f"GET {key}"),
    st.lists(KEY, min_size=1, max_size=6).map(lambda keys: " ".join(["MGET", *keys])),
    st.lists(st.tuples(KEY, VALUE), min_size=1, max_size=4).map(
        lambda pairs: " ".join(["MSET", *[word for pair in pairs for word in pair]])
    ),
    st.tuples(KEY, VALUE).map(lambda pair: f"SET {pair[0]} {pair[1]}"),
    VALUE.map(lambda value: f"ECHO {value}"),
    st.sampled_from(["MULTI", "EXEC", "DISCARD", "DBSIZE", "PING", "CLIENT REPLY SKIP", "RESET", "INFO"]),
    st.sampled_from(["SUBSCRIBE a", f"SUBSCRIBE b {LARGE}", "UNSUBSCRIBE a"]),
    st.sampled_from(["PUBLISH {a}x y", "PUBSUB NUMSUB a", "EVAL x 1 {a}1", "PROXY EACH GET {a}1", "QUIT"]),
)
REPLY: Final = st.sampled_from(
    [bulk(LARGE.encode()), b"$-1\r\n", b":1\r\n", b"+OK\r\n", b"-ERR no\r\n", array([b"$1\r\na\r\n", b":1\r\n"])]
)


def answers(name: str, replies: list[bytes]) -> Event:
    """The node sends these replies, at most one for each of its open requests."""

    def event(play: Story) -> None:
        for way in {one.key for one in play.sent[name]}:
            conn = play.connection(name, way)
            conn.feed(b"".join(replies[: conn.pending_count() - len(conn.queue)]), play.executor.now)

    return event


STEPS: Final = st.one_of(
    st.lists(REQUEST, min_size=1, max_size=4).map(lambda texts: client(*texts)),
    st.lists(REQUEST, min_size=1, max_size=2).map(lambda texts: client(*texts, name="you")),
    st.tuples(st.sampled_from("abc"), st.lists(REPLY, min_size=1, max_size=5)).map(lambda pair: answers(*pair)),
    st.sampled_from("abc").map(lost),
    st.sampled_from("abc").map(refused),
    st.sampled_from([0.05, 0.7]).map(tick),
    st.sampled_from(["me", "you"]).map(gone),
)


def play_on(play: Story, steps: list[Event]) -> None:
    """Take all steps, and check the accounts after each of them."""
    for step in steps:
        step(play)
        play.settle()
        accounts.check(play.proxy)


@given(st.lists(STEPS, max_size=25))
def test_the_accounts_of_a_ring(steps: list[Event]) -> None:
    """After every step the accounts are what is held, none is negative, and in the end all are 0."""
    play = story(ring("a", "b", "c"))
    play_on(play, steps)
    at_rest(play)


@given(st.lists(STEPS, max_size=25))
def test_the_accounts_of_copies(steps: list[Event]) -> None:
    """As in a ring, where every node gets every write."""
    play = story(copies("a", "b", "c"))
    play_on(play, steps)
    at_rest(play)


def at_rest(play: Story) -> None:
    """All clients disconnect, and every deadline passes."""
    play_on(play, [tick(1.0), gone("me"), gone("you"), *[tick(1.0)] * 20])
    assert not play.proxy.sessions
    for conn in play.executor.all_connections():
        assert conn.queue_bytes == conn.out_bytes == 0
