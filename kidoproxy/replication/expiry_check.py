"""Asks the copies when the keys of one write expire, in the same order of writes on each: did all take it alike?

A write around its key's expiry may find the key on one copy and not on another. Order of events:

1. Where the group's memo does not say that the keys expire much later, or never, questions are sent to each copy in the
   same breath as the write: behind it, and for scripts and the like ahead of it too. The client does not wait for them.
2. When all have been answered the copies' answers are compared. A key that has an expiry on one copy and none on
   another is repaired from the copy whose reply the client got.
3. Equal answers go into the memo.

*Behind* a write that keeps what expiry it finds: the copy that found the key has its expiry, or has lost it since; the
one that did not has a new key without. *Ahead* of any write: if all copies had the key, with more time left by their
own clocks than passed until the last answer, then all had it when they ran the write. If less was left, nobody can
know without comparing the values: the key is compared, as for a repair.
"""

from typing import Final, final

from kidoproxy.replication.expiry_memo import MARGIN_MS, NEVER
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.replication.key_state import tells_expiry_as_moment
from kidoproxy.replies.handler import ReplyHandler
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.resp.scan import parse_int64
from kidoproxy.routes.plan import Gather, Send
from kidoproxy.routes.route import RequestContext, WallClock
from kidoproxy.routes.topology import Node

#: An answer to PTTL and PEXPIRETIME: no such key; -1 is a key without expiry. Ours: an error, and none at all.
MISSING: Final = -2
REFUSED: Final = -3
NO_ANSWER: Final = -4
#: Time left that is read from answers which took a while says no more than this about a moment.
ROUNDING_MS: Final = 1000
#: So long may the proxy's clock stand still while events are handled.
CLOCK_STEP_MS: Final = 20


@final
class ExpiryCheck:
    """The questions about ``keys`` that go with one write, and what comes of the answers; see the module.

    ``all_keys``: all that it may write to, which the questions ahead of it are about, too.
    """

    def __init__(
        self, group: CopyGroup, db: int, nodes: list[Node], keys: list[bytes], all_keys: list[bytes], clock: WallClock
    ) -> None:
        self.group = group
        self.db = db
        #: The nodes that the write is sent to, leader first, then those that are not in sync.
        self.nodes = nodes
        self.keys = keys
        self.all_keys = all_keys
        self.clock = clock
        self.sent_ms = clock.ms
        self.memo_questions = [group.expiry_memo.ask((db, key)) for key in keys]
        #: By node and key: ms left before the write, and the moment afterwards.
        self.ahead: list[int] = []
        self.behind: list[int] = [NO_ANSWER] * (len(nodes) * len(keys))
        self.remaining = len(self.behind)
        self.write_epoch = group.begin_write()

    def questions(self, ahead: bool) -> list["ExpiryQuestion"]:
        """To each node about each key; those ahead of the write are taken first."""
        if ahead:
            self.ahead = [NO_ANSWER] * len(self.behind)
            self.remaining += len(self.ahead)
        found: list[ExpiryQuestion] = []
        for node_index, node in enumerate(self.nodes):
            command = b"PEXPIRETIME" if not ahead and tells_expiry_as_moment(node) else b"PTTL"
            for key_index, key in enumerate(self.keys):
                at = node_index * len(self.keys) + key_index
                found.append(ExpiryQuestion(self, node, at, ahead, command == b"PTTL", encode_request([command, key])))
        return found

    def on_answered(self) -> None:
        """One more question has its answer, or will have none."""
        self.remaining -= 1
        if self.remaining == 0:
            try:
                self.compare()
            finally:
                self.group.end_write(self.write_epoch)

    def compare(self) -> None:
        """Note for repair the keys of a write that the copies may have taken differently, and tell the memo."""
        differs = may_differ = False
        for key_index, key in enumerate(self.keys):
            moment = NEVER
            for node_index, node in enumerate(self.nodes):
                at = node_index * len(self.keys) + key_index
                copy = self.group.copy_of(node)
                if copy.state != IN_SYNC:
                    if self.is_unequal(key_index, at):
                        self.group.on_unawaited_reply_differs(node, self.db, [key])
                    continue
                differs = differs or self.is_unequal(key_index, at)
                found = self.behind[at]
                may_differ = may_differ or found == NO_ANSWER or self.may_have_expired(at)
                moment = min(moment, found if found >= 0 else 0 if found < MISSING else NEVER)
            self.group.expiry_memo.answer((self.db, key), self.memo_questions[key_index], 0 if differs else moment)
        self.group.mismatches += differs
        if differs or may_differ:
            self.group.repair_later(self.db, self.all_keys if self.ahead else self.keys, self.nodes[0])

    def is_unequal(self, first: int, other: int) -> bool:
        """Whether two answers about one key, by their places, prove that its copies differ."""
        return (bool(self.ahead) and differ(self.ahead[first], self.ahead[other], NEVER)) or differ(
            self.behind[first], self.behind[other], self.clock.ms + MARGIN_MS
        )

    def may_have_expired(self, at: int) -> bool:
        """Whether a key that was there ahead of the write may have been gone when the write was run."""
        left = self.ahead[at] if self.ahead else NO_ANSWER
        return 0 <= left < self.clock.ms - self.sent_ms + CLOCK_STEP_MS


