"""Keys land where the implementations that are replaced have put them, and a placement can explain itself."""

import base64
import json
from bisect import bisect_right
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uhashring import HashRing

from kidoproxy.routes.placement.hashes import CRC32, FNV1A_64, HASH_RING_MD5, MD5, NUTCRACKER_HASHES
from kidoproxy.routes.placement.owners import (
    BYPASSED_LOOKUPS,
    MEMO_KEYS,
    MIXED,
    Placement,
    django_redis_shard,
    hash_ring,
    ketama,
    owner_table,
)
from kidoproxy.routes.placement.points import nutcracker_name
from kidoproxy.routes.placement.tags import OFF, Tags

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "placement-vectors.json").read_text())
KEYS = [base64.b64decode(key) for key in VECTORS["keys"]]


def server_name(server: str) -> str:
    """The continuum name of a line of nutcracker.yml: ``address:weight [name]``."""
    address, _, name = server.partition(" ")
    address = address.rpartition(":")[0]
    if address.startswith("/"):
        return nutcracker_name(name, "", 0, address)
    host, _, port = address.rpartition(":")
    return nutcracker_name(name, host, int(port), "")


@pytest.mark.parametrize("ring", VECTORS["nutcracker"], ids=lambda ring: f"{ring['hash']}-{len(ring['servers'])}")
def test_places_as_nutcracker(ring: dict[str, Any]) -> None:
    """Every key goes where nutcracker 0.5 sent it: names, weights, hashes, tags, sockets, 25 servers."""
    names = [server_name(line) for line in ring["servers"]]
    placement = ketama(names, ring["weights"], NUTCRACKER_HASHES[ring["hash"]])
    tags = Tags(ord("{"), ord("}"), []) if ring["hash_tag"] else Tags(OFF, OFF, [])

    assert ring["owners"] == [placement.owner(tags.hashed_part(key)) for key in KEYS]


@pytest.mark.parametrize("ring", VECTORS["hash_ring"], ids=lambda ring: f"{len(ring['nodes'])}-{ring['weights'][-1]}")
def test_places_as_hash_ring(ring: dict[str, Any]) -> None:
    """Every key goes where hash_ring 1.3.1 under Python 2.7 put it."""
    placement = hash_ring(ring["nodes"], ring["weights"])

    assert ring["owners"] == [placement.owner(key) for key in KEYS]


@pytest.mark.parametrize("ring", VECTORS["django_redis_shard"], ids=lambda ring: len(ring["nodes"]))
def test_places_as_django_redis(ring: dict[str, Any]) -> None:
    """Every text key goes where django-redis's ShardClient has its place on the ring."""
    placement = django_redis_shard(ring["nodes"])

    assert ring["owners"] == [placement.owner(KEYS[i]) for i in ring["key_index"]]


@given(
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    keys=st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=20),
    replicas=st.sampled_from([3, 4]),
)
def test_agrees_with_uhashring(weights: list[int], keys: list[str], replicas: int) -> None:
    """A bytes key goes where uhashring puts its text twin.

    Four points per digest are nutcracker's; weights whose float32 counts differ from uhashring's exact ones
    are given to it as counts.
    """
    names = [f"node-{i}" for i in range(len(weights))]
    if replicas == 3:
        placement = hash_ring(names, weights)
        theirs = HashRing(dict(zip(names, weights, strict=True)), hash_fn="ketama", replicas=3)
    else:
        placement = ketama(names, weights)
        counts = [placement.owners.count(place) // 4 for place in range(len(names))]
        nodes = {name: {"vnodes": count, "weight": 1} for name, count in zip(names, counts, strict=True)}
        theirs = HashRing(nodes, hash_fn="ketama")

    for key in keys:
        if key:
            assert theirs.get_node(key) == names[placement.owner(key.encode())]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24])
def test_equal_nodes_have_the_exact_counts(count: int) -> None:
    """Where 32-bit floats do no harm, nutcracker's ring is uhashring's own."""
    names = [f"10.0.0.{i}:6379" for i in range(count)]
    theirs = HashRing(names, hash_fn="ketama").get_points()
    ours = ketama(names, [1] * count)

    assert theirs == [(point, names[owner]) for point, owner in zip(ours.points, ours.owners, strict=True)]


