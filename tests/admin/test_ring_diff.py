"""What another file does to a ring: shares, moves, and that they are what real keys do."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.admin.ring_diff import RingDiff, describe, diff_ring, diff_rings
from kidoproxy.config import Address, ClientLimits, NodeConfig, Pool, RingOptions
from tests.config.files import pool, read

LIMITS = ClientLimits(1, 1, 1, 1, 0, 1)
HASHES = ("ketama", "fnv1a_64", "hash_ring", "django_redis_shard")


def ring(nodes: dict[str, str], hash_name: str = "ketama", tags: bytes = b"{}", weight: int = 1) -> Pool:
    """Nodes by name, each on a host."""
    members = tuple(NodeConfig(name, Address(host, 1), weight, ring_name=name) for name, host in nodes.items())
    return Pool("p", "ring", (), members, LIMITS, ring=RingOptions(hash_name, tags))


def diff(old: Pool, new: Pool, keys: int = 0) -> RingDiff:
    return diff_ring(old, new, [hashlib.md5(b"%d" % at).digest() for at in range(keys)])


@pytest.mark.parametrize("hash_name", HASHES)
def test_arcs_are_what_keys_do(hash_name: str) -> None:
    """A node more: only it gains, and the arcs say how much, within what so many keys can show."""
    found = diff(ring({"a": "a", "b": "b"}, hash_name), ring({"a": "a", "b": "b", "c": "c"}, hash_name), 4000)
    assert found.before.keys() == {"a (a:1)", "b (b:1)"}
    assert {after for _, after in found.moves} == {"c (c:1)"}
    assert found.moved == pytest.approx(found.after["c (c:1)"])
    assert sum(found.key_moves.values()) / 4000 == pytest.approx(found.moved, abs=0.05)
    assert sum(found.before.values()) == pytest.approx(1)
    assert sum(found.after.values()) == pytest.approx(1)


@pytest.mark.parametrize("other", HASHES[1:])
def test_another_hash(other: str) -> None:
    """A sample says it."""
    names = {"a": "a", "b": "b", "c": "c"}
    found = diff(ring(names), ring(names, other), 4000)
    assert 0.05 < found.moved < 0.8
    assert sum(found.key_moves.values()) / 4000 == pytest.approx(found.moved, abs=0.05)


def test_a_hash_of_fifteen_bits() -> None:
    """Only the arcs that keys can be in count."""
    for count in range(2, 9):
        names = {f"n{at}": f"n{at}" for at in range(count)}
        found = diff(ring(names, "crc32"), ring({**names, "new": "new"}, "crc32"), 2000)
        assert sum(found.key_moves.values()) / 2000 == pytest.approx(found.moved, abs=0.05)


@given(
    st.permutations(["a", "b", "c"]), st.lists(st.sampled_from(["x", "y", "z"]), min_size=3, max_size=3, unique=True)
)
def test_places_and_names(order: list[str], hosts: list[str]) -> None:
    """Another order moves nothing, nor do addresses that nobody had."""
    old = ring({"a": "a", "b": "b", "c": "c"})
    assert not diff(old, ring({name: name for name in order}), 100).is_remap
    assert not diff(old, ring(dict(zip(order, hosts, strict=True))), 100).is_remap


def test_servers_that_change_places() -> None:
    """The keys are where the servers are, whatever they are called."""
    found = diff(ring({"a": "a", "b": "b"}), ring({"a": "b", "b": "a"}))
    assert found.moved == pytest.approx(1)
    found = diff(ring({"a": "a", "b": "b"}), ring({"a": "b", "b": "c"}))
    assert set(found.moves) == {("a (a:1)", "b (b:1)"), ("b (b:1)", "b (c:1)")}


def test_a_server_under_another_name() -> None:
    """It has other points, so some keys move from and to it; it is one owner."""
    found = diff(ring({"a": "a", "b": "b"}), ring({"a": "a", "other": "b"}))
    assert found.after.keys() == found.before.keys()
    assert 0 < found.moved < 1


def test_tags() -> None:
    """Which keys they are about only keys can show."""
    names = {"a": "a", "b": "b"}
    found = diff(ring(names), ring(names, tags=b"<>"))
    assert (found.moves, found.is_remap, found.hashes_other_parts) == ({}, True, True)
    assert "--keys" in "\n".join(describe(found))


def test_files(tmp_path: Path) -> None:
    """Rings that both have; copies and pools that are new have nothing to compare."""
    more = '[pool.more]\nlisten = "127.0.0.1:1"\nmode = "ring"\nnodes = ["redis://x"]\n'
    old, new = read(tmp_path, pool("")), read(tmp_path, pool(more))
    assert [found.pool for found in diff_rings(old, new)] == ["cache"]
    assert diff_rings(read(tmp_path, pool("", "copy")), new) == []
    assert describe(diff_rings(old, new)[0]) == ["pool cache: no key moves"]


def test_for_people() -> None:
    """Shares, moves with the largest first, and what the keys say."""
    found = RingDiff("p", {"a": 1.0}, {"a": 0.7, "b": 0.2999, "c": 0.0001},
                     {("a", "c"): 0.0001, ("a", "b"): 0.2999}, False, 4, {("a", "b"): 1})  # fmt: skip
    assert describe(found) == [
        "pool p: 30.0 % of the keys move",
        "  node    before     after",
        "  a      100.0 %    70.0 %",
        "  b        0.0 %    30.0 %",
        "  c        0.0 %   < 0.1 %",
        "    30.0 %  a -> b",
        "   < 0.1 %  a -> c",
        "  of 4 keys 1 move, 25.0 %",
        "    25.0 %  a -> b",
    ]
