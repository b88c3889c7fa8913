"""Several SUBSCRIBE and UNSUBSCRIBE of one client in a row: sent to the nodes as they come, confirmed in order."""

import pytest

from kidoproxy.session.mode import READY
from tests.session.pubsub.pubsub_story import (
    PubSubStory,
    answers,
    became,
    confirm_all,
    confirms,
    granted,
    message,
    pubsub,
    pushed,
    pushes,
    refuses,
    sent,
    subscriptions_of,
)
from tests.story import Event, Story, client, closed, given, gone, half_closed, open_still, ring, silence, to, to_client


def subscribed(*, proto: int = 2) -> Story:
    """A client that has the channels ``{a}v`` and ``{a}w``."""
    return pubsub(ring("a", "b")) >> granted("SUBSCRIBE {a}v {a}w", proto=proto)


def test_they_are_sent_at_once() -> None:
    """Whatever the node has not confirmed yet: the client may be sent something as soon as it has sent SUBSCRIBE."""
    (
        subscribed()
        >> client("UNSUBSCRIBE {a}v", "SUBSCRIBE {a}x", "SUBSCRIBE {b}y")
        << sent("a", "UNSUBSCRIBE {a}v", "SUBSCRIBE {a}x")
        << sent("b", "SUBSCRIBE {b}y")
        >> client("PUBLISH {b}y m", name="you")
        >> confirms("b", "subscribe {b}y")
        << silence()
        >> confirms("a", "unsubscribe {a}v")
        << to_client(became("unsubscribe", "{a}v", 1))
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 2), became("subscribe", "{b}y", 3))
        << to("b", "PUBLISH {b}y m")
        >> pushes("b", "message {b}y m")
        << to_client(message("message {b}y m"))
    )


def test_counts_are_those_of_their_order() -> None:
    """A name that is left counts in the confirmations of what was asked for before."""
    (
        subscribed()
        >> client("SUBSCRIBE {b}x", "UNSUBSCRIBE {a}v nosuch {a}v", "SSUBSCRIBE {a}s", "UNSUBSCRIBE {a}w")
        << sent("b", "SUBSCRIBE {b}x")
        << sent("a", "UNSUBSCRIBE {a}v", "SSUBSCRIBE {a}s", "UNSUBSCRIBE {a}w")
        >> confirms("a", "unsubscribe {a}v")
        >> confirms("a", "ssubscribe {a}s")
        >> confirms("a", "unsubscribe {a}w")
        << silence()
        >> confirms("b", "subscribe {b}x")
        << to_client(
            became("subscribe", "{b}x", 3),
            became("unsubscribe", "{a}v", 2),
            became("unsubscribe", "nosuch", 2),
            became("unsubscribe", "{a}v", 2),
            became("ssubscribe", "{a}s", 1),
            became("unsubscribe", "{a}w", 1),
        )
    )


def test_a_name_that_was_left_a_moment_ago() -> None:
    """It is left first, and begun again then."""
    (
        subscribed()
        >> client("UNSUBSCRIBE {a}v", "SUBSCRIBE {a}v")
        << sent("a", "UNSUBSCRIBE {a}v")
        >> confirms("a", "unsubscribe {a}v")
        << to_client(became("unsubscribe", "{a}v", 1))
        << sent("a", "SUBSCRIBE {a}v")
        >> confirms("a", "subscribe {a}v")
        << to_client(became("subscribe", "{a}v", 2))
    )


@pytest.mark.parametrize(
    ("second", "count"), [("UNSUBSCRIBE {a}x", 2), ("UNSUBSCRIBE", 2), ("SUBSCRIBE {a}v {a}x", 3), ("PING", 3)]
)
def test_what_waits_for_the_first(second: str, count: int) -> None:
    """A request for a name that is awaited, or for all, and every other command."""
    play = subscribed() >> client("SUBSCRIBE {a}x", second) << sent("a", "SUBSCRIBE {a}x")
    play >> confirms("a", "subscribe {a}x")
    confirm_all(play)
    first = became("subscribe", "{a}x", 3)
    if second == "PING":
        play << to_client(first, "*2 $4 pong", b"$0\r\n\r\n")
    elif second == "UNSUBSCRIBE":
        play << to_client(
            first, *[became("unsubscribe", f"{{a}}{name}", at) for name, at in zip("vwx", (2, 1, 0), strict=True)]
        )
    elif second.startswith("SUB"):
        play << to_client(first, became("subscribe", "{a}v", count), became("subscribe", "{a}x", count))
    else:
        play << to_client(first, became("unsubscribe", "{a}x", count))


