"""The numbers in replies of PUBLISH and PUBSUB: a node counts our one subscription, and means all clients that have it.

A node's number is corrected by what `Subscriptions` knows when the reply comes. Other proxies that subscribe at the
same node count as one client each. NUMSUB asks the other workers; to PUBLISH, which must be fast, each counts as one.
"""

from typing import Final

from kidoproxy.commands.glob import matches
from kidoproxy.commands.spec import CHANNEL, CHANNEL_NODE, PATTERN, SHARD, SUM_BY_NAME, CommandSpec
from kidoproxy.resp.decode import integer_value as integer_of
from kidoproxy.resp.decode import items, string_value
from kidoproxy.resp.encode import array, integer
from kidoproxy.session.pubsub.subscriptions import Subscriptions

#: Asks for `subscribers_part`.
SUBSCRIBERS: Final = b"subscribers"


def correct_reply(
    subscriptions: Subscriptions,
    spec: CommandSpec,
    argv: list[bytes],
    others: dict[bytes, list[int]],
    raw: bytes,
) -> bytes:
    """A reply to PUBLISH, SPUBLISH or PUBSUB NUMSUB that counts clients; errors and other replies as they are."""
    if spec.reach == CHANNEL_NODE and raw[:1] == b":":
        return integer(count_receivers(subscriptions, integer_of(raw), spec.topic_kind == SHARD, argv[1]))
    if spec.response_policy == SUM_BY_NAME and is_name_count_list(raw):
        return array(count_subscribers(subscriptions, items(raw), spec.topic_kind, others))
    return raw


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


def count_subscribers(
    subscriptions: Subscriptions, flat_list: list[bytes], kind: int, others: dict[bytes, list[int]]
) -> list[bytes]:
    """The flat list ``name, number, …`` of NUMSUB, corrected by what this worker and the ``others`` know."""
    corrected: list[bytes] = []
    for at in range(0, len(flat_list), 2):
        name = string_value(flat_list[at])
        counted, actual = own_count(subscriptions, kind, name)
        more_counted, more_actual = others.get(name, [0, 0])
        number = correct_count(integer_of(flat_list[at + 1]), counted + more_counted, actual + more_actual)
        corrected += [flat_list[at], integer(number)]
    return corrected


def own_count(subscriptions: Subscriptions, kind: int, name: bytes) -> tuple[int, int]:
    """How often the nodes count this worker as a subscriber of that name, and how many clients that means."""
    topic = subscriptions.topics[kind].get(name)
    if topic is None:
        return 0, 0
    return sum([source.is_counted(topic) for source in subscriptions.sources]), len(topic.subscribers)


def subscribers_part(subscriptions: Subscriptions, kind: int, names: list[bytes]) -> bytes:
    """`own_count` of each name, for another worker."""
    return array([integer(number) for name in names for number in own_count(subscriptions, kind, name)])


def sum_parts(names: list[bytes], parts: list[bytes]) -> dict[bytes, list[int]]:
    """By name, what these workers have answered for it in all."""
    sums = {name: [0, 0] for name in names}
    for part in parts:
        numbers = [integer_of(item) for item in items(part)]
        for at, name in enumerate(dict.fromkeys(names)):
            sums[name][0] += numbers[2 * at]
            sums[name][1] += numbers[2 * at + 1]
    return sums
