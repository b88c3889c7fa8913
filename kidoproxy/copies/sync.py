"""Bringing one copy level with the others while writes go on, then letting it in.

The simplest right thing: empty it, copy everything from a live node, then compare until one whole pass
has found nothing: SCAN the target for keys that the source does not have, SCAN the source and compare
each key, look again at keys that writes with several keys have touched meanwhile (a half-filled copy may
have judged those differently). Since the target gets all writes in the same order from the start, a key
that was once equal stays equal.

Writes with several keys never stop, yet looking again comes to an end: once all touched keys of a database
were compared at one point of the order, its keys are all equal, and writes with several equal keys leave
them equal. Last, all writes that are under way are judged: had the source missed one, it would have left.

A difference in DUMP alone does not prove one in value: a set may be stored in another order, a hash in
another encoding. A key that was copied under the hold is right by construction, and so is a touched one that
was looked at again: if they still look different they are copied once more, and it does not count.
"""

from typing import Final, final

from kidoproxy.copies.transfer import Answers, Boss, Transfer, ask, first_error
from kidoproxy.exchange import Exchange
from kidoproxy.link_greeting import parse_info
from kidoproxy.resp.open import bulk, integer, items
from kidoproxy.resp.scan import string2ll
from kidoproxy.routes.topology import IN_SYNC, SYNCING, CopyGroup, Node

BATCH: Final = b"100"
PASSES: Final = 20
#: How many touched keys are looked at again at one point of the order.
AGAIN: Final = 500

EMPTY: Final = "emptying"
LIST: Final = "listing databases"
SOURCE: Final = "copying"
TARGET: Final = "looking for leftovers"
EXTRA: Final = "checking leftovers"
TOUCHED: Final = "looking again"
SETTLING: Final = "letting writes end"
OVER: Final = "over"


