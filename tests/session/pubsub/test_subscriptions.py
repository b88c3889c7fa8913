"""`kidoproxy.session.pubsub.subscriptions`: one for all clients, and what becomes of a client's request."""

import pytest

from tests.session.pubsub.pubsub_story import (
    answers,
    became,
    confirm_all,
    confirms,
    granted,
    listening_nodes,
    message,
    pubsub,
    pushed,
    pushes,
    refuses,
    sent,
    subscriptions_of,
)
from tests.story import Event, Story, client, copies, given, gone, lost, node, refused, ring, silence, tick, to_client


def test_many_clients_are_one_subscription() -> None:
    """The second client of a name asks nobody; the node is unsubscribed when the last one has left."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x", name="one")
        >> client("SUBSCRIBE {a}x", name="two")
        << to_client(became("subscribe", "{a}x", 1), name="two")
        >> pushes("a", "message {a}x m")
        << to_client(message("message {a}x m"), name="one")
        << to_client(message("message {a}x m"), name="two")
        >> client("UNSUBSCRIBE {a}x", name="one")
        << to_client(became("unsubscribe", "{a}x", 0), name="one")
        >> pushes("a", "message {a}x m")
        << to_client(message("message {a}x m"), name="two")
        >> client("UNSUBSCRIBE {a}x", name="two")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> confirms("a", "unsubscribe {a}x")
        << to_client(became("unsubscribe", "{a}x", 0), name="two")
        >> tick()
        << silence()
    )


def test_both_protocols() -> None:
    """The node's bytes reach RESP3 clients as they are; RESP2 clients know arrays only."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x", name="old")
        >> granted("SUBSCRIBE {a}x", name="other")
        >> granted("SUBSCRIBE {a}x", name="new", proto=3)
        >> pushes("a", "message {a}x m")
        << to_client(message("message {a}x m", 3), name="new")
        << to_client(message("message {a}x m", 2), name="old")
        << to_client(message("message {a}x m", 2), name="other")
    )


def test_the_order_of_subscription() -> None:
    """Subscribers are served in the order in which they came."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x", name="two") >> granted("SUBSCRIBE {a}x", name="one")
    topic = subscriptions_of(play).topics[0][b"{a}x"]
    order = [subscriber.number for subscriber in topic.subscribers.values()]
    assert order == [play.client(name).session.id for name in ("two", "one")]


def test_leaving_a_few_at_a_time() -> None:
    """Kind by kind, so many names at most, until there are none."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x {a}y") >> granted("PSUBSCRIBE {a}*")
    one = next(iter(subscriptions_of(play).topics[0][b"{a}x"].subscribers.values()))
    assert [subscriptions_of(play).unsubscribe_some(one, 1) for _ in range(4)] == [True, True, False, False]


def test_all_or_nothing() -> None:
    """If one node cannot be listened to the request fails, and the other node forgets its part."""
    play = pubsub(ring("a", "b"))
    play.node("b").live = False
    play.node("b").cause = "connection refused"
    (
        play
        >> client("SUBSCRIBE {a}x {b}y")
        << to_client("-NODEDOWN b b:6379 (connection refused)")
        << silence()
        >> client("SUBSCRIBE {a}x")
        << sent("a", "SUBSCRIBE {a}x")
    )


def test_one_node_fails_under_way() -> None:
    """A pattern is subscribed at the nodes that are up, and at the lost one when it is back."""
    (
        pubsub(ring("a", "b"))
        >> client("PSUBSCRIBE p*")
        << sent("a", "PSUBSCRIBE p*")
        << sent("b", "PSUBSCRIBE p*")
        >> confirms("a", "psubscribe p*")
        << silence()
        >> refused("b+")
        << to_client(became("psubscribe", "p*", 1))
        >> pushes("a", "pmessage p* pq m")
        << to_client(message("pmessage p* pq m"))
        >> tick(0.2)
        << sent("b", "PSUBSCRIBE p*")
        >> confirms("b", "psubscribe p*")
        >> pushes("b", "pmessage p* pq n")
        << to_client(message("pmessage p* pq n"))
    )


def test_all_nodes_fail() -> None:
    """With no node there is nobody to subscribe a pattern at; a channel needs its own node."""
    play = pubsub(ring("a", "b")) >> client("PSUBSCRIBE p*") << sent("a", "PSUBSCRIBE p*") << sent("b", "PSUBSCRIBE p*")
    play >> refused("a+") << silence() >> refused("b+") << to_client("-NODEDOWN b b:6379 (connection refused)")
    play >> client("PSUBSCRIBE p*") << to_client("-NODEDOWN a a:6379 (connection refused)")


def test_the_error_of_one_is_not_the_others() -> None:
    """Whoever had the name before keeps it when a request for it and for something else fails."""
    (
        pubsub(ring("a", "b"))
        >> granted("SUBSCRIBE {a}x", name="one")
        >> client("SUBSCRIBE {a}x {b}y", name="two")
        << sent("b", "SUBSCRIBE {b}y")
        >> refuses("b", "-NOPERM no")
        << to_client("-NOPERM no", name="two")
        >> pushes("a", "message {a}x m")
        << to_client(message("message {a}x m"), name="one")
    )


