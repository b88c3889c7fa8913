"""The numbers in replies of PUBLISH and PUBSUB: a node counts our one subscription, and means all clients that have it.

A node's number is corrected by what `Subscriptions` knows when the reply comes. Other proxies and other workers that
subscribe at the same node count as one client each.
"""

from typing import final

from kidoproxy.commands.glob import matches
from kidoproxy.commands.spec import CHANNEL, CHANNEL_NODE, PATTERN, SHARD, SUM_BY_NAME, CommandSpec
from kidoproxy.replies.handler import ReplyHandler, WholeReplyHandler
from kidoproxy.resp.decode import integer_value as integer_of
from kidoproxy.resp.decode import items, string_value
from kidoproxy.resp.encode import array, integer
from kidoproxy.session.pubsub.subscriptions import Subscriptions


@final
class CountCorrection(WholeReplyHandler):
    """Corrects the replies to PUBLISH, SPUBLISH and PUBSUB NUMSUB, so that they count clients."""

    def __init__(
        self, subscriptions: Subscriptions, spec: CommandSpec, argv: list[bytes], parent: ReplyHandler
    ) -> None:
        super().__init__(parent)
        self.subscriptions = subscriptions
        self.spec = spec
        self.argv = argv

    def on_reply(self, raw: bytes) -> None:
        """Errors, and replies that count nothing, are passed on."""
        spec = self.spec
        if spec.reach == CHANNEL_NODE and raw[:1] == b":":
            raw = integer(count_receivers(self.subscriptions, integer_of(raw), spec.topic_kind == SHARD, self.argv[1]))
        elif spec.response_policy == SUM_BY_NAME and is_name_count_list(raw):
            raw = array(count_subscribers(self.subscriptions, items(raw), spec.topic_kind))
        self.parent.on_reply(raw)


def is_name_count_list(raw: bytes) -> bool:
    """Whether it is a flat list ``name, number, …``."""
    flat_list = items(raw) if raw[:1] == b"*" else [b""]
    return len(flat_list) % 2 == 0 and all(item[:1] == b":" for item in flat_list[1::2])


def correct_count(reported: int, counted: int, actual: int) -> int:
    """``reported`` with ``actual`` in place of ``counted``; if it is less than ``counted`` we were not counted."""
    return reported if reported < counted else reported - counted + actual


def count_receivers(subscriptions: Subscriptions, reported: int, shard: bool, channel: bytes) -> int:
    """How many subscriptions a message went to, of which the node has ``reported`` its own count."""
    counted = 0
    actual = 0
    for source in subscriptions.sources_of(SHARD, channel):
        topics = source.find_topic(SHARD if shard else CHANNEL, channel)
        if not shard:
            topics += [topic for topic in source.topics[PATTERN].values() if matches(topic.name, channel)]
        for topic in topics:
            if source.is_counted(topic):
                counted += 1
                actual += len(topic.subscribers)
    return correct_count(reported, counted, actual)


def count_subscribers(subscriptions: Subscriptions, flat_list: list[bytes], kind: int) -> list[bytes]:
    """The flat list ``name, number, …`` of NUMSUB, corrected."""
    corrected: list[bytes] = []
    for at in range(0, len(flat_list), 2):
        number = integer_of(flat_list[at + 1])
        topic = subscriptions.topics[kind].get(string_value(flat_list[at]))
        if topic is not None:
            counted = sum([source.is_counted(topic) for source in subscriptions.sources])
            number = correct_count(number, counted, len(topic.subscribers))
        corrected += [flat_list[at], integer(number)]
    return corrected
