"""Bringing one copy level with the others while writes go on, then letting it in.

Compare until one whole pass has found nothing: SCAN the target for keys that the source does not have, SCAN the
source and compare each key, look again at keys that writes with several keys have touched meanwhile (a half-filled
copy may have judged those differently). A copy that is empty is filled first; it is emptied only if that was
ordered. Since the target gets all writes in the same order from the start, a key that was once equal stays equal.

Before anything is deleted it is proved that the source may decide (see `kidoproxy.copies.proof`). Only DUMP and
RESTORE need the order of the writes; all else is asked on connections of the sync's own, and the values that travel
at one time are bounded in bytes. Last, all writes under way are judged: had the source missed one, it would have left.

A difference in DUMP alone does not prove one in value: a set may be stored in another order, a hash in another
encoding. A key that was copied under the hold is right by construction, and so is a touched one that was looked
at again: if they still look different they are copied once more, and it does not count.
"""

from typing import Final, final

from kidoproxy.copies import stages
from kidoproxy.copies.answers import KEYSPACE, Answers, Boss, ask, first_error, keyspace, number, scan_step
from kidoproxy.copies.batches import Batch, Sizes
from kidoproxy.copies.proof import Proof, Prover, fallen
from kidoproxy.copies.touched import AGAIN, Known, Touched
from kidoproxy.copies.transfer import Transfer
from kidoproxy.exchange import Exchange
from kidoproxy.link import NodeLink
from kidoproxy.link_greeting import text_of
from kidoproxy.routes.topology import SYNCING, CopyGroup, Node

BATCH: Final = b"100"
PASSES: Final = 20
#: The database that a connection is in when nobody knows.
UNKNOWN: Final = -1


