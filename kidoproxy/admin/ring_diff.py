"""What another file would do to the rings of this one: which part of the keys would have another owner.

A key that has another owner is not found there: nobody moves it. The owner is a server, whatever it is called: one
whose address alone changes keeps its place, and one that takes over another one's address takes over its keys.

Where both rings hash alike their arcs are compared, which is exact for keys that hash evenly; where they do not, a
sample says it within a percent. Which keys are hashed by a part of themselves (``tags``, ``together``) neither says:
for that it takes real keys.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kidoproxy.config import Config, Member, NodeConfig, Pool
from kidoproxy.routes.build import build_placement, build_tags
from kidoproxy.routes.placement.owners import Placement

#: So many keys say what another hash does.
SAMPLED_KEYS: Final = 20_000
#: (owner before, owner after) -> the part of the circle, or the number of keys.
Moves = dict[tuple[str, str], float]


@dataclass(frozen=True)
class RingDiff:
    """One ring before and after. Shares and moves are parts of 1; ``hashes_other_parts``: see the module."""

    pool: str
    before: dict[str, float]
    after: dict[str, float]
    moves: Moves
    hashes_other_parts: bool = False
    #: Of the keys that were asked about: how many there are, and how many move from where to where.
    key_count: int = 0
    key_moves: Moves = field(default_factory=dict)

    @property
    def moved(self) -> float:
        """The part of the keys that have another owner."""
        return sum(self.moves.values())

    @property
    def is_remap(self) -> bool:
        """Whether some key may have another owner."""
        return bool(self.moves) or self.hashes_other_parts or bool(self.key_moves)


def diff_rings(old: Config, new: Config, keys: Iterable[bytes] = ()) -> list[RingDiff]:
    """All rings that both have, in the order of the new one; ``keys`` are those that the pool itself has."""
    known = list(keys)
    pairs = [(old.pools[name], pool) for name, pool in new.pools.items() if name in old.pools]
    return [diff_ring(before, after, known) for before, after in pairs if before.ring and after.ring]


def diff_ring(old: Pool, new: Pool, keys: list[bytes]) -> RingDiff:
    """Two versions of one ring."""
    assert old.ring is not None
    assert new.ring is not None
    old_owners, new_owners = owner_names(old, new)
    old_ring, new_ring = build_placement(old.ring, old.members), build_placement(new.ring, new.members)
    key_moves: Moves = {}
    old_tags, new_tags = build_tags(old.ring), build_tags(new.ring)
    for key in keys:
        before = old_owners[old_ring.owner(old_tags.hashed_part(key))]
        after = new_owners[new_ring.owner(new_tags.hashed_part(key))]
        if before != after:
            key_moves[before, after] = key_moves.get((before, after), 0) + 1
    is_same_hash = old_ring.key_hash == new_ring.key_hash
    compare = compare_arcs if is_same_hash else compare_hashes
    return RingDiff(
        new.name,
        shares(old_ring, old_owners),
        shares(new_ring, new_owners),
        compare(old_ring, old_owners, new_ring, new_owners),
        (old.ring.tags, old.ring.together) != (new.ring.tags, new.ring.together),
        len(keys),
        key_moves,
    )


def server_of(member: Member) -> str:
    """Where the keys of a member are."""
    return str(member.address) if isinstance(member, NodeConfig) else f"pool:{member.pool}"


def owner_names(old: Pool, new: Pool) -> tuple[list[str], list[str]]:
    """The owners of both rings' indexes, by one name for what is one owner."""
    old_servers = {server_of(member): shown_name(member) for member in old.members}
    moved = {member.name: shown_name(member) for member in old.members}
    for member in new.members:
        if server_of(member) in old_servers:
            moved.pop(member.name, None)
    new_servers = {server_of(member) for member in new.members}
    for member in old.members:
        if server_of(member) in new_servers:
            moved.pop(member.name, None)
    # What is left in ``moved`` has no server any more: who has its name now has its place.
    after = [
        old_servers.get(server_of(one)) or moved.get(one.name) or new_name(one, old_servers) for one in new.members
    ]
    return [shown_name(member) for member in old.members], after


def shown_name(member: Member) -> str:
    """The name, and where that says nothing about it the server."""
    return member.name if member.name == server_of(member) else f"{member.name} ({server_of(member)})"


def new_name(member: Member, old_servers: dict[str, str]) -> str:
    name = shown_name(member)
    return f"{name}, new" if name in old_servers.values() else name


def shares(placement: Placement, owners: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for owner, share in zip(owners, placement.owned_fractions(), strict=True):
        found[owner] = found.get(owner, 0.0) + share
    return found


def compare_arcs(old: Placement, old_owners: list[str], new: Placement, new_owners: list[str]) -> Moves:
    """Between any two points of either ring each has one owner."""
    moves: Moves = {}
    previous = -1
    for point in sorted({*old.points, *new.points, old.top}):
        if point > old.top:
            break
        before, after = old_owners[owner_at(old, point)], new_owners[owner_at(new, point)]
        if before != after:
            moves[before, after] = moves.get((before, after), 0.0) + (point - previous) / (old.top + 1)
        previous = point
    return moves


def owner_at(placement: Placement, point: int) -> int:
    """The index of the owner of this place on the circle."""
    at = bisect_left(placement.points, point)
    return placement.owners[at if at < len(placement.points) else 0]


def compare_hashes(old: Placement, old_owners: list[str], new: Placement, new_owners: list[str]) -> Moves:
    """By keys as good as random, always the same ones."""
    moves: Moves = {}
    for number in range(SAMPLED_KEYS):
        key = hashlib.sha256(b"%d" % number).hexdigest().encode()
        before, after = old_owners[old.find_owner(key)], new_owners[new.find_owner(key)]
        if before != after:
            moves[before, after] = moves.get((before, after), 0.0) + 1 / SAMPLED_KEYS
    return moves


def describe(diff: RingDiff) -> list[str]:
    """Lines for a person."""
    if not diff.is_remap:
        return [f"pool {diff.pool}: no key moves"]
    lines = [f"pool {diff.pool}: {percent(diff.moved)} of the keys move"]
    names = list(dict.fromkeys([*diff.before, *diff.after]))
    width = max(len(name) for name in [*names, "node"])
    lines.append(f"  {'node':{width}}  {'before':>8}  {'after':>8}")
    lines += [
        f"  {name:{width}}  {percent(diff.before.get(name, 0.0)):>8}  {percent(diff.after.get(name, 0.0)):>8}"
        for name in names
    ]
    lines += describe_moves(diff.moves, 1.0)
    if diff.hashes_other_parts:
        lines.append("  tags or together differ: keys that they are about move as well; --keys shows how many")
    if diff.key_count:
        moved = sum(diff.key_moves.values())
        lines.append(f"  of {diff.key_count} keys {moved:.0f} move, {percent(moved / diff.key_count)}")
        lines += describe_moves(diff.key_moves, diff.key_count)
    return lines


def describe_moves(moves: Moves, whole: float) -> list[str]:
    """The largest first."""
    return [
        f"  {percent(size / whole):>8}  {before} -> {after}"
        for (before, after), size in sorted(moves.items(), key=lambda move: (-move[1], move[0]))
    ]


def percent(part: float) -> str:
    """Something that is more than nothing never reads as nothing."""
    return "< 0.1 %" if 0 < part < 0.001 else f"{100 * part:.1f} %"
