"""Compares some keys on several copies, at one point of the order of writes, and changes nothing.

All copies get the same writes in the same order, each on one connection. So what is asked on these connections in the
same breath stands behind the same writes everywhere. Order of events:

1. Each copy is asked for DUMP and expiry of every key, in one transaction. Equal answers are the end of it; another
   expiry, or a key that only one copy has, is a difference, unless it expires about now.
2. Where only the DUMPs differ it is asked for the type, then (at a new point of the order) for the content, which is
   compared by its meaning (`key_meaning`).
3. Of a hash some of whose fields expire it is asked when.

Values that are *large* are too dear for that: their type is asked for first, then length and expiry are compared.
"""

from enum import Enum
from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests, send_transaction
from kidoproxy.replication.key_meaning import (
    content_request,
    field_expiry_request,
    fields_may_expire,
    length_request,
    meaning,
)
from kidoproxy.replication.key_state import KeyState, expiry_request, parse_key_state, tells_expiry_as_moment
from kidoproxy.replication.parse_replies import first_error, parse_array
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.encode import bulk
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor

#: Two clocks, and times left that are read from answers, may differ by so much; what expires so soon is expired.
ROUNDING_MS: Final = 1000

#: What is compared must have one form.
RESP2: Final = 2


class ComparisonStep(Enum):
    """What was asked last."""

    TYPES_OF_LARGE = 0
    STATES = 1
    TYPES = 2
    CONTENTS = 3
    FIELD_EXPIRIES = 4


