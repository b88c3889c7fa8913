"""Keys that writes with several keys have touched: all of a database at one point of the order, if they are small."""

from kidoproxy.replication.batch_size import BATCH_BYTES, SizeEstimator
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.touched_keys import MAX_SHORT_RECHECKS, RECHECK_KEYS, ExplainedKeys, RecheckQueue
from kidoproxy.routes.topology import Node

LARGE = BATCH_BYTES // 2 + 1


def touched(*places: tuple[int, bytes]) -> RecheckQueue:
    """So many keys of these databases."""
    group = CopyGroup("pair", [Node(0, "a", "a:6379", 1)])
    again = RecheckQueue(group)
    again.begin_pass()
    group.touched_keys = dict.fromkeys(places, True)
    known = ExplainedKeys()
    assert again.collect_touched(known) is bool(places)
    assert all(known.test_and_set(place) for place in places)
    return again


def test_small_ones_level_their_database() -> None:
    """However many there are, up to a limit; what is touched later in a level database does not matter."""
    again = touched(*[(0, b"%d" % at) for at in range(RECHECK_KEYS)], (1, b"x"))
    assert again.next_db() == 0
    assert len(again.next_batch(0, {}, SizeEstimator()).keys) < RECHECK_KEYS
    small: dict[bytes, int | None] = {b"%d" % at: 10 for at in range(RECHECK_KEYS)}
    again = touched(*[(0, b"%d" % at) for at in range(RECHECK_KEYS)], (1, b"x"))
    assert len(again.next_batch(0, small, SizeEstimator()).keys) == RECHECK_KEYS
    assert again.converged_dbs == {0: True}
    again.group.touched_keys = {(0, b"later"): True}
    assert again.collect_touched(ExplainedKeys())
    assert again.keys_in(0) == []
    again.group.touched_keys = {(0, b"later"): True}
    again.group.cross_db_write = True
    assert again.collect_touched(ExplainedKeys())
    assert again.keys_in(0) == [b"later"]
    again.drop_db(0)
    again.drop_db(1)
    assert not again.collect_touched(ExplainedKeys())


def test_large_ones_come_in_pieces() -> None:
    """But not for ever: writes may touch them faster than they are looked at."""
    again = touched((0, b"a"), (0, b"b"))
    sizes: dict[bytes, int | None] = {b"a": LARGE, b"b": LARGE}
    for _ in range(MAX_SHORT_RECHECKS):
        assert again.next_batch(0, sizes, SizeEstimator()).keys == [b"a"]
        assert again.converged_dbs == {}
        again.group.touched_keys = {(0, b"a"): True}
        again.collect_touched(ExplainedKeys())
        again.waiting = dict(sorted(again.waiting.items()))
    batch = again.next_batch(0, sizes, SizeEstimator())
    assert (batch.keys, batch.estimated_bytes, again.converged_dbs) == ([b"a", b"b"], 2 * LARGE, {0: True})


def test_too_many() -> None:
    """More than are looked at at once do not level their database."""
    again = touched(*[(0, b"%d" % at) for at in range(RECHECK_KEYS + 1)])
    sizes: dict[bytes, int | None] = {b"%d" % at: 10 for at in range(RECHECK_KEYS + 1)}
    assert len(again.next_batch(0, sizes, SizeEstimator()).keys) == RECHECK_KEYS
    assert again.converged_dbs == {}
    assert again.keys_in(0) == [b"%d" % RECHECK_KEYS]


def test_known() -> None:
    """What was noted is known; of others a few at most are taken for it."""
    known = ExplainedKeys()
    assert not any(known.test_and_set((0, b"k%d" % at)) for at in range(3))
    assert all(known.test_and_set((0, b"k%d" % at)) for at in range(3))
    assert not known.test_and_set((1, b"k0"))
    others = ExplainedKeys()
    assert sum([others.test_and_set((0, b"%d" % at)) for at in range(10_000)]) < 50
