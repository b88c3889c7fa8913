"""Several replies that the exchange waits for and judges: the copies of a write, and the steps of a SCAN."""

from typing import Final, final

from kidoproxy import errors
from kidoproxy.cursor import advance
from kidoproxy.errors import TIMEOUT, NodeFailure
from kidoproxy.ledger import Joint, Leg
from kidoproxy.resp.build import array
from kidoproxy.routes.durability import Acknowledgement
from kidoproxy.routes.plan import Gather, Send
from kidoproxy.routes.route import Ask
from kidoproxy.routes.topology import IN_SYNC, Copy, CopyGroup, Node

#: The code word of `errors.behind`.
BEHIND: Final = "BEHIND"
#: A node that answers with one of these did not run the command, and is not fit to.
TROUBLE: Final[tuple[bytes, ...]] = (
    b"-LOADING",
    b"-OOM",
    b"-READONLY",
    b"-MISCONF",
    b"-MASTERDOWN",
    b"-BUSY ",
    b"-NOAUTH",
    b"-NOPERM",
    b"-NOSCRIPT",
    b"-NOREPLICAS",
    b"-EXECABORT",
)


def in_trouble(raw: bytes) -> bool:
    """Whether a reply says that the node could not do its work, rather than that the request was wrong."""
    return raw[:1] == b"-" and raw.startswith(TROUBLE)


@final
class Judged(Joint):
    """The copies of one write: the leader's reply stands, a copy that missed the write is behind from now on."""

    def __init__(self, parent: Leg, plan: Gather, group: CopyGroup, ask: Ask) -> None:
        super().__init__(parent, len(plan.plans))
        self.plan = plan
        self.group = group
        self.db = ask.db
        self.each = ask.each
        self.touched = plan.touched
        #: Writes count as under way until they are judged (see `CopyGroup.settle`).
        self.epoch = group.write_begins() if plan.write else -1
        if plan.write:
            touched = plan.touched or []
            group.note_sent(ask.db, touched, plan.other, plan.anywhere, plan.strays)
            if group.vigils:
                group.stir(ask.db, [] if plan.anywhere else touched, plan.other)
        self.doubted: list[Copy] = []

    def fill(self, at: int, raw: bytes) -> None:
        """A copy's reply; a refusal puts in doubt what it is read for until all have answered."""
        if self.epoch >= 0 and in_trouble(raw):
            self.doubt(at)
        super().fill(at, raw)

    def fault(self, at: int, failure: NodeFailure) -> None:
        """So does a failure: a copy whose connection was lost may be asked again before the others have answered."""
        if self.epoch >= 0:
            self.doubt(at)
        super().fault(at, failure)

    def doubt(self, at: int) -> None:
        """This copy may lack the write."""
        doubted = self.group.copy_of(self.asked()[at])
        doubted.doubts += 1
        self.doubted.append(doubted)

    def finish(self) -> None:
        """Every in-sync copy has answered or failed."""
        self.judge()
        self.over()

    def over(self) -> None:
        """It is judged, once."""
        doubted = self.doubted
        self.doubted = []
        for copy in doubted:
            copy.doubts -= 1
        if self.epoch >= 0:
            epoch = self.epoch
            self.epoch = -1
            self.group.write_ends(epoch)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """Nobody knows how it was judged: the copies may differ, and nothing waits for it any more."""
        if self.epoch >= 0:
            if self.touched:
                self.group.mend_later(self.db, self.touched)
            else:
                self.group.leave(self.asked()[1:])
        self.over()
        super().abort(failure, failed)

    def judge(self) -> None:
        """Who took it, who missed it, and what the client hears."""
        good: list[int] = []
        asked = self.asked()
        for at in range(len(self.replies)):
            failed = self.failures and self.failures[at] is not None
            if not failed and not in_trouble(self.replies[at]) and self.counts(asked[at]):
                good.append(at)
        if not good:
            self.nobody()
            return
        if self.plan.write:
            self.group.leave([node for at, node in enumerate(self.asked()) if at not in good])
            self.compare(good)
        if self.each:
            self.reply(self.listed())
        elif self.plan.write and len(good) < self.group.min_in_sync:
            names = [node.name for at, node in enumerate(self.asked()) if at in good]
            self.reply(errors.few_copies(names, self.group.min_in_sync))
        else:
            self.reply(self.replies[good[0]])

    def reply(self, raw: bytes) -> None:
        """The client's reply; of a write it waits until the record of who is behind now is on disk."""
        if self.epoch < 0 or self.group.durability.is_reached():
            self.parent.take(raw)
        else:
            self.group.durability.hold(Recorded(self.group, self.asked()[0], self.parent, raw))

    def counts(self, node: Node) -> bool:
        """Whether a copy's word counts: one that has missed another write meanwhile acknowledges nothing."""
        return self.group.copy_of(node).state == IN_SYNC

    def asked(self) -> list[Node]:
        """The nodes of the parts, the leader's first."""
        return [plan.node for plan in self.plan.plans if isinstance(plan, Send)]

    def compare(self, good: list[int]) -> None:
        """Replies that should be equal and are not: these keys' copies may differ."""
        first = self.replies[good[0]]
        for at in good[1:]:
            if self.replies[at] != first:
                self.group.mismatches += 1
                self.group.mend_later(self.db, self.touched or [])
                return

    def nobody(self) -> None:
        """No copy that counts took the write: each keeps its place, but they may differ now."""
        failure = self.worst_failure()
        if failure is not None and failure.maybe_ran and self.plan.write:
            if self.touched:
                self.group.mend_later(self.db, self.touched)
            else:
                self.group.leave(self.asked()[1:])
        if self.each:
            self.reply(self.listed())
        elif failure is not None:
            self.parent.fail(failure)
        else:
            self.refuse()

    def worst_failure(self) -> NodeFailure | None:
        """A failure that leaves the outcome open, if there is one: the client must hear of that."""
        for failure in self.failures:
            if failure is not None and failure.maybe_ran:
                return failure
        return self.first_failure()

    def refuse(self) -> None:
        """What the first copy in sync says; the word of one that has fallen behind meanwhile does not count."""
        asked = self.asked()
        for at, node in enumerate(asked):
            if self.counts(node):
                self.reply(self.replies[at])
                return
        first = asked[0]
        self.parent.fail(NodeFailure(BEHIND, first.name, first.address, "it fell behind meanwhile", True))

    def listed(self) -> bytes:
        """Each node's own reply in the order of the configuration; an error in the place of the others."""
        asked = self.asked()
        rows: list[bytes] = []
        for copy in self.group.copies:
            if copy.node in asked:
                at = asked.index(copy.node)
                failure = self.failures[at] if self.failures else None
                rows.append(failure.line(self.plan.write) if failure is not None else self.replies[at])
            else:
                rows.append(errors.behind(copy.node.name))
        return array(rows)


