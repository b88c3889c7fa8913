"""Bringing one copy level with the others while writes go on, then letting it in.

Compare until one whole pass has found nothing: SCAN the target for keys that the source does not have, SCAN the
source and compare each key, look again at keys that writes with several keys have touched meanwhile (a half-filled
copy may have judged those differently). A copy that is empty is filled first; it is emptied only if that was
ordered. Since the target gets all writes in the same order from the start, a key that was once equal stays equal.

Before anything is deleted it is proved that the source may decide (see `kidoproxy.replication.source_proof`). Only DUMP
and RESTORE need the order of the writes; all else is asked on connections of the sync's own, and the values that travel
at one time are bounded in bytes. Last, all writes under way are judged: had the source missed one, it would have left.

A difference in DUMP alone does not prove one in value: a set may be stored in another order, a hash in another
encoding. A key that was copied under the hold is right by construction, and so is a touched one that was looked
at again: if they still look different they are copied once more, and it does not count.
"""

from typing import Final, final

from kidoproxy.replication import sync_steps
from kidoproxy.replication.batch_size import KeyBatch, SizeEstimator
from kidoproxy.replication.questions import (
    KEYSPACE_HEADING,
    BatchReply,
    Callback,
    first_error,
    parse_integer,
    parse_keyspace,
    parse_scan_reply,
    send_requests,
)
from kidoproxy.replication.source_proof import Proof, Prover, source_not_in_sync
from kidoproxy.replication.touched_keys import RECHECK_KEYS, ExplainedKeys, RecheckQueue
from kidoproxy.replication.transfer import Transfer
from kidoproxy.routes.topology import SYNCING, CopyGroup, Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import info_text

SCAN_COUNT: Final = b"100"
MAX_PASSES: Final = 20
#: The database that a connection is in when nobody knows.
UNKNOWN_DB: Final = -1


