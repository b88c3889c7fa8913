"""Keys that are noted have a bound in bytes, and what is beyond it is dealt with in a way that remembers none."""

import pytest

from kidoproxy.replication.group import BEHIND, IN_SYNC, SYNCING, CopyGroup
from kidoproxy.replication.noted_keys import KEY_OVERHEAD, REPAIR_BYTES, TOUCHED_BYTES, ByteBudget, KeySet
from kidoproxy.routes.topology import Node


def group() -> CopyGroup:
    """Three copies, of which two are in sync."""
    made = CopyGroup("pair", [Node(at, name, f"{name}:1", at + 1) for at, name in enumerate("abc")])
    for copy, state in zip(made.copies, (IN_SYNC, IN_SYNC, SYNCING), strict=True):
        copy.state = state
    return made


def test_byte_budget() -> None:
    """Bytes count since there were no keys; what is too much is forgotten at once."""
    budget = ByteBudget(10 + 2 * KEY_OVERHEAD)
    key_set: KeySet = {}
    assert not budget.add_keys(key_set, 0, [b"12345", b"12345"])
    key_set.clear()
    assert not budget.add_keys(key_set, 0, [b"12345"])
    for _ in range(2):
        assert not budget.add_keys(key_set, 1, [b"12345"])
    assert key_set == {(0, b"12345"): True, (1, b"12345"): True}
    assert budget.add_keys(key_set, 0, [b"1"])
    assert key_set == {}


def test_keys_that_may_differ() -> None:
    """Few keys of long names: all copies but one are behind."""
    pool = group()
    pool.repair_later(0, [b"x" * (REPAIR_BYTES // 2)])
    assert (len(pool.to_repair), pool.behind_names()) == (1, ["c"])
    pool.repair_later(0, [b"y" * (REPAIR_BYTES // 2 + 1)])
    assert (len(pool.to_repair), pool.behind_names()) == (0, ["b", "c"])


@pytest.mark.parametrize("other", [None, 3])
def test_keys_that_are_touched(other: int | None) -> None:
    """With too many keys to note a sync compares all once more; who is in sync stays it."""
    pool = group()
    pool.touched_keys = {}
    pool.on_write_sent(0, [b"x" * (TOUCHED_BYTES // 4), b"y"], other, False, [copy.node for copy in pool.copies])
    assert pool.touched_keys
    assert [copy.missed_write for copy in pool.copies] == [False, False, False]
    keys = [b"z" * (TOUCHED_BYTES // 4 * 3), b"w"]
    pool.on_write_sent(0, keys, None, False, [copy.node for copy in pool.copies])
    assert pool.touched_keys == {}
    assert [copy.missed_write for copy in pool.copies] == [False, False, True]
    assert pool.copies[2].state != BEHIND
