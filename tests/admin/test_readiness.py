"""``/readyz``: a pool is ready while it can serve what it promises, and says per pool why it is not."""

import pytest

from kidoproxy.admin.readiness import MAX_SHOWN, is_node_up, unready_reasons
from kidoproxy.replication.owner_marks import OwnerMark
from kidoproxy.replication.ownership import Ownership
from kidoproxy.session.pool_context import PoolContext
from tests.story import Pool, Story, copies, refused, ring, story

MARK = OwnerMark("pair", "id", 1, "host", "machine", 1, 1)


def connected(pool: Pool) -> Story:
    """All nodes are connected."""
    play = story(pool)
    for node in pool.nodes:
        play.executor.connection(node, 2, 0).start_connecting()
    play.settle()
    return play


def without(play: Story, *names: str) -> Story:
    """These nodes are gone."""
    for name in names:
        refused(name)(play)
        play.settle()
    return play


def test_a_ring() -> None:
    """One node is enough: those of the others are their keys alone. A node that is suspect answers nothing."""
    play = connected(ring("a", "b"))
    assert unready_reasons(play.proxy) == []
    assert unready_reasons(without(play, "a").proxy) == []
    assert (is_node_up(play.proxy, play.node("a")), is_node_up(play.proxy, play.node("b"))) == (False, True)
    play.node("b").suspect = True
    play.node("b").cause = "suspect: it answers nothing in time"
    assert unready_reasons(play.proxy) == [
        "cache: no node can answer: a (connection refused), b (suspect: it answers nothing in time)"
    ]


def test_a_ring_that_answers_for_its_nodes() -> None:
    """With ``on_down = "miss"`` everybody is answered, whoever is down; while it drains nobody should come."""
    play = without(connected(ring("a", "b", miss_on_down=True)), "a", "b")
    assert unready_reasons(play.proxy) == []
    play.proxy.draining = True
    assert unready_reasons(play.proxy) == ["draining"]


def test_a_large_ring() -> None:
    """The line stays short."""
    names = [chr(ord("a") + at) for at in range(MAX_SHOWN + 2)]
    (line,) = unready_reasons(without(connected(ring(*names)), *names).proxy)
    assert line.endswith("h (connection refused) and 2 more")


def test_several_pools() -> None:
    """One pool that is not ready is enough, and each has a line."""
    play = without(connected(ring("a")), "a")
    play.proxy.contexts.append(PoolContext("other", "ring", play.context.root, play.context.commands))
    assert unready_reasons(play.proxy) == [
        "cache: no node can answer: a (connection refused)",
        "other: no node can answer: a (connection refused)",
    ]


@pytest.mark.parametrize(("min_in_sync", "ready"), [(1, True), (2, False)])
def test_copies(min_in_sync: int, ready: bool) -> None:
    """As many copies as a write wants have to be in sync and there."""
    play = connected(copies("a", "b", min_in_sync=min_in_sync))
    assert unready_reasons(play.proxy) == []
    without(play, "b")
    wanted = [] if ready else ["pair: 1 of 2 copies of pair that a write wants: b (connection refused)"]
    assert unready_reasons(play.proxy) == wanted


def test_a_copy_that_is_behind() -> None:
    """It is there, and does not count."""
    play = connected(copies("a", "b", behind="b", min_in_sync=2))
    assert unready_reasons(play.proxy) == ["pair: 1 of 2 copies of pair that a write wants: b (not in sync)"]


def test_no_copy_is_trusted() -> None:
    """Before the election, and when what was trusted has lost its data, the reason is the one that clients hear."""
    play = connected(copies("a", "b", elected=False))
    assert unready_reasons(play.proxy) == ["pair: LOADING kidoproxy is looking at its copies"]


def test_another_proxy_serves_the_copies() -> None:
    """Clients are sent to that one, for good, whatever else the pool has."""
    pool = ring(copies("a", "d", name="a"), "b", miss_on_down=True)
    play = connected(pool)
    group = pool.groups[0]
    group.ownership = Ownership(MARK, False, lambda mark: False)
    assert unready_reasons(play.proxy) == []
    group.ownership.yield_to(MARK)
    assert unready_reasons(play.proxy) == ["cache: the copies of a are served by another proxy"]


def test_a_record_that_cannot_be_written() -> None:
    """Writes are refused until the disk is back."""
    play = connected(copies("a", "b"))
    durability = play.pool.groups[0].durability
    durability.begin_version(False, True)
    assert unready_reasons(play.proxy) == []
    durability.latest_version += 1
    durability.on_record_failed("disk full")
    assert unready_reasons(play.proxy) == ["pair: the record of pair's copies cannot be put on disk (disk full)"]


def test_a_ring_of_copies() -> None:
    """It is a ring: one member that takes writes is enough; misses are answered for plain nodes alone."""
    pool = ring(copies("a", "d", name="a", min_in_sync=2), copies("b", "e", name="b"), miss_on_down=True)
    play = connected(pool)
    assert unready_reasons(without(play, "a").proxy) == []
    assert unready_reasons(without(play, "b", "e").proxy) == [
        "cache: no node can answer: 1 of 2 copies of a that a write wants: a (connection refused), "
        "0 of 1 copies of b that a write wants: b (connection refused), e (connection refused)"
    ]