def test_two_wait_for_the_same() -> None:
    """A name that several wait for is asked for once; each gets its own confirmation, or the same error."""
    (
        pubsub(ring("a", "b"))
        >> client("SUBSCRIBE {a}x", name="one")
        << sent("a", "SUBSCRIBE {a}x")
        >> client("SUBSCRIBE {a}x {b}y", name="two")
        << sent("b", "SUBSCRIBE {b}y")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1), name="one")
        >> confirms("b", "subscribe {b}y")
        << to_client(became("subscribe", "{a}x", 1), became("subscribe", "{b}y", 2), name="two")
    )


def test_a_subscription_that_is_late() -> None:
    """No node may keep a client waiting: it gets TIMEOUT, the node's name, and nothing of its request."""
    (
        pubsub(ring("a", "b"))
        >> client("SUBSCRIBE {a}x {b}y")
        << sent("a", "SUBSCRIBE {a}x")
        << sent("b", "SUBSCRIBE {b}y")
        >> confirms("a", "subscribe {a}x")
        >> tick(0.45)
        << silence()
        >> given(late)
        << to_client("-TIMEOUT b b:6379 (no reply in 500 ms)")
        << sent("a", "UNSUBSCRIBE {a}x")
    )


def late(play: Story) -> None:
    """The deadline passes, as far as the subscriptions look at it."""
    play.executor.now += 0.1
    for one in play.ticking:
        one(play.executor.now)


def test_a_client_that_leaves_does_not_wait_long() -> None:
    """Its subscription has ended here at once; a silent node keeps it waiting no longer than the deadline."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x {a}y")
        >> client("UNSUBSCRIBE {a}x")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> tick(0.45)
        << silence()
        >> given(late)
        << to_client(became("unsubscribe", "{a}x", 1))
        >> pushes("a", "message {a}x m")
        << silence()
    )


def test_a_client_that_leaves_while_another_comes() -> None:
    """A name that is wanted again before the node has ended it is begun anew, and only then confirmed."""
    (
        pubsub(ring("a"))
        >> granted("SUBSCRIBE {a}x", name="one")
        >> client("UNSUBSCRIBE {a}x", name="one")
        << sent("a", "UNSUBSCRIBE {a}x")
        >> client("SUBSCRIBE {a}x", name="two")
        << silence()
        >> confirms("a", "unsubscribe {a}x")
        << to_client(became("unsubscribe", "{a}x", 0), name="one")
        << sent("a", "SUBSCRIBE {a}x")
        >> confirms("a", "subscribe {a}x")
        << to_client(became("subscribe", "{a}x", 1), name="two")
    )


@pytest.mark.parametrize("end", [gone(), given(lambda play: play.client("me").session.close())])
def test_a_client_that_goes_while_it_leaves(end: Event) -> None:
    """It waits for nothing any more."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x {a}y") >> client("UNSUBSCRIBE {a}x")
    play << sent("a", "UNSUBSCRIBE {a}x") >> end
    play.client("me").received = b""
    answers("a", pushed("unsubscribe {a}x 1"))(play)
    confirm_all(play)
    play >> tick()
    assert listening_nodes(play) == []


def test_leaving_a_node_that_is_lost() -> None:
    """A connection that is gone has ended every subscription on it."""
    (
        pubsub(ring("a", "b"))
        >> granted("SUBSCRIBE {a}x {b}y")
        >> client("UNSUBSCRIBE")
        << sent("a", "UNSUBSCRIBE {a}x")
        << sent("b", "UNSUBSCRIBE {b}y")
        >> confirms("b", "unsubscribe {b}y")
        >> lost("a+")
        << to_client(became("unsubscribe", "{a}x", 1), became("unsubscribe", "{b}y", 0))
    )


def test_a_message_behind_half_a_reply() -> None:
    """A message never gets into a large reply that has left in part; it follows it."""
    big = b"$100000\r\n" + b"x" * 100_000 + b"\r\n"
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x", proto=3) >> client("GET {a}k", "GET {a}l")
    play.sent["a"].clear()
    play >> node("a", big[:50_000], on=(3, 0)) << to_client(big[:50_000])
    play >> pushes("a", "message {a}x 1") >> pushes("a", "message {a}x 2") << silence()
    play >> node("a", big[50_000:], "$1 v", on=(3, 0))
    play << to_client(big[50_000:], message("message {a}x 1", 3), message("message {a}x 2", 3), "$1 v")


def test_what_was_subscribed() -> None:
    """INFO counts the names that some client has, not those that somebody waits for."""
    play = pubsub(copies("a", "b")) >> granted("SUBSCRIBE x y", "PSUBSCRIBE p*") >> client("SUBSCRIBE z", name="you")
    assert [subscriptions_of(play).subscribed_count(kind) for kind in (0, 1, 2)] == [2, 1, 0]
    assert play.proxy.messages_delivered() == 0
    play << sent("a", "SUBSCRIBE z") >> node("a+", pushed("message x m")) << to_client(message("message x m"))
    assert play.proxy.messages_delivered() == 1
