"""One scrub: compares all keys of the copies in sync while writes go on, and has repaired what differs.

Order of events: list the databases of all copies; try each on all; per database and copy SCAN the keys (of the second
copy and the others those alone that none before it has); ask for their sizes, cut them into batches, compare each batch
on all copies (`key_comparison`), and large values one by one, piece by piece (`large_comparison`). What differs is
noted for repair from its leader, and the scrub goes on when that is over; a dry run only reports. At the end every key
that was there all the time has been compared.

It is done in slices, when the supervisor has nothing else to do (`take_turn`), and no faster than the pool's
``sync_keys_per_s``. It ends without a result when one of the copies leaves the in-sync set.
"""

from enum import Enum
from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests
from kidoproxy.replication.batch_size import KeyBatch, SizeEstimator
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.replication.key_comparison import KeyComparison
from kidoproxy.replication.large_comparison import LargeComparison
from kidoproxy.replication.large_string import LARGE_BYTES
from kidoproxy.replication.parse_replies import first_error, parse_integer, parse_scan_reply
from kidoproxy.replication.sync_databases import SyncDatabases, parse_key_counts
from kidoproxy.replication.sync_progress import SyncProgress
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor

SCAN_COUNT: Final = b"100"
#: So many batches of keys are found or compared one after another before anything else has its turn.
BATCHES_PER_TURN: Final = 20
#: The pace where the pool has none: nobody waits for a scrub.
KEYS_PER_S: Final = 10_000
#: In so many turns a key may be in the hands of its leader until it is left out.
MAX_TRIES: Final = 100
#: The database of a connection on which a SELECT may have been refused: the next request selects anew.
UNKNOWN_DB: Final = -1


class ScrubStep(Enum):
    """The request whose reply it waits for; or it waits for its next turn, or is over."""

    PAUSE = 0
    LIST_DATABASES = 1
    SELECT = 2
    SCAN = 3
    CHECK_LEFTOVERS = 4
    SIZE = 5
    COMPARE = 6
    DONE = 7


