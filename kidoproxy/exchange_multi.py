"""A transaction's walk over its plans: it fills one batch per node, then sends each at one go."""

from typing import Final, final

from kidoproxy import errors
from kidoproxy.errors import NodeFailure
from kidoproxy.exchange import Exchange, Walk
from kidoproxy.exchange_copies import in_trouble
from kidoproxy.exchange_lanes import Loan
from kidoproxy.ledger import Leg, Listed
from kidoproxy.link_school import remind
from kidoproxy.resp.build import command
from kidoproxy.resp.open import error_text, is_error, is_null, items
from kidoproxy.routes.plan import Plan, Send
from kidoproxy.routes.topology import Node

MULTI: Final = command([b"MULTI"])
EXEC: Final = command([b"EXEC"])
ABORTED: Final = b"-EXECABORT"


@final
class Executed(Listed):
    """The array of EXEC, each command's reply in its place.

    Where clients take a node's failure for a lost connection (``as_loading``) a transaction of which nothing was run
    fails as a whole, and they may send it again. When some node has run its part the failures stay in their places,
    as ordinary errors: sent again, that part would run twice.
    """

    def __init__(self, transaction: "Transaction", parent: Leg, count: int, write: bool, as_loading: bool) -> None:
        super().__init__(parent, count, write)
        self.transaction = transaction
        self.as_loading = as_loading

    def finish(self) -> None:
        """The array, or why there is none."""
        failure = self.first_failure()
        if failure is not None and self.as_loading and not self.transaction.ran:
            self.parent.fail(failure)
        else:
            super().finish()


@final
class Batch(Leg):
    """One node's part of a transaction: MULTI, its commands, EXEC; the array of EXEC is dealt out to the legs."""

    def __init__(self, transaction: "Transaction", node: Node, whole: Leg | None) -> None:
        super().__init__()
        self.transaction = transaction
        self.node = node
        #: The nodes that were asked before this one, in vain.
        self.asked: list[Node] = []
        self.payloads: list[bytes] = []
        self.legs: list[Leg] = []
        self.missing = 0
        #: What the node said first to refuse something before EXEC, if anything; and whether that was MULTI itself.
        self.refused = b""
        self.began = True
        #: The transaction's own leg, when this node's EXEC reply is the whole reply: as it is, if ``legs`` is empty.
        self.whole = whole

    def take(self, raw: bytes) -> None:
        """+OK, +QUEUED …, then what EXEC says."""
        self.missing -= 1
        if self.missing > 0:
            if is_error(raw) and not self.refused:
                self.refused = error_text(raw)
                self.began = self.missing < len(self.payloads) + 1
            return
        if self.is_no_answer(raw) and self.ask_next():
            return
        self.transaction.over(raw)
        if is_error(raw) and self.refused:
            raw = errors.aborted(self.refused) if self.began else errors.not_begun(self.refused)
        if self.whole is not None and (not self.legs or is_error(raw) or is_null(raw)):
            self.whole.take(raw)
            return
        replies = [] if is_error(raw) else items(raw)
        for at, leg in enumerate(self.legs):
            leg.take(replies[at] if at < len(replies) else self.aborted(raw))

    def is_no_answer(self, raw: bytes) -> bool:
        """Whether the node was not fit to run it, or has missed a write that its reads may lack."""
        group = self.node.group
        refused = is_error(raw) and in_trouble(b"-" + self.refused if self.refused else raw)
        return refused or (group is not None and group.doubts(self.node))

    def ask_next(self) -> bool:
        """Ask the next copy in sync, with a deadline of its own; False when this transaction may be asked only once."""
        group = self.node.group
        if group is None or not self.transaction.repeatable:
            return False
        asked = [*self.asked, self.node]
        for node in group.ranked(None):
            if node not in asked:
                again = Batch(self.transaction, node, self.whole)
                again.asked = asked
                again.payloads = self.payloads
                again.legs = self.legs
                texts = self.transaction.texts
                texts[node.index] = texts.get(self.node.index, {})
                self.transaction.send_batch(again)
                return True
        return False

    def aborted(self, raw: bytes) -> bytes:
        """EXEC itself was refused by this node."""
        if is_error(raw):
            return raw
        return errors.line(f"ERR the transaction was not run on its node: {raw[:24]!r}")

    def fail(self, failure: NodeFailure) -> None:
        """The next copy is asked, or every place of this node's holds the failure."""
        if self.ask_next():
            return
        if self.transaction.loan is not None:
            self.transaction.loan.close()
        if self.whole is not None:
            self.whole.fail(failure)
            return
        for leg in self.legs:
            leg.fail(failure)

    def abort(self, failure: NodeFailure, failed: bool) -> None:
        """Every place that is not filled yet holds it."""
        if self.transaction.loan is not None:
            self.transaction.loan.close()
        if self.whole is not None:
            self.whole.abort(failure, failed)
        for leg in self.legs:
            leg.abort(failure, failed)

    def title(self) -> str:
        """What ends it."""
        return "exec"