def test_other_commands_wait_in_resp3() -> None:
    """They come behind the confirmations, also where subscribers may say anything; so do requests behind an error."""
    (
        subscribed(proto=3)
        >> client("SUBSCRIBE {a}x", "SUBSCRIBE", "SUBSCRIBE {a}y", "GET {a}k")
        << sent("a", "SUBSCRIBE {a}x")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 3, 3), "-ERR wrong number of arguments for 'subscribe' command")
        << sent("a", "SUBSCRIBE {a}y")
        >> confirms("a", "subscribe {a}y")
        << to_client(became("subscribe", "{a}y", 4, 3))
        << to("a", "GET {a}k", on=(3, 0))
    )


def test_one_of_them_is_refused() -> None:
    """Its error stands in its place; the others are what they were."""
    (
        subscribed()
        >> client("SUBSCRIBE {a}x", "SUBSCRIBE {b}y", "SUBSCRIBE {a}z")
        << sent("a", "SUBSCRIBE {a}x", "SUBSCRIBE {a}z")
        << sent("b", "SUBSCRIBE {b}y")
        >> refuses("b", "-NOPERM no")
        << silence()
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 3), "-NOPERM no")
        >> confirms("a", "subscribe {a}z")
        << to_client(became("subscribe", "{a}z", 4))
    )


BOTH = to_client(became("subscribe", "{a}x", 3), became("subscribe", "{a}y", 4))


@pytest.mark.parametrize(("leave", "told"), [(gone(), to_client()), (half_closed(), BOTH)])
def test_a_client_that_sends_nothing_more(leave: Event, told: Event) -> None:
    """It gets its confirmations, then it is closed."""
    play = subscribed() >> client("SUBSCRIBE {a}x", "SUBSCRIBE {a}y")
    play << sent("a", "SUBSCRIBE {a}x", "SUBSCRIBE {a}y") >> leave
    assert play.client("me").session.mode == READY
    answers("a", pushed("subscribe {a}x 1"))(play)
    play.settle()
    assert not play.client("me").session.closing
    answers("a", pushed("subscribe {a}y 1"))(play)
    play << closed() << told
    confirm_all(play)
    assert subscriptions_of(play).topics == [{}, {}, {}]


def test_what_is_cancelled() -> None:
    """RESET waits for its turn; CLIENT KILL does not, and leaves nothing behind."""
    play = subscribed() >> client("SUBSCRIBE {a}x", "UNSUBSCRIBE {a}v", "SUBSCRIBE {b}y", "RESET") << open_still()
    play << sent("a", "SUBSCRIBE {a}x", "UNSUBSCRIBE {a}v") << sent("b", "SUBSCRIBE {b}y")
    play >> given(lambda play: play.client("me").session.close()) << closed()
    assert isinstance(play, PubSubStory)
    play.sent["a+"].clear()
    subscriptions = subscriptions_of(play)
    assert subscriptions.pending_subscriptions == {}
    assert not any(topic.is_needed() for topics in subscriptions.topics for topic in topics.values())
    assert not any(subscriptions.publish_order.pending)


def test_what_is_awaited_is_paid_for() -> None:
    """Names that are awaited or left count with the client's query buffer, until they are confirmed."""
    play = subscribed()
    subscriber = play.client("me").session.subscriber
    assert subscriber is not None
    before = subscriber.memory_bytes
    play >> client("SUBSCRIBE {a}x") << sent("a", "SUBSCRIBE {a}x")
    one_name = subscriber.memory_bytes - before
    assert one_name > 1000
    play >> client("UNSUBSCRIBE nosuch nosuch2")
    assert subscriber.memory_bytes > before + 3 * one_name
    play.context.max_query_bytes = subscriber.memory_bytes
    play >> client("UNSUBSCRIBE nosuch") << closed()
