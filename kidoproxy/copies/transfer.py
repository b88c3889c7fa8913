"""One batch of keys copied from one node to another while writes go on, exactly.

The writes of a copy pool travel to each node on one ordered link. So: hold the target's link; ask the
source for its values (DUMP and expiry) on *its* ordered link; put what differs on the target's link;
let the held writes go. On both nodes the same writes now stand before and after the copy, hence a hot key
converges too. The hold lasts one round trip and concerns the target alone.
"""

from typing import final

from kidoproxy.errors import NodeFailure, said
from kidoproxy.exchange import Exchange
from kidoproxy.ledger import Leg
from kidoproxy.link import NodeLink
from kidoproxy.resp.build import command
from kidoproxy.resp.open import bulk, error_text, integer, is_error, is_null
from kidoproxy.resp.scan import string2ll
from kidoproxy.routes.topology import Node

#: Copying may take longer than a client would wait.
PATIENCE = 30.0


class Boss:
    """Whoever wants to know that a batch, or a question, is done."""

    def done(self, answer: "Answers") -> None:
        """All replies are there, or ``answer.problem`` says why not."""
        raise NotImplementedError


@final
class Answers:
    """The replies to several requests that belong together, in their order."""

    def __init__(self, boss: Boss, count: int) -> None:
        self.boss = boss
        self.missing = count
        self.replies: list[bytes] = [b""] * count
        self.problem = ""

    def fill(self, at: int, raw: bytes) -> None:
        """The reply at ``at``."""
        self.replies[at] = raw
        self.count()

    def fault(self, failure: NodeFailure) -> None:
        """One of them failed."""
        self.problem = f"{failure.code} {failure.node} ({failure.cause})"
        self.count()

    def count(self) -> None:
        """One less is missing."""
        self.missing -= 1
        if self.missing == 0:
            self.boss.done(self)


@final
class Question(Leg):
    """One place in `Answers`."""

    def __init__(self, answers: Answers, at: int) -> None:
        super().__init__()
        self.answers = answers
        self.at = at

    def take(self, raw: bytes) -> None:
        """Fill the place."""
        self.answers.fill(self.at, raw)

    def fail(self, failure: NodeFailure) -> None:
        """Say why not."""
        self.answers.fault(failure)


def ask(link: NodeLink, answers: Answers, first: int, requests: list[list[bytes]], db: int, now: float) -> None:
    """Send ``requests`` past any hold; their replies fill ``answers`` from place ``first`` on."""
    for at, argv in enumerate(requests):
        leg = Question(answers, first + at)
        if link.ready():
            leg.due = now + PATIENCE
            link.send(leg, command(argv), link.proto, db, 1)
        else:
            leg.fail(link.failure("NODEDOWN", link.cause, False))


def expiry_request(node: Node, key: bytes) -> list[bytes]:
    """How to ask for a key's expiry: as a moment where the server can say it (7.0), as time left elsewhere."""
    major = string2ll(node.version.partition(b".")[0])
    return [b"PEXPIRETIME" if major is not None and major >= 7 else b"PTTL", key]


def moment(request: list[bytes], raw: bytes, wall_ms: int) -> int:
    """The reply to `expiry_request` as a moment in milliseconds; 0: never expires."""
    value = integer(raw)
    if value < 0:
        return 0
    return value if request[0] == b"PEXPIRETIME" else wall_ms + value


@final
class Transfer(Boss):
    """Copies ``keys`` of ``db`` from ``source`` to ``target``; tells ``boss`` through ``report``.

    ``report.replies`` are the target's answers to what was put right (empty: nothing differed);
    ``changed`` are the keys concerned. With ``blind`` the target is not asked first.
    """

    def __init__(
        self, exchange: Exchange, source: Node, target: Node, db: int, keys: list[bytes], blind: bool, wall_ms: int
    ) -> None:
        self.exchange = exchange
        self.source = source
        self.from_link = exchange.link(source, 2, db)
        self.to_link = exchange.link(target, 2, db)
        self.db = db
        self.keys = keys
        self.blind = blind
        self.wall_ms = wall_ms
        self.changed: list[bytes] = []
        self.boss: Boss | None = None
        self.asking = True
        self.problem = ""

    def begin(self, boss: Boss) -> None:
        """Hold the target and ask."""
        self.boss = boss
        now = self.exchange.now
        self.to_link.hold()
        questions = self.questions(self.source)
        both = questions if self.blind else questions + self.questions(self.to_link.node)
        answers = Answers(self, len(both))
        # If a link is down its questions fail at once: the last one of all must be the one that ends it.
        ask(self.from_link, answers, 0, questions, self.db, now)
        if not self.blind:
            ask(self.to_link, answers, len(questions), both[len(questions) :], self.db, now)

    def questions(self, node: Node) -> list[list[bytes]]:
        """DUMP and expiry of every key."""
        words: list[list[bytes]] = []
        for key in self.keys:
            words.append([b"DUMP", key])
            words.append(expiry_request(node, key))
        return words

    def done(self, answers: Answers) -> None:
        """First the questions, then what was put right."""
        if not self.asking:
            self.finish(answers.problem or first_error(answers.replies))
            return
        self.asking = False
        problem = answers.problem or first_error(answers.replies)
        repairs = [] if problem else self.repairs(answers.replies)
        if repairs:
            report = Answers(self, len(repairs))
            ask(self.to_link, report, 0, repairs, self.db, self.exchange.now)
        self.to_link.unhold(self.exchange.now)
        if not repairs:
            self.finish(problem)

    def repairs(self, replies: list[bytes]) -> list[list[bytes]]:
        """RESTORE what the target has otherwise, UNLINK what the source does not have."""
        words: list[list[bytes]] = []
        offset = 2 * len(self.keys)
        for at, key in enumerate(self.keys):
            dump = replies[2 * at]
            until = moment(expiry_request(self.source, key), replies[2 * at + 1], self.wall_ms)
            if not self.blind:
                theirs = replies[offset + 2 * at]
                theirs_until = moment(
                    expiry_request(self.to_link.node, key), replies[offset + 2 * at + 1], self.wall_ms
                )
                if theirs == dump and abs(theirs_until - until) <= 1:
                    continue
            self.changed.append(key)
            if is_null(dump):
                words.append([b"UNLINK", key])
            else:
                words.append([b"RESTORE", key, b"%d" % until, bulk(dump), b"REPLACE", b"ABSTTL"])
        return words

    def finish(self, problem: str) -> None:
        """Tell the boss."""
        self.problem = problem
        boss = self.boss
        if boss is not None:
            self.boss = None
            report = Answers(boss, 1)
            report.problem = problem
            report.fill(0, b"")


def first_error(replies: list[bytes]) -> str:
    """The first error among the replies, for a person; empty when there is none."""
    for raw in replies:
        if is_error(raw):
            return said(error_text(raw))
    return ""