@final
class Recorded(Acknowledgement):
    """The reply to a write which some copy may have missed."""

    def __init__(self, group: CopyGroup, node: Node, parent: Leg, raw: bytes) -> None:
        super().__init__(group.durability.version)
        self.group = group
        self.node = node
        self.parent = parent
        self.raw = raw

    def durable(self) -> None:
        """Whoever restarts the proxy will know who missed the write."""
        self.parent.take(self.raw)

    def overdue(self) -> None:
        """Nobody would know after a crash of the proxy."""
        cause = f"the record of {self.group.name}'s copies is not on disk yet"
        self.parent.fail(NodeFailure(TIMEOUT, self.node.name, self.node.address, cause, True))


@final
class Stray(Leg):
    """A write's part for a copy that is not in sync: nobody waits for it, but its sync must know if it was lost."""

    def __init__(self, group: CopyGroup, node: Node) -> None:
        super().__init__()
        self.group = group
        self.node = node

    def take(self, raw: bytes) -> None:
        """What the copy says does not matter, unless it did nothing."""
        if in_trouble(raw):
            self.group.missed(self.node)

    def fail(self, failure: NodeFailure) -> None:
        """The copy did not get it, or nobody knows."""
        self.group.missed(self.node)


@final
class Scanned(Joint):
    """One step of a SCAN: the node's cursor becomes ours."""

    def __init__(self, parent: Leg, number: int, following: int) -> None:
        super().__init__(parent, 1)
        self.number = number
        self.following = following

    def finish(self) -> None:
        """Rewrite the cursor."""
        failure = self.first_failure()
        if failure is not None:
            self.parent.fail(failure)
        else:
            self.parent.take(advance(self.replies[0], self.number, self.following))
