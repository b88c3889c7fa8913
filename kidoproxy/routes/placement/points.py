"""The points of the rings: where on the circle each node's arcs end.

uhashring computes the points; how many each node has is decided here, and every ring gets one form: sorted
points with an owner each, where a point ends its owner's arc and belongs to it. A key goes to the first
point that is not below its hash, past the last one to the first. Some of the rings that are followed ask for the
point *above* the hash, or for the one *before* it; their points are moved so that the same rule holds.
"""

import struct
from hashlib import sha256
from math import floor
from typing import Final

from uhashring import HashRing

#: nutcracker leaves this port out of the name, a habit of libmemcached.
NUTCRACKER_OMITTED_PORT: Final = 11211
#: Points of each URL on the ring of django-redis's ShardClient.
DJANGO_POINTS_PER_NODE: Final = 128

Points = tuple[list[int], list[int]]


def nutcracker_name(name: str, host: str, port: int, path: str) -> str:
    """What nutcracker hashes for a server: its name, else ``host:port``, else ``/path:`` for a unix socket.

    Of port 11211 only the host counts. Names beyond 80 bytes have no defined place in nutcracker: it
    reads past its buffer.
    """
    if name:
        return name
    if path:
        return f"{path}:"
    if port == NUTCRACKER_OMITTED_PORT:
        return host
    return f"{host}:{port}"


def check_nodes(names: list[str], weights: list[int]) -> None:
    """ValueError with a sentence when no ring can be made of these."""
    if not names:
        raise ValueError("a ring needs at least one node")
    if len(weights) != len(names):
        raise ValueError(f"{len(names)} nodes have {len(weights)} weights")
    if len(set(names)) != len(names):
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two nodes have the same name: {duplicate!r}")
    for name, weight in zip(names, weights, strict=True):
        if weight < 0:
            raise ValueError(f"the weight of node {name!r} is negative: {weight}")
    if sum(weights) == 0:
        raise ValueError("all weights are 0: no node would own a key")


def float32(x: float) -> float:
    """``x`` as a C ``float`` keeps it."""
    (rounded,) = struct.unpack("f", struct.pack("f", x))
    return float(rounded)


def nutcracker_rounds(weights: list[int]) -> list[int]:
    """How often nutcracker puts each server on the circle (four points each time).

    It counts in 32-bit floats, so that 25 equal servers get 39 each and not 40; a clone must do the same.
    """
    total = float32(float(sum(weights)))
    counts = []
    for weight in weights:
        share = float32(float32(float(weight)) / total)
        scaled = float32(float32(float32(share * 160.0) / 4.0) * len(weights))
        counts.append(floor(float32(scaled + 1e-10)))
    return counts


def nutcracker_points(names: list[str], weights: list[int]) -> Points:
    """The continuum of nutcracker.

    Where two servers have the same point the first one has it: the last one named wins in uhashring,
    hence the reversed order.
    """
    counts = nutcracker_rounds(weights)
    # With equal weights uhashring makes exactly "vnodes" rounds for each node.
    nodes = {names[i]: {"vnodes": counts[i], "weight": 1} for i in range(len(names) - 1, -1, -1)}
    return shifted_points(uhashring_points(nodes, 4), names, 0)


def hash_ring_points(names: list[str], weights: list[int]) -> Points:
    """The ring of hash_ring 1.3.1: three points of each digest; a key goes to the first point *above* its hash."""
    nodes = {name: {"vnodes": 40, "weight": weight} for name, weight in zip(names, weights, strict=True)}
    return shifted_points(uhashring_points(nodes, 3), names, 1)


def uhashring_points(nodes: dict[str, dict[str, int]], replicas: int) -> list[tuple[int, str]]:
    """uhashring's sorted points: place on the circle and name of the node."""
    return HashRing(nodes=nodes, hash_fn="ketama", replicas=replicas).get_points()


def shifted_points(points: list[tuple[int, str]], names: list[str], shift: int) -> Points:
    """Points ``shift`` further down, and the index of each one's owner in ``names``."""
    owner_indexes = {name: owner for owner, name in enumerate(names)}
    return [point - shift for point, _ in points], [owner_indexes[name] for _, name in points]


def django_points(urls: list[str]) -> Points:
    """The ring of django-redis's ShardClient, where a key goes to the last point that is *not above* its hash.

    An arc thus begins at its owner's point and ends one below the next; the one that begins at the
    highest point ends below the lowest.
    """
    pairs: list[tuple[int, int]] = []
    for owner, url in enumerate(urls):
        for i in range(DJANGO_POINTS_PER_NODE):
            digest = sha256(f"{url}:{i}".encode()).digest()
            pairs.append((int.from_bytes(digest, "big"), owner))
    pairs.sort()
    points = [point - 1 for point, _ in pairs]
    owners = [pairs[i - 1][1] for i in range(len(pairs))]
    return points, owners