def test_twentyfive_nodes_are_one_short() -> None:
    """nutcracker counts in 32-bit floats: 25 equal servers get 39 rounds of four points, not 40."""
    assert len(ketama([str(i) for i in range(25)], [1] * 25).points) == 25 * 39 * 4


def test_search() -> None:
    """A point belongs to the arc it ends; past the last point comes the first."""
    placement = Placement([10, 20, 30], [0, 1, 2], FNV1A_64)

    assert [placement.search32(h) for h in (0, 10, 11, 20, 30, 31)] == [0, 0, 1, 1, 2, 0]


def test_hash_ring_takes_the_point_above() -> None:
    """An exact hit is not enough for hash_ring: the key goes to the next point."""
    placement = hash_ring(["0", "1", "2"], [1, 1, 1])
    theirs = HashRing(["0", "1", "2"], hash_fn="ketama", replicas=3).get_points()
    points = [point for point, _ in theirs]
    for h in (points[0], points[7], points[-1]):
        at = bisect_right(points, h) % len(points)
        assert int(theirs[at][1]) == placement.owners[placement.search32(h)]


def test_fifteen_bits() -> None:
    """All keys of nutcracker's crc32 are at the beginning of the circle, and so are the shares that are told."""
    names = [f"10.0.0.{i}:6379" for i in range(40)]
    placement = ketama(names, [1] * 40, CRC32)
    owners = [placement.owner(b"%d" % i) for i in range(4000)]
    found = [owners.count(i) / 4000 for i in range(40)]
    assert sum(1 for share in found if share) < 4
    assert placement.owned_fractions() == pytest.approx(found, abs=0.03)


def test_one_node_owns_everything() -> None:
    """Nothing is hashed then; nor where all others have no weight."""
    assert ketama(["a"], [3]).owner(b"k") == 0
    assert {1} == {ketama(["a", "b"], [0, 5]).owner(b"%d" % i) for i in range(50)}
    assert ketama(["a", "b"], [0, 5]).owned_fractions() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("names", "weights", "sentence"),
    [
        ([], [], "a ring needs at least one node"),
        (["a"], [], "1 nodes have 0 weights"),
        (["a", "b", "b"], [1, 1, 1], "two nodes have the same name: 'b'"),
        (["a", "b"], [1, -2], "the weight of node 'b' is negative: -2"),
        (["a", "b"], [0, 0], "all weights are 0: no node would own a key"),
    ],
)
def test_impossible_rings(names: list[str], weights: list[int], sentence: str) -> None:
    """No ring is better than a wrong one, and the reason is a sentence."""
    for build in (ketama, hash_ring):
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            build(names, weights)


def test_impossible_shards() -> None:
    """The same for a ring of URLs."""
    with pytest.raises(ValueError, match="at least one node"):
        django_redis_shard([])
    with pytest.raises(ValueError, match="the same name: 'redis://a'"):
        django_redis_shard(["redis://a", "redis://a"])


@pytest.mark.parametrize("key_hash", [MD5, HASH_RING_MD5])
def test_memory_is_bounded(key_hash: int) -> None:
    """Owners of short keys are remembered, never more than a fixed number, and long ones not at all."""
    placement = Placement([1 << 31, (1 << 32) - 1], [0, 1], key_hash)
    keys = [b"%d" % i for i in range(MEMO_KEYS + 1)]
    for key in keys[:-1] * 3:
        placement.owner(key)
    assert len(placement.memo) == MEMO_KEYS
    first = [placement.owner(key) for key in keys[:10]]
    placement.owner(keys[-1])
    assert list(placement.memo) == keys[-1:]
    assert first == [placement.owner(key) for key in keys[:10]]

    placement.owner(b"x" * 129)
    assert b"x" * 129 not in placement.memo