@final
class Sync(Boss):
    """One copy's way back. ``problem`` is why it ended without being let in; empty while it runs or when it is."""

    def __init__(self, exchange: Exchange, group: CopyGroup, source: Node, target: Node, refill: bool) -> None:
        self.exchange = exchange
        self.group = group
        self.target = target
        self.source = source
        #: Connections of our own, for what needs no order.
        self.to_source: NodeLink = exchange.other_link(source, 2, 0, False)
        self.to_target: NodeLink = exchange.other_link(target, 2, 0, False)
        self.refill = refill
        self.blind = refill
        #: Without a record of who was right, a copy that holds much more than the source is not cut down.
        self.cautious = False
        #: Nobody has ordered it: it is begun again if it fails.
        self.owed = False
        #: What is waited for, in which part of a pass, and what is done when the proof has been given.
        self.stage: str = stages.PROVING
        self.place: str = stages.LIST
        self.proven_for: str = stages.LIST
        self.prover: Prover | None = None
        self.proof: Proof | None = None
        self.dbs: list[int] = []
        #: Databases that both have, and the one that is being tried.
        self.tried: dict[int, bool] = {}
        self.trying = -1
        self.db = 0
        self.cursor = b"0"
        self.passes = 0
        self.keys_seen = 0
        self.repaired = 0
        self.differences = 0
        #: Differences in these are no news: they were copied under the hold, or touched meanwhile.
        self.known = Known()
        self.again = Touched(group)
        self.sizes = Sizes()
        self.gathered: list[bytes] = []
        self.batches: list[Batch] = []
        self.batch = Batch()
        self.transfer: Transfer | None = None
        self.extra: list[bytes] = []
        self.problem = ""
        self.wall_ms = 0
        self.admitted = False
        #: When it last got an answer.
        self.moved = exchange.now

    def begin(self) -> None:
        """From here on the target is *syncing*."""
        self.group.copy_of(self.target).state = SYNCING
        self.group.touched = {}
        self.prove(stages.EMPTY if self.refill else stages.LIST)

    def prove(self, proven_for: str) -> None:
        """Make sure that the source may decide, then go on."""
        self.stage = stages.PROVING
        self.proven_for = proven_for
        self.prover = Prover(self.exchange, self.group, self.source, self.target, self.wall_ms)
        self.prover.begin(self)

    def proved(self, prover: Prover) -> None:
        """It may: first it is emptied, or compared, or the batch goes on that had to wait for this."""
        self.prover = None
        proof, former = prover.proof, self.proof
        if former is not None and former.source_lost(proof):
            self.end(f"{self.source.name} was lost, or restarted, meanwhile")
            return
        self.proof = proof
        self.stage = self.proven_for
        if self.stage == stages.EMPTY:
            self.empty(proof)
        elif self.stage == stages.LIST:
            self.list_databases()
        else:
            self.copy()

    def empty(self, proof: Proof) -> None:
        """FLUSHALL, ordered with --refill, behind the writes that the target has got so far."""
        refusal = proof.refusal(self.exchange.now)
        if refusal:
            self.end(refusal)
        else:
            ask(proof.target, Answers(self, 1), 0, [[b"FLUSHALL", b"ASYNC"]], 0, self.exchange.now)

    def ask_own(self, node: Node, requests: list[list[bytes]]) -> None:
        """Ask what needs no order on the sync's own connection; `done` gets the answers."""
        link = self.to_source if node is self.source else self.to_target
        ask(link, Answers(self, len(requests)), 0, requests, self.db, self.exchange.now)

    def both(self, argv: list[bytes]) -> None:
        """Ask both, the source first, in whatever database they are."""
        answers = Answers(self, 2)
        for at, link in enumerate((self.to_source, self.to_target)):
            ask(link, answers, at, [argv], max(link.db, 0), self.exchange.now)

    def list_databases(self) -> None:
        """Which databases have keys, on either side."""
        self.stage = stages.LIST
        self.place = stages.LIST
        self.group.copy_of(self.target).missed = False
        self.group.touched = {}
        self.again.begin_pass()
        self.passes += 1
        self.differences = 0
        self.both([b"INFO", b"keyspace"])

    def done(self, answers: Answers) -> None:
        """An answer has come: go on to the next step."""
        if self.stage == stages.OVER:
            return
        self.moved = self.exchange.now
        problem = answers.problem
        # Not every user may ask for sizes, they can be guessed; and a database may be missing.
        if not problem and self.stage not in (stages.SIZES, stages.SELECT):
            problem = first_error(answers.replies)
        if problem:
            self.end(problem)
        elif self.prover is not None:
            self.proved(self.prover)
        elif self.transfer is not None:
            self.transferred(self.transfer)
        else:
            self.step(answers.replies)

    def step(self, replies: list[bytes]) -> None:
        """The answers to one question of a pass."""
        if self.stage == stages.EMPTY:
            self.list_databases()
        elif self.stage == stages.LIST:
            self.listed(replies)
        elif self.stage == stages.SELECT:
            self.selected(replies)
        elif self.stage == stages.EXTRA:
            self.check_extra(replies)
        elif self.stage == stages.SIZES:
            self.sized(replies)
        else:
            self.scanned(replies[0])

    # -- one pass --------------------------------------------------------------------------------

    def listed(self, replies: list[bytes]) -> None:
        """What both have; an empty copy is only filled."""
        texts = [text_of(raw) for raw in replies]
        if not all(KEYSPACE in text for text in texts):
            self.end(f"{self.source.name} or {self.target.name} gave no sensible answer to INFO keyspace")
            return
        mine, theirs = [keyspace(text) for text in texts]
        if self.cautious and sum(theirs.values()) > 2 * sum(mine.values()):
            has = f"it holds {sum(theirs.values())} keys, {self.source.name} only {sum(mine.values())}"
            self.end(f"{has}, and no record says who is right; order its sync, or trust it")
            return
        if self.passes == 1 and mine and not theirs:
            self.blind = True
        self.dbs = sorted(set(mine) | set(theirs))
        self.try_databases()

    def try_databases(self) -> None:
        """Both must have each database, or SELECT would be refused on the connection that all clients share."""
        self.stage = stages.SELECT
        left = [db for db in self.dbs if db not in self.tried]
        if not left:
            self.next_database()
            return
        self.trying = left[0]
        self.both([b"SELECT", b"%d" % self.trying])
        self.to_source.db = self.to_target.db = UNKNOWN

    def selected(self, replies: list[bytes]) -> None:
        """Both have it, or this sync ends; unless it was only named by a write, which then failed on both."""
        problem = first_error(replies)
        if not problem:
            self.tried[self.trying] = True
            for node in (self.source, self.target):
                node.last_db = max(node.last_db, self.trying)
            self.try_databases()
        elif self.place == stages.TOUCHED:
            self.again.drop(self.db)
            self.dbs = []
            self.look_again()
        else:
            names = f"{self.source.name} and {self.target.name}"
            self.end(f"{names} do not both have database {self.trying} ({problem}); set 'databases' alike")

    def next_database(self) -> None:
        """The next database, or the touched keys when all are done."""
        if not self.dbs:
            self.look_again()
            return
        self.db = self.dbs.pop()
        self.place = stages.SOURCE if self.blind else stages.TARGET
        self.cursor = b"0"
        self.scan()

    def scan(self) -> None:
        """The next keys of the source, or of the target."""
        self.stage = self.place
        node = self.source if self.place == stages.SOURCE else self.target
        self.ask_own(node, [[b"SCAN", self.cursor, b"COUNT", BATCH]])

    def scanned(self, raw: bytes) -> None:
        """Keys of one step."""
        found = scan_step(raw)
        if found is None or (found[0] == self.cursor and self.cursor != b"0"):
            node = self.source if self.place == stages.SOURCE else self.target
            self.end(f"{node.name} gave no sensible answer to SCAN")
            return
        self.cursor, keys = found
        self.keys_seen += len(keys) if self.place == stages.SOURCE else 0
        if not keys:
            self.after_batches()
        elif self.place == stages.SOURCE:
            self.ask_sizes(self.source, keys)
        else:
            self.extra = keys
            self.stage = stages.EXTRA
            self.ask_own(self.source, [[b"EXISTS", key] for key in keys])

    def check_extra(self, replies: list[bytes]) -> None:
        """Keys that the target has and the source does not are compared like any other: they go."""
        keys = [key for key, raw in zip(self.extra, replies, strict=True) if number(raw) == 0]
        if keys:
            self.ask_sizes(self.target, keys)
        else:
            self.after_batches()

    def ask_sizes(self, node: Node, keys: list[bytes]) -> None:
        """How large their values are there."""
        self.stage = stages.SIZES
        self.gathered = keys
        self.ask_own(node, [[b"MEMORY", b"USAGE", key] for key in keys])

    def sized(self, replies: list[bytes]) -> None:
        """Cut the keys into batches, and bring them over one after another."""
        said = [number(raw) for raw in replies]
        if self.place == stages.TOUCHED:
            self.sized_again(said)
        else:
            self.batches = self.sizes.cut(self.gathered, said)
            self.next_batch()

    def next_batch(self) -> None:
        """The next one; after the last the scan goes on."""
        if not self.batches:
            self.after_batches()
            return
        self.batch = self.batches.pop(0)
        self.copy()

    def copy(self) -> None:
        """Bring these keys over."""
        proof = self.proof
        if proof is None or not proof.holds():
            # What is compared later is not compared at one point of the order with the rest.
            self.again.level.pop(self.db, None)
            self.prove(stages.COPY)
            return
        self.stage = stages.COPY
        batch = self.batch
        transfer = Transfer(self.exchange, proof, self.db, batch.keys, self.blind, self.wall_ms, batch.size)
        self.transfer = transfer
        transfer.begin(self)

    def transferred(self, transfer: Transfer) -> None:
        """Count what differed."""
        self.transfer = None
        self.sizes.learn(len(transfer.keys), transfer.seen)
        for key in transfer.changed:
            place = (transfer.db, key)
            self.repaired += 1
            if not self.blind and not self.known.note(place):
                self.differences += 1
        self.next_batch()

    def after_batches(self) -> None:
        """The next step of the scan, of the databases, or of the touched keys."""
        if self.place == stages.TOUCHED:
            self.look_again()
        elif self.cursor != b"0":
            self.scan()
        elif self.place == stages.TARGET:
            self.place = stages.SOURCE
            self.scan()
        else:
            self.next_database()

    def look_again(self) -> None:
        """Keys that were touched by writes with several keys; then the pass is over."""
        self.place = stages.TOUCHED
        # After a blind pass the comparing pass that follows sees them all.
        if self.blind or not self.again.take(self.known):
            self.end_pass()
            return
        self.db = self.again.database()
        if self.db in self.tried:
            self.ask_sizes(self.source, self.again.keys(self.db)[:AGAIN])
        else:
            # It had no keys when the pass began.
            self.dbs = [self.db]
            self.try_databases()

    def sized_again(self, said: list[int | None]) -> None:
        """All touched keys of a database, if they are not too large."""
        self.again.take(self.known)
        self.batch = self.again.cut(self.db, dict(zip(self.gathered, said, strict=True)), self.sizes)
        self.copy()

    def end_pass(self) -> None:
        """A comparing pass without a difference, in which no write was missed, lets the copy in."""
        if self.blind or self.differences or self.group.copy_of(self.target).missed:
            self.next_pass()
        else:
            self.stage = stages.SETTLING
            self.place = stages.SETTLING
            self.group.settle(self.settled)

    def settled(self) -> None:
        """All writes that the pass may have seen are judged."""
        self.moved = self.exchange.now
        if problem := fallen(self.group, self.source):
            self.end(problem)
        elif self.group.copy_of(self.target).missed:
            self.next_pass()
        else:
            self.admitted = True
            self.group.admit(self.target)
            self.end("")

    def next_pass(self) -> None:
        """Once more, if that makes sense."""
        if problem := fallen(self.group, self.source):
            self.end(problem)
        elif self.passes >= PASSES:
            self.end(f"still {self.differences} differences after {PASSES} passes; is another proxy writing?")
        else:
            self.blind = False
            self.list_databases()

    def end(self, problem: str) -> None:
        """Over, in one way or the other, whatever it is doing."""
        if self.stage == stages.OVER:
            return
        self.stage = stages.OVER
        self.problem = problem
        if self.transfer is not None:
            self.transfer.abandon()
            self.transfer = None
        self.prover = None
        self.exchange.forget(self.to_source)
        self.exchange.forget(self.to_target)
        self.group.touched = None
        self.group.settled = None
        if not self.admitted:
            self.group.sync_failed(self.target)

    def progress(self) -> str:
        """For PROXY NODES and the logs."""
        if self.stage == stages.OVER:
            return f"failed: {self.problem}" if self.problem else f"in sync after {self.passes} passes"
        doing = self.stage if self.stage in stages.SHOWN else self.place
        return f"{doing}: pass {self.passes}, {self.keys_seen} keys seen, {self.repaired} copied"
