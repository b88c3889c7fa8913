"""`kidoproxy.session.pubsub.batch`: what a batch says, and the number by which its end is known."""

import pytest

from kidoproxy.commands.spec import CHANNEL, PATTERN, SHARD
from kidoproxy.resp.encode import encode_request
from kidoproxy.session.pubsub.batch import SubscriptionBatch, echoed_number
from kidoproxy.session.pubsub.upstream_subscriber import MAX_BATCHES
from tests.session.pubsub.pubsub_story import (
    asks,
    became,
    confirms,
    granted,
    listener,
    pubsub,
    pushes,
    refuses,
    sent,
)
from tests.story import Story, client, given, gone, greeted, ring, silence, tick, to_client


@pytest.mark.parametrize(
    ("kind", "subscribes", "word"),
    [
        (CHANNEL, True, b"subscribe"),
        (CHANNEL, False, b"unsubscribe"),
        (PATTERN, True, b"psubscribe"),
        (SHARD, False, b"sunsubscribe"),
    ],
)
def test_what_is_sent(kind: int, subscribes: bool, word: bytes) -> None:
    """One command, and a PING with the batch's number."""
    batch = SubscriptionBatch(kind, subscribes, [b"x", b"y"])
    batch.number = 7
    assert batch.request() == encode_request([word, b"x", b"y"]) + encode_request([b"PING", b"7"])
    assert repr(batch) == f"<batch 7: {word.decode()}, 2 unconfirmed>"


def test_halves() -> None:
    """What is unconfirmed is cut in two, in order, neither of them empty."""
    batch = SubscriptionBatch(PATTERN, True, [b"v", b"w", b"x", b"y"])
    del batch.unconfirmed[b"w"]
    halves = batch.halves()
    assert [list(half.unconfirmed) for half in halves] == [[b"v", b"x"], [b"y"]]
    assert {(half.kind, half.subscribes, half.number) for half in halves} == {(PATTERN, True, 0)}


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"$2\r\n17\r\n", 17),
        (b"$0\r\n\r\n", 0),
        (b"$-1\r\n", 0),
        (b"$1\r\nx\r\n", 0),
        (b"+PONG\r\n", 0),
        (b"-ERR 5\r\n", 0),
        (b":5\r\n", 0),
    ],
)
def test_echoes(raw: bytes, number: int) -> None:
    """The answer to a PING with a number is that number as a string; nothing else is."""
    assert echoed_number(raw) == number


# -- several of them ----


def test_batches_are_pipelined() -> None:
    """What is wanted while a batch is under way goes out at once, behind it."""
    (
        pubsub(ring("a"))
        >> asks("x")
        << sent("a", "SUBSCRIBE {a}x")
        >> asks("y", "z")
        << sent("a", "SUBSCRIBE {a}y", "SUBSCRIBE {a}z")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1), name="x")
        >> confirms("a", "subscribe {a}y")
        << to_client(became("subscribe", "{a}y", 1), name="y")
        >> confirms("a", "subscribe {a}z")
        << to_client(became("subscribe", "{a}z", 1), name="z")
    )


def busy() -> Story:
    """As many batches as may be are under way, one for each ``n0``, ``n1`` …; ``x`` is there."""
    names = [f"n{number}" for number in range(MAX_BATCHES)]
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x", name="x") >> asks(*names)
    return play << sent("a", *[f"SUBSCRIBE {{a}}{name}" for name in names])


def test_only_so_many_are_under_way() -> None:
    """What is wanted beyond goes out together as soon as one is done."""
    play = busy() >> asks("y", "z") << silence() >> confirms("a", "subscribe {a}n0")
    play << to_client(became("subscribe", "{a}n0", 1), name="n0") << sent("a", "SUBSCRIBE {a}y {a}z")
    assert len(listener(play).batches) == MAX_BATCHES


def test_both_directions_wait() -> None:
    """What begins and what ends leaves in batches of its own."""
    play = busy() >> asks("y") >> gone("x") >> asks("z") >> confirms("a", "subscribe {a}n0")
    play << to_client(became("subscribe", "{a}n0", 1), name="n0") << sent("a", "SUBSCRIBE {a}y {a}z")
    play >> confirms("a", "subscribe {a}n1") << to_client(became("subscribe", "{a}n1", 1), name="n1")
    play << sent("a", "UNSUBSCRIBE {a}x")


