"""Placement: which node owns a key. A pure value; a changed ring is a new one.

The builders place as nutcracker (`ketama`), as hash_ring, the ring of the Django backends of 2015 (`hash_ring`) and as
django-redis's ShardClient (`django_redis_shard`) do, key for key. The ring hashes node *names*, never
addresses, and keys as *bytes*: uhashring's own lookup hashes ``str(key)``, which is wrong for them.
"""

from bisect import bisect_left
from typing import Final, final

from mypy_extensions import i64

from kidoproxy.routes.placement import hashes
from kidoproxy.routes.placement.hashes import DJANGO_SHA256, HASH_RING_MD5, LAST_MEMOIZED, hash32, sha256_int
from kidoproxy.routes.placement.points import check_nodes, django_points, hash_ring_points, nutcracker_points

#: A digest costs three times a look into a dict, so the owners of this many keys are remembered …
MEMO_KEYS: Final = 32_768
#: … if they are not longer than this: at most a few megabytes per ring.
MEMO_KEY_BYTES: Final = 128
#: A key that is not remembered costs more than without a memo. One that is full, and was not asked for known keys this
#: many times as often as for new ones, is left alone for so many lookups.
WORTHWHILE_HITS: Final = 2
BYPASSED_LOOKUPS: Final = 1 << 20

#: How many of a hash's 32 bits say in which slot of the owner table it is.
SLOT_SHIFT: Final = 16
#: In place of an owner: the slot belongs to several.
MIXED: Final = 255


@final
class Placement:
    """A circle of ``points``; ``points[i]`` ends an arc, itself included, that belongs to the node ``owners[i]``.

    ``key_hash`` says how keys are hashed (see `kidoproxy.routes.placement.hashes`), ``nodes`` how many nodes there
    are, for one without weight has no point.
    """

    def __init__(self, points: list[int], owners: list[int], key_hash: int, nodes: int = 0) -> None:
        self.points = points
        self.owners = owners
        self.key_hash = key_hash
        self.node_count = max(nodes, max(owners) + 1)
        self.bits = 256 if key_hash == DJANGO_SHA256 else 32
        #: The highest hash that a key may have.
        self.top = hashes.CRC32_TOP if key_hash == hashes.CRC32 else (1 << self.bits) - 1
        #: The owner of everything, or -1.
        self.sole_owner = owners[0] if min(owners) == max(owners) else -1
        self.memoized = key_hash <= LAST_MEMOIZED
        self.memo: dict[bytes, int] = {}
        self.memo_hits: i64 = 0
        #: So many lookups do without the memo from now on.
        self.bypassed_lookups: i64 = 0
        #: The owner of each 65 536th of the circle, or `MIXED`; empty where there are too many owners for a byte.
        self.owner_table = owner_table(points, owners) if self.bits == 32 and self.node_count <= MIXED else b""

    def with_merged_owners(self, first_index: list[int]) -> "Placement":
        """The same circle, on which the arcs of node ``i`` belong to node ``first_index[i]``."""
        return Placement(self.points, [first_index[owner] for owner in self.owners], self.key_hash, self.node_count)

    def owner(self, key: bytes) -> int:
        """The index of the node that owns ``key``, which is the hashed part only (see `Tags.hashed_part`)."""
        if self.sole_owner >= 0:
            return self.sole_owner
        if not self.memoized:
            return self.find_owner32(hash32(key, self.key_hash))
        if self.bypassed_lookups > 0:
            self.bypassed_lookups -= 1
            return self.find_owner(key)
        remembered = self.memo.get(key)
        if remembered is not None:
            self.memo_hits += 1
            return remembered
        return self.remember_owner(key)

    def remember_owner(self, key: bytes) -> int:
        """The owner by hash and search; remembered if the key is short."""
        owner = self.find_owner(key)
        if len(key) <= MEMO_KEY_BYTES:
            if len(self.memo) >= MEMO_KEYS:
                self.forget()
            self.memo[key] = owner
        return owner

    def forget(self) -> None:
        """The memo is full: begin again, at once if it was worth while."""
        self.memo = {}
        if self.memo_hits < WORTHWHILE_HITS * MEMO_KEYS:
            self.bypassed_lookups = BYPASSED_LOOKUPS
        self.memo_hits = 0

    def find_owner(self, key: bytes) -> int:
        """The owner by hash and search."""
        if self.key_hash == DJANGO_SHA256:
            return self.owners[self.point_index(key)]
        return self.find_owner32(hash32(key, self.key_hash))

    def find_owner32(self, h: i64) -> int:
        """The owner of the 32-bit hash ``h``."""
        if self.owner_table:
            owner: i64 = self.owner_table[h >> SLOT_SHIFT]
            if owner != MIXED:
                return int(owner)
        return self.owners[self.search32(h)]

    def point_index(self, key: bytes) -> int:
        """The index of the point that ends the arc of ``key``."""
        if self.key_hash == DJANGO_SHA256:
            at = bisect_left(self.points, sha256_int(key))
            return 0 if at == len(self.points) else at
        return int(self.search32(hash32(key, self.key_hash)))

    def search32(self, h: i64) -> i64:
        """The index of the first point that is not below the 32-bit hash ``h``; past the last one 0."""
        points = self.points
        low: i64 = 0
        n: i64 = len(points)
        high: i64 = n
        while low < high:
            middle: i64 = (low + high) >> 1
            point: i64 = points[middle]
            if point < h:
                low = middle + 1
            else:
                high = middle
        return 0 if low == n else low

    def locate(self, key: bytes) -> tuple[int, int, int]:
        """The hash of ``key``, the point that ends its arc, and the owner's index."""
        at = self.point_index(key)
        return self.hash(key), self.points[at], self.owners[at]

    def hash(self, key: bytes) -> int:
        """Where on the circle ``key`` is."""
        if self.key_hash == DJANGO_SHA256:
            return sha256_int(key)
        return int(hash32(key, self.key_hash))

    def explain(self, key: bytes) -> str:
        """A sentence for people: what is hashed, its hash, and the point that ends its arc."""
        h, point, _ = self.locate(key)
        printable = key.decode("utf-8", "backslashreplace")
        shift = self.bits - 32
        return f"'{printable}' hashes to {h >> shift:08x}, in the arc that ends at {(point >> shift) & 0xFFFFFFFF:08x}"

    def owned_fractions(self) -> list[float]:
        """The fraction of all hashes that each node owns."""
        owned = [0] * self.node_count
        before = -1
        for point, owner in zip([*self.points, self.top], [*self.owners, self.owners[0]], strict=True):
            end = min(point, self.top)
            owned[owner] += end - before
            before = end
        return [arc / (self.top + 1) for arc in owned]

    def __repr__(self) -> str:
        return f"<placement of {self.node_count} nodes, {len(self.points)} points>"