def differ(first: int, other: int, expired_until: int) -> bool:
    """Whether two answers differ by more than a moment that has come for one copy and is to come for another."""
    if first < MISSING or other < MISSING:
        return False
    if first >= 0 and other >= 0:
        return expired_until != NEVER and abs(first - other) > ROUNDING_MS
    if expired_until != NEVER and MISSING in (first, other) and max(first, other) >= 0:
        return max(first, other) > expired_until
    return first != other


@final
class ExpiryQuestion(ReplyHandler):
    """PTTL or PEXPIRETIME of one key to one node."""

    def __init__(
        self, check: ExpiryCheck, node: Node, at: int, ahead: bool, is_time_left: bool, request: bytes
    ) -> None:
        super().__init__()
        self.check = check
        self.node = node
        self.at = at
        self.ahead = ahead
        self.is_time_left = is_time_left
        self.request = request

    def serves_client(self) -> bool:
        return False

    def on_reply(self, raw: bytes) -> None:
        """What is no number is no answer: a user of the node who may not ask learns nothing."""
        value = parse_int64(raw[1:-2]) if raw[:1] == b":" else None
        if value is None or value < MISSING:
            value = REFUSED
        if value >= 0 and self.is_time_left and not self.ahead:
            value += self.check.clock.ms
        answers = self.check.ahead if self.ahead else self.check.behind
        answers[self.at] = value
        self.check.on_answered()

    def on_failure(self, failure: NodeFailure) -> None:
        """No answer: if the copy has acknowledged the write before it was lost, nobody knows what it has made of it."""
        self.check.on_answered()


def begin_expiry_check(
    group: CopyGroup, plan: Gather, request_context: RequestContext, timeout: float
) -> ExpiryCheck | None:
    """The check that goes with this write; None if it is known that its keys do not expire about now.

    ``timeout``: a copy may take the write so many seconds later than another one, and not be behind.
    """
    write = plan.write
    if write is None:
        return None
    db, clock, memo = request_context.db, request_context.clock, group.expiry_memo
    keys = all_keys = write.written_keys
    late_ms = clock.ms + int(timeout * 1000)
    if len(keys) > 1:
        all_keys = list(dict.fromkeys(keys))
        keys = [key for key in all_keys if not memo.is_far((db, key), late_ms)]
    elif keys and memo.is_far((db, keys[0]), late_ms):
        return None
    if not keys:
        return None
    nodes = [part.node for part in plan.plans if isinstance(part, Send)] + write.unawaited_nodes
    return ExpiryCheck(group, db, nodes, keys, all_keys, clock) if len(nodes) > 1 else None