@final
class Sync(Boss):
    """One copy's way back. ``problem`` is why it ended without being let in; empty while it runs or when it is."""

    def __init__(self, exchange: Exchange, group: CopyGroup, target: Node, refill: bool) -> None:
        self.exchange = exchange
        self.group = group
        self.target = target
        self.source = group.ranked(None)[0]
        self.refill = refill
        self.blind = refill
        self.stage = EMPTY if refill else LIST
        self.dbs: list[int] = []
        self.db = 0
        self.cursor = b"0"
        self.passes = 0
        self.keys_seen = 0
        self.repaired = 0
        self.differences = 0
        #: Keys of which a difference has no news: they were copied under the hold, or touched meanwhile.
        self.known: dict[tuple[int, bytes], bool] = {}
        self.again: dict[tuple[int, bytes], bool] = {}
        #: Databases that are equal, whatever writes with several keys do from now on.
        self.level: dict[int, bool] = {}
        self.transfer: Transfer | None = None
        self.extra: list[bytes] = []
        self.problem = ""
        self.wall_ms = 0
        self.admitted = False

    def begin(self) -> None:
        """From here on the target is *syncing*."""
        self.group.copy_of(self.target).state = SYNCING
        self.group.touched = {}
        if self.stage == EMPTY:
            self.one(self.target, [b"FLUSHALL", b"ASYNC"])
        else:
            self.list_databases()

    def one(self, node: Node, argv: list[bytes]) -> None:
        """Ask ``node`` one thing; `done` gets the answer."""
        ask(self.exchange.link(node, 2, self.db), Answers(self, 1), 0, [argv], self.db, self.exchange.now)

    def list_databases(self) -> None:
        """Which databases have keys, on either side."""
        self.stage = LIST
        self.group.copy_of(self.target).missed = False
        self.group.touched = {}
        self.level.clear()
        self.passes += 1
        self.differences = 0
        answers = Answers(self, 2)
        now = self.exchange.now
        ask(self.exchange.link(self.source, 2, 0), answers, 0, [[b"INFO", b"keyspace"]], 0, now)
        ask(self.exchange.link(self.target, 2, 0), answers, 1, [[b"INFO", b"keyspace"]], 0, now)

    def done(self, answers: Answers) -> None:
        """An answer has come: go on to the next step."""
        problem = answers.problem
        if not problem and self.transfer is None:
            problem = first_error(answers.replies)
        if problem:
            self.end(problem)
        elif self.transfer is not None:
            self.transferred(self.transfer)
        elif self.stage == EMPTY:
            self.list_databases()
        elif self.stage == LIST:
            self.dbs = databases(answers.replies)
            self.next_database()
        elif self.stage == EXTRA:
            self.check_extra(answers.replies)
        else:
            self.scanned(answers.replies[0])

    # -- one pass --------------------------------------------------------------------------------

    def next_database(self) -> None:
        """The next database, or the touched keys when all are done."""
        if not self.dbs:
            self.look_again()
            return
        self.db = self.dbs.pop()
        self.stage = SOURCE if self.blind else TARGET
        self.cursor = b"0"
        self.scan()

    def scan(self) -> None:
        """The next keys of the source, or of the target."""
        node = self.source if self.stage == SOURCE else self.target
        self.one(node, [b"SCAN", self.cursor, b"COUNT", BATCH])

    def scanned(self, raw: bytes) -> None:
        """Keys of one step."""
        parts = items(raw)
        self.cursor = bulk(parts[0])
        keys = [bulk(item) for item in items(parts[1])]
        self.keys_seen += len(keys) if self.stage == SOURCE else 0
        if not keys:
            self.after_batch()
        elif self.stage == SOURCE:
            self.copy(keys)
        else:
            self.extra = keys
            self.stage = EXTRA
            questions = [[b"EXISTS", key] for key in keys]
            link = self.exchange.link(self.source, 2, self.db)
            ask(link, Answers(self, len(keys)), 0, questions, self.db, self.exchange.now)

    def check_extra(self, replies: list[bytes]) -> None:
        """Keys that the target has and the source does not are compared like any other: they go."""
        self.stage = TARGET
        keys = [key for key, raw in zip(self.extra, replies, strict=True) if integer(raw) == 0]
        if keys:
            self.copy(keys)
        else:
            self.after_batch()

    def copy(self, keys: list[bytes]) -> None:
        """Bring these keys over."""
        transfer = Transfer(self.exchange, self.source, self.target, self.db, keys, self.blind, self.wall_ms)
        self.transfer = transfer
        transfer.begin(self)

    def transferred(self, transfer: Transfer) -> None:
        """Count what differed."""
        self.transfer = None
        for key in transfer.changed:
            place = (transfer.db, key)
            self.repaired += 1
            if not self.blind and place not in self.known:
                self.differences += 1
                self.known[place] = True
        self.after_batch()

    def after_batch(self) -> None:
        """The next step of the scan, of the databases, or of the touched keys."""
        if self.stage == TOUCHED:
            self.look_again()
        elif self.cursor != b"0":
            self.scan()
        elif self.stage == TARGET:
            self.stage = SOURCE
            self.scan()
        else:
            self.next_database()

    def look_again(self) -> None:
        """Keys that were touched by writes with several keys; then the pass is over."""
        self.stage = TOUCHED
        if self.blind:
            # The comparing pass that follows sees them all.
            self.end_pass()
            return
        self.take_touched()
        if not self.again:
            self.end_pass()
            return
        self.db = next(iter(self.again))[0]
        keys = [key for db, key in self.again if db == self.db]
        if len(keys) <= AGAIN:
            self.level[self.db] = True
        keys = keys[:AGAIN]
        for key in keys:
            del self.again[(self.db, key)]
        self.copy(keys)

    def take_touched(self) -> None:
        """What was touched since the last look, but for databases that are level."""
        touched = self.group.touched or {}
        if self.group.crossed:
            self.group.crossed = False
            self.level.clear()
        for place in touched:
            if place[0] not in self.level:
                self.again[place] = True
                self.known[place] = True
        self.group.touched = {}

    def end_pass(self) -> None:
        """A comparing pass without a difference, in which no write was missed, lets the copy in."""
        if self.blind or self.differences or self.group.copy_of(self.target).missed:
            self.next_pass()
        else:
            self.stage = SETTLING
            self.group.settle(self.settled)

    def settled(self) -> None:
        """All writes that the pass may have seen are judged."""
        if self.group.copy_of(self.source).state == IN_SYNC and not self.group.copy_of(self.target).missed:
            self.admitted = True
            self.group.admit(self.target)
            self.end("")
        else:
            self.next_pass()

    def next_pass(self) -> None:
        """Once more, if that makes sense."""
        if self.group.copy_of(self.source).state != IN_SYNC:
            self.end(f"{self.source.name}, from which it was copied, fell behind meanwhile")
        elif self.passes >= PASSES:
            self.end(f"still {self.differences} differences after {PASSES} passes; is another proxy writing?")
        else:
            self.blind = False
            self.list_databases()

    def end(self, problem: str) -> None:
        """Over, in one way or the other."""
        self.stage = OVER
        self.problem = problem
        self.transfer = None
        self.group.touched = None
        self.group.settled = None
        if not self.admitted:
            self.group.sync_failed(self.target)

    def progress(self) -> str:
        """For PROXY NODES and the logs."""
        if self.stage == OVER:
            return f"failed: {self.problem}" if self.problem else f"in sync after {self.passes} passes"
        return f"{self.stage}: pass {self.passes}, {self.keys_seen} keys seen, {self.repaired} copied"


def databases(replies: list[bytes]) -> list[int]:
    """The databases that have keys in any of these INFO keyspace texts."""
    found: set[int] = set()
    for raw in replies:
        for name in parse_info(bulk(raw)):
            number = string2ll(name[2:]) if name[:2] == b"db" else None
            if number is not None and number >= 0:
                found.add(number)
    return sorted(found)
