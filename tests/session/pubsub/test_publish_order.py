"""`kidoproxy.session.pubsub.publish_order`: which messages are held, for what, and until when."""

import pytest

from kidoproxy.commands.spec import CHANNEL, PATTERN, SHARD
from kidoproxy.session.pubsub.publish_order import MAX_MATCHED_PATTERNS, HeldPublish, PublishOrder


class Held:
    """One that counts how often it was sent."""

    def __init__(self, due: float = 1.0) -> None:
        self.publish = HeldPublish(due, self.send)
        self.sent = 0

    def send(self) -> None:
        """It may go."""
        self.sent += 1


@pytest.mark.parametrize(
    ("pending", "kind", "channel", "count"),
    [
        ([(CHANNEL, b"x")], CHANNEL, b"x", 1),
        ([(CHANNEL, b"x")], CHANNEL, b"y", 0),
        ([(CHANNEL, b"x")], SHARD, b"x", 0),
        ([(SHARD, b"x")], SHARD, b"x", 1),
        ([(SHARD, b"x")], CHANNEL, b"x", 0),
        ([(PATTERN, b"x*"), (PATTERN, b"*"), (PATTERN, b"y*"), (CHANNEL, b"x1")], CHANNEL, b"x1", 3),
        ([(PATTERN, b"*")], SHARD, b"x", 0),
    ],
)
def test_what_it_is_held_for(pending: list[tuple[int, bytes]], kind: int, channel: bytes, count: int) -> None:
    """A message is held for its own channel and for patterns that fit; one to a shard channel for that alone."""
    order = PublishOrder()
    for one in pending:
        order.begin(*one)
    held = Held()
    order.hold(held.publish, kind, channel)
    assert (held.publish.unsettled, len(order.held)) == (count, min(count, 1))
    for at, one in enumerate(pending):
        assert held.sent == 0 or at >= count
        order.end(*one)
    assert (held.sent, held.publish.unsettled, order.held) == (min(count, 1), 0, {})
    assert not any(order.pending)


def test_no_longer_than_it_may() -> None:
    """At its deadline it goes, whatever is still pending then; and it goes once."""
    order = PublishOrder()
    order.begin(CHANNEL, b"x")
    first, second = Held(1.0), Held(2.0)
    order.hold(first.publish, CHANNEL, b"x")
    order.hold(second.publish, CHANNEL, b"x")
    order.tick(1.0)
    assert first.sent == 0
    order.tick(1.5)
    assert (first.sent, second.sent) == (1, 0)
    order.end(CHANNEL, b"x")
    order.tick(3.0)
    assert (first.sent, second.sent) == (1, 1)


def test_very_many_patterns_are_waited_for_together() -> None:
    """A message is compared with a bounded number of them: beyond that it waits until none is pending."""
    order = PublishOrder()
    patterns = [b"%d*" % number for number in range(MAX_MATCHED_PATTERNS + 1)]
    for pattern in patterns:
        order.begin(PATTERN, pattern)
    held, other = Held(), Held()
    order.hold(held.publish, CHANNEL, b"x")
    assert held.publish.unsettled == 1
    for pattern in patterns[:-1]:
        order.end(PATTERN, pattern)
    order.hold(other.publish, CHANNEL, b"x")
    assert (held.sent, other.publish.unsettled) == (0, 0)
    order.end(PATTERN, patterns[-1])
    assert held.sent == 1
    assert not order.held
