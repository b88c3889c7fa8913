"""`kidoproxy.session.pubsub.topics`: which names any node may have messages for, and how subscriptions are counted."""

import pytest

from kidoproxy.commands.spec import CHANNEL, PATTERN, SHARD
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.session.pubsub.topics import (
    PendingSubscription,
    Subscriber,
    Topic,
    needs_every_source,
)


@pytest.mark.parametrize(
    ("kind", "name", "wide"),
    [
        (CHANNEL, b"news", False),
        (CHANNEL, b"__keyspace@0__:k", True),
        (CHANNEL, b"__keyevent@15__:set", True),
        (CHANNEL, b"x__keyspace@0__:k", False),
        (SHARD, b"__keyspace@0__:k", False),
        (PATTERN, b"news", True),
    ],
)
def test_where_messages_may_come_from(kind: int, name: bytes, wide: bool) -> None:
    """Patterns, and events of keys, are everywhere; a channel lives on one node."""
    assert needs_every_source(kind, name) is wide


def test_counts() -> None:
    """Channels and patterns share a count, shard channels have their own."""
    one = Subscriber(1, ReplyQueue(TurnWork()), 2)
    one.names_by_kind[CHANNEL][b"a"] = True
    one.names_by_kind[PATTERN][b"b"] = True
    one.names_by_kind[SHARD][b"c"] = True
    assert [one.confirmation_count(kind) for kind in (CHANNEL, PATTERN, SHARD)] == [2, 2, 1]
    assert one.name_count() == 3


def test_a_topic_says_what_it_is() -> None:
    """It is needed by who has it and by who wants it."""
    topic = Topic(PATTERN, b"p*")
    assert not topic.is_needed()
    topic.pending_count = 1
    assert topic.is_needed()
    topic.pending_count = 0
    topic.subscribers[1] = Subscriber(1, ReplyQueue(TurnWork()), 3)
    assert topic.is_needed()
    assert repr(topic) == "<topic 1 b'p*', 1 subscribers>"


def test_a_pending_subscription_has_an_owner() -> None:
    """Whoever waits says what happens when it is done."""
    with pytest.raises(NotImplementedError):
        PendingSubscription(Subscriber(1, ReplyQueue(TurnWork()), 2), CHANNEL).on_done(b"")
