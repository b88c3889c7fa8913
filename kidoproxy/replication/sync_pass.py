"""One pass of a sync: it goes through the databases and keys of both copies, and copies what differs.

If the keys that the target has missed are known, the pass is *partial*: it compares these alone, each at one point of
the order of writes, as it compares touched ones. Else the order of events is: list the databases of both nodes, behind
all writes sent so far; try each that is new on both; per database SCAN the source and compare its keys, then SCAN the
target for keys that the source does not have; check again the keys that writes have touched meanwhile. Keys are
compared in batches, by their sizes. At the end of the pass `end_pass` decides: another one, or wait for the writes
under way and let the copy in.

Why no key is overlooked, though keys expire while they are scanned, and at each copy when it thinks so: SCAN gives all
keys that exist from its beginning to its end, a key comes into being by a write alone, and *each write sent since the
list was asked for has its keys noted and compared again*. So take a key without such a write. If the source's SCAN did
not give it the source has not had it from some moment on. If the target's SCAN did not give it either, nor does the
target: both lack it. If the target's did, EXISTS says that the source lacks it, and it is compared. (If EXISTS finds a
key it was there all the time: the source's SCAN gave it.) The list is asked for on the connections that carry the
writes, so that earlier ones have been executed before the scans. If the noted keys are many, some are compared between
two steps of a scan.

A pass that only fills (the target has few keys, or none) compares nothing: it scans the target first, and notes all of
its keys; they are checked at the end, as those of writes are. All others are what was copied.

A write whose keys are not all known (a script that computes their names) may read a key in which the copies differ, and
write what comes of it to one that was compared before. So a comparing pass follows one that only fills, or is partial,
if there was such a write; and a comparing pass in which there was one, and in which anything was copied, is followed by
another, up to `MAX_UNCERTAIN_PASSES`. Only a write that reads such a key in each of these passes before it is
compared, and that another write makes equal before it is, too, could go unseen: a scrub finds what that leaves.

A write that the target has answered differently from what the client heard was taken differently there, which happens
at the expiry of a key that was equal. If its keys were not noted when it was sent, they are compared before the end.
Each method takes the replies to one request and sends the next.
"""

from typing import Final

from kidoproxy.replication.content_transfer import new_transfer
from kidoproxy.replication.large_string import LARGE_BYTES, LargeString
from kidoproxy.replication.parse_replies import first_error, parse_integer, parse_scan_reply
from kidoproxy.replication.source_proof import Proof, source_not_in_sync
from kidoproxy.replication.sync_databases import parse_key_counts
from kidoproxy.replication.sync_state import SyncState
from kidoproxy.replication.sync_steps import SyncPhase, SyncStep
from kidoproxy.replication.transfer import Transfer

SCAN_COUNT: Final = b"100"
MAX_PASSES: Final = 20
#: So many comparing passes are done for the sake of writes whose keys are not known. Sets look different for ever.
MAX_UNCERTAIN_PASSES: Final = 4
#: After so many rechecks of keys that copies answered differently these are repaired instead: some always look it.
MAX_LATE_RECHECKS: Final = 20
#: A target with less than one key for so many of the source is filled: writes reach an empty one before its sync.
FEW_KEYS: Final = 10
#: The database of a connection on which a SELECT may have been refused: the next request selects anew.
UNKNOWN_DB: Final = -1


