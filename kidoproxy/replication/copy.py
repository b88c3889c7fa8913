"""One copy of a group: its node, its state, what it has missed, and its place in the order of the copies of a key."""

from typing import Final, final

from mypy_extensions import i64

from kidoproxy.replication.missed_keys import MissedKeys
from kidoproxy.replication.sync_progress import SyncProgress
from kidoproxy.routes.topology import Node

IN_SYNC: Final = "in sync"
BEHIND: Final = "behind"
SYNCING: Final = "syncing"


@final
class Copy:
    """One member of a copy group: the node, its state, and the seed of its rendezvous score."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state: str = BEHIND
        self.had_all_writes = False  # not in sync, but it had every acknowledged write when it was last seen
        self.restarted = False  # its server is another run since then, and may have lost data
        #: A copy was trusted that may have lost data which this one still has: a sync by itself does not cut it down.
        self.may_hold_more = False
        #: It was empty when a sync began to fill it: what it holds is not all, but nothing of it is old.
        self.was_filled = False
        #: A person has ended its sync: it is not begun again before somebody requests one.
        self.is_sync_cancelled = False
        self.missed = MissedKeys()
        #: How far its sync is, while one runs; and how many have ended well, or failed.
        self.sync_progress: SyncProgress | None = None
        self.syncs_done = 0
        self.syncs_failed = 0
        #: It did not get some write since the running pass of its sync began: one more pass is needed.
        self.missed_write = False
        #: So many writes that it refused or failed are still open: what is read from it meanwhile may lack them.
        self.unconfirmed = 0
        self.seed: i64 = unsigned_fnv1a(node.name.encode("utf-8", "surrogateescape"))

    def __repr__(self) -> str:
        return f"<copy {self.node.name} {self.state}>"


def unsigned_fnv1a(data: bytes) -> i64:
    """The 32-bit FNV-1a hash of ``data``."""
    h: i64 = 0x811C9DC5
    i: i64 = 0
    n: i64 = len(data)
    while i < n:
        h = ((h ^ data[i]) * 16777619) & 0xFFFFFFFF
        i += 1
    return h


def rendezvous_score(key_hash: i64, seed: i64) -> i64:
    """Rendezvous score of a node for a key (both are hashes), in 32 bits; the highest score decides."""
    x: i64 = ((key_hash ^ seed) * 0x2C1B3C6D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x297A2D39) & 0xFFFFFFFF
    return x ^ (x >> 16)


def order_number(copies: list[Copy], key: bytes) -> int:
    """Another number for each order of the copies by their scores for ``key``; 0 is that of the configuration.

    It has one bit for each pair of copies: whether the second one comes first.
    """
    h = unsigned_fnv1a(key)
    number = 0
    for second in range(1, len(copies)):
        score = rendezvous_score(h, copies[second].seed)
        for first in range(second):
            number = number * 2 + (1 if score > rendezvous_score(h, copies[first].seed) else 0)
    return number