def test_a_memo_that_does_not_pay_is_left_alone() -> None:
    """More keys than it holds cost what they would without it; after a while it is tried again."""
    placement = Placement([1 << 31, (1 << 32) - 1], [0, 1], MD5)
    for i in range(MEMO_KEYS + 1):
        placement.owner(b"%d" % i)
    assert len(placement.memo) == 1
    expected = Placement([1 << 31, (1 << 32) - 1], [0, 1], MD5)
    for i in range(1000):
        assert placement.owner(b"%d" % i) == expected.find_owner(b"%d" % i)
    assert len(placement.memo) == 1
    assert placement.bypassed_lookups == BYPASSED_LOOKUPS - 1000
    placement.bypassed_lookups = 0
    placement.owner(b"again")
    assert b"again" in placement.memo


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=40, unique=True), st.data())
def test_the_owner_table_says_what_the_search_says(points: list[int], data: st.DataObject) -> None:
    """For hashes at, before and behind every point and every slot's end; slots with two owners are searched."""
    points.sort()
    owners = data.draw(st.lists(st.integers(0, 3), min_size=len(points), max_size=len(points)))
    placement = Placement(points, owners, FNV1A_64)
    table = owner_table(points, owners)
    near = [base + step for point in points for base in (point, point & ~0xFFFF) for step in (-1, 0, 1)]
    for h in [0, (1 << 32) - 1, *near]:
        if 0 <= h < 1 << 32:
            owner = owners[placement.search32(h)]
            assert table[h >> 16] in (owner, MIXED)
            assert placement.find_owner32(h) == owner
    assert table.count(MIXED) <= len(points)


def test_more_owners_than_a_byte_says() -> None:
    """A ring of three hundred nodes has no table, and places as ever."""
    points = [index << 20 for index in range(300)]
    placement = Placement(points, list(range(300)), FNV1A_64)
    assert not placement.owner_table
    assert [placement.find_owner32(point) for point in points] == list(range(300))


def test_cheap_hashes_are_not_remembered() -> None:
    """What costs less than a look into the memory is computed each time."""
    placement = ketama(["a", "b"], [1, 1], FNV1A_64)
    placement.owner(b"k")

    assert not placement.memo


def test_owned_fractions() -> None:
    """The shares of the circle are what the arcs say, and sum up to all of it."""
    placement = Placement([1 << 30, 1 << 31], [0, 1], FNV1A_64, nodes=3)

    assert placement.owned_fractions() == [0.75, 0.25, 0.0]
    assert sum(django_redis_shard([f"redis://10.0.0.{i}" for i in range(4)]).owned_fractions()) == pytest.approx(1)
    assert ketama(["a", "b"], [1, 3]).owned_fractions() == pytest.approx([0.25, 0.75], abs=0.1)


def test_a_fraction_is_what_keys_meet() -> None:
    """A share is the chance that a key lands there."""
    placement = ketama(["a", "b", "c"], [1, 2, 5])
    owners = [placement.owner(b"key:%d" % i) for i in range(4000)]

    assert [owners.count(i) / 4000 for i in range(3)] == pytest.approx(placement.owned_fractions(), abs=0.03)


def test_locate() -> None:
    """The hash, the end of its arc, and the index of the owner."""
    placement = ketama(["a", "b", "c"], [1, 1, 1])
    h, point, owner = placement.locate(b"user:1")

    assert owner == placement.owner(b"user:1")
    assert h <= point
    assert point in placement.points


def test_explain_a_shard() -> None:
    """Of a wide hash the first 32 bits are shown."""
    text = django_redis_shard(["redis://a", "redis://b"]).explain(b"k")

    assert text.startswith("'k' hashes to 8254c329, in the arc that ends at ")


def test_explain() -> None:
    """One sentence for a person; bytes that are no text are shown as escapes."""
    placement = Placement([0x80000000, 0xFFFFFFF0], [0, 1], FNV1A_64)

    assert placement.explain(b"") == "'' hashes to 00000000, in the arc that ends at 80000000"
    assert placement.explain(b"\xff").startswith("'\\xff' hashes to ")


def test_repr() -> None:
    """How many nodes and points."""
    assert repr(ketama(["a", "b"], [1, 1])) == "<placement of 2 nodes, 320 points>"
