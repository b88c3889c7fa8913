"""Making a plan changes nothing: what a write does to the copies' states happens when it is sent."""

import random
from typing import Final

import pytest

from kidoproxy.replication.group import SYNCING, CopyGroup
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.read_order import READ_RANDOM
from tests.fuzz.requests import TEMPLATES, filled
from tests.story import Pool, client, copies, ring, story, then, to_client, unheard

#: What a template of the fuzzer's does not do: other databases, scripts, relative expiry, channels.
MORE: Final = (
    "MOVE k 3",
    "COPY k l DB 2",
    "SETEX k 5 v",
    "EVAL return(1) 2 k l",
    "PUBLISH c m",
    "FLUSHALL",
    "RENAME k l",
)


def snapshot(group: CopyGroup) -> str:
    """All that a write may change in a group."""
    states = [(copy.node.name, copy.state, copy.missed_write, copy.unconfirmed) for copy in group.copies]
    kept = (
        group.touched_keys,
        group.cross_db_write,
        group.to_repair,
        group.mismatches,
        group.read_count,
        group.write_epoch,
        group.open_writes,
    )
    dirty = [watched.cas_dirty for watched in group.watches]
    return repr((states, kept, dirty, group.pubsub_node, group.pubsub_connections, group.run_ids))


def halfway(name: str = "pair", nodes: str = "abc") -> Pool:
    """One copy in sync, one that is being synced, one that is down."""
    pool = copies(*nodes, behind=nodes[1:], name=name)
    group = pool.groups[0]
    group.copies[1].state = SYNCING
    group.copies[2].node.live = False
    group.touched_keys = {}
    return pool


@pytest.mark.parametrize("shape", ["copies", "random", "ring"])
def test_a_route_that_is_only_shown(shape: str) -> None:
    """PROXY ROUTE, and queueing in MULTI, leave the copies as they were, whatever the command."""
    pool = halfway() if shape != "ring" else ring(halfway("a", "abc"), halfway("b", "def"))
    if shape == "random":
        pool.route = CopyPool("pair", pool.groups[0], READ_RANDOM)
    dice = random.Random(7)
    requests = [" ".join(word.decode("latin-1") for word in filled(one, dice)) for one in TEMPLATES]
    play = story(pool) >> client("WATCH k") << unheard
    before = [snapshot(group) for group in pool.groups]
    for request in [*requests, *MORE]:
        assert play >> client(f"PROXY ROUTE {request}") << unheard
        assert play >> client("MULTI", request, "DISCARD", "WATCH k") << unheard
        after = [snapshot(group).replace("True]", "False]") for group in pool.groups]
        assert after == before, request


def test_what_is_sent_counts() -> None:
    """The copy that is down has missed the write, and its key is looked at again by the sync, once it was sent."""
    pool = halfway()
    group = pool.groups[0]
    play = story(pool) >> client("PROXY ROUTE MSET k 1 l 2") << unheard
    assert play << then(lambda _: not group.copies[2].missed_write and group.touched_keys == {})
    assert play >> client("MSET k 1 l 2") << unheard
    assert play << then(lambda _: [copy.missed_write for copy in group.copies] == [False, False, True])
    assert group.touched_keys == {(0, b"k"): True, (0, b"l"): True}


def test_a_refused_transaction_was_not_sent() -> None:
    """What a transaction only queued has reached nobody, and nobody has missed it."""
    pool = halfway()
    play = story(pool) >> client("MULTI", "SET k v", "GET", "EXEC") << unheard
    assert play << then(lambda _: not pool.groups[0].copies[2].missed_write)
    assert play >> client("PING") << to_client("+PONG")
