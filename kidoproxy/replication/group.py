"""A copy group: the nodes of a copy pool, which of them may be read, and who decides for a key.

Invariants:

* A copy leaves the in-sync set when it missed a write that another in-sync copy took, or when its server was restarted.
  The last one never leaves; if its server is restarted, nobody is asked until an election.
* A copy comes in only by `mark_in_sync`, when a sync has proved that it holds what the others hold.
* Each change of the set goes to ``journal``. Acknowledgements of writes wait until it is on disk (``durability``), so
  that a restarted proxy knows who missed what was acknowledged.
* Every write is sent between `begin_write` and `end_write`. While it is open the copies' outcomes are not compared yet.
"""

from collections.abc import Callable
from typing import Final, cast, final

from mypy_extensions import i64

from kidoproxy.replication.copy import BEHIND as BEHIND
from kidoproxy.replication.copy import IN_SYNC as IN_SYNC
from kidoproxy.replication.copy import SYNCING as SYNCING
from kidoproxy.replication.copy import Copy as Copy
from kidoproxy.replication.copy import rendezvous_score, unsigned_fnv1a
from kidoproxy.replication.durability import Durability
from kidoproxy.replication.expiry_memo import ExpiryMemo
from kidoproxy.replication.key_turns import KeyTurns
from kidoproxy.replication.noted_keys import REPAIR_BYTES, TOUCHED_BYTES, ByteBudget, KeySet
from kidoproxy.replication.noted_keys import WatchedKeys as WatchedKeys
from kidoproxy.replication.ownership import Ownership
from kidoproxy.replication.repair_waits import RepairWaits
from kidoproxy.replication.scrub_record import ScrubRecord
from kidoproxy.replication.waiters import Waiters
from kidoproxy.replies.hedge_queue import HedgeQueue
from kidoproxy.resp.errors import STARTING_UP
from kidoproxy.resp.replication_errors import trust_lost
from kidoproxy.routes.topology import Node, NodeGroup

#: More than any rendezvous score: a live node comes before one that is not.
LIVE_BONUS: Final = 1 << 40
#: So many keys may wait for a repair before the copies concerned count as behind altogether.
MAX_REPAIR_KEYS: Final = 10_000


