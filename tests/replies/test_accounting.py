"""What is held for somebody, in bytes: never less than what is there, and nothing when nothing is."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidoproxy.replies.accounting import HALF_REPLY, OUTPUT_LIMIT, InFlightBytes, ReplyAccounting
from kidoproxy.replies.aggregate import AggregateSlot, ListReplies
from kidoproxy.replies.queue import PendingWrites, ReplyQueue
from kidoproxy.resp import limits
from kidoproxy.resp.encode import array, bulk
from kidoproxy.session.mode import READY
from tests import accounts
from tests.story import Event, Story, client, copies, gone, lost, refused, ring, story, tick, unheard

#: Larger than what an account passes over.
LARGE: Final = "x" * 20_000
STEP: Final = int(limits.IN_FLIGHT_MARK_BYTES)


def test_kinds_must_say() -> None:
    """What a ledger does is for the ledger to say."""
    owing = ReplyAccounting()
    for act in (owing.schedule_write, owing.open_count):
        with pytest.raises(NotImplementedError):
            act()


@given(st.lists(st.integers(0, 3 * STEP), max_size=30), st.lists(st.integers(0, 30), max_size=30))
def test_in_flight(sizes: list[int], answered: list[int]) -> None:
    """Requests are answered in order: it never says less than what is under way, and little more."""
    flight, over = InFlightBytes(), 0
    for number, (size, more) in enumerate(zip(sizes, answered + [0] * 30, strict=False), 1):
        flight.add(size, number)
        over = min(number, over + more)
        flight.mark_answered(over)
        held = sum(sizes[over:number])
        assert held <= flight.size() <= held + STEP + max(sizes[: over + 1])
    flight.clear()
    assert (flight.size(), flight.mark_numbers, flight.mark_totals) == (0, [], [])


def test_messages_between() -> None:
    """A message takes a place of its own before all that is marked, and is no request."""
    flight = InFlightBytes()
    flight.add(STEP, 1)
    flight.shift_marks()
    flight.mark_answered(1)
    assert flight.size() == STEP
    flight.mark_answered(2)
    assert flight.size() == 0


def test_early_replies_are_counted() -> None:
    """A reply that is not due is held until it is; a silent one is not even kept, one in its turn never counts."""
    replies = ReplyQueue(PendingWrites())
    calls = [replies.open_pending(None) for _ in range(4)]
    calls[2].suppressed = True
    for pending, held in ((calls[3], 4), (calls[2], 4), (calls[1], 8)):
        pending.on_reply(b"1234")
        assert replies.held_reply_bytes == held
    assert calls[2].reply == b""
    calls[0].on_reply(b"0")
    assert (replies.held_reply_bytes, b"".join(replies.take_output())) == (0, b"012341234")


def test_a_silent_head() -> None:
    """What is held leaves behind a reply that is not told."""
    replies = ReplyQueue(PendingWrites())
    first, second = replies.open_pending(None), replies.open_pending(None)
    first.suppressed = True
    second.on_reply(b"1234")
    first.on_reply(b"0")
    assert (replies.held_reply_bytes, b"".join(replies.take_output())) == (0, b"1234")


def test_parts_are_counted() -> None:
    """Of a reply that several nodes make, what is there already is held for the client, however deep it lies."""

    replies = ReplyQueue(PendingWrites())
    outer = ListReplies(replies.open_pending(None), 2, False)
    inner = ListReplies(AggregateSlot(outer, 1), 2, False)
    inner.set_reply(0, b":12\r\n")
    assert replies.held_reply_bytes == 5
    outer.set_reply(0, b"+a\r\n")
    assert replies.held_reply_bytes == 9
    inner.set_reply(1, b"+b\r\n")
    assert (replies.held_reply_bytes, b"".join(replies.take_output())) == (0, b"*2\r\n+a\r\n*2\r\n:12\r\n+b\r\n")


def test_much_is_looked_at() -> None:
    """Past a bound the ledger asks for a write, for whoever writes knows the limit; once a turn is enough."""
    turn = PendingWrites()
    replies = ReplyQueue(turn)
    replies.open_pending(None)
    for _ in range(3):
        replies.open_pending(None).on_reply(b"x" * (limits.CLIENT_PAUSE_BYTES // 2 + 1))
    assert (turn.reply_queues, replies.backlogged, replies.is_below_limits()) == ([replies], True, False)


def test_condemned() -> None:
    """The first reason stands, and one write will do."""
    turn = PendingWrites()
    replies = ReplyQueue(turn)
    replies.request_disconnect(OUTPUT_LIMIT)
    replies.request_disconnect(HALF_REPLY)
    assert (replies.disconnect_reason, turn.reply_queues) == (OUTPUT_LIMIT, [replies])


def test_waived() -> None:
    """Whoever goes is not counted any more."""
    replies = ReplyQueue(PendingWrites())
    replies.open_pending(None)
    replies.open_pending(None).on_reply(b"1234")
    replies.discard_pending()
    assert replies.held_reply_bytes == 0
    replies.add_held_bytes(-4)
    assert replies.held_reply_bytes == 0


def test_no_further_request_while_much_waits() -> None:
    """A slow node before many large replies of others: the next request waits until they could leave."""
    half = "y" * (limits.CLIENT_PAUSE_BYTES // 2)
    play = story(ring("a", "b")) >> client("GET {a}1", "GET {b}1", "GET {b}2", "GET {b}3")
    unheard(play)
    for _ in range(3):
        play.link("b").feed(bulk(half.encode()), play.exchange.now)
    play.settle()
    session = play.guest("me").session
    session.feed(b"GET {b}4\r\n")
    assert (session.mode != READY, session.wants_input()) == (True, False)
    session.feed(b"GET {b}5\r\n")
    play.settle()
    assert play.told["b"] == []
    play.link("a").feed(b"$-1\r\n", play.exchange.now)
    play.settle()
    assert len(play.told["b"]) == 2


# -- at every step -------------------------------------------------------------------------------------------------

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
    """The node answers so many of what it was asked."""

    def event(play: Story) -> None:
        for way in {one.way for one in play.told[name]}:
            conn = play.link(name, way)
            conn.feed(b"".join(replies[: conn.pending_count() - len(conn.queue)]), play.exchange.now)

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
    """Whatever comes of it is looked at: accounts are right after every step."""
    for step in steps:
        step(play)
        play.settle()
        accounts.check(play.house)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_the_accounts_of_a_ring(steps: list[Event]) -> None:
    """After every step the accounts are what is held, none is below zero, and all end at zero."""
    play = story(ring("a", "b", "c"))
    play_on(play, steps)
    at_rest(play)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_the_accounts_of_copies(steps: list[Event]) -> None:
    """The same where every node gets every write."""
    play = story(copies("a", "b", "c"))
    play_on(play, steps)
    at_rest(play)


def at_rest(play: Story) -> None:
    """Everybody goes, and every deadline passes; what had come whole is run, one request after the other."""
    play_on(play, [tick(1.0), gone("me"), gone("you"), *[tick(1.0)] * 20])
    assert not play.house.sessions
    for conn in play.exchange.all_connections():
        assert conn.queue_bytes == conn.out_bytes == 0
