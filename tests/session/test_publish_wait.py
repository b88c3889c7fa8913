"""`kidoproxy.session.publish_wait`: a message reaches all who subscribed before it, as on one Redis server."""

import pytest

from tests.session.pubsub.pubsub_story import (
    PubSubStory,
    became,
    confirms,
    granted,
    message,
    pubsub,
    pushes,
    refuses,
    sent,
    subscriptions_of,
)
from tests.story import (
    Event,
    Story,
    client,
    closed,
    copies,
    given,
    gone,
    greeted,
    lost,
    node,
    refused,
    ring,
    silence,
    tick,
    to,
    to_client,
)


def subscribing() -> Story:
    """A client has sent SUBSCRIBE, and the node has not answered."""
    return pubsub(ring("a")) >> client("SUBSCRIBE {a}x") << sent("a", "SUBSCRIBE {a}x")


def in_one_turn(*requests: tuple[str, str]) -> Event:
    """What these clients have sent is read in one turn of the loop, in this order."""

    def event(play: Story) -> None:
        for name, text in requests:
            client(text, name=name)(play)

    return event


def test_it_waits_for_the_confirmation() -> None:
    """And the client's later requests wait behind it; others do not, nor do messages to other channels."""
    (
        subscribing()
        >> client("PUBLISH {a}x m", "GET {a}k", name="you")
        << silence()
        >> client("PUBLISH {a}y m", "GET {a}k", name="they")
        << to("a", "PUBLISH {a}y m", "GET {a}k")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1))
        << to("a", "PUBLISH {a}x m", "GET {a}k")
        >> pushes("a", "message {a}x m")
        << to_client(message("message {a}x m"))
    )


@pytest.mark.parametrize(
    ("subscribe", "publish", "confirmed"),
    [
        ("SUBSCRIBE {a}x", "PUBLISH {a}x m", "subscribe {a}x"),
        ("PSUBSCRIBE {a}*", "PUBLISH {a}x m", "psubscribe {a}*"),
        ("SSUBSCRIBE {a}x", "SPUBLISH {a}x m", "ssubscribe {a}x"),
    ],
)
def test_while_the_node_is_connected_to(subscribe: str, publish: str, confirmed: str) -> None:
    """However long the handshake takes, within the deadline."""
    play = pubsub(ring("a"), shy=True) >> client("GET {a}k", name="you") >> greeted("a") << to("a", "GET {a}k")
    play >> node("a", "$1 v") << to_client("$1 v", name="you") >> client(subscribe) >> client(publish, name="you")
    play >> tick(0.3) << silence() >> greeted("a+") << sent("a", subscribe) >> confirms("a", confirmed)
    play << to_client(became(*confirmed.partition(" ")[::2], 1)) << to("a", publish)


@pytest.mark.parametrize("publish", ["PUBLISH {b}y m", "SPUBLISH {a}x m"])
def test_what_is_not_for_it(publish: str) -> None:
    """A message that could not reach the subscription does not wait."""
    play = pubsub(ring("a", "b")) >> client("SUBSCRIBE {a}x") << sent("a", "SUBSCRIBE {a}x")
    play >> client(publish, name="you") << to(publish.split("}")[0][-1], publish)


def test_all_of_a_subscription() -> None:
    """A client has none of its names before it has all of them, so a message to any of them waits."""
    (
        pubsub(ring("a", "b"))
        >> client("SUBSCRIBE {a}x {b}y")
        << sent("a", "SUBSCRIBE {a}x")
        << sent("b", "SUBSCRIBE {b}y")
        >> confirms("a", "subscribe {a}x")
        >> client("PUBLISH {a}x m", name="you")
        << silence()
        >> confirms("b", "subscribe {b}y")
        << to_client(became("subscribe", "{a}x", 1), became("subscribe", "{b}y", 2))
        << to("a", "PUBLISH {a}x m")
    )


def test_a_refusal_ends_the_wait() -> None:
    """Nobody will hear it, and it is sent."""
    (
        subscribing()
        >> client("PUBLISH {a}x m", name="you")
        >> refuses("a", "-NOPERM no")
        << to_client("-NOPERM no")
        << to("a", "PUBLISH {a}x m")
    )


def test_a_lost_node_ends_the_wait() -> None:
    """Who waits for the subscription gets the error, and the message is sent."""
    play = subscribing() >> client("PUBLISH {a}x m", name="you") >> refused("a+")
    play << to_client("-NODEDOWN a a:6379 (connection refused)") << to("a", "PUBLISH {a}x m")
    play.sent["a+"].clear()


def test_the_end_of_a_client_ends_the_wait() -> None:
    """A client that was killed waits for nothing."""
    play = subscribing() >> client("PUBLISH {a}x m", name="you")
    play >> given(lambda play: play.client("me").session.close()) << to("a", "PUBLISH {a}x m")