@final
class CopyGroup(NodeGroup):
    """The copies of one pool, in the order of the configuration, and everything that they share.

    ``min_in_sync``: a write that fewer copies have taken is an error to the client.
    """

    def __init__(self, name: str, nodes: list[Node], min_in_sync: int = 1) -> None:
        super().__init__(nodes[0].node_id)
        self.name = name
        self.copies: list[Copy] = [Copy(node) for node in nodes]
        self.min_in_sync = min_in_sync
        #: So many copies, the leader among them, have a write before the client hears of it; 0: all (setting ``ack``).
        self.acks_needed = 0
        self.heals_itself = False  # copies that are behind are synced unasked (the pool's setting ``heal``)
        self.sync_keys_per_s = 0  # a sync looks at no more keys in a second; 0: at as many as it can
        self.scrub = ScrubRecord()
        #: An election has said which copies to trust; else clients get ``refusal``.
        self.elected = False
        self.trust_lost = False
        self.refusal = STARTING_UP
        #: Who serves these copies, if the nodes are asked for other proxies; see `kidoproxy.replication.ownership`.
        self.ownership: Ownership | None = None
        self.trust_is_revocable = False  # a copy left for its restart alone, and no write was acknowledged since
        self.journal: Callable[[CopyGroup], None] | None = None
        self.verify_owner: Callable[[], None] | None = None
        self.durability = Durability()
        #: (database, key) whose copies may differ, until the supervisor has repaired them.
        self.to_repair: KeySet = {}
        self.repair_budget = ByteBudget(REPAIR_BYTES)
        #: For some of them: the node whose reply a client got; it decides while it is in sync, whoever leads by then.
        self.repair_sources: dict[tuple[int, bytes], Node] = {}
        self.repair_waits = RepairWaits()
        #: While a sync runs: keys of writes whose outcome may be another one at a copy that is not complete yet.
        self.touched_keys: KeySet | None = None
        self.touched_budget = ByteBudget(TOUCHED_BYTES)
        self.cross_db_write = False  # one of these writes went from one database to another (MOVE, COPY)
        self.touches_single_keys = False  # a sync scans the nodes, which may miss what writes with one key touch
        self.unknown_keys_touched = False  # by a write that was sent meanwhile
        self.differing_keys: KeySet = {}  # while a sync runs: of writes that copies have taken differently
        self.differing_budget = ByteBudget(REPAIR_BYTES)
        self.mismatches = 0
        self.expiry_memo = ExpiryMemo()
        self.checks_expiry = len(nodes) > 1  # whether copies are asked when keys of a write expire
        self.read_count = 0  # reads that were sent to one copy, for taking turns
        self.hedges = HedgeQueue()
        self.watches: list[WatchedKeys] = []
        self.waiters = Waiters()
        self.key_turns = KeyTurns()  # who has a turn at which keys, while their leader decides something about them
        #: Where the leader decides and the others are sent values: how large these may be.
        self.effect_max_bytes = 64 << 20
        #: The run ids that the copies in sync had when they were last seen, by name.
        self.run_ids: dict[str, str] = {}
        #: How many writes are open, and how many of them are of earlier epochs; whom to call when those are done.
        self.write_epoch = 0
        self.open_writes = 0
        self.open_before = 0
        self.on_writes_done: Callable[[], None] | None = None
        #: The copy that PUBLISH goes to (`active_pubsub_node`), and how many of our connections subscribe there.
        self.pubsub_node: Node | None = None
        self.pubsub_connections = 0
        for node in nodes:
            node.group = self
            node.has_ordered_connection = True

    def in_sync(self) -> list[Copy]:
        """The copies that may be read, in the order of the configuration."""
        return [copy for copy in self.copies if copy.state == IN_SYNC]

    def behind_names(self) -> list[str]:
        """The names of the copies that may not be read."""
        return [copy.node.name for copy in self.copies if copy.state != IN_SYNC]

    def ranked(self, key: bytes | None) -> list[Node]:
        """The in-sync nodes in the order in which they are asked: live ones first, then by their score for the key.

        Without a key (DBSIZE, a transaction) the order of the configuration decides.
        """
        h: i64 = unsigned_fnv1a(key) if key is not None else 0
        nodes: list[Node] = []
        if self.trust_lost:
            return nodes
        scores: list[int] = []
        for copy in self.copies:
            if copy.state != IN_SYNC:
                continue
            # Insertion into a list of two or three; without a key all scores are equal and the order stays.
            own_score = int(rendezvous_score(h, copy.seed)) if key is not None else 0
            if copy.node.live and not copy.node.suspect:
                own_score += LIVE_BONUS
            at = len(nodes)
            while at > 0 and scores[at - 1] < own_score:
                at -= 1
            nodes.insert(at, copy.node)
            scores.insert(at, own_score)
        return nodes

    def leader(self, key: bytes | None) -> Node | None:
        """The node that decides for ``key``; None when no copy is in sync."""
        ranked = self.ranked(key)
        return ranked[0] if ranked else None

    def ranked_copies(self, key: bytes | None) -> list[Copy]:
        """All copies by their score for ``key``, the highest first (Thaler and Ravishankar, 1998)."""
        if key is None:
            return list(self.copies)
        h = unsigned_fnv1a(key)
        ordered = sorted((-rendezvous_score(h, copy.seed), at) for at, copy in enumerate(self.copies))
        return [self.copies[at] for _, at in ordered]

    def copy_of(self, node: Node) -> Copy:
        """The copy that ``node`` is; KeyError when it is none of this group."""
        for copy in self.copies:
            if copy.node is node:
                return copy
        raise KeyError(node.name)

    def may_lack_writes(self, node: Node) -> bool:
        """Whether a reply that ``node`` gave to a read may lack a write."""
        copy = self.copy_of(node)
        return copy.state != IN_SYNC or copy.unconfirmed > 0

    def mark_in_sync(self, node: Node) -> None:
        """A sync has proved that ``node`` holds what the others hold."""
        copy = self.copy_of(node)
        copy.state = IN_SYNC
        copy.had_all_writes = False
        copy.restarted = False
        copy.may_hold_more = copy.was_filled = copy.is_sync_cancelled = False
        copy.missed.reset(node.run_id)
        self.expiry_memo.clear()
        self.record_change()

    def lose_trust(self, node: Node) -> None:
        """The server of the last trusted copy is another run now: nobody is asked until an election."""
        self.elected, self.trust_lost = False, True
        self.refusal = trust_lost(node.name, node.address, node.cause)

    def is_owner(self) -> bool:
        """Whether this proxy may serve the copies: the nodes show no other one, or are not asked."""
        return self.ownership is None or self.ownership.confirmed

    def lose_ownership(self) -> None:
        """Another proxy serves these copies: this one does not any more."""
        if self.ownership is not None and self.ownership.yielded_to is not None:
            self.elected, self.trust_lost = False, True
            self.refusal = self.ownership.refusal()
            self.durability.give_up()

    def fill_begins(self, node: Node) -> None:
        """``node`` is empty: nothing of what it had can be found on it any more."""
        copy = self.copy_of(node)
        copy.was_filled = True
        copy.had_all_writes = False

    def sync_failed(self, node: Node) -> None:
        """Its sync has ended without proof: the copy is behind, as before."""
        self.copy_of(node).state = BEHIND

    def mark_behind(self, nodes: list[Node], db: int = 0, keys: list[bytes] | None = None) -> None:
        """These missed a write that another copy took. The last in-sync copy stays, whatever happened.

        ``keys`` of ``db`` are what they may differ in; None: anything.
        """
        changed = False
        for node in nodes:
            copy = self.copy_of(node)
            if copy.state == IN_SYNC and len(self.in_sync()) > 1:
                copy.state = BEHIND
                copy.missed.add_all(self.to_repair)
                changed = True
            if copy.state != IN_SYNC:
                copy.missed.add(db, keys)
        for copy in self.copies if self.trust_is_revocable else []:
            copy.had_all_writes = False  # a write may have been acknowledged without it
        self.trust_is_revocable = False
        if changed:
            self.record_change(is_loss=True)

    def on_write_sent(
        self, db: int, keys: list[bytes], other_db: int | None, may_write_other_keys: bool, unawaited_nodes: list[Node]
    ) -> None:
        """A write is being sent: to the copies in sync, and to ``unawaited_nodes`` without waiting for them.

        The rest of the copies miss it. The keys of writes with several keys or databases are noted for copies that are
        not in sync, and for a sync that runs: they may lack one of them, and so come to another outcome.
        """
        for copy in self.copies:
            if copy.state == IN_SYNC:
                continue
            if copy.node not in unawaited_nodes:
                copy.missed_write = True
                copy.missed.add(db, missed_keys(keys, other_db, may_write_other_keys))
            elif len(keys) != 1 or other_db is not None or may_write_other_keys:
                copy.missed.add(db, missed_keys(keys, other_db, may_write_other_keys))
        if self.touched_keys is None:
            return
        if other_db is not None:
            self.cross_db_write = True
        self.unknown_keys_touched = self.unknown_keys_touched or may_write_other_keys or not keys
        if self.touches_single_keys or len(keys) > 1 or other_db is not None or may_write_other_keys:
            for touched_db in (db,) if other_db is None else (db, other_db):
                if self.touched_budget.add_keys(self.touched_keys, touched_db, keys):
                    self.recheck_everything()

    def recheck_everything(self) -> None:
        """There were too many keys to remember: the sync compares everything once more."""
        for copy in self.copies:
            copy.missed_write = copy.missed_write or copy.state != IN_SYNC

    def on_unawaited_write_lost(self, node: Node, db: int = 0, keys: list[bytes] | None = None) -> None:
        """A write that nobody waited for did not reach ``node``: its sync has to look again, or begin again."""
        self.copy_of(node).missed_write = True
        self.mark_behind([node], db, keys)

    def outcomes_may_differ(self, db: int, keys: list[bytes] | None) -> None:
        """Copies that are behind may have taken a write that those in sync have not."""
        for copy in self.copies:
            if copy.state != IN_SYNC:
                copy.missed.add(db, keys)
        self.recheck_later(db, keys)

    def on_unawaited_reply_differs(self, node: Node, db: int, keys: list[bytes]) -> None:
        """``node``, which nobody waited for, has taken a write to these keys differently from what the client heard."""
        copy = self.copy_of(node)
        if copy.state == IN_SYNC:  # since it was sent
            self.mismatches += 1
            self.repair_later(db, keys)
        else:
            copy.missed.add(db, keys)
            if copy.state == SYNCING:
                self.recheck_later(db, keys)

    def recheck_later(self, db: int, keys: list[bytes] | None) -> None:
        """The sync that runs, if one does, compares these before its end; None: all."""
        if self.touched_keys is None or self.touches_single_keys:
            return
        if keys is None or self.differing_budget.add_keys(self.differing_keys, db, keys):
            self.recheck_everything()

    def on_restart(self, node: Node) -> bool:
        """``node`` has another run id: it may have lost data, and is asked no more; nobody is if no other is in sync.

        Returns whether it may still be asked: it is a pool's only copy.
        """
        self.invalidate_watches(0, [], None)
        self.expiry_memo.clear()
        copy = self.copy_of(node)
        if not self.in_sync():
            return False
        copy.restarted = copy.missed_write = True
        copy.missed.add_everything()
        copy.was_filled = False
        if copy.state == IN_SYNC and len(self.in_sync()) > 1:
            copy.state = BEHIND
            copy.had_all_writes = True
            self.trust_is_revocable = True
            self.record_change()
        elif copy.state == IN_SYNC and len(self.copies) > 1:
            self.lose_trust(node)
        return self.elected and copy.state == IN_SYNC

    def repair_later(self, db: int, keys: list[bytes], source: Node | None = None) -> None:
        """Note that the copies of these keys may differ; when they are too many, all but the first copy are behind.

        ``source``: the node whose reply the client got, so that what it says is what stays.
        """
        self.outcomes_may_differ(db, keys)
        for key in keys:
            if source is not None:
                self.repair_sources[(db, key)] = source
        if self.repair_budget.add_keys(self.to_repair, db, keys) or len(self.to_repair) > MAX_REPAIR_KEYS:
            self.to_repair.clear()
            self.repair_sources.clear()
            self.mark_behind([copy.node for copy in self.copies[1:]])

    def invalidate_watches(self, db: int, keys: list[bytes], other_db: int | None) -> None:
        """A write to these keys has been sent, in ``db`` and ``other_db`` (if any); without keys, to any keys."""
        for watched in self.watches:
            if not keys or any((db, key) in watched.keys or (other_db, key) in watched.keys for key in keys):
                watched.cas_dirty = True

    # -- the copy that messages are published to -----------------------------------------------------------

    def active_pubsub_node(self) -> Node | None:
        """Where to publish: where our connections subscribe while that node lives, until they have moved on."""
        pubsub_node = self.pubsub_node
        return (
            pubsub_node
            if pubsub_node is not None and pubsub_node.live and self.pubsub_connections
            else self.preferred_pubsub_node()
        )

    def preferred_pubsub_node(self) -> Node | None:
        """Where our connections should subscribe: where they do while that is live and in sync, else the first."""
        pubsub_node = self.pubsub_node
        if pubsub_node is not None and pubsub_node.live and self.copy_of(pubsub_node).state == IN_SYNC:
            return pubsub_node
        ranked = self.ranked(None)
        return ranked[0] if ranked else None

    # -- open writes -----------------------------------------------------------------------------------

    def begin_write(self) -> int:
        """A write is being sent; returns the epoch, which `end_write` wants."""
        self.open_writes += 1
        return self.write_epoch

    def end_write(self, epoch: int) -> None:
        """A write is done: copies that missed it have left the in-sync set."""
        self.open_writes -= 1
        if epoch != self.write_epoch:
            self.open_before -= 1
            self.notify_if_writes_done()

    def when_writes_done(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` as soon as every write that is open now is done; writes begun later do not count."""
        self.write_epoch += 1
        self.open_before = self.open_writes
        self.on_writes_done = callback
        self.notify_if_writes_done()

    def notify_if_writes_done(self) -> None:
        callback = self.on_writes_done
        if callback is not None and not self.open_before:
            self.on_writes_done = None
            callback()

    # -- the record of who is behind -------------------------------------------------------------------

    def record_change(self, is_loss: bool = False) -> None:
        """The in-sync set has changed: the journal puts the new one on disk. If it lost a copy, is it still ours?"""
        for copy in self.copies:
            if copy.state == IN_SYNC and copy.node.run_id and not copy.restarted:
                self.run_ids[copy.node.name] = copy.node.run_id.decode("latin-1")
        verify = self.verify_owner if is_loss else None
        if self.journal is not None or verify is not None:
            self.durability.begin_version(self.journal is not None, verify is not None)
        if self.journal is not None:
            self.journal(self)
        if verify is not None:
            verify()

    def record_details(self) -> None:
        """Something beside the set has changed in the record: nobody waits. Before an election there is no set."""
        if self.journal is not None and self.elected:
            self.journal(self)


def missed_keys(keys: list[bytes], other_db: int | None, may_write_other_keys: bool) -> list[bytes] | None:
    """In which keys copies may differ that came to different outcomes of a write; None: in any."""
    return None if other_db is not None or may_write_other_keys or not keys else keys


def group_of(node: Node) -> CopyGroup | None:
    """The copy group of a node; None if it is no copy."""
    return cast(CopyGroup, node.group) if node.group is not None else None