@final
class Sync(Callback):
    """One copy's way back. ``problem`` is why it ended without being let in; empty while it runs or when it is."""

    def __init__(self, executor: Executor, group: CopyGroup, source: Node, target: Node, refill: bool) -> None:
        self.exchange = executor
        self.group = group
        self.target = target
        self.source = source
        #: Connections of our own, for what needs no order.
        self.source_connection: NodeConnection = executor.new_unshared(source, 2, 0, False)
        self.target_connection: NodeConnection = executor.new_unshared(target, 2, 0, False)
        self.refill = refill
        self.fill_only = refill
        #: Without a record of who was right, a copy that holds much more than the source is not cut down.
        self.refuses_larger_target = False
        #: Nobody has ordered it: it is begun again if it fails.
        self.automatic = False
        #: What is waited for, in which part of a pass, and what is done when the proof has been given.
        self.stage: str = sync_steps.PROVE
        self.phase: str = sync_steps.LIST
        self.stage_after_proof: str = sync_steps.LIST
        self.prover: Prover | None = None
        self.proof: Proof | None = None
        self.dbs_left: list[int] = []
        #: Databases that both have, and the one that is being tried.
        self.usable_dbs: dict[int, bool] = {}
        self.probed_db = -1
        self.db = 0
        self.cursor = b"0"
        self.passes = 0
        self.keys_seen = 0
        self.copied_count = 0
        self.differences = 0
        #: Differences in these are no news: they were copied under the hold, or touched meanwhile.
        self.explained = ExplainedKeys()
        self.recheck_queue = RecheckQueue(group)
        self.sizes = SizeEstimator()
        self.keys_to_size: list[bytes] = []
        self.batches: list[KeyBatch] = []
        self.batch = KeyBatch()
        self.transfer: Transfer | None = None
        self.leftovers: list[bytes] = []
        self.problem = ""
        self.wall_ms = 0
        self.admitted = False
        #: When it last got an answer.
        self.progress_at = executor.now

    def begin(self) -> None:
        """From here on the target is *syncing*."""
        self.group.copy_of(self.target).state = SYNCING
        self.group.touched_keys = {}
        self.start_proof(sync_steps.EMPTY if self.refill else sync_steps.LIST)

    def start_proof(self, stage_after_proof: str) -> None:
        """Make sure that the source may decide, then go on."""
        self.stage = sync_steps.PROVE
        self.stage_after_proof = stage_after_proof
        self.prover = Prover(self.exchange, self.group, self.source, self.target, self.wall_ms)
        self.prover.begin(self)

    def on_proved(self, prover: Prover) -> None:
        """It may: first it is emptied, or compared, or the batch goes on that had to wait for this."""
        self.prover = None
        proof, previous_proof = prover.proof, self.proof
        if previous_proof is not None and previous_proof.source_may_have_lost_data(proof):
            self.finish(f"{self.source.name} was lost, or restarted, meanwhile")
            return
        self.proof = proof
        self.stage = self.stage_after_proof
        if self.stage == sync_steps.EMPTY:
            self.flush_target(proof)
        elif self.stage == sync_steps.LIST:
            self.list_databases()
        else:
            self.copy_batch()

    def flush_target(self, proof: Proof) -> None:
        """FLUSHALL, ordered with --refill, behind the writes that the target has got so far."""
        refusal = proof.write_refusal(self.exchange.now)
        if refusal:
            self.finish(refusal)
        else:
            send_requests(
                proof.target_connection, BatchReply(self, 1), 0, [[b"FLUSHALL", b"ASYNC"]], 0, self.exchange.now
            )

    def send_unordered(self, node: Node, requests: list[list[bytes]]) -> None:
        """Ask what needs no order on the sync's own connection; `done` gets the answers."""
        connection = self.source_connection if node is self.source else self.target_connection
        send_requests(connection, BatchReply(self, len(requests)), 0, requests, self.db, self.exchange.now)

    def send_to_both(self, argv: list[bytes]) -> None:
        """Ask both, the source first, in whatever database they are."""
        batch_reply = BatchReply(self, 2)
        for at, connection in enumerate((self.source_connection, self.target_connection)):
            send_requests(connection, batch_reply, at, [argv], max(connection.db, 0), self.exchange.now)

    def list_databases(self) -> None:
        """Which databases have keys, on either side."""
        self.stage = sync_steps.LIST
        self.phase = sync_steps.LIST
        self.group.copy_of(self.target).missed_write = False
        self.group.touched_keys = {}
        self.recheck_queue.begin_pass()
        self.passes += 1
        self.differences = 0
        self.send_to_both([b"INFO", b"keyspace"])

    def on_done(self, batch_reply: BatchReply) -> None:
        """An answer has come: go on to the next step."""
        if self.stage == sync_steps.DONE:
            return
        self.progress_at = self.exchange.now
        problem = batch_reply.problem
        # Not every user may ask for sizes, they can be guessed; and a database may be missing.
        if not problem and self.stage not in (sync_steps.SIZES, sync_steps.SELECT):
            problem = first_error(batch_reply.replies)
        if problem:
            self.finish(problem)
        elif self.prover is not None:
            self.on_proved(self.prover)
        elif self.transfer is not None:
            self.on_transferred(self.transfer)
        else:
            self.on_replies(batch_reply.replies)

    def on_replies(self, replies: list[bytes]) -> None:
        """The answers to one question of a pass."""
        if self.stage == sync_steps.EMPTY:
            self.list_databases()
        elif self.stage == sync_steps.LIST:
            self.on_listed(replies)
        elif self.stage == sync_steps.SELECT:
            self.on_selected(replies)
        elif self.stage == sync_steps.LEFTOVERS:
            self.on_leftovers_checked(replies)
        elif self.stage == sync_steps.SIZES:
            self.on_sized(replies)
        else:
            self.on_scanned(replies[0])

    # -- one pass --------------------------------------------------------------------------------

    def on_listed(self, replies: list[bytes]) -> None:
        """What both have; an empty copy is only filled."""
        texts = [info_text(raw) for raw in replies]
        if not all(KEYSPACE_HEADING in text for text in texts):
            self.finish(f"{self.source.name} or {self.target.name} gave no sensible answer to INFO keyspace")
            return
        source_counts, target_counts = [parse_keyspace(text) for text in texts]
        if self.refuses_larger_target and sum(target_counts.values()) > 2 * sum(source_counts.values()):
            contents = (
                f"it holds {sum(target_counts.values())} keys, {self.source.name} only {sum(source_counts.values())}"
            )
            self.finish(f"{contents}, and no record says who is right; order its sync, or trust it")
            return
        if self.passes == 1 and source_counts and not target_counts:
            self.fill_only = True
        self.dbs_left = sorted(set(source_counts) | set(target_counts))
        self.probe_next_database()

    def probe_next_database(self) -> None:
        """Both must have each database, or SELECT would be refused on the connection that all clients share."""
        self.stage = sync_steps.SELECT
        unprobed = [db for db in self.dbs_left if db not in self.usable_dbs]
        if not unprobed:
            self.scan_next_database()
            return
        self.probed_db = unprobed[0]
        self.send_to_both([b"SELECT", b"%d" % self.probed_db])
        self.source_connection.db = self.target_connection.db = UNKNOWN_DB

    def on_selected(self, replies: list[bytes]) -> None:
        """Both have it, or this sync ends; unless it was only named by a write, which then failed on both."""
        problem = first_error(replies)
        if not problem:
            self.usable_dbs[self.probed_db] = True
            for node in (self.source, self.target):
                node.highest_db = max(node.highest_db, self.probed_db)
            self.probe_next_database()
        elif self.phase == sync_steps.RECHECK:
            self.recheck_queue.drop_db(self.db)
            self.dbs_left = []
            self.recheck_touched()
        else:
            names = f"{self.source.name} and {self.target.name}"
            self.finish(f"{names} do not both have database {self.probed_db} ({problem}); set 'databases' alike")

    def scan_next_database(self) -> None:
        """The next database, or the touched keys when all are done."""
        if not self.dbs_left:
            self.recheck_touched()
            return
        self.db = self.dbs_left.pop()
        self.phase = sync_steps.SCAN_SOURCE if self.fill_only else sync_steps.SCAN_TARGET
        self.cursor = b"0"
        self.scan()

    def scan(self) -> None:
        """The next keys of the source, or of the target."""
        self.stage = self.phase
        node = self.source if self.phase == sync_steps.SCAN_SOURCE else self.target
        self.send_unordered(node, [[b"SCAN", self.cursor, b"COUNT", SCAN_COUNT]])

    def on_scanned(self, raw: bytes) -> None:
        """Keys of one step."""
        found = parse_scan_reply(raw)
        if found is None or (found[0] == self.cursor and self.cursor != b"0"):
            node = self.source if self.phase == sync_steps.SCAN_SOURCE else self.target
            self.finish(f"{node.name} gave no sensible answer to SCAN")
            return
        self.cursor, keys = found
        self.keys_seen += len(keys) if self.phase == sync_steps.SCAN_SOURCE else 0
        if not keys:
            self.continue_pass()
        elif self.phase == sync_steps.SCAN_SOURCE:
            self.ask_sizes(self.source, keys)
        else:
            self.leftovers = keys
            self.stage = sync_steps.LEFTOVERS
            self.send_unordered(self.source, [[b"EXISTS", key] for key in keys])

    def on_leftovers_checked(self, replies: list[bytes]) -> None:
        """Keys that the target has and the source does not are compared like any other: they go."""
        keys = [key for key, raw in zip(self.leftovers, replies, strict=True) if parse_integer(raw) == 0]
        if keys:
            self.ask_sizes(self.target, keys)
        else:
            self.continue_pass()

    def ask_sizes(self, node: Node, keys: list[bytes]) -> None:
        """How large their values are there."""
        self.stage = sync_steps.SIZES
        self.keys_to_size = keys
        self.send_unordered(node, [[b"MEMORY", b"USAGE", key] for key in keys])

    def on_sized(self, replies: list[bytes]) -> None:
        """Cut the keys into batches, and bring them over one after another."""
        reported_sizes = [parse_integer(raw) for raw in replies]
        if self.phase == sync_steps.RECHECK:
            self.on_recheck_sized(reported_sizes)
        else:
            self.batches = self.sizes.split_keys(self.keys_to_size, reported_sizes)
            self.copy_next_batch()

    def copy_next_batch(self) -> None:
        """The next one; after the last the scan goes on."""
        if not self.batches:
            self.continue_pass()
            return
        self.batch = self.batches.pop(0)
        self.copy_batch()

    def copy_batch(self) -> None:
        """Bring these keys over."""
        proof = self.proof
        if proof is None or not proof.is_valid():
            # What is compared later is not compared at one point of the order with the rest.
            self.recheck_queue.converged_dbs.pop(self.db, None)
            self.start_proof(sync_steps.COPY)
            return
        self.stage = sync_steps.COPY
        batch = self.batch
        transfer = Transfer(
            self.exchange, proof, self.db, batch.keys, self.fill_only, self.wall_ms, batch.estimated_bytes
        )
        self.transfer = transfer
        transfer.begin(self)

    def on_transferred(self, transfer: Transfer) -> None:
        """Count what differed."""
        self.transfer = None
        self.sizes.observe(len(transfer.keys), transfer.value_bytes)
        for key in transfer.changed_keys:
            db_key = (transfer.db, key)
            self.copied_count += 1
            if not self.fill_only and not self.explained.test_and_set(db_key):
                self.differences += 1
        self.copy_next_batch()

    def continue_pass(self) -> None:
        """The next step of the scan, of the databases, or of the touched keys."""
        if self.phase == sync_steps.RECHECK:
            self.recheck_touched()
        elif self.cursor != b"0":
            self.scan()
        elif self.phase == sync_steps.SCAN_TARGET:
            self.phase = sync_steps.SCAN_SOURCE
            self.scan()
        else:
            self.scan_next_database()

    def recheck_touched(self) -> None:
        """Keys that were touched by writes with several keys; then the pass is over."""
        self.phase = sync_steps.RECHECK
        # After a blind pass the comparing pass that follows sees them all.
        if self.fill_only or not self.recheck_queue.collect_touched(self.explained):
            self.end_pass()
            return
        self.db = self.recheck_queue.next_db()
        if self.db in self.usable_dbs:
            self.ask_sizes(self.source, self.recheck_queue.keys_in(self.db)[:RECHECK_KEYS])
        else:
            # It had no keys when the pass began.
            self.dbs_left = [self.db]
            self.probe_next_database()

    def on_recheck_sized(self, reported_sizes: list[int | None]) -> None:
        """All touched keys of a database, if they are not too large."""
        self.recheck_queue.collect_touched(self.explained)
        self.batch = self.recheck_queue.next_batch(
            self.db, dict(zip(self.keys_to_size, reported_sizes, strict=True)), self.sizes
        )
        self.copy_batch()

    def end_pass(self) -> None:
        """A comparing pass without a difference, in which no write was missed, lets the copy in."""
        if self.fill_only or self.differences or self.group.copy_of(self.target).missed_write:
            self.next_pass()
        else:
            self.stage = sync_steps.WAIT_FOR_WRITES
            self.phase = sync_steps.WAIT_FOR_WRITES
            self.group.when_writes_done(self.on_writes_done)

    def on_writes_done(self) -> None:
        """All writes that the pass may have seen are judged."""
        self.progress_at = self.exchange.now
        if problem := source_not_in_sync(self.group, self.source):
            self.finish(problem)
        elif self.group.copy_of(self.target).missed_write:
            self.next_pass()
        else:
            self.admitted = True
            self.group.mark_in_sync(self.target)
            self.finish("")

    def next_pass(self) -> None:
        """Once more, if that makes sense."""
        if problem := source_not_in_sync(self.group, self.source):
            self.finish(problem)
        elif self.passes >= MAX_PASSES:
            self.finish(f"still {self.differences} differences after {MAX_PASSES} passes; is another proxy writing?")
        else:
            self.fill_only = False
            self.list_databases()

    def finish(self, problem: str) -> None:
        """Over, in one way or the other, whatever it is doing."""
        if self.stage == sync_steps.DONE:
            return
        self.stage = sync_steps.DONE
        self.problem = problem
        if self.transfer is not None:
            self.transfer.cancel()
            self.transfer = None
        self.prover = None
        self.exchange.close_unshared(self.source_connection)
        self.exchange.close_unshared(self.target_connection)
        self.group.touched_keys = None
        self.group.on_writes_done = None
        if not self.admitted:
            self.group.sync_failed(self.target)

    def progress(self) -> str:
        """For PROXY NODES and the logs."""
        if self.stage == sync_steps.DONE:
            return f"failed: {self.problem}" if self.problem else f"in sync after {self.passes} passes"
        doing = self.stage if self.stage in sync_steps.SHOWN_STAGES else self.phase
        return f"{doing}: pass {self.passes}, {self.keys_seen} keys seen, {self.copied_count} copied"