def owner_table(points: list[int], owners: list[int]) -> bytes:
    """For each value of a hash's upper 16 bits the owner of all hashes that begin so, or `MIXED`."""
    table = bytearray([MIXED]) * (1 << SLOT_SHIFT)
    before = -1
    for point, owner in zip([*points, (1 << 32) - 1], [*owners, owners[0]], strict=True):
        # The slots that lie wholly in the arc from the point before, which is not part of it, to this one.
        first, end = (before + (1 << SLOT_SHIFT)) >> SLOT_SHIFT, (point + 1) >> SLOT_SHIFT
        if first < end:
            table[first:end] = bytes([owner]) * (end - first)
        before = point
    return bytes(table)


def ketama(names: list[str], weights: list[int], key_hash: int = hashes.MD5) -> Placement:
    """As nutcracker with ``distribution: ketama``; ``names`` as `nutcracker_name` says, any hash of its."""
    check_nodes(names, weights)
    points, owners = nutcracker_points(names, weights)
    return Placement(points, owners, key_hash, len(names))


def hash_ring(names: list[str], weights: list[int]) -> Placement:
    """As hash_ring 1.3.1, the ring of django-redisdb and django-kidoredis; their names are ``0``, ``1``, …"""
    check_nodes(names, weights)
    points, owners = hash_ring_points(names, weights)
    return Placement(points, owners, HASH_RING_MD5, len(names))


def django_redis_shard(urls: list[str]) -> Placement:
    """As django-redis's ShardClient over these URLs. Its tags are `kidoproxy.routes.placement.tags.GREEDY`."""
    check_nodes(urls, [1] * len(urls))
    points, owners = django_points(urls)
    return Placement(points, owners, DJANGO_SHA256, len(urls))