@final
class Scrub(Callback):
    """Compares ``nodes`` of ``group``, which are in sync. Counts in the group's record. ``problem``: why it failed."""

    def __init__(self, executor: Executor, group: CopyGroup, nodes: list[Node]) -> None:
        self.executor = executor
        self.group = group
        self.nodes = nodes
        self.record = group.scrub
        self.connections: list[NodeConnection] = [executor.new_unshared(node, 2, 0, False) for node in nodes]
        self.pace = SyncProgress(group.sync_keys_per_s or KEYS_PER_S, executor.now)
        self.step = ScrubStep.PAUSE
        self.wall_ms = 0
        self.batches_left = 0
        self.is_listed = False
        self.databases = SyncDatabases()
        #: What is still to be scanned: database and place of the copy; the place that is scanned now, and how far.
        self.places: list[tuple[int, int]] = []
        self.db = 0
        self.copy_at = 0
        self.cursor = b""
        self.keys_found: list[bytes] = []
        self.sizes = SizeEstimator()
        self.batches: list[KeyBatch] = []
        self.batch = KeyBatch()
        self.comparison: KeyComparison | None = None
        self.large: LargeComparison | None = None
        #: Keys of this place that were in the hands of their leader, and how often they were put off.
        self.postponed: list[KeyBatch] = []
        self.tries = 0
        #: Keys that have been noted for repair and are not repaired yet.
        self.noted: dict[tuple[int, bytes], bool] = {}
        self.problem = ""

    def is_busy(self) -> bool:
        """Whether it waits for replies."""
        return self.step not in (ScrubStep.PAUSE, ScrubStep.DONE)

    def take_turn(self, now: float, wall_ms: int) -> None:
        """Go on for some batches; nothing else is done to the copies meanwhile."""
        self.wall_ms = wall_ms
        self.pace.tick(now)
        self.batches_left = BATCHES_PER_TURN
        if self.postponed:
            self.batches += self.postponed
            self.postponed = []
        self.go_on()

    def go_on(self) -> None:
        """The next request; or wait for the next turn."""
        self.step = ScrubStep.PAUSE
        self.count_repaired()
        if problem := self.copy_that_left():
            self.finish(problem)
        elif self.noted or not self.batches_left or not self.may_go_on():
            return
        elif self.large is not None:
            self.compare_next_piece(self.large)
        elif self.batches:
            self.compare(self.batches.pop(0))
        elif not self.is_listed:
            self.list_databases()
        elif self.cursor:
            self.scan()
        elif self.postponed:
            self.give_up_postponed()
        elif self.places:
            self.db, self.copy_at = self.places.pop(0)
            self.cursor, self.tries = b"0", 0
            self.scan()
        else:
            self.finish("")

    def copy_that_left(self) -> str:
        """Why the copies cannot be compared any more; empty if they can."""
        for node in self.nodes:
            if not self.group.elected or self.group.copy_of(node).state != IN_SYNC:
                return f"{node.name} fell behind meanwhile"
            if not self.executor.connection(node, 2, 0).is_ready():
                return f"{node.name} was lost meanwhile"
        return ""

    def may_go_on(self) -> bool:
        """Whether the pace allows it, and no copy's connection keeps writes back, which would stand behind it."""
        return self.pace.may_go_on(self.executor.now) and all(
            self.executor.connection(node, 2, 0).can_send for node in self.nodes
        )

    def count_repaired(self) -> None:
        """Those that wait for their repair no more are repaired; else a copy has left."""
        waiting = [db_key for db_key in self.noted if db_key in self.group.to_repair]
        if len(waiting) < len(self.noted) and not self.copy_that_left():
            self.record.add_repaired(len(self.noted) - len(waiting))
            self.noted = dict.fromkeys(waiting, True)

    def give_up_postponed(self) -> None:
        """Wait for their next turn; after many they are left out."""
        self.tries += 1
        if self.tries > MAX_TRIES:
            for batch in self.postponed:
                self.record.skipped += len(batch.keys)
            self.postponed = []
            self.tries = 0

    # -- the databases -------------------------------------------------------------------------------

    def ask_all(self, step: ScrubStep, argv: list[bytes]) -> None:
        """Ask each copy in whatever database its connection is."""
        self.step = step
        batch_reply = BatchReply(self, len(self.connections))
        for at, connection in enumerate(self.connections):
            send_requests(connection, batch_reply, at, [argv], max(connection.db, 0), self.executor.now)

    def list_databases(self) -> None:
        self.ask_all(ScrubStep.LIST_DATABASES, [b"INFO", b"keyspace"])

    def on_listed(self, replies: list[bytes]) -> None:
        """All databases that have keys on any copy."""
        counts = parse_key_counts(replies)
        if not counts:
            self.finish("a copy gave no sensible answer to INFO keyspace")
            return
        self.is_listed = True
        self.record.expected = sum(sum(by_db.values()) for by_db in counts)
        self.pace.begin_pass(self.record.expected)
        found: dict[int, bool] = {}
        for by_db in counts:
            found.update(dict.fromkeys(by_db, True))
        self.databases.remaining = sorted(found)
        self.places = [(db, copy_at) for db in sorted(found) for copy_at in range(len(self.nodes))]
        self.probe_next_database()

    def probe_next_database(self) -> None:
        """A SELECT that a copy refuses would fail the writes behind it: each is tried on a connection of our own."""
        if not self.databases.probe_next():
            self.go_on()
            return
        self.ask_all(ScrubStep.SELECT, [b"SELECT", b"%d" % self.databases.probed])
        for connection in self.connections:
            connection.db = UNKNOWN_DB

    # -- the keys of a database on one copy ----------------------------------------------------------

    def ask_one(self, step: ScrubStep, copy_at: int, requests: list[list[bytes]]) -> None:
        """Ask one copy in the current database."""
        self.step = step
        batch_reply = BatchReply(self, len(requests))
        send_requests(self.connections[copy_at], batch_reply, 0, requests, self.db, self.executor.now)

    def scan(self) -> None:
        self.batches_left -= 1
        self.ask_one(ScrubStep.SCAN, self.copy_at, [[b"SCAN", self.cursor, b"COUNT", SCAN_COUNT]])

    def on_scanned(self, raw: bytes) -> None:
        """The first copy's keys are compared; of another one's those that no copy before it has."""
        found = parse_scan_reply(raw)
        if found is None or (found[0] == self.cursor and self.cursor != b"0"):
            self.finish(f"{self.nodes[self.copy_at].name} gave no sensible answer to SCAN")
            return
        cursor, keys = found
        self.cursor = b"" if cursor == b"0" else cursor
        self.pace.add(len(keys))
        self.record.scanned += len(keys)
        if not keys:
            self.go_on()
        elif self.copy_at:
            self.look_up(keys)
        else:
            self.ask_sizes(keys)

    def look_up(self, keys: list[bytes]) -> None:
        """Ask the copies that were scanned before whether they have these."""
        self.step = ScrubStep.CHECK_LEFTOVERS
        self.keys_found = keys
        batch_reply = BatchReply(self, len(keys) * self.copy_at)
        requests = [[b"EXISTS", key] for key in keys]
        for at in range(self.copy_at):
            connection = self.connections[at]
            send_requests(connection, batch_reply, at * len(keys), requests, self.db, self.executor.now)

    def on_leftovers_checked(self, replies: list[bytes]) -> None:
        """Those that none of them has are compared."""
        count = len(self.keys_found)
        keys = [key for at, key in enumerate(self.keys_found) if all(raw[:2] == b":0" for raw in replies[at::count])]
        if keys:
            self.ask_sizes(keys)
        else:
            self.go_on()

    def ask_sizes(self, keys: list[bytes]) -> None:
        self.keys_found = keys
        self.ask_one(ScrubStep.SIZE, self.copy_at, [[b"MEMORY", b"USAGE", key] for key in keys])

    def on_sized(self, replies: list[bytes]) -> None:
        """A user who may not ask for sizes has them guessed."""
        self.batches = self.sizes.split_keys(self.keys_found, [parse_integer(raw) for raw in replies])
        self.go_on()

    # -- the comparison ------------------------------------------------------------------------------

    def compare(self, batch: KeyBatch) -> None:
        """Compare these keys, but for those of which their leader is ahead of the others just now."""
        self.batches_left -= 1
        taken = [key for key in batch.keys if self.is_taken(key)]
        self.postpone(taken, batch)
        batch.keys = [key for key in batch.keys if key not in taken]
        if not batch.keys:
            self.go_on()
            return
        self.step = ScrubStep.COMPARE
        self.batch = batch
        size = batch.estimated_bytes
        if size >= LARGE_BYTES:
            self.compare_in_pieces(batch.keys[0])
        else:
            executor, group, nodes = self.executor, self.group, self.nodes
            self.comparison = KeyComparison(executor, group, nodes, self.db, batch.keys, self.wall_ms, size, False)
            self.comparison.begin(self)

    def compare_in_pieces(self, key: bytes) -> None:
        """It is the only one of its batch."""
        size = self.batch.estimated_bytes
        self.large = LargeComparison(
            self.executor, self.group, self.nodes, self.connections, self.db, key, self.wall_ms, size
        )
        self.large.begin(self)

    def is_taken(self, key: bytes) -> bool:
        turns = self.group.key_turns
        return turns.busy and turns.is_taken([(self.db, key)])

    def postpone(self, keys: list[bytes], batch: KeyBatch) -> None:
        """These keys of ``batch`` come again in the next turn."""
        if keys:
            put_off = KeyBatch()
            put_off.keys, put_off.estimated_bytes = keys, batch.estimated_bytes
            self.postponed.append(put_off)

    def compare_next_piece(self, large: LargeComparison) -> None:
        """Go on with a large value; if it is in the hands of its leader in too many turns, it is left out."""
        if not self.is_taken(large.key):
            self.batches_left -= 1
            self.step = ScrubStep.COMPARE
            large.next_piece(self, self.wall_ms)
            return
        large.tries += 1
        if large.tries > MAX_TRIES:
            self.large = None
            self.record.skipped += 1

    def on_piece(self, large: LargeComparison) -> None:
        """The next one comes when it is its turn."""
        if large.is_over:
            self.large = None
            self.postpone(large.put_off(), self.batch)
            if not large.put_off():
                self.record.large += not large.is_complete
                # Nothing else is compared before this one is repaired, so there is one at a time.
                self.record.large_sizes = {(self.db, large.key): large.size}
                self.on_keys_compared([large.key], [large.key] if large.differs else [])
        self.go_on()

    def on_compared(self, comparison: KeyComparison) -> None:
        """All but the keys that are put off."""
        self.comparison = None
        self.sizes.observe(len(comparison.keys), comparison.value_bytes)
        if comparison.needs_pieces:
            self.compare_in_pieces(comparison.keys[0])
            return
        self.postpone(comparison.put_off, self.batch)
        keys = [key for key in comparison.keys if key not in comparison.put_off]
        self.on_keys_compared(keys, comparison.different_keys)
        self.go_on()

    def on_keys_compared(self, keys: list[bytes], different_keys: list[bytes]) -> None:
        """Note what differs, unless a copy has left since: then it is known to differ."""
        if self.copy_that_left():
            return
        self.record.add_keys(len(keys))
        for key in different_keys:
            self.record.add_difference(self.db, key)
        if different_keys and not self.record.dry_run:
            self.noted.update(dict.fromkeys([(self.db, key) for key in different_keys], True))
            self.group.repair_later(self.db, different_keys)

    def on_done(self, batch_reply: BatchReply) -> None:
        """The replies are there, or have failed; what comes after the end changes nothing."""
        step = self.step
        if step is ScrubStep.DONE:
            return
        problem = batch_reply.problem
        if not problem and step is not ScrubStep.SIZE:
            problem = first_error(batch_reply.replies)
        replies = batch_reply.replies
        if problem and step is ScrubStep.SELECT:
            self.finish(f"not all copies have database {self.databases.probed} ({problem}); set 'databases' alike")
        elif problem:
            self.finish(problem)
        elif step is ScrubStep.LIST_DATABASES:
            self.on_listed(replies)
        elif step is ScrubStep.SELECT:
            self.databases.mark_probed_usable(self.nodes)
            self.probe_next_database()
        elif step is ScrubStep.SCAN:
            self.on_scanned(replies[0])
        elif step is ScrubStep.CHECK_LEFTOVERS:
            self.on_leftovers_checked(replies)
        elif self.comparison is not None:
            self.on_compared(self.comparison)
        elif self.large is not None:
            self.on_piece(self.large)
        else:
            self.on_sized(replies)

    def finish(self, problem: str) -> None:
        """End it at whatever step it is; a second call changes nothing."""
        if self.step is ScrubStep.DONE:
            return
        self.step = ScrubStep.DONE
        self.problem = problem
        if self.comparison is not None:
            self.comparison.cancel()
            self.comparison = None
        if self.large is not None:
            self.large.cancel()
            self.large = None
        for connection in self.connections:
            self.executor.close_unshared(connection)
