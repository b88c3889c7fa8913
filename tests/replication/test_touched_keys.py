"""Keys that writes with several keys have touched: all of a database at one point of the order, if they are small."""

from kidoproxy.replication.batch_size import BATCH_BYTES, SizeEstimator
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.noted_keys import KEY_OVERHEAD
from kidoproxy.replication.touched_keys import (
    MANY_TOUCHED_KEYS,
    MAX_SHORT_RECHECKS,
    RECHECK_KEYS,
    ExpectedDifferences,
    RecheckQueue,
)
from kidoproxy.routes.topology import Node

LARGE = BATCH_BYTES // 2 + 1


def touched(*db_keys: tuple[int, bytes]) -> RecheckQueue:
    """So many keys of these databases."""
    group = CopyGroup("pair", [Node(0, "a", "a:6379", 1)])
    queue = RecheckQueue(group)
    queue.begin_pass()
    group.touched_keys = dict.fromkeys(db_keys, True)
    explained = ExpectedDifferences()
    assert queue.collect_touched(explained) is bool(db_keys)
    assert all(explained.test_and_set(db_key) for db_key in db_keys)
    return queue


def test_small_keys_let_their_database_converge() -> None:
    """However many there are, up to a limit; what is touched later in such a database does not matter."""
    queue = touched(*[(0, b"%d" % at) for at in range(RECHECK_KEYS)], (1, b"x"))
    assert queue.next_db() == 0
    assert len(queue.next_batch(0, {}, SizeEstimator()).keys) < RECHECK_KEYS
    small: dict[bytes, int | None] = {b"%d" % at: 10 for at in range(RECHECK_KEYS)}
    queue = touched(*[(0, b"%d" % at) for at in range(RECHECK_KEYS)], (1, b"x"))
    assert len(queue.next_batch(0, small, SizeEstimator()).keys) == RECHECK_KEYS
    assert queue.converged_dbs == {0: True}
    queue.group.touched_keys = {(0, b"later"): True}
    assert queue.collect_touched(ExpectedDifferences())
    assert 0 not in queue.waiting
    queue.group.touched_keys = {(0, b"later"): True}
    queue.group.cross_db_write = True
    assert queue.collect_touched(ExpectedDifferences())
    assert queue.first_keys(0) == [b"later"]
    queue.drop_db(0)
    queue.drop_db(1)
    assert not queue.collect_touched(ExpectedDifferences())


def test_large_keys_come_in_several_batches() -> None:
    """But not for ever: writes may touch them faster than they are compared."""
    queue = touched((0, b"a"), (0, b"b"))
    sizes: dict[bytes, int | None] = {b"a": LARGE, b"b": LARGE}
    for _ in range(MAX_SHORT_RECHECKS):
        assert queue.next_batch(0, sizes, SizeEstimator()).keys == [b"a"]
        assert queue.converged_dbs == {}
        queue.group.touched_keys = {(0, b"a"): True}
        queue.collect_touched(ExpectedDifferences())
        queue.waiting[0] = dict(sorted(queue.waiting[0].items()))
    batch = queue.next_batch(0, sizes, SizeEstimator())
    assert (batch.keys, batch.estimated_bytes, queue.converged_dbs) == ([b"a", b"b"], 2 * LARGE, {0: True})


def test_too_many() -> None:
    """With more keys than are compared at once the database has not converged."""
    queue = touched(*[(0, b"%d" % at) for at in range(RECHECK_KEYS + 1)])
    sizes: dict[bytes, int | None] = {b"%d" % at: 10 for at in range(RECHECK_KEYS + 1)}
    assert len(queue.next_batch(0, sizes, SizeEstimator()).keys) == RECHECK_KEYS
    assert queue.converged_dbs == {}
    assert queue.first_keys(0) == [b"%d" % RECHECK_KEYS]


def test_missed_keys() -> None:
    """What a copy has missed waits like what was touched, and is no news either."""
    queue = touched((0, b"a"))
    explained = ExpectedDifferences()
    queue.add_missed({(0, b"b"): True, (1, b"b"): True}, explained)
    assert (queue.first_keys(0), queue.first_keys(1)) == ([b"a", b"b"], [b"b"])
    assert explained.test_and_set((1, b"b"))


def test_many_are_compared_early() -> None:
    """With few nothing is; else some of the database that is scanned, and their bytes are free again."""
    queue = touched()
    explained = ExpectedDifferences()
    group = queue.group
    assert group.touched_keys is not None
    group.touched_budget.add_keys(group.touched_keys, 0, [b"%d" % at for at in range(MANY_TOUCHED_KEYS - 1)])
    assert queue.take_early(0, explained) == []
    group.touched_budget.add_keys(group.touched_keys, 1, [b"x"])
    used = group.touched_budget.used
    assert queue.take_early(2, explained) == []
    assert queue.take_early(1, explained) == [b"x"]
    assert group.touched_budget.used == used - 1 - KEY_OVERHEAD
    group.touched_budget.add_keys(group.touched_keys, 1, [b"x"])
    assert len(queue.take_early(0, explained)) == RECHECK_KEYS
    assert explained.test_and_set((0, b"0"))
    group.touched_keys = None
    assert queue.take_early(0, explained) == []


def test_differing_keys() -> None:
    """They wait even where their database has converged."""
    queue = touched((0, b"a"))
    queue.next_batch(0, {b"a": 10}, SizeEstimator())
    assert queue.converged_dbs == {0: True}
    assert not queue.collect_differing(ExpectedDifferences())
    queue.group.differing_keys = {(0, b"a"): True}
    assert queue.collect_differing(ExpectedDifferences())
    assert (queue.first_keys(0), queue.group.differing_keys) == ([b"a"], {})


def test_explained() -> None:
    """What was noted is explained; of others a few at most are taken for it."""
    explained = ExpectedDifferences()
    assert not any(explained.test_and_set((0, b"k%d" % at)) for at in range(3))
    assert all(explained.test_and_set((0, b"k%d" % at)) for at in range(3))
    assert not explained.test_and_set((1, b"k0"))
    others = ExpectedDifferences()
    assert sum([others.test_and_set((0, b"%d" % at)) for at in range(10_000)]) < 50
