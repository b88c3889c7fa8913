"""`kidoproxy.session.pubsub.counts`: what a node counts as one is as many as our clients."""

import pytest

from kidoproxy.session.pubsub.counts import correct_count
from tests.session.pubsub.pubsub_story import granted, pubsub
from tests.story import Story, client, copies, lost, node, refused, ring, tick, to, to_client, unheard


def three() -> Story:
    """Three clients: two have ``{a}x``, two have patterns that it fits."""
    return (
        pubsub(ring("a", "b"))
        >> granted("SUBSCRIBE {a}x", "PSUBSCRIBE {a}*", name="one")
        >> granted("SUBSCRIBE {a}x", "PSUBSCRIBE {a}* q*", name="two", proto=3)
        >> granted("SSUBSCRIBE {a}x", name="three")
    )


@pytest.mark.parametrize(
    ("request_", "on", "node_reply", "client_reply"),
    [
        ("PUBLISH {a}x m", "a", ":2", ":4"),
        ("PUBLISH {a}x m", "a", ":5", ":7"),
        ("PUBLISH {a}x m", "a", ":0", ":0"),
        ("PUBLISH {a}y m", "a", ":1", ":2"),
        ("PUBLISH {b}y m", "b", ":0", ":0"),
        ("PUBLISH {b}y m", "b", ":3", ":3"),
        ("SPUBLISH {a}x m", "a", ":1", ":1"),
        ("SPUBLISH {b}x m", "b", ":1", ":1"),
        ("PUBLISH {a}x m", "a", "-NOPERM no", "-NOPERM no"),
    ],
)
def test_who_is_reached(request_: str, on: str, node_reply: str, client_reply: str) -> None:
    """The node's number, with our clients in the place of our own subscriptions; others of its clients stay."""
    three() >> client(request_) << to(on, request_) >> node(on, node_reply) << to_client(client_reply)


def test_who_has_subscribed() -> None:
    """PUBSUB NUMSUB adds up the nodes, and counts our clients; so does SHARDNUMSUB."""
    (
        three()
        >> client("PUBSUB NUMSUB {a}x {a}y")
        << to("a", "PUBSUB NUMSUB {a}x {a}y")
        << to("b", "PUBSUB NUMSUB {a}x {a}y")
        >> node("a", "*4 $4 {a}x :1 $4 {a}y :2")
        >> node("b", "*4 $4 {a}x :5 $4 {a}y :1")
        << to_client("*4 $4 {a}x :7 $4 {a}y :3")
        >> client("PUBSUB SHARDNUMSUB {a}x")
        << to("a", "PUBSUB SHARDNUMSUB {a}x")
        << to("b", "PUBSUB SHARDNUMSUB {a}x")
        >> node("a", "*2 $4 {a}x :1")
        >> node("b", "*2 $4 {a}x :0")
        << to_client("*2 $4 {a}x :1")
    )


def test_which_there_are() -> None:
    """PUBSUB CHANNELS names each channel once; NUMPAT is the greatest number."""
    (
        three()
        >> client("PUBSUB CHANNELS", "PUBSUB NUMPAT")
        << to("a", "PUBSUB CHANNELS", "PUBSUB NUMPAT")
        << to("b", "PUBSUB CHANNELS", "PUBSUB NUMPAT")
        >> node("a", "*2 $1 x $1 y", ":2")
        >> node("b", "*2 $1 y $1 z", ":3")
        << to_client("*3 $1 x $1 y $1 z", ":3")
    )


def test_a_channel_of_all_nodes() -> None:
    """A client that is listened for on every node is one subscriber."""
    (
        pubsub(ring("a", "b"))
        >> granted("SUBSCRIBE __keyevent@0__:set")
        >> client("PUBSUB NUMSUB __keyevent@0__:set", name="you")
        << to("a", "PUBSUB NUMSUB __keyevent@0__:set")
        << to("b", "PUBSUB NUMSUB __keyevent@0__:set")
        >> node("a", "*2 $18 __keyevent@0__:set :1")
        >> node("b", "*2 $18 __keyevent@0__:set :1")
        << to_client("*2 $18 __keyevent@0__:set :1", name="you")
    )


def test_while_a_node_is_not_listened_to() -> None:
    """Clients that get nothing are not counted: the node's number is the truth."""
    play = three() >> refused("a+")
    unheard(play)
    play >> client("PUBLISH {a}x m") << to("a", "PUBLISH {a}x m") >> node("a", ":0") << to_client(":0")


def test_a_node_that_is_down() -> None:
    """PUBLISH to it is an error; where a miss is wanted nobody was reached, and that is the answer."""
    play = pubsub(ring("a", miss_on_down=True), shy=True)
    play >> client("PUBLISH {a}x m") >> refused("a") << to_client(":0")
    assert play.executor.dropped_writes == 1
    play = pubsub(ring("a"), shy=True)
    play >> client("PUBLISH {a}x m") >> refused("a") << to_client("-NODEDOWN a a:6379 (connection refused)")


def test_it_is_never_repeated() -> None:
    """A message whose fate is unknown is not sent again: nobody gets it twice."""
    (
        pubsub(copies("a", "b"))
        >> client("PUBLISH x m")
        << to("a", "PUBLISH x m")
        >> lost("a")
        << to_client("-NODEDOWN a a:6379 (it closed the connection); the write may have run, its outcome is unknown")
        >> client("PUBLISH x m")
        << to("a", "PUBLISH x m")
        >> tick(0.6)
        << to_client("-TIMEOUT a a:6379 (no reply in 500 ms); the write may have run, its outcome is unknown")
    )


def test_corrected() -> None:
    """Our share goes, our clients come; less than our share means that the node did not count us."""
    assert [correct_count(said, 2, 5) for said in (0, 1, 2, 4)] == [0, 1, 5, 7]