def test_the_deadline_ends_the_wait() -> None:
    """Who subscribed before the message has TIMEOUT by then; who comes later cannot hold it any longer."""
    (
        subscribing()
        >> tick(0.2)
        >> client("PUBLISH {a}x m", name="you")
        >> client("SUBSCRIBE {a}x", name="late")
        >> tick(0.35)
        << to("a+", "PING")
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms)")
        >> client("SUBSCRIBE {a}x", name="later")
        >> tick(0.2)
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms)", name="late")
        << to("a", "PUBLISH {a}x m")
    )


def test_in_a_transaction() -> None:
    """EXEC waits as a whole, as its node runs it as a whole; one that could not reach the subscription does not."""
    (
        subscribing()
        >> client("MULTI", "SET {a}k v", "PUBLISH {a}y m", "EXEC", name="they")
        << to_client("+OK", "+QUEUED", "+QUEUED", name="they")
        << to("a", "MULTI", "SET {a}k v", "PUBLISH {a}y m", "EXEC")
        >> client("MULTI", "SET {a}k v", "EXEC", name="she")
        << to_client("+OK", "+QUEUED", name="she")
        << to("a", "MULTI", "SET {a}k v", "EXEC")
        >> client("MULTI", "SET {a}k v", "PUBLISH {a}x m", "EXEC", name="you")
        << to_client("+OK", "+QUEUED", "+QUEUED", name="you")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1))
        << to("a", "MULTI", "SET {a}k v", "PUBLISH {a}x m", "EXEC")
    )


def test_what_is_read_in_one_turn() -> None:
    """The order in which sockets are read is not the one in which was written: subscriptions come first."""
    (
        pubsub(copies("a", "b"))
        >> granted("SUBSCRIBE y", name="they")
        >> in_one_turn(("you", "PUBLISH x m"), ("me", "SUBSCRIBE x"))
        << sent("a", "SUBSCRIBE x")
        >> confirms("a", "subscribe x")
        << to_client(became("subscribe", "x", 1))
        << to("a", "PUBLISH x m")
    )


def test_where_nobody_has_ever_subscribed() -> None:
    """Nothing waits, not even for the end of the turn."""
    play = pubsub(ring("a"))
    client("PUBLISH {a}x m")(play)
    assert play.client("me").session.suspended_request is None
    play << to("a", "PUBLISH {a}x m")


def test_several_messages_in_one_turn() -> None:
    """They keep their order."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}y", name="they")
        >> client("PUBLISH {a}x 1", "PUBLISH {a}x 2", "SET {a}k v", "PUBLISH {a}x 3")
        << to("a", "PUBLISH {a}x 1", "PUBLISH {a}x 2", "SET {a}k v", "PUBLISH {a}x 3")
    )


def test_a_client_that_leaves_while_its_message_waits() -> None:
    """What it has sent whole is run, as on a server."""
    (
        subscribing()
        >> client("PUBLISH {a}x m", name="you")
        >> gone("you")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1))
        << to("a", "PUBLISH {a}x m")
    )


def test_a_client_that_is_killed_while_its_message_waits() -> None:
    """Nothing of it is sent."""
    play = subscribing() >> client("PUBLISH {a}x m", name="you")
    play >> given(lambda play: play.client("you").session.close()) << closed("you")
    play >> confirms("a", "subscribe {a}x") << to_client(became("subscribe", "{a}x", 1)) << silence()
    assert isinstance(play, PubSubStory)
    assert subscriptions_of(play).publish_order.held == {}


def test_what_clients_have_is_subscribed_anew() -> None:
    """Until the node has confirmed it again a message waits, so that it is not lost for who knows of nothing."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x")
        >> lost("a+")
        << sent("a", "SUBSCRIBE {a}x")
        >> client("PUBLISH {a}x m", name="you")
        << silence()
        >> confirms("a", "subscribe {a}x")
        << to("a", "PUBLISH {a}x m")
    )


def test_a_node_that_stays_away() -> None:
    """When the attempt has failed, or the node refuses, nothing is waited for."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x") >> lost("a+") << sent("a", "SUBSCRIBE {a}x")
    play >> client("PUBLISH {a}x 1", name="you") >> refused("a+") << to("a", "PUBLISH {a}x 1")
    play >> client("PUBLISH {a}x 2", name="they") << to("a", "PUBLISH {a}x 2") >> tick(0.2)
    play << sent("a", "SUBSCRIBE {a}x") >> refuses("a", "-NOPERM no")
    play >> client("PUBLISH {a}x 3", name="she") << to("a", "PUBLISH {a}x 3")


def test_a_subscription_during_a_reconnect() -> None:
    """One client has it, another one wants it: both get the message."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x", name="they")
        >> lost("a+")
        << sent("a", "SUBSCRIBE {a}x")
        >> client("SUBSCRIBE {a}x")
        >> client("PUBLISH {a}x m", name="you")
        << silence()
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1))
        << to("a", "PUBLISH {a}x m")
    )
