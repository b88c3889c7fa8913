"""What a sync knows, how it asks its two nodes, and how it ends. What it does in which order is in `sync`.

Invariants:

* `SyncState.step` changes through `move_to` alone, along `kidoproxy.replication.sync_steps.LEGAL_MOVES`.
* The sync has one connection of its own to each node. Everything that needs no order is asked there; only `Transfer`
  and FLUSHALL use the ordered connections that carry the clients' writes.
* From the beginning of a sync to its end the group notes in ``touched_keys`` what a half-filled copy may have
  executed differently; `finish` always ends that, closes both connections and leaves nothing held.
* No key is copied while a copy that decides a write of it is ahead of the others (`wait_for_turns`).
"""

from collections.abc import Callable

from kidoproxy.replication.batch import BatchReply, Callback, send_requests
from kidoproxy.replication.batch_size import KeyBatch, SizeEstimator
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.key_turns import OrderingTurn
from kidoproxy.replication.large_string import LargeString
from kidoproxy.replication.source_proof import Proof, SourceVerifier
from kidoproxy.replication.sync_databases import SyncDatabases
from kidoproxy.replication.sync_progress import SyncProgress
from kidoproxy.replication.sync_steps import SyncPhase, SyncStep, checked_move
from kidoproxy.replication.touched_keys import ExpectedDifferences, RecheckQueue
from kidoproxy.replication.transfer import Transfer
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor


