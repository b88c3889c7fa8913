"""Each request counts once in its family, however often it has to wait before it is run."""

import pytest

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.families import FAMILIES
from kidoproxy.resp.encode import encode_request
from kidoproxy.session.users import User, Users
from tests.story import Event, Pool, Story, client, copies, gone, lost, node, ring, story, tick, unheard


def counted(play: Story) -> dict[str, int]:
    """The families that have requests; all together are as many as were read."""
    counters = play.context.family_counters
    found = {name: int(one.count) for name, one in zip(FAMILIES, counters, strict=True) if one.count}
    assert sum(found.values()) == play.proxy.commands_processed
    return found


def limited() -> Pool:
    pool = ring("a", "b")
    pool.users = Users([User(b"default", Acl("+@all -keys"), True, True, [])])
    return pool


#: More arguments than are looked at in one slice.
LARGE = encode_request([b"DEL", *[b"{a}%d" % at for at in range(40_000)]])


@pytest.mark.parametrize(
    ("pool", "events", "wanted"),
    [
        (ring("a", "b"), [client("GET {a}1", "SET {a}1 x", "GET")], {"string": 3}),
        (
            ring("a", "b"),
            [client("PING", "ZADD {a}1 1 x", "SELECT 1"), node("a", ":1")],
            {"connection": 2, "sorted-set": 1},
        ),
        (ring("a", "b"), [client("NOPE", "GET {a}1"), node("a", "*1 *-1")], {"unknown": 1, "string": 1}),
        (ring("a", "b"), [client("NOPE"), lost("a"), tick(0.6)], {"unknown": 1}),
        (ring("a", "b"), [client("POST / HTTP/1.1")], {"unknown": 1}),
        (
            ring("a", "b"),
            [client("MULTI", "INCR {a}1", "NOPE", "EXEC"), node("a", "*1 *-1")],
            {"transactions": 2, "string": 1, "unknown": 1},
        ),
        (ring("a", "b"), [client("GET {a}1", "SCRIPT FLUSH"), node("a", "$-1")], {"string": 1, "scripting": 1}),
        (ring("a", "b"), [client("CLIENT PAUSE 100"), client("GET {a}1"), tick(0.3)], {"connection": 1, "string": 1}),
        (ring("a", "b"), [client("BLPOP {a}1 0"), gone()], {"list": 1}),
        (ring("a", "b"), [client(LARGE), tick(0.1)], {"keyspace": 1}),
        (limited(), [client("GET {a}1", "KEYS *")], {"string": 1, "keyspace": 1}),
        (limited(), [client(LARGE), tick(0.1)], {"keyspace": 1}),
        (copies("a", "b"), [client("FCALL f 1 k"), lost("a"), tick(0.6)], {"scripting": 1}),
        (copies("a", "b"), [client("FCALL f 1 k"), node("a", "*0")], {"scripting": 1}),
        (ring("a", "b"), [client("SUBSCRIBE {a}x", name="one")], {"pubsub": 1}),
        (ring("a", "b"), [client("PUBLISH {a}x y", name="two")], {"pubsub": 1}),
    ],
)
def test_each_request_counts_once(pool: Pool, events: list[Event], wanted: dict[str, int]) -> None:
    """What is run, queued, refused, unknown, held or asked about first: each way of a request passes one counter."""
    play = story(pool)
    for event in events:
        event(play)
        play.settle()
        unheard(play)
    assert counted(play) == wanted


def test_a_command_of_a_module() -> None:
    """It is found at a node when it is first asked for, and counts as what it was found to be."""
    play = story(ring("a"))
    client("BF.ADD k v", "BF.ADD k v")(play)
    play.settle()
    info = b"*1\r\n*6\r\n$6\r\nbf.add\r\n:3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n"
    node("a", info)(play)
    play.settle()
    unheard(play)
    assert counted(play) == {"module": 2}