class SyncPass(SyncState):
    """What is done in a pass, from its list of databases to the decision at its end."""

    # -- the databases of a pass -----------------------------------------------------------------

    def begin_pass(self) -> None:
        """Compare the keys that the target has missed, if they are known; else all."""
        self.move_to(SyncStep.LIST_DATABASES)
        copy = self.group.copy_of(self.target)
        copy.missed_write = False
        self.recheck_queue.begin_pass()
        self.passes += 1
        self.differences = 0
        self.changed_in_pass = False
        self.is_partial = not self.refill and copy.missed.are_known(self.target.run_id)
        if self.is_partial:
            self.group.touches_single_keys = False
            self.keys_seen = 0
            self.pace.begin_pass(len(copy.missed.keys))
            self.recheck_queue.add_missed(copy.missed.keys, self.explained)
            self.recheck_touched()
        else:
            self.list_databases()

    def list_databases(self) -> None:
        """Which databases have keys, on either side. All writes that are sent from here on are noted."""
        self.phase = SyncPhase.LISTING
        self.group.touches_single_keys = True
        self.send_in_order([b"INFO", b"keyspace"])

    def on_listed(self, replies: list[bytes]) -> None:
        """Refuse what must not be compared; a target that is as good as empty is only filled in this pass."""
        counts = parse_key_counts(replies)
        if not counts:
            self.finish(f"{self.source.name} or {self.target.name} gave no sensible answer to INFO keyspace")
            return
        source_total, target_total = [sum(by_db.values()) for by_db in counts]
        if self.refuses_larger_target and target_total > 2 * source_total:
            contents = f"it holds {target_total} keys, {self.source.name} only {source_total}"
            self.finish(f"{contents}, and no record says who is right; sync it by hand, or trust it")
            return
        if self.passes == 1 and target_total * FEW_KEYS < source_total:
            self.fill_only = True
            if not target_total:
                self.group.fill_begins(self.target)
        self.pace.begin_pass(source_total + target_total)
        self.databases.remaining = sorted(set(counts[0]) | set(counts[1]))
        self.probe_next_database()

    def probe_next_database(self) -> None:
        """Try one that was never tried; when all were, go through them."""
        if not self.databases.probe_next():
            self.scan_next_database()
            return
        self.move_to(SyncStep.SELECT)
        self.send_to_both([b"SELECT", b"%d" % self.databases.probed])
        self.source_connection.db = self.target_connection.db = UNKNOWN_DB

    def on_selected(self, replies: list[bytes]) -> None:
        """Both have it, or this sync ends; unless it was only named by a write, which then failed on both."""
        problem = first_error(replies)
        if not problem:
            self.databases.mark_probed_usable([self.source, self.target])
            if self.is_partial:
                self.databases.remaining = []
                self.recheck_touched()
            else:
                self.probe_next_database()
        elif self.phase is SyncPhase.RECHECKING:
            self.recheck_queue.drop_db(self.db)
            self.databases.remaining = []
            self.recheck_touched()
        else:
            names = f"{self.source.name} and {self.target.name}"
            self.finish(f"{names} do not both have database {self.databases.probed} ({problem}); set 'databases' alike")

    def scan_next_database(self) -> None:
        """The next database, or the touched keys when all are done."""
        if not self.databases.remaining:
            self.recheck_touched()
            return
        self.db = self.databases.remaining.pop()
        self.phase = SyncPhase.SCANNING_TARGET if self.fill_only else SyncPhase.SCANNING_SOURCE
        self.cursor = b"0"
        self.scan()

    # -- the keys of a database ------------------------------------------------------------------

    def scan(self) -> None:
        """Ask for the next keys, or wait for the next tick if the pace says so."""
        if not self.pace.may_go_on(self.executor.now):
            self.is_paused = True
            return
        self.move_to(SyncStep.SCAN)
        self.send_unordered(self.scanned_node(), [[b"SCAN", self.cursor, b"COUNT", SCAN_COUNT]])

    def on_scanned(self, raw: bytes) -> None:
        """The source's keys are compared; of the target's only those that the source does not have."""
        found = parse_scan_reply(raw)
        if found is None or (found[0] == self.cursor and self.cursor != b"0"):
            self.finish(f"{self.scanned_node().name} gave no sensible answer to SCAN")
            return
        self.cursor, keys = found
        scans_source = self.phase is SyncPhase.SCANNING_SOURCE
        self.keys_seen += len(keys) if scans_source else 0
        self.pace.add(len(keys))
        if not keys:
            self.continue_pass()
        elif scans_source:
            self.ask_sizes(self.source, keys)
        elif self.fill_only:
            self.recheck_queue.add_missed(dict.fromkeys([(self.db, key) for key in keys], True), self.explained)
            self.continue_pass()
        else:
            self.target_keys = keys
            self.move_to(SyncStep.CHECK_LEFTOVERS)
            self.send_unordered(self.source, [[b"EXISTS", key] for key in keys])

    def on_leftovers_checked(self, replies: list[bytes]) -> None:
        """Keys that only the target has are compared like any other, which deletes them."""
        keys = [key for key, raw in zip(self.target_keys, replies, strict=True) if parse_integer(raw) == 0]
        if keys:
            self.ask_sizes(self.target, keys)
        else:
            self.continue_pass()

    def on_sized(self, replies: list[bytes]) -> None:
        """Cut the keys into batches, and bring them over one after another."""
        self.reported_sizes = [parse_integer(raw) for raw in replies]
        if self.phase is SyncPhase.RECHECKING:
            self.begin_recheck()
        else:
            self.batches = self.sizes.split_keys(self.keys_to_size, self.reported_sizes)
            self.copy_next_batch()

    def begin_recheck(self) -> None:
        """Take the touched keys that are compared at one point of the order, and begin there."""
        self.recheck_queue.collect_touched(self.explained)
        if self.wait_for_turns(self.recheck_queue.first_keys(self.db), self.begin_recheck):
            return
        sizes_by_key = dict(zip(self.keys_to_size, self.reported_sizes, strict=True))
        self.batches = [self.recheck_queue.next_batch(self.db, sizes_by_key, self.sizes)]
        self.copy_next_batch()

    def copy_next_batch(self) -> None:
        """After the last one the pass goes on. Without a proof that still holds, a new one is needed first."""
        if not self.batches:
            self.continue_pass()
            return
        self.batch = self.batches.pop(0)
        self.copy_batch(self.proof)

    def copy_batch(self, proof: Proof | None) -> None:
        """Bring these keys over, if the proof still holds; else a new proof is needed first."""
        if proof is None or not proof.is_valid():
            # What is compared later is not compared at one point of the order with the rest.
            self.recheck_queue.converged_dbs.pop(self.db, None)
            self.move_to(SyncStep.PROVE)
            self.start_proof(SyncStep.COPY)
            return
        if self.wait_for_turns(self.batch.keys, self.copy_batch_in_turn):
            return
        self.move_to(SyncStep.COPY)
        batch = self.batch
        if batch.estimated_bytes >= LARGE_BYTES and len(batch.keys) == 1 and self.copy_large(proof, batch.keys[0]):
            return
        self.transfer = new_transfer(
            self.executor, proof, self.db, batch.keys, self.fill_only, self.wall_ms, batch.estimated_bytes
        )
        self.transfer.begin(self)

    def copy_batch_in_turn(self) -> None:
        """Nobody is ahead in these keys any more."""
        self.copy_batch(self.proof)

    def copy_large(self, proof: Proof, key: bytes) -> bool:
        """Copy this value in pieces, unless this sync has done so already; False if that cannot be."""
        was_copied = self.large_keys.get((self.db, key))
        if was_copied is False:
            return False
        if was_copied and not self.rechecks_early and self.phase is not SyncPhase.RECHECKING:
            self.copy_next_batch()
            return True
        self.large_string = LargeString(
            self.executor, proof, self.source_connection, self.target_connection, self.db, key
        )
        self.large_string.begin(self)
        return True

    def on_large_copied(self, large_string: LargeString) -> None:
        """It is right by construction; or it has to be copied at one go."""
        self.large_string = None
        db_key = large_string.db, large_string.key
        self.large_keys[db_key] = not large_string.unsuitable
        self.changed_in_pass = True
        if large_string.unsuitable:
            self.copy_batch(self.proof)
        else:
            self.copied_count += 1
            self.explained.test_and_set(db_key)
            self.copy_next_batch()

    def on_transferred(self, transfer: Transfer) -> None:
        """Count what differed, but for what expires: on each node that happens by itself, and goes on for ever.

        A hash with fields that expire was copied by an earlier pass if it differed otherwise.
        """
        self.transfer = None
        if transfer.dump_refused:
            self.copy_batch(self.proof)
            return
        self.sizes.observe(len(transfer.keys), transfer.value_bytes)
        for key in transfer.changed_keys:
            self.copied_count += 1
            self.changed_in_pass = True
            expires = key in transfer.expired_keys or (self.passes > 1 and key in transfer.with_expiring_fields)
            if not self.fill_only and not expires and not self.explained.test_and_set((transfer.db, key)):
                self.differences += 1
        self.copy_next_batch()

    def tick(self, now: float, wall_ms: int) -> None:
        """Some twenty times a second: go on where the pace had stopped it."""
        self.wall_ms = wall_ms
        self.pace.tick(now)
        if self.large_string is not None:
            # It takes its time, and each of its requests has a deadline.
            self.progress_at = now
        if not self.is_paused:
            return
        self.progress_at = now
        if self.pace.may_go_on(self.executor.now):
            self.is_paused = False
            if self.phase is SyncPhase.RECHECKING:
                self.recheck_touched()
            else:
                self.scan()

    def continue_pass(self) -> None:
        """The next step of the scan, of the databases, or of the touched keys."""
        if self.phase is SyncPhase.RECHECKING:
            self.recheck_touched()
        elif not self.rechecks_early and (keys := self.recheck_queue.take_early(self.db, self.explained)):
            self.rechecks_early = True
            self.ask_sizes(self.source, keys)
        else:
            self.rechecks_early = False
            self.continue_scan()

    def continue_scan(self) -> None:
        """The next keys of this node, the other node, or the next database. A copy to be filled is scanned first."""
        if self.cursor != b"0":
            self.scan()
        elif self.phase is (SyncPhase.SCANNING_TARGET if self.fill_only else SyncPhase.SCANNING_SOURCE):
            self.phase = SyncPhase.SCANNING_SOURCE if self.fill_only else SyncPhase.SCANNING_TARGET
            self.scan()
        else:
            self.scan_next_database()

    # -- the end of a pass -----------------------------------------------------------------------

    def recheck_touched(self) -> None:
        """Keys that were touched by writes; then the pass is over."""
        self.phase = SyncPhase.RECHECKING
        # From here on the copies differ in keys that were noted, and in no others.
        self.group.touches_single_keys = False
        if self.needs_comparison() or not self.recheck_queue.collect_touched(self.explained):
            self.end_pass()
            return
        if not self.pace.is_within_rate():
            self.is_paused = True
            return
        self.db = self.recheck_queue.next_db()
        if self.db in self.databases.usable:
            keys = self.recheck_queue.first_keys(self.db)
            self.keys_seen += len(keys) if self.is_partial else 0
            self.pace.add(len(keys))
            self.ask_sizes(self.source, keys)
        else:
            # It had no keys when the pass began.
            self.databases.remaining = [self.db]
            self.probe_next_database()

    def end_pass(self) -> None:
        """A pass without a difference, in which no write was missed, lets the copy in."""
        is_uncertain = self.is_uncertain()
        self.uncertain_passes += is_uncertain
        missed_write = self.group.copy_of(self.target).missed_write
        if self.needs_comparison() or is_uncertain or self.differences or missed_write:
            self.next_pass()
        else:
            self.move_to(SyncStep.WAIT_FOR_WRITES)
            self.phase = SyncPhase.FINISHING
            self.group.when_writes_done(self.on_writes_done)

    def needs_comparison(self) -> bool:
        """Whether writes of unknown keys may have made keys differ which this pass does not compare."""
        return self.group.unknown_keys_touched and (self.fill_only or self.is_partial)

    def is_uncertain(self) -> bool:
        """Whether such writes may have made keys differ that had been compared before."""
        return self.group.unknown_keys_touched and self.changed_in_pass and self.uncertain_passes < MAX_UNCERTAIN_PASSES

    def on_writes_done(self) -> None:
        """The outcome of every write that the pass may have seen is known."""
        self.progress_at = self.executor.now
        if problem := source_not_in_sync(self.group, self.source):
            self.finish(problem)
        elif self.group.copy_of(self.target).missed_write:
            self.next_pass()
        elif self.late_rechecks < MAX_LATE_RECHECKS and self.recheck_queue.collect_differing(self.explained):
            self.late_rechecks += 1
            self.recheck_touched()
        else:
            self.admit()

    def admit(self) -> None:
        """The target is in sync. What was answered differently to the last is repaired, as in any copy in sync."""
        self.admitted = True
        self.group.mark_in_sync(self.target)
        for db, key in self.group.differing_keys:
            self.group.repair_later(db, [key])
        self.finish("")

    def next_pass(self) -> None:
        """Once more, if that makes sense."""
        if problem := source_not_in_sync(self.group, self.source):
            self.finish(problem)
        elif self.passes >= MAX_PASSES:
            self.finish(f"still {self.differences} differences after {MAX_PASSES} passes; is another proxy writing?")
        else:
            self.fill_only = False
            self.group.unknown_keys_touched = False
            self.begin_pass()