@final
class KeyComparison(Callback):
    """Compares ``keys`` of ``db`` on ``nodes``. The callback gets a reply whose ``problem`` is empty on success.

    ``different_keys`` are those that differ. ``size``: about how many bytes the values have.
    """

    def __init__(
        self, executor: Executor, nodes: list[Node], db: int, keys: list[bytes], wall_ms: int, size: int, is_large: bool
    ) -> None:
        self.executor = executor
        self.connections: list[NodeConnection] = [executor.connection(node, 2, 0) for node in nodes]
        self.db = db
        self.keys = keys
        self.wall_ms = wall_ms
        self.size = size
        self.is_large = is_large
        self.began_at = executor.now
        self.step = ComparisonStep.STATES
        #: Their types, and by copy and key the requests that were sent last.
        self.kinds: list[bytes] = []
        #: Keys whose DUMPs differ, or whose fields expire.
        self.suspects: list[bytes] = []
        self.with_expiring_fields: dict[bytes, bool] = {}
        self.different_keys: list[bytes] = []
        self.value_bytes = 0
        self.callback: Callback | None = None

    def begin(self, callback: Callback) -> None:
        self.callback = callback
        if self.is_large:
            self.ask_types(ComparisonStep.TYPES_OF_LARGE, self.keys)
        else:
            self.ask_states([[b"DUMP", key] for key in self.keys])

    def ask_all(self, step: ComparisonStep, requests_by_copy: list[list[list[bytes]]]) -> None:
        """Ask each copy in one transaction, in the same breath."""
        self.step = step
        batch_reply = BatchReply(self, len(self.connections))
        now = self.executor.now
        for at, connection in enumerate(self.connections):
            send_transaction(connection, batch_reply, at, requests_by_copy[at], self.db, now, self.size, RESP2)

    def ask_states(self, value_requests: list[list[bytes]]) -> None:
        """Ask for something about the value of each key, and for its expiry."""
        self.began_at = self.executor.now
        requests_by_copy: list[list[list[bytes]]] = []
        for connection in self.connections:
            requests: list[list[bytes]] = []
            for at, key in enumerate(self.keys):
                requests += [value_requests[at], expiry_request(connection.node, key)]
            requests_by_copy.append(requests)
        self.ask_all(ComparisonStep.STATES, requests_by_copy)

    def ask_types(self, step: ComparisonStep, keys: list[bytes]) -> None:
        """Ask the first copy; if another one has another type its content cannot be equal."""
        self.step = step
        requests = [[b"TYPE", key] for key in keys]
        batch_reply = BatchReply(self, len(requests))
        send_requests(self.connections[0], batch_reply, 0, requests, self.db, self.executor.now)

    def on_done(self, batch_reply: BatchReply) -> None:
        if self.callback is None:
            return
        problem = batch_reply.problem or first_error(batch_reply.replies)
        if problem:
            self.finish(problem)
        elif self.step is ComparisonStep.TYPES_OF_LARGE:
            kinds = [raw[1:-2] for raw in batch_reply.replies]
            self.ask_states([length_request(kinds[at], key) for at, key in enumerate(self.keys)])
        elif self.step is ComparisonStep.STATES:
            self.on_states(batch_reply.replies)
        elif self.step is ComparisonStep.TYPES:
            self.on_types(batch_reply.replies)
        else:
            self.on_contents(batch_reply.replies)

    # -- what they hold ------------------------------------------------------------------------------

    def on_states(self, replies: list[bytes]) -> None:
        """Compare values and expiries."""
        states_by_copy = [self.parse_states(at, raw) for at, raw in enumerate(replies)]
        for at, states in enumerate(states_by_copy):
            if len(states) != len(self.keys):
                self.finish(f"{self.connections[at].node.name} gave no sensible answer to DUMP")
                return
        for at, key in enumerate(self.keys):
            states = [by_copy[at] for by_copy in states_by_copy]
            self.value_bytes += len(states[0].dump or b"")
            if self.differ_in_expiry(states):
                self.different_keys.append(key)
            elif self.differ_in_value(states):
                self.on_other_value(key, states)
        if self.suspects:
            self.ask_types(ComparisonStep.TYPES, self.suspects)
        else:
            self.finish("")

    def parse_states(self, copy_at: int, raw: bytes) -> list[KeyState]:
        """One state for each key; fewer if the copy replied something else."""
        found: list[KeyState] = []
        parts = parse_array(raw) or []
        node = self.connections[copy_at].node
        for at, key in enumerate(self.keys if len(parts) == 2 * len(self.keys) else []):
            value = parts[2 * at]
            if self.is_large:
                # A length, or the error of a key that is of another type.
                value = bulk(value)
            state = parse_key_state(expiry_request(node, key), value, parts[2 * at + 1], self.wall_ms)
            if state is not None:
                found.append(state)
        return found

    def elapsed_ms(self) -> int:
        """So long ago was the wall clock read."""
        return int((self.executor.now - self.began_at) * 1000)

    def differ_in_expiry(self, states: list[KeyState]) -> bool:
        """Whether some have the key and some have not, or have it for longer than others."""
        expired_until = self.wall_ms + self.elapsed_ms() + ROUNDING_MS
        have = [state.expires_ms for state in states if state.dump is not None]
        if not have:
            return False
        if len(have) < len(states):
            return any(not expires_ms or expires_ms > expired_until for expires_ms in have)
        tells_moments = all(tells_expiry_as_moment(connection.node) for connection in self.connections)
        tolerance = 1 if tells_moments else ROUNDING_MS + self.elapsed_ms()
        return max(have) - min(have) > tolerance

    def differ_in_value(self, states: list[KeyState]) -> bool:
        """Whether all have the key, and not in the same form."""
        first = states[0].dump
        return all(state.dump is not None for state in states) and any(state.dump != first for state in states)

    def on_other_value(self, key: bytes, states: list[KeyState]) -> None:
        """Of a large one it is the length that differs; what others mean has to be asked."""
        if self.is_large:
            self.different_keys.append(key)
            return
        self.suspects.append(key)
        if any(fields_may_expire(state.dump or b"") for state in states):
            self.with_expiring_fields[key] = True

    # -- what that means -----------------------------------------------------------------------------

    def on_types(self, replies: list[bytes]) -> None:
        """Ask for the contents of those that can be asked; a module's value can differ in its DUMP alone."""
        self.kinds = []
        requests: list[list[bytes]] = []
        keys, self.suspects = self.suspects, []
        for at, key in enumerate(keys):
            kind = replies[at][1:-2]
            request = content_request(kind, key)
            if request is not None:
                self.kinds.append(kind)
                self.suspects.append(key)
                requests.append(request)
            elif kind != b"none":
                self.different_keys.append(key)
        if self.suspects:
            self.ask_all(ComparisonStep.CONTENTS, [requests] * len(self.connections))
        else:
            self.finish("")

    def on_contents(self, replies: list[bytes]) -> None:
        """Compare them by what they mean."""
        parts_by_copy = [parse_array(raw) or [] for raw in replies]
        for at, parts in enumerate(parts_by_copy):
            if len(parts) != len(self.suspects):
                self.finish(f"{self.connections[at].node.name} gave no sensible answer to EXEC")
                return
        keys, kinds, self.suspects, self.kinds = self.suspects, self.kinds, [], []
        requests: list[list[bytes]] = []
        for at, key in enumerate(keys):
            contents = [parts[at] for parts in parts_by_copy]
            first = meaning(kinds[at], contents[0])
            if any(meaning(kinds[at], content) != first for content in contents):
                self.different_keys.append(key)
            elif self.step is ComparisonStep.CONTENTS and self.with_expiring_fields.get(key) and has_fields(contents):
                self.suspects.append(key)
                self.kinds.append(b"")
                requests.append(field_expiry_request(key, contents[0]))
        if self.suspects:
            self.ask_all(ComparisonStep.FIELD_EXPIRIES, [requests] * len(self.connections))
        else:
            self.finish("")

    def cancel(self) -> None:
        """Tell nobody any more."""
        self.callback = None

    def finish(self, problem: str) -> None:
        callback = self.callback
        if callback is not None:
            self.callback = None
            outcome = BatchReply(callback, 1)
            outcome.problem = problem
            outcome.set_reply(0, b"")


def has_fields(contents: list[bytes]) -> bool:
    """Whether these are the fields of a hash, and not the error that it is none, or nothing."""
    return not is_error(contents[0]) and bool(parse_array(contents[0]))
