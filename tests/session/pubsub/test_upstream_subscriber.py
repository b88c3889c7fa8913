"""`kidoproxy.session.pubsub.upstream_subscriber`: what nodes are asked to send, in which batches, their answers."""

import pytest

from kidoproxy.commands.spec import CHANNEL
from kidoproxy.resp.errors import RESP3_REQUIRED, NodeFailure
from kidoproxy.session.pubsub.upstream_subscriber import UpstreamSubscriberCallbacks
from tests.session.pubsub.pubsub_story import (
    PubSubStory,
    answers,
    asks,
    became,
    confirm_all,
    confirms,
    granted,
    listener,
    message,
    pubsub,
    pushed,
    pushes,
    refuses,
    sent,
)
from tests.story import (
    accepted,
    client,
    greeted,
    lost,
    node,
    refused,
    ring,
    silence,
    tick,
    to,
    to_client,
    unheard,
)


def test_a_node_that_does_not_confirm() -> None:
    """A subscription that is neither confirmed nor refused is an error, not a success."""
    (
        pubsub(ring("a"))
        >> client("SUBSCRIBE {a}x")
        << sent("a", "SUBSCRIBE {a}x")
        >> answers("a")
        << to_client("-ERR the node did not confirm the subscription to '{a}x'")
    )


def test_a_node_that_does_not_let_go() -> None:
    """Whoever leaves has left, whatever the node says; it is asked again later."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x {a}y")
        >> client("UNSUBSCRIBE {a}x")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> refuses("a", "-NOPERM no")
        << to_client(became("unsubscribe", "{a}x", 1))
        >> pushes("a", "message {a}x m")
        << silence()
        >> tick()
        << sent("a", "UNSUBSCRIBE {a}x")
    )


def test_everything_is_said_anew() -> None:
    """After a loss the connection is made again by itself; what clients have comes back without a word to them."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x {a}y", name="x")
        >> granted("PSUBSCRIBE p*", name="p")
        >> lost("a+")
        << sent("a", "SUBSCRIBE {a}x {a}y", "PSUBSCRIBE p*")
        >> pushes("a", "message {a}x early")
        << to_client(message("message {a}x early"), name="x")
        >> confirms("a", "subscribe {a}x", "subscribe {a}y")
        >> confirms("a", "psubscribe p*")
        >> pushes("a", "pmessage p* pq m")
        << to_client(message("pmessage p* pq m"), name="p")
    )


def test_what_is_refused_later_is_asked_for_again() -> None:
    """A client keeps a subscription that the node refuses after a restart; the proxy goes on asking."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x", name="x")
        >> lost("a+")
        << sent("a", "SUBSCRIBE {a}x")
        >> refuses("a", "-NOPERM no")
        << silence()
        >> tick()
        << sent("a", "SUBSCRIBE {a}x")
        >> confirms("a", "subscribe {a}x")
        >> pushes("a", "message {a}x m")
        << to_client(message("message {a}x m"), name="x")
    )


def test_the_node_ends_it() -> None:
    """If the node ends a subscription that is wanted it is begun again."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x")
    play >> node("a+", pushed("unsubscribe {a}x 0")) >> tick() << sent("a", "SUBSCRIBE {a}x")


def test_a_late_answer_is_not_a_lost_one() -> None:
    """Whoever waits gets TIMEOUT; the batch stays under way, and what it brings later is ended again."""
    (
        pubsub(ring("a"))
        >> client("SUBSCRIBE {a}x")
        << sent("a", "SUBSCRIBE {a}x")
        >> tick(0.55)
        << to("a+", "PING")
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms)")
        >> confirms("a", "subscribe {a}x")
        << silence()
        >> answers("a")
        << sent("a", "UNSUBSCRIBE {a}x")
    )


def test_a_late_refusal() -> None:
    """An error that comes after the deadline is not taken for the answer to something later."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x", name="one")
        >> client("SUBSCRIBE {a}y")
        << sent("a", "SUBSCRIBE {a}y")
        >> tick(0.55)
        << to("a+", "PING")
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms)")
        >> client("SUBSCRIBE {a}z", name="two")
        << sent("a", "SUBSCRIBE {a}z")
        >> refuses("a", "-NOPERM no")
        << silence()
        >> answers("a")
        >> confirms("a", "subscribe {a}z")
        << to_client(became("subscribe", "{a}z", 1), name="two")
    )


def test_errors_in_a_row() -> None:
    """Each is for the first batch that has neither been confirmed nor refused; more of them change nothing."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}w", name="w")
        >> asks("x", "y", "z")
        << sent("a", "SUBSCRIBE {a}x", "SUBSCRIBE {a}y", "SUBSCRIBE {a}z")
        >> node("a+", pushed("subscribe {a}x 1"), "-NOPERM one", "-NOPERM two", "-NOPERM three", "+what")
        << to_client(became("subscribe", "{a}x", 1), name="x")
        >> answers("a")
        >> answers("a")
        << to_client("-NOPERM one", name="y")
        >> answers("a")
        << to_client("-NOPERM two", name="z")
        >> asks("v")
        << sent("a", "SUBSCRIBE {a}v")
        >> confirms("a", "subscribe {a}v")
        << to_client(became("subscribe", "{a}v", 1), name="v")
    )