class SyncState(Callback):
    """One copy's way back. ``problem`` says why it ended without being let in; empty while it runs and on success.

    ``refill``: the target is emptied first, because an operator has asked for that.
    """

    def __init__(self, executor: Executor, group: CopyGroup, source: Node, target: Node, refill: bool) -> None:
        self.executor = executor
        self.group = group
        self.source = source
        self.target = target
        self.source_connection: NodeConnection = executor.new_unshared(source, 2, 0, False)
        self.target_connection: NodeConnection = executor.new_unshared(target, 2, 0, False)
        self.refill = refill
        #: The target is known to be empty, so this pass asks the source alone and compares nothing.
        self.fill_only = refill
        #: This pass compares the keys that the target has missed, and no others.
        self.is_partial = False
        #: Nobody can say that the source was right: a copy that holds much more than it is not cut down.
        self.refuses_larger_target = False
        self.step = SyncStep.PROVE
        self.phase = SyncPhase.LISTING
        self.step_after_proof = SyncStep.LIST_DATABASES
        self.prover: SourceVerifier | None = None
        self.proof: Proof | None = None
        self.databases = SyncDatabases()
        self.db = 0
        self.cursor = b"0"
        self.passes = 0
        self.keys_seen = 0
        self.pace = SyncProgress(group.sync_keys_per_s, executor.now)
        #: The pace did not let it go on; the next tick may.
        self.is_paused = False
        self.copied_count = 0
        self.differences = 0
        #: Whether this pass has copied anything; and how many were repeated for writes whose keys are not known.
        self.changed_in_pass = False
        self.uncertain_passes = 0
        #: The keys that are compared now were touched by writes, and a scan was interrupted for them.
        self.rechecks_early = False
        #: How often the end was put off because copies took a write differently.
        self.late_rechecks = 0
        #: Keys whose next difference is no news: they were copied in this sync already, or touched meanwhile.
        self.explained = ExpectedDifferences()
        self.recheck_queue = RecheckQueue(group)
        self.sizes = SizeEstimator()
        self.keys_to_size: list[bytes] = []
        #: Their bytes, None where the source would not say.
        self.reported_sizes: list[int | None] = []
        self.batches: list[KeyBatch] = []
        self.batch = KeyBatch()
        self.transfer: Transfer | None = None
        self.large_string: LargeString | None = None
        #: What it waits for, or has waited for last, at the keys that it copies next.
        self.turn: OrderingTurn | None = None
        #: Large values that were copied in this sync (True), or could not be copied in pieces (False).
        self.large_keys: dict[tuple[int, bytes], bool] = {}
        self.target_keys: list[bytes] = []
        self.problem = ""
        #: The wall clock in milliseconds, set by the supervisor at every tick.
        self.wall_ms = 0
        self.admitted = False
        #: When the last answer came, by the loop's clock.
        self.progress_at = executor.now

    def move_to(self, step: SyncStep) -> None:
        """From now on this is the reply that is waited for."""
        self.step = checked_move(self.step, step)

    def start_proof(self, step_after_proof: SyncStep) -> None:
        """Make sure that the source may decide, then go on with that step."""
        self.step_after_proof = step_after_proof
        self.prover = SourceVerifier(self.executor, self.group, self.source, self.target, self.wall_ms)
        self.prover.begin(self)

    def scanned_node(self) -> Node:
        return self.source if self.phase is SyncPhase.SCANNING_SOURCE else self.target

    def send_unordered(self, node: Node, requests: list[list[bytes]]) -> None:
        """Ask in the current database, on the sync's own connection."""
        connection = self.source_connection if node is self.source else self.target_connection
        send_requests(connection, BatchReply(self, len(requests)), 0, requests, self.db, self.executor.now)

    def send_in_order(self, argv: list[bytes]) -> None:
        """Ask both behind all writes that were sent so far; the source's reply comes first."""
        batch_reply = BatchReply(self, 2)
        for at, node in enumerate((self.source, self.target)):
            connection = self.executor.connection(node, 2, 0)
            send_requests(connection, batch_reply, at, [argv], max(connection.db, 0), self.executor.now)

    def send_to_both(self, argv: list[bytes]) -> None:
        """Ask both in whatever database their connections are; the source's reply comes first."""
        batch_reply = BatchReply(self, 2)
        for at, connection in enumerate((self.source_connection, self.target_connection)):
            send_requests(connection, batch_reply, at, [argv], max(connection.db, 0), self.executor.now)

    def ask_sizes(self, node: Node, keys: list[bytes]) -> None:
        """How many bytes the values of these keys need on ``node``."""
        self.move_to(SyncStep.SIZE)
        self.keys_to_size = keys
        self.send_unordered(node, [[b"MEMORY", b"USAGE", key] for key in keys])

    def wait_for_turns(self, keys: list[bytes], proceed: Callable[[], None]) -> bool:
        """Whether somebody has a turn at one of these keys of the current database: ``proceed`` is called behind it.

        The source may be the leader that has decided, while the others are told later: the target would get the outcome
        with the source's value, and then the effect once more, by which XCLAIM counts another delivery.
        """
        key_turns = self.group.key_turns
        if not key_turns.busy:
            return False
        own_keys = dict.fromkeys(self.turn.keys) if self.turn is not None and self.turn.is_taken else {}
        db_keys = [(self.db, key) for key in keys]
        taken_keys = [db_key for db_key in db_keys if db_key not in own_keys and key_turns.is_taken([db_key])]
        if not taken_keys:
            return False
        # Others may be taken by then: those of this turn are asked for again, so that there is an end to it.
        self.turn = OrderingTurn(key_turns, [*own_keys, *taken_keys], proceed)
        key_turns.ask(self.turn)
        return True

    def finish(self, problem: str) -> None:
        """End it at whatever step it is; a second call changes nothing."""
        if self.step is SyncStep.DONE:
            return
        self.move_to(SyncStep.DONE)
        self.problem = problem
        if self.transfer is not None:
            self.transfer.cancel()
            self.transfer = None
        if self.large_string is not None:
            self.large_string.cancel()
            self.large_string = None
        if self.turn is not None:
            self.turn.cancel()
            self.turn = None
        self.prover = None
        self.executor.close_unshared(self.source_connection)
        self.executor.close_unshared(self.target_connection)
        self.is_paused = False
        self.group.copy_of(self.target).sync_progress = None
        self.group.touched_keys = None
        self.group.touches_single_keys = False
        self.group.differing_keys = {}
        self.group.on_writes_done = None
        if not self.admitted:
            self.group.sync_failed(self.target)

    def progress(self) -> str:
        """For PROXY NODES and the logs."""
        if self.step is SyncStep.DONE:
            return f"failed: {self.problem}" if self.problem else f"in sync; passes: {self.passes}"
        doing = "copying missed keys" if self.is_partial else self.phase.text(self.step)
        return f"{doing}: pass {self.passes}, {self.pace.text()}, {self.copied_count} copied"
