"""`kidoproxy.session.pubsub.message_source`: a node, or the one copy that is listened to, and its successor."""

from collections.abc import Callable

import pytest

from kidoproxy.commands.spec import CHANNEL
from kidoproxy.replication.group import BEHIND, IN_SYNC
from kidoproxy.resp import errors
from kidoproxy.resp.log_event import LogEvent
from kidoproxy.session.pubsub.message_source import MessageSourceCallbacks
from kidoproxy.session.pubsub.topics import Topic
from tests.session.pubsub.pubsub_story import (
    PubSubStory,
    answers,
    became,
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
from tests.story import (
    Event,
    Story,
    client,
    copies,
    given,
    gone,
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


def state(name: str, state: str) -> Event:
    """The copy is in this state from now on."""

    def event(play: Story) -> None:
        group = play.pool.groups[0]
        group.copy_of(play.node(name)).state = state

    return event


def down(name: str) -> Event:
    """The node's connections are lost, and it cannot be reached."""

    def event(play: Story) -> None:
        play.node(name).live = False
        play.node(name).cause = "connection refused"
        play.shy = True
        refused(name + "+")(play)
        play.settle()
        play.shy = False

    return event


def a_listener() -> Story:
    """A client of two copies that listens to ``news``: copy ``a`` is asked."""
    return pubsub(copies("a", "b")) >> granted("SUBSCRIBE news")


def log_lines(play: Story) -> list[str]:
    """The lines of the log."""
    assert isinstance(play, PubSubStory)
    return play.log_lines


def test_one_copy_is_listened_to() -> None:
    """Channels and patterns are asked of one copy, and messages are sent to the same one."""
    (
        pubsub(copies("a", "b"))
        >> client("SUBSCRIBE news")
        << sent("a", "SUBSCRIBE news")
        >> confirms("a", "subscribe news")
        << to_client(became("subscribe", "news", 1))
        >> client("PSUBSCRIBE n*", name="you")
        << sent("a", "PSUBSCRIBE n*")
        >> confirms("a", "psubscribe n*")
        << to_client(became("psubscribe", "n*", 1), name="you")
        >> client("PUBLISH news m", name="they")
        << to("a", "PUBLISH news m")
        >> node("a", ":2")
        << to_client(":2", name="they")
    )


def test_a_copy_that_falls_behind() -> None:
    """Its successor is subscribed to everything first; then, at one moment, messages go there and come from there."""
    (
        a_listener()
        >> state("a", BEHIND)
        >> tick()
        << sent("b", "SUBSCRIBE news")
        >> client("PUBLISH news 1", name="they")
        << to("a", "PUBLISH news 1")
        >> pushes("b", "message news x")
        << silence()
        >> confirms("b", "subscribe news")
        >> pushes("a", "message news 1")
        << to_client(message("message news 1"))
        >> tick()
        >> client("PUBLISH news 2", name="they")
        << to("b", "PUBLISH news 2")
        >> pushes("b", "message news 2")
        << to_client(message("message news 2"))
        >> given(lambda play: None)
        << silence()
    )


def test_the_old_one_is_hung_up_on() -> None:
    """After the change there is one listening connection, and one line in the log."""
    play = a_listener() >> state("a", BEHIND) >> tick() << sent("b", "SUBSCRIBE news")
    play >> confirms("b", "subscribe news") >> tick()
    assert [conn.node.name for conn in play.executor.unshared_connections] == ["b"]
    assert log_lines(play) == ["listening elsewhere: pool=pair from=a node=b"]
    assert play.pool.groups[0].pubsub_connections == 1


def test_it_stays_where_it_is() -> None:
    """When the first copy is back in sync nothing moves: every move costs messages."""
    play = a_listener() >> state("a", BEHIND) >> tick() << sent("b", "SUBSCRIBE news")
    play >> confirms("b", "subscribe news") >> tick() >> state("a", IN_SYNC) >> tick() << silence()
    assert [conn.node.name for conn in play.executor.unshared_connections] == ["b"]


def test_a_change_of_mind() -> None:
    """If the old copy is in sync again before its successor is ready nothing moves."""
    play = a_listener() >> state("a", BEHIND) >> tick() << sent("b", "SUBSCRIBE news") >> state("a", IN_SYNC) >> tick()
    assert [conn.node.name for conn in play.executor.unshared_connections] == ["a"]
    assert play.pool.groups[0].pubsub_connections == 1
    assert log_lines(play) == []


def test_another_successor() -> None:
    """If the successor fails before it is ready a third copy is subscribed."""
    play = pubsub(copies("a", "b", "c")) >> granted("SUBSCRIBE news") >> state("a", BEHIND) >> tick()
    play << sent("b", "SUBSCRIBE news") >> state("b", BEHIND) >> tick() << sent("c", "SUBSCRIBE news")
    play >> confirms("c", "subscribe news") >> tick()
    assert [conn.node.name for conn in play.executor.unshared_connections] == ["c"]


def test_a_successor_that_dies() -> None:
    """While its connection is lost the old one goes on; nothing is logged."""
    play = a_listener() >> state("a", BEHIND) >> tick() << sent("b", "SUBSCRIBE news")
    play >> refused("b+") >> pushes("a", "message news m") << to_client(message("message news m"))
    assert log_lines(play) == []


def test_a_successor_that_refuses() -> None:
    """Nothing moves before the new copy has all: the old one is still listened to, and PUBLISH goes there."""
    play = a_listener() >> state("a", BEHIND) >> tick() << sent("b", "SUBSCRIBE news")
    play >> refuses("b", "-NOPERM no") >> tick() << silence()
    play >> client("PUBLISH news m", name="they") << to("a", "PUBLISH news m")
    assert log_lines(play) == []


def test_a_copy_that_dies() -> None:
    """Nothing can come from it any more: messages wait for its successor, as soon as that is subscribed."""
    play = a_listener() >> down("a")
    (
        play
        >> client("PUBLISH news 1", name="they")
        << silence()
        >> tick()
        << sent("b", "SUBSCRIBE news")
        >> confirms("b", "subscribe news")
        << to("b", "PUBLISH news 1")
        >> pushes("b", "message news 1")
        << to_client(message("message news 1"))
        >> pushes("b", "message news 2")
        << to_client(message("message news 2"))
    )
    assert log_lines(play) == [
        "not listening: node=a address=a:6379 cause=connection refused",
        "listening elsewhere: pool=pair from=a node=b",
    ]


def with_barrier() -> Story:
    """The second copy has just taken over, for a client that subscribes to keyspace events; a write was under way."""
    play = pubsub(copies("a", "b")) >> granted("PSUBSCRIBE *", "SUBSCRIBE __keyevent@0__:set")
    client("SET k v", name="you")(play)
    play.settle()
    for name in "ab":
        play.sent[name].clear()
    play >> state("a", BEHIND) >> tick()
    play.sent["b+"].clear()
    play >> answers("b", pushed("subscribe __keyevent@0__:set 1"))
    return play >> confirms("b", "psubscribe *") >> tick() << to("b", "PING handover")


def test_the_same_event_of_two_copies() -> None:
    """Events of the new copy about writes from before are dropped: the old one may have sent them. Messages are not."""
    (
        with_barrier()
        >> pushes("b", "message __keyevent@0__:set k", "pmessage * __keyevent@0__:set k")
        << silence()
        >> pushes("b", "pmessage * news m")
        << to_client(message("pmessage * news m"))
        >> node("b", "+OK", "$8 handover")
        << to("b+", "PING")
        >> pushes("b", "message __keyevent@0__:set k")
        << silence()
        >> answers("b")
        >> pushes("b", "message __keyevent@0__:set j")
        << to_client(message("message __keyevent@0__:set j"))
    )


def test_the_new_copy_gives_no_answer() -> None:
    """If it is lost meanwhile nothing is waited for any more."""
    play = with_barrier()
    play >> lost("b") << to("b+", "PING")
    play.sent["b+"].clear()
    play >> lost("b+")
    play.sent["b+"].clear()
    play >> pushes("b", "message __keyevent@0__:set j") << to_client(message("message __keyevent@0__:set j"))


def test_another_one_takes_over_meanwhile() -> None:
    """What was waited for at one copy means nothing for the next."""
    play = with_barrier() >> state("a", IN_SYNC) >> state("b", BEHIND) >> tick()
    play.sent["a+"].clear()
    play >> answers("a", pushed("subscribe __keyevent@0__:set 1"))
    play >> confirms("a", "psubscribe *") >> tick() << to("a", "PING handover")
    play >> node("b", "+OK", "$8 handover") >> pushes("a", "message __keyevent@0__:set k") << silence()


def test_a_client_that_comes_while_it_moves() -> None:
    """A subscription that begins meanwhile is sent to the successor, and confirmed when that has it."""
    (
        a_listener()
        >> down("a")
        >> client("SUBSCRIBE more", name="you")
        << silence()
        >> tick()
        << sent("b", "SUBSCRIBE news more")
        >> confirms("b", "subscribe news", "subscribe more")
        << to_client(became("subscribe", "more", 1), name="you")
    )


def test_both_are_subscribed_while_it_moves() -> None:
    """While two copies are subscribed, what begins or ends is sent to both."""
    (
        a_listener()
        >> state("a", BEHIND)
        >> tick()
        << sent("b", "SUBSCRIBE news")
        >> confirms("b", "subscribe news")
        >> client("SUBSCRIBE more", name="you")
        << sent("a", "SUBSCRIBE more")
        << sent("b", "SUBSCRIBE more")
        >> refuses("b", "-NOPERM no")
        >> confirms("a", "subscribe more")
        << to_client(became("subscribe", "more", 1), name="you")
        >> gone("you")
        << sent("a", "UNSUBSCRIBE more")
    )


def test_a_restarted_copy() -> None:
    """A copy that was restarted is behind: its subscriptions are made anew, and move."""
    play = a_listener() >> lost("a") << silence()
    play.run_ids["a"] = "another"
    play >> lost("a+") << sent("a", "SUBSCRIBE news") >> tick() << silence()
    play >> lost("a") >> tick() << sent("b", "SUBSCRIBE news")


def test_the_last_copy() -> None:
    """Where there is no other copy the one that is down is waited for."""
    play = pubsub(copies("a", "b", behind="b")) >> granted("SUBSCRIBE news") >> down("a") >> tick()
    (play >> client("SUBSCRIBE more", name="you") << to_client("-NODEDOWN a a:6379 (connection refused)", name="you"))
    assert [conn.node.name for conn in play.executor.unshared_connections] == ["a"]


def test_no_copy_yet() -> None:
    """Before the election nobody can be listened to."""
    play = pubsub(copies("a", "b", elected=False)) >> client("SUBSCRIBE news", "PUBLISH news m")
    play << to_client(errors.STARTING_UP, errors.STARTING_UP) << silence()


def test_nobody_in_sync() -> None:
    """A group that has lost its record of who is in sync has nobody to tell, and nobody to listen to."""
    play = a_listener() >> state("a", BEHIND) >> state("b", BEHIND) >> tick() << silence()
    assert [conn.node.name for conn in play.executor.unshared_connections] == ["a"]
    play.pool.groups[0].pubsub_connections = 0
    play >> client("PUBLISH news m", name="they") << to_client(errors.NO_COPY_IN_SYNC, name="they")


def test_a_ring_of_copies() -> None:
    """A channel lives in one copy pool, a pattern in all; of each pool one copy is asked."""
    (
        pubsub(ring(copies("a", "d", name="a"), "b"))
        >> client("SUBSCRIBE {a}x {b}y __keyevent@0__:set")
        << sent("a", "SUBSCRIBE {a}x __keyevent@0__:set")
        << sent("b", "SUBSCRIBE {b}y __keyevent@0__:set")
        >> client("PING")
        << silence()
        >> confirms("a", "subscribe {a}x", "subscribe __keyevent@0__:set")
        << silence()
        >> confirms("b", "subscribe {b}y", "subscribe __keyevent@0__:set")
        << to_client(
            became("subscribe", "{a}x", 1),
            became("subscribe", "{b}y", 2),
            became("subscribe", "__keyevent@0__:set", 3),
            "*2 $4 pong",
            b"$0\r\n\r\n",
        )
        >> client("UNSUBSCRIBE {b}y nosuch", name="you")
        << to_client(became("unsubscribe", "{b}y", 0), became("unsubscribe", "nosuch", 0), name="you")
    )


def test_lines_for_the_operator() -> None:
    """One line when a node that was listened to is gone, one when it is back; none for each attempt."""
    play = pubsub(ring("a")) >> granted("SUBSCRIBE {a}x") >> down("a")
    play >> refused("a+") >> given(lambda play: None)
    play.node("a").live = True
    play >> tick(0.2) << sent("a", "SUBSCRIBE {a}x") >> confirms("a", "subscribe {a}x") >> tick()
    assert log_lines(play) == [
        "not listening: node=a address=a:6379 cause=connection refused",
        "listening again: node=a address=a:6379",
    ]


def test_a_source_has_an_owner() -> None:
    """Whoever uses a source says what is done with its reports."""
    nobody = MessageSourceCallbacks()
    topic = Topic(CHANNEL, b"x")
    calls: list[Callable[[], None]] = [
        lambda: nobody.reevaluate(topic),
        lambda: nobody.fail_waiting(topic, b""),
        lambda: nobody.on_source_lost(topic, b""),
        lambda: nobody.deliver(topic, b""),
        lambda: nobody.log(LogEvent("", {})),
    ]
    for pending in calls:
        with pytest.raises(NotImplementedError):
            pending()


def test_a_mark_is_for_nobody() -> None:
    """What WAIT publishes for its own sake is no message for those who listen to everything."""
    (
        pubsub(ring("a"))
        >> granted("PSUBSCRIBE *")
        >> pushes("a", "pmessage * __kidoproxy:mark m")
        << silence()
        >> pushes("a", "pmessage * x __kidoproxy:mark")
        << to_client(message("pmessage * x __kidoproxy:mark"))
    )


def test_the_connection_is_kept_for_a_while() -> None:
    """Who subscribes again does not wait for a connection; one that nobody has needed for long is closed."""
    play = pubsub(ring("a"))
    source = subscriptions_of(play).sources[0]
    source.keepalive_seconds = 1.0
    play >> granted("SUBSCRIBE {a}x") >> client("UNSUBSCRIBE {a}x") << sent("a", "UNSUBSCRIBE {a}x")
    play >> confirms("a", "unsubscribe {a}x") << to_client(became("unsubscribe", "{a}x", 0)) >> tick(0.9)
    play >> client("SUBSCRIBE {a}y") << sent("a", "SUBSCRIBE {a}y")
    play >> confirms("a", "subscribe {a}y") << to_client(became("subscribe", "{a}y", 1)) >> tick(2.0) << given(unheard)
    assert source.active is not None
    play >> gone() << sent("a", "UNSUBSCRIBE {a}y") >> confirms("a", "unsubscribe {a}y")
    play >> tick(0.9) >> tick(0.2) << given(unheard)
    assert source.active is None