def test_a_later_echo_is_as_good() -> None:
    """Whatever answer is lost: the number of a PING ends all batches that were sent before it."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}w", name="w") >> asks("x", "y")
    play << sent("a", "SUBSCRIBE {a}x", "SUBSCRIBE {a}y")
    assert isinstance(play, PubSubStory)
    play.echo("a")
    play >> confirms("a", "subscribe {a}y")
    play << to_client(became("subscribe", "{a}y", 1), name="y")
    play << to_client("-ERR the node did not confirm the subscription to '{a}x'", name="x")
    assert listener(play).batches == []


def test_a_silent_node_is_given_up() -> None:
    """A connection on which nothing comes at all is made anew, as any other."""
    play = pubsub(ring("a"), shy=True) >> client("SUBSCRIBE {a}x") >> greeted("a+")
    confirm_all(play)
    unheard(play)
    play >> client("SUBSCRIBE {a}y", name="you") << sent("a", "SUBSCRIBE {a}y") >> tick(1.2)
    play.sent["a+"].clear()
    assert listener(play).down_failure() is not None
    assert play.client("you").received == b"-TIMEOUT a a:6379 (no reply in 500 ms)\r\n"


def test_nobody_waits_for_a_node_that_is_down() -> None:
    """While the connection waits for its next attempt a subscription fails at once, and says why."""
    play = pubsub(ring("a"), shy=True) >> client("SUBSCRIBE {a}x") >> client("SUBSCRIBE {a}y", name="you")
    (
        play
        >> refused("a+")
        << to_client("-NODEDOWN a a:6379 (connection refused)")
        << to_client("-NODEDOWN a a:6379 (connection refused)", name="you")
        >> client("SUBSCRIBE {a}x")
        << to_client("-NODEDOWN a a:6379 (connection refused)")
    )


def test_a_node_without_resp3() -> None:
    """A node that is too old to be listened to is an error that says so."""
    play = pubsub(ring("a"), shy=True) >> client("SUBSCRIBE {a}x") >> accepted("a+")
    play.sent["a+"].clear()
    play >> node("a+", "-ERR unknown command `HELLO`, with args beginning with: `3`, ", "$9 kidoproxy", "$1 x")
    play << to_client(f"-NODEDOWN a a:6379 ({RESP3_REQUIRED})")


@pytest.mark.parametrize("raw", ["+PONG", ">1 $7 message", ">2 $10 invalidate *0", ">2 $5 other $1 x", ">2 :1 :2"])
def test_what_means_nothing(raw: str) -> None:
    """Pushes that are not about channels are passed over."""
    pubsub(ring("a")) >> granted("SUBSCRIBE {a}x") >> node("a+", raw) << silence()


def test_messages_for_nobody() -> None:
    """A message of a name that nobody has reaches nobody, and a confirmation of one is not kept."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x")
    play >> pushes("a", "message {a}y m", "subscribe {a}z 1", "unsubscribe {a}z 1", "psubscribe q 1") << silence()
    assert repr(listener(play)) == "<upstream subscriber on a, 1 names>"


def test_a_node_that_ends_it_by_itself() -> None:
    """What clients still want is asked for again, whatever was asked for last."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x") >> granted("PSUBSCRIBE q")
    play >> pushes("a", "unsubscribe {a}x 0")
    listener(play).flush()
    play << sent("a", "SUBSCRIBE {a}x")


def test_the_connection_may_be_full() -> None:
    """A fence that cannot be sent, or whose connection is lost, does nothing by itself."""
    play = pubsub(ring("a")) >> asks("x") << sent("a", "SUBSCRIBE {a}x")
    before = play.connection("a+").pending_count()
    play.connection("a+").reply_handlers[0].on_failure(
        NodeFailure("OVERLOADED", "a", "a:6379", "its queue is full", False)
    )
    assert play.connection("a+").pending_count() == before


def test_an_audience_is_somebody() -> None:
    """Whoever uses an upstream subscriber says what is done with messages."""
    nobody = UpstreamSubscriberCallbacks()
    play = pubsub(ring("a")) >> asks("x")
    subject = listener(play)
    for pending in (
        lambda: nobody.is_wanted(CHANNEL, b""),
        lambda: nobody.candidate_names(CHANNEL),
        lambda: nobody.on_changed(subject, CHANNEL, b""),
        lambda: nobody.on_refused(subject, CHANNEL, b"", b""),
        lambda: nobody.on_message(subject, CHANNEL, b"", b""),
        lambda: nobody.on_connected(subject),
        lambda: nobody.on_disconnected(subject, NodeFailure("NODEDOWN", "a", "a:6379", "gone", False)),
    ):
        with pytest.raises(NotImplementedError):
            pending()