def test_the_end_of_one_name_does_not_delay_another() -> None:
    """A SUBSCRIBE is not behind the answer to an UNSUBSCRIBE: its client may be sent something at once."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x", name="x")
        >> gone("x")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> asks("y")
        << sent("a", "SUBSCRIBE {a}y")
    )


def test_begin_and_end_are_not_mixed() -> None:
    """A batch begins or ends subscriptions, and is of one kind."""
    (
        pubsub(ring("a"), shy=True)
        >> client("SUBSCRIBE {a}x", name="x")
        >> client("SUBSCRIBE {a}y", name="y")
        >> client("PSUBSCRIBE p*", name="p")
        >> greeted("a+")
        << sent("a", "SUBSCRIBE {a}x {a}y", "PSUBSCRIBE p*")
        >> given(lambda play: play.client("x").session.close())
        >> client("SUBSCRIBE {a}z", name="z")
        << sent("a", "SUBSCRIBE {a}z")
        >> confirms("a", "subscribe {a}x", "subscribe {a}y")
        << to_client(became("subscribe", "{a}y", 1), name="y")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> confirms("a", "psubscribe p*")
        << to_client(became("psubscribe", "p*", 1), name="p")
    )


def test_a_change_of_mind() -> None:
    """A name that is in a batch waits for its end; then it is looked at again."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x", name="x")
        >> gone("x")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> client("SUBSCRIBE {a}x", name="w")
        << silence()
        >> asks("y")
        << sent("a", "SUBSCRIBE {a}y")
        >> confirms("a", "unsubscribe {a}x")
        << sent("a", "SUBSCRIBE {a}x")
        >> confirms("a", "subscribe {a}y")
        << to_client(became("subscribe", "{a}y", 1), name="y")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1), name="w")
    )


def test_a_name_that_was_never_sent() -> None:
    """What nobody wants any more when the connection is ready is not asked for; nor is what is under way."""
    play = pubsub(ring("a"), shy=True) >> asks("x", "y") >> given(lambda play: play.client("x").session.close())
    play >> greeted("a+") << sent("a", "SUBSCRIBE {a}y")
    listener(play).mark_dirty(CHANNEL, b"{a}y")
    listener(play).flush()
    play >> confirms("a", "subscribe {a}y") << to_client(became("subscribe", "{a}y", 1), name="y")


def test_a_refused_batch_is_tried_in_halves() -> None:
    """One bad name among many costs nobody else its subscription."""
    (
        pubsub(ring("a"), shy=True)
        >> asks("w", "x", "y", "z")
        >> greeted("a+")
        << sent("a", "SUBSCRIBE {a}w {a}x {a}y {a}z")
        >> refuses("a", "-NOPERM no")
        << sent("a", "SUBSCRIBE {a}w {a}x", "SUBSCRIBE {a}y {a}z")
        >> refuses("a", "-NOPERM no")
        << sent("a", "SUBSCRIBE {a}w", "SUBSCRIBE {a}x")
        >> confirms("a", "subscribe {a}y", "subscribe {a}z")
        << to_client(became("subscribe", "{a}y", 1), name="y")
        << to_client(became("subscribe", "{a}z", 1), name="z")
        >> refuses("a", "-NOPERM no")
        << to_client("-NOPERM no", name="w")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1), name="x")
        # Nobody wants it any more, so it is not asked for again.
        >> tick(1.0)
        << silence()
    )


def test_halves_go_first() -> None:
    """While too much is under way they wait, in front of all that came later; their names are in no other batch."""
    names = [f"n{number}" for number in range(MAX_BATCHES - 1)]
    play = pubsub(ring("a"), shy=True) >> asks("x", "y") >> greeted("a+") << sent("a", "SUBSCRIBE {a}x {a}y")
    play >> asks(*names, "z") << sent("a", *[f"SUBSCRIBE {{a}}{name}" for name in names])
    play >> refuses("a", "-NOPERM no") << sent("a", "SUBSCRIBE {a}x")
    play >> client("SUBSCRIBE {a}y", name="you") << silence() >> pushes("a", "subscribe {a}y 1")
    play << to_client(became("subscribe", "{a}y", 1), name="y") << to_client(became("subscribe", "{a}y", 1), name="you")
    play >> confirms("a", "subscribe {a}n0") << to_client(became("subscribe", "{a}n0", 1), name="n0")
    play << sent("a", "SUBSCRIBE {a}y")
    assert repr(listener(play).batches[-1]) == "<batch 18: subscribe, 1 unconfirmed>"
