"""A joint whose replies become one by the command's rule, or an error that says what was applied and what was not."""

from typing import final

from kidoproxy.commands.spec import IN_KEY_ORDER, ONE_SUCCEEDED
from kidoproxy.replies.aggregate import Aggregate
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.jobs import Job, Jobs
from kidoproxy.replies.merge import merge
from kidoproxy.replies.weave import Weaver, in_key_order
from kidoproxy.resp import errors, limits
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import PartialFailure


@final
class MergeReplies(Aggregate):
    """A rule makes one reply of all; one that failed fails the whole, and a write says what was applied."""

    def __init__(
        self, parent: ReplyHandler, count: int, merge_rule: int, proto: int, name: bytes, is_write: bool
    ) -> None:
        super().__init__(parent, count)
        self.merge_rule = merge_rule
        self.proto = proto
        self.command_name = name
        self.is_write = is_write
        #: For split commands: the positions of the keys of each part, and how many keys there are.
        self.key_positions: list[list[int]] | None = None
        self.key_count = 0
        #: Where a merge of very many keys is done in slices.
        self.jobs: Jobs | None = None

    def answer_parent(self) -> None:
        """Merge, or say what failed."""
        if self.merge_rule == ONE_SUCCEEDED:
            self.answer_one_succeeded()
            return
        if (self.failures or self.is_write) and self.answer_if_failed():
            return
        key_positions = self.key_positions
        if (
            self.merge_rule == IN_KEY_ORDER
            and key_positions is not None
            and self.key_count > limits.SLICE_UNITS
            and self.jobs is not None
        ):
            self.jobs.add(WeaveJob(Weaver(self.replies, key_positions, self.key_count), self.parent))
        elif self.merge_rule == IN_KEY_ORDER and key_positions is not None:
            self.parent.on_reply(in_key_order(self.replies, key_positions, self.key_count))
        else:
            self.parent.on_reply(merge(self.merge_rule, self.replies, self.proto))

    def answer_one_succeeded(self) -> None:
        """It worked somewhere; else what could not be asked may be what was meant."""
        successes = [raw for index, raw in enumerate(self.replies) if not self.has_failed(index)]
        failure = self.first_failure()
        if successes or failure is None:
            self.parent.on_reply(merge(self.merge_rule, successes or self.replies, self.proto))
        else:
            self.parent.on_failure(failure)

    def answer_if_failed(self) -> bool:
        """Tell the parent what failed; False when nothing did."""
        failed_indexes = [index for index in range(len(self.replies)) if self.has_failed(index)]
        if not failed_indexes:
            return False
        failure = self.failures[failed_indexes[0]] if self.failures else None
        is_indivisible = not self.is_write or len(self.replies) == 1
        if failure is not None and is_indivisible:
            self.parent.on_failure(failure)
        elif is_indivisible or self.all_replies_equal():
            self.parent.on_reply(self.replies[failed_indexes[0]])
        else:
            self.answer_partial_write(failed_indexes, failure)
        return True

    def answer_partial_write(self, failed_indexes: list[int], failure: NodeFailure | None) -> None:
        """How much of a write failed, where, and why: these places did, the first one maybe with a failure."""
        failed = sum([self.unit_count(index) for index in failed_indexes])
        unknown = sum([self.unit_count(index) for index in failed_indexes if self.may_have_run_at(index)])
        total = self.key_count if self.key_positions is not None else len(self.replies)
        unit = "keys" if self.key_positions is not None else "nodes"
        node_name = failure.node if failure is not None else "a node"
        cause = (
            failure.short_reason()
            if failure is not None
            else errors.sanitize_bytes(error_text(self.replies[failed_indexes[0]]))
        )
        sentence = errors.partial_write(self.command_name, failed, unknown, total, unit, node_name, cause)
        if failure is not None:
            self.parent.on_failure(PartialFailure(sentence, failure))
        else:
            self.parent.on_reply(sentence)

    def all_replies_equal(self) -> bool:
        """Whether every node gave the same answer; of an error that means that nothing was applied anywhere."""
        if self.failures:
            return False
        first = self.replies[0]
        return all(raw == first for raw in self.replies)

    def has_failed(self, index: int) -> bool:
        """Whether place ``at`` holds a failure, or a node's own error."""
        if self.failures and self.failures[index] is not None:
            return True
        return is_error(self.replies[index])

    def may_have_run_at(self, index: int) -> bool:
        """Whether the node of place ``at`` was asked and gave no answer."""
        failure = self.failures[index] if self.failures else None
        return failure is not None and failure.may_have_run

    def unit_count(self, index: int) -> int:
        """How many keys (of a split command) or nodes place ``at`` stands for."""
        return len(self.key_positions[index]) if self.key_positions is not None else 1


@final
class WeaveJob(Job):
    """Puts the values of very many keys into their order, then answers."""

    def __init__(self, weaver: Weaver, parent: ReplyHandler) -> None:
        self.weaver = weaver
        self.parent = parent

    def step(self) -> bool:
        """Some keys more."""
        if self.weaver.step(limits.SLICE_UNITS):
            return True
        self.parent.on_reply(self.weaver.result)
        return False
