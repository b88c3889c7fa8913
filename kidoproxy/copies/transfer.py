"""One batch of keys copied from one node to another while writes go on, exactly.

The writes of a copy pool travel to each node on one ordered link. So: hold the target's link; ask the
source for its values (DUMP and expiry) on *its* ordered link; put what differs on the target's link;
let the held writes go. On both nodes the same writes now stand before and after the copy, hence a hot key
converges too. The hold lasts one round trip and concerns the target alone.

Value and expiry are asked for in one transaction: else a key that expires between the two would look as if it
never expired.
"""

from typing import Final, final

from kidoproxy.copies.answers import (
    Answers,
    Boss,
    ask,
    ask_at_once,
    first_error,
    number,
    payload,
    rows,
    seconds_for,
)
from kidoproxy.copies.proof import Proof
from kidoproxy.exchange import Exchange
from kidoproxy.resp.open import is_null
from kidoproxy.resp.scan import string2ll
from kidoproxy.routes.topology import Node

#: What a node says of the expiry of a key that there is not.
NO_KEY: Final = -2


@final
class Holding:
    """What one node holds for a key: the value as DUMP gives it (None: no such key), and when it expires (0: never)."""

    def __init__(self, dump: bytes | None, until: int) -> None:
        self.dump = dump
        self.until = until

    def same(self, other: "Holding") -> bool:
        """As equal as can be seen; two clocks may round differently."""
        return self.dump == other.dump and abs(self.until - other.until) <= 1


def expiry_request(node: Node, key: bytes) -> list[bytes]:
    """How to ask for a key's expiry: as a moment where the server can say it (7.0), as time left elsewhere."""
    major = string2ll(node.version.partition(b".")[0])
    return [b"PEXPIRETIME" if major is not None and major >= 7 else b"PTTL", key]


def holding(request: list[bytes], dump: bytes, expiry: bytes, wall_ms: int) -> Holding | None:
    """What the replies to DUMP and to `expiry_request` say; None if they say nothing that makes sense."""
    left = number(expiry)
    value = payload(dump)
    if left is None or left < NO_KEY or (value is None and not is_null(dump)):
        return None
    if value is None or left == NO_KEY:
        return Holding(None, 0)
    if left < 0:
        return Holding(value, 0)
    return Holding(value, left if request[0] == b"PEXPIRETIME" else wall_ms + left)


@final
class Transfer(Boss):
    """Copies ``keys`` of ``db`` as ``proof`` allows; tells ``boss`` with ``problem``.

    ``changed`` are the keys that differed. With ``blind`` the target is not asked first. ``size``: about so many bytes.
    """

    def __init__(
        self, exchange: Exchange, proof: Proof, db: int, keys: list[bytes], blind: bool, wall_ms: int, size: int = 0
    ) -> None:
        self.exchange = exchange
        self.proof = proof
        self.from_link = proof.source
        self.to_link = proof.target
        self.db = db
        self.keys = keys
        self.blind = blind
        self.wall_ms = wall_ms
        self.size = size
        #: Bytes of values that were really there.
        self.seen = 0
        self.changed: list[bytes] = []
        self.boss: Boss | None = None
        self.asking = True
        self.problem = ""

    def begin(self, boss: Boss) -> None:
        """Hold the target and ask."""
        self.boss = boss
        now = self.exchange.now
        self.to_link.hold(now, seconds_for(self.size))
        answers = Answers(self, 1 if self.blind else 2)
        # If a link is down its questions fail at once: the last one of all must be the one that ends it.
        ask_at_once(self.from_link, answers, 0, self.questions(self.from_link.node), self.db, now, self.size)
        if not self.blind:
            ask_at_once(self.to_link, answers, 1, self.questions(self.to_link.node), self.db, now, self.size)

    def questions(self, node: Node) -> list[list[bytes]]:
        """DUMP and expiry of every key."""
        words: list[list[bytes]] = []
        for key in self.keys:
            words.append([b"DUMP", key])
            words.append(expiry_request(node, key))
        return words

    def done(self, answers: Answers) -> None:
        """First the questions, then what was put right."""
        if self.boss is None:
            return
        problem = answers.problem or first_error(answers.replies)
        if not self.asking:
            self.finish(problem)
            return
        self.asking = False
        repairs = [] if problem else self.repairs(answers.replies)
        problem = problem or self.problem or (self.proof.refusal(self.exchange.now) if repairs else "")
        if repairs and not problem:
            report = Answers(self, len(repairs))
            ask(self.to_link, report, 0, repairs, self.db, self.exchange.now, self.seen)
        self.to_link.unhold(self.exchange.now)
        if problem or not repairs:
            self.finish(problem)

    def repairs(self, replies: list[bytes]) -> list[list[bytes]]:
        """RESTORE what the target has otherwise, UNLINK what the source does not have."""
        mine = self.holdings(self.from_link.node, replies[0])
        theirs = mine if self.blind else self.holdings(self.to_link.node, replies[1])
        words: list[list[bytes]] = []
        for at, key in enumerate(self.keys if mine and theirs else []):
            held = mine[at]
            self.seen += len(held.dump or b"")
            if not self.blind and held.same(theirs[at]):
                continue
            self.changed.append(key)
            if held.dump is None:
                words.append([b"UNLINK", key])
            else:
                words.append([b"RESTORE", key, b"%d" % held.until, held.dump, b"REPLACE", b"ABSTTL"])
        return words

    def holdings(self, node: Node, raw: bytes) -> list[Holding]:
        """One for each key; none, and ``problem``, if the node answered something else."""
        found: list[Holding] = []
        said = rows(raw) or []
        if len(said) == 2 * len(self.keys):
            for at, key in enumerate(self.keys):
                one = holding(expiry_request(node, key), said[2 * at], said[2 * at + 1], self.wall_ms)
                if one is not None:
                    found.append(one)
        if len(found) != len(self.keys):
            self.problem = first_error(said) or f"{node.name} gave no sensible answer to DUMP"
            return []
        return found

    def abandon(self) -> None:
        """Nobody wants it any more; answers that still come change nothing."""
        self.boss = None
        if self.asking:
            self.asking = False
            self.to_link.unhold(self.exchange.now)

    def finish(self, problem: str) -> None:
        """Tell the boss."""
        self.problem = problem
        boss = self.boss
        if boss is not None:
            self.boss = None
            report = Answers(boss, 1)
            report.problem = problem
            report.fill(0, b"")
