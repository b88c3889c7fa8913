"""A joint whose replies become one by the command's rule, or an error that says what was applied and what was not."""

from typing import final

from kidoproxy import errors, limits
from kidoproxy.commands.spec import IN_KEY_ORDER, ONE_OK
from kidoproxy.errors import NodeFailure
from kidoproxy.errors_loading import PartialFailure
from kidoproxy.ledger import Joint, Leg
from kidoproxy.ledger_jobs import Job, Jobs
from kidoproxy.merge import merge
from kidoproxy.merge_weave import Weaver, in_key_order
from kidoproxy.resp.open import error_text, is_error


@final
class Merged(Joint):
    """A rule makes one reply of all; one that failed fails the whole, and a write says what was applied."""

    def __init__(self, parent: Leg, count: int, rule: int, proto: int, name: bytes, write: bool) -> None:
        super().__init__(parent, count)
        self.rule = rule
        self.proto = proto
        self.name = name
        self.write = write
        #: For split commands: the positions of the keys of each part, and how many keys there are.
        self.places: list[list[int]] | None = None
        self.keys = 0
        #: Where a merge of very many keys is done in slices.
        self.jobs: Jobs | None = None

    def finish(self) -> None:
        """Merge, or say what failed."""
        if self.rule == ONE_OK:
            self.one_ok()
            return
        if (self.failures or self.write) and self.spoiled():
            return
        places = self.places
        if self.rule == IN_KEY_ORDER and places is not None and self.keys > limits.SLICE and self.jobs is not None:
            self.jobs.add(Weaving(Weaver(self.replies, places, self.keys), self.parent))
        elif self.rule == IN_KEY_ORDER and places is not None:
            self.parent.take(in_key_order(self.replies, places, self.keys))
        else:
            self.parent.take(merge(self.rule, self.replies, self.proto))

    def one_ok(self) -> None:
        """It worked somewhere; else what could not be asked may be what was meant."""
        good = [raw for at, raw in enumerate(self.replies) if not self.failed(at)]
        failure = self.first_failure()
        if good or failure is None:
            self.parent.take(merge(self.rule, good or self.replies, self.proto))
        else:
            self.parent.fail(failure)

    def spoiled(self) -> bool:
        """Tell the parent what failed; False when nothing did."""
        bad = [at for at in range(len(self.replies)) if self.failed(at)]
        if not bad:
            return False
        failure = self.failures[bad[0]] if self.failures else None
        whole = not self.write or len(self.replies) == 1
        if failure is not None and whole:
            self.parent.fail(failure)
        elif whole or self.agreed():
            self.parent.take(self.replies[bad[0]])
        else:
            self.tell(bad, failure)
        return True

    def tell(self, bad: list[int], failure: NodeFailure | None) -> None:
        """How much of a write failed, where, and why: these places did, the first one maybe with a failure."""
        failed = sum([self.weight(at) for at in bad])
        unknown = sum([self.weight(at) for at in bad if self.may_have_run(at)])
        total = self.keys if self.places is not None else len(self.replies)
        unit = "keys" if self.places is not None else "nodes"
        where = failure.node if failure is not None else "a node"
        cause = failure.reason() if failure is not None else errors.said(error_text(self.replies[bad[0]]))
        sentence = errors.partial(self.name, failed, unknown, total, unit, where, cause)
        if failure is not None:
            self.parent.fail(PartialFailure(sentence, failure))
        else:
            self.parent.take(sentence)

    def agreed(self) -> bool:
        """Whether every node gave the same answer; of an error that means that nothing was applied anywhere."""
        if self.failures:
            return False
        first = self.replies[0]
        return all(raw == first for raw in self.replies)

    def failed(self, at: int) -> bool:
        """Whether place ``at`` holds a failure, or a node's own error."""
        if self.failures and self.failures[at] is not None:
            return True
        return is_error(self.replies[at])

    def may_have_run(self, at: int) -> bool:
        """Whether the node of place ``at`` was asked and gave no answer."""
        failure = self.failures[at] if self.failures else None
        return failure is not None and failure.maybe_ran

    def weight(self, at: int) -> int:
        """How many keys (of a split command) or nodes place ``at`` stands for."""
        return len(self.places[at]) if self.places is not None else 1


@final
class Weaving(Job):
    """Puts the values of very many keys into their order, then answers."""

    def __init__(self, weaver: Weaver, parent: Leg) -> None:
        self.weaver = weaver
        self.parent = parent

    def step(self) -> bool:
        """Some keys more."""
        if self.weaver.step(limits.SLICE):
            return True
        self.parent.take(self.weaver.raw)
        return False
