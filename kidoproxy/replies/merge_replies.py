"""The aggregate of split and broadcast commands: replies are merged by the command's rule.

A read of which any part failed fails as a whole. A write that failed in part is answered with an error that says how
many keys or nodes failed, and for how many of these the outcome is unknown.
"""

from typing import final

from kidoproxy.commands.spec import IN_KEY_ORDER, ONE_SUCCEEDED
from kidoproxy.replies.aggregate import Aggregate
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.replies.jobs import Job, Jobs
from kidoproxy.replies.key_order import KeyOrderMerge, in_key_order
from kidoproxy.replies.merge import merge
from kidoproxy.resp import errors, limits
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.loading import PartialFailure


@final
class MergeReplies(Aggregate):
    """Merges by ``response_policy``; ``name`` is the command's full name, for errors."""

    def __init__(
        self, parent: ReplyHandler, count: int, response_policy: int, proto: int, name: bytes, is_write: bool
    ) -> None:
        super().__init__(parent, count)
        self.response_policy = response_policy
        self.proto = proto
        self.command_name = name
        self.is_write = is_write
        #: Of a split command: for each part the positions of its keys, and the number of all keys.
        self.key_positions: list[list[int]] | None = None
        self.key_count = 0
        #: Does a merge of very many keys in slices.
        self.jobs: Jobs | None = None

    def answer_parent(self) -> None:
        if self.response_policy == ONE_SUCCEEDED:
            self.answer_one_succeeded()
            return
        if (self.failures or self.is_write) and self.answer_if_failed():
            return
        key_positions = self.key_positions
        if (
            self.response_policy == IN_KEY_ORDER
            and key_positions is not None
            and self.key_count > limits.SLICE_UNITS
            and self.jobs is not None
        ):
            self.jobs.add(KeyOrderJob(KeyOrderMerge(self.replies, key_positions, self.key_count), self.parent))
        elif self.response_policy == IN_KEY_ORDER and key_positions is not None:
            self.parent.on_reply(in_key_order(self.replies, key_positions, self.key_count))
        else:
            self.parent.on_reply(merge(self.response_policy, self.replies, self.proto))

    def answer_one_succeeded(self) -> None:
        """One success is enough; without any, a node that could not be asked may have been the right one."""
        successes = [raw for index, raw in enumerate(self.replies) if not self.has_failed(index)]
        failure = self.first_failure()
        if successes or failure is None:
            self.parent.on_reply(merge(self.response_policy, successes or self.replies, self.proto))
        else:
            self.parent.on_failure(failure)

    def answer_if_failed(self) -> bool:
        """Answer with what failed; False when nothing did."""
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
        """The write failed in these slots; ``failure`` is that of the first, None if the node sent an error."""
        failed = sum([self.key_or_node_count(index) for index in failed_indexes])
        unknown = sum([self.key_or_node_count(index) for index in failed_indexes if self.may_have_run_at(index)])
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
        """Whether all replies are the same; if they are errors, nothing was applied anywhere."""
        if self.failures:
            return False
        first = self.replies[0]
        return all(raw == first for raw in self.replies)

    def has_failed(self, index: int) -> bool:
        """Whether slot ``index`` has a failure or an error reply."""
        if self.failures and self.failures[index] is not None:
            return True
        return is_error(self.replies[index])

    def may_have_run_at(self, index: int) -> bool:
        """Whether the node of slot ``index`` was asked and did not answer."""
        failure = self.failures[index] if self.failures else None
        return failure is not None and failure.may_have_run

    def key_or_node_count(self, index: int) -> int:
        """How many keys (of a split command) or nodes slot ``index`` stands for."""
        return len(self.key_positions[index]) if self.key_positions is not None else 1


@final
class KeyOrderJob(Job):
    """Merges the values of very many keys in slices, then answers ``parent``."""

    def __init__(self, merge: KeyOrderMerge, parent: ReplyHandler) -> None:
        self.merge = merge
        self.parent = parent

    def step(self) -> bool:
        if self.merge.step(limits.SLICE_UNITS):
            return True
        self.parent.on_reply(self.merge.result)
        return False
