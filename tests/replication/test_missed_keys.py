"""In which keys a copy may differ from those in sync: what is noted, and when it is everything."""

from collections.abc import Callable

import pytest

from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.missed_keys import EVERYTHING, MissedKeys
from kidoproxy.replication.noted_keys import MISSED_BYTES
from kidoproxy.routes.topology import Node
from tests.story import Story, client, copies, lost, node, story


def known() -> MissedKeys:
    """Of a copy that was in sync."""
    missed = MissedKeys()
    missed.reset(b"run")
    return missed


def test_known_for_one_run_of_the_server() -> None:
    """Of a copy that was never in sync, of a server that was restarted, or of an unknown run, nothing is known."""
    assert not MissedKeys().are_known(b"")
    missed = known()
    assert (missed.are_known(b"run"), missed.are_known(b"other"), missed.count()) == (True, False, 0)
    missed.add(0, [b"k"])
    missed.add_all({(1, b"k"): True, (0, b"k"): True})
    assert (missed.are_known(b"run"), missed.count()) == (True, 2)
    missed.reset(b"")
    assert not missed.are_known(b"")


@pytest.mark.parametrize("keys", [None, [b"x" * MISSED_BYTES]], ids=["unknown", "too many"])
def test_everything(keys: list[bytes] | None) -> None:
    """What cannot be told by keys, or has too many, is everything, until the copy is in sync again."""
    missed = known()
    missed.add(0, [b"k"])
    missed.add(0, keys)
    missed.add(0, [b"l"])
    assert (missed.count(), missed.are_known(b"run"), missed.keys) == (EVERYTHING, False, {})
    missed.reset(b"run")
    assert missed.count() == 0


def behind() -> Story:
    """Three copies that a sync has let in; ``b`` then misses ``k0``."""
    pool = copies("a", "b", "c")
    play = story(pool)
    for copy in pool.groups[0].copies:
        pool.groups[0].mark_in_sync(copy.node)
    pool.groups[0].mark_behind([play.node("b")], 0, [b"k0"])
    return play


def noted(play: Story) -> int:
    return play.pool.groups[0].copies[1].missed.count()


@pytest.mark.parametrize(
    ("request_text", "count"),
    [
        ("SET k x", 1),
        ("INCR k0", 1),
        ("MSET k x l x", 3),
        ("RENAME k l", 3),
        ("COPY k l DB 1", EVERYTHING),
        ("SCRIPT FLUSH", 1),
        ("SLOWLOG RESET", 1),
    ],
)
def test_writes_that_reach_it(request_text: str, count: int) -> None:
    """A write with one key has the same outcome, or its key is noted; one with several may depend on one missed."""
    play = behind() >> client(request_text)
    play.settle()
    assert noted(play) == count


@pytest.mark.parametrize(("request_text", "count"), [("SET k x", 2), ("MSET k x l x", 3), ("SLOWLOG RESET", 1)])
@pytest.mark.parametrize("how", ["down", "lost", "refused"])
def test_writes_that_do_not_reach_it(request_text: str, count: int, how: str) -> None:
    """It is down, or its connection is lost under the write, or it refuses: each key is noted."""
    play = behind()
    play.node("b").live = how != "down"
    client(request_text)(play)
    play.settle()
    if how == "lost":
        lost("b")(play)
    elif how == "refused":
        node("b", "-OOM no")(play)
    play.settle()
    assert noted(play) == count


@pytest.mark.parametrize("unawaited", [True, False])
@pytest.mark.parametrize(("keys", "may_write_other_keys"), [([], False), ([b"k"], True)])
def test_writes_that_may_change_any_key(unawaited: bool, keys: list[bytes], may_write_other_keys: bool) -> None:
    """FLUSHALL, or a script that may do more than it declares: whether it arrives or not."""
    play = behind()
    unawaited_nodes = [play.node("b")] if unawaited else []
    play.pool.groups[0].on_write_sent(0, keys, None, may_write_other_keys, unawaited_nodes)
    assert noted(play) == EVERYTHING


def test_writes_under_way_when_it_fell_behind() -> None:
    """They may have had another outcome on it."""
    play = behind()
    group = play.pool.groups[0]
    group.mark_in_sync(play.node("b"))
    for key in ("k", "l"):
        client(f"SET {key} x")(play)
    play.settle()
    lost("b")(play)
    for name in "ac":
        for _ in range(2):
            node(name, "+OK")(play)
    play.settle()
    assert sorted(group.copies[1].missed.keys) == [(0, b"k"), (0, b"l")]


def all_refuse(play: Story) -> None:
    """No copy in sync takes the write, but the one that is behind may have."""
    client("SET k x")(play)
    play.settle()
    for name in "ac":
        node(name, "-OOM no")(play)


def replies_differ(play: Story) -> None:
    """Who is behind may have come to either outcome."""
    client("SET k x NX")(play)
    play.settle()
    node("a", "+OK")(play)
    node("c", "$-1")(play)


@pytest.mark.parametrize("happens", [all_refuse, replies_differ])
def test_outcomes_that_differ(happens: Callable[[Story], None]) -> None:
    """A key of which copies in sync are not sure is not sure on the others either."""
    play = behind()
    happens(play)
    play.settle()
    assert sorted(play.pool.groups[0].copies[1].missed.keys) == [(0, b"k"), (0, b"k0")]


def test_keys_that_wait_for_a_repair() -> None:
    """A copy that falls behind is not repaired any more: its sync has to do that."""
    group = CopyGroup("pair", [Node(at, name, f"{name}:1", at + 1) for at, name in enumerate("ab")])
    for copy in group.copies:
        group.mark_in_sync(copy.node)
    group.repair_later(1, [b"k"])
    group.mark_behind([group.copies[1].node], 0, [b"l"])
    assert group.copies[1].missed.keys == {(1, b"k"): True, (0, b"l"): True}


def test_a_restart() -> None:
    """A server that may have lost data may lack any key."""
    play = behind()
    play.pool.groups[0].on_restart(play.node("b"))
    assert noted(play) == EVERYTHING