@final
class Transaction(Walk):
    """Collects what a queued transaction sends to each node, then sends each node's part at one go.

    With a ``loan`` all of it is for the node of that lane, where keys are watched.
    """

    def __init__(self, exchange: Exchange, loan: Loan | None, repeatable: bool = False) -> None:
        super().__init__(exchange)
        self.loan = loan
        #: It only reads: a copy that does not answer costs nothing but the time of asking the next one.
        self.repeatable = repeatable
        self.proto = 2
        self.db = 0
        self.batches: dict[int, Batch] = {}
        #: By node, the texts of the scripts that its part names by digest.
        self.texts: dict[int, dict[bytes, bytes]] = {}
        #: Some node has run its part.
        self.ran = False

    def send(self, node: Node, leg: Leg, payload: bytes, proto: int, db: int) -> None:
        """Add to the node's batch."""
        batch = self.batches.get(node.index)
        if batch is None:
            batch = Batch(self, node, None)
            self.batches[node.index] = batch
        batch.payloads.append(payload)
        batch.legs.append(leg)

    def recite(self, node: Node, digest: bytes, text: bytes) -> None:
        """Send this script ahead of the node's part."""
        self.texts.setdefault(node.index, {})[digest] = text

    def whole(self, node: Node, leg: Leg, plans: list[Plan | None], raws: list[bytes], legs: list[Leg]) -> None:
        """All of it is for one node: what its EXEC says is the whole reply, or ``legs`` take it if it was run."""
        batch = Batch(self, node, leg)
        batch.legs = legs
        for plan, raw in zip(plans, raws, strict=True):
            # What is for no node (PING), or for all nodes of a ring of one, goes as it came.
            payload = plan.payload if isinstance(plan, Send) else None
            batch.payloads.append(payload if payload is not None else raw)
        self.batches[node.index] = batch

    def over(self, raw: bytes) -> None:
        """EXEC has been answered, and with it the keys are not watched any more; unless MULTI was refused."""
        self.ran = self.ran or not is_error(raw)
        if self.loan is not None:
            if is_error(raw) and not raw.startswith(ABORTED):
                self.loan.close()
            else:
                self.loan.give_back()

    def go(self, proto: int, db: int) -> None:
        """Send every batch: one contiguous ``MULTI … EXEC`` for each node."""
        self.proto = proto
        self.db = db
        for batch in self.batches.values():
            self.send_batch(batch)

    def send_batch(self, batch: Batch) -> None:
        """Send one node's part, behind the scripts that it names by digest."""
        exchange = self.exchange
        proto, db, now = self.proto, self.db, exchange.now
        batch.missing = len(batch.payloads) + 2
        payload = MULTI + b"".join(batch.payloads) + EXEC
        link = self.loan.link if self.loan is not None else exchange.link(batch.node, proto, db)
        if self.loan is not None:
            self.loan.lanes.endings.keep_order(link)
        for digest, text in self.texts.get(batch.node.index, {}).items():
            exchange.recited += remind(link, digest, text, proto, db, now, True)
        link.place(batch, payload, proto, db, now, batch.missing)
