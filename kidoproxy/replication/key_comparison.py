"""Compares some keys on several copies, at one point of the order of writes, and changes nothing.

All copies get the same writes in the same order, each on one connection. So what is asked on these connections in the
same breath stands behind the same writes everywhere. Order of events:

1. Each copy is asked for DUMP and expiry of every key, in one transaction. Equal answers are the end of it; another
   expiry, or a key that only one copy has, is a difference, unless it expires about now.
2. Where only the DUMPs differ it is asked for the type, then (at a new point of the order) for the content, which is
   compared by its meaning (`key_meaning`).
3. A hash some of whose fields expire may have lost them on one copy already, or itself with the last one: it is asked
   for the fields that any copy has, and when each expires.

A value that is larger than a batch ``needs_pieces`` from step 2 on. Values that are *large* are too dear for step 1:
their type is asked for first, then length and expiry are compared
(`large_comparison` goes on from there). A key that is in the hands of its leader when it is its turn is ``put_off``.
"""

from enum import Enum
from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests, send_transaction
from kidoproxy.replication.batch_size import BATCH_BYTES
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.key_meaning import (
    content_request,
    field_names,
    field_requests,
    fields_differ,
    fields_may_expire,
    length_request,
    meaning,
)
from kidoproxy.replication.key_state import (
    ROUNDING_MS,
    KeyState,
    one_has_expired,
    parse_key_states,
    state_requests,
    tells_expiry_as_moment,
)
from kidoproxy.replication.parse_replies import first_error, parse_array, parse_integer
from kidoproxy.resp.decode import is_error
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor

#: What is compared must have one form.
RESP2: Final = 2


class ComparisonStep(Enum):
    """What was asked last."""

    TYPES_OF_LARGE = 0
    STATES = 1
    TYPES = 2
    CONTENTS = 3
    FIELDS = 4


@final
class KeyComparison(Callback):
    """Compares ``keys`` of ``db`` on ``nodes``. The callback gets a reply whose ``problem`` is empty on success.

    ``different_keys`` are those that differ. ``size``: about how many bytes the values have.
    """

    def __init__(
        self,
        executor: Executor,
        group: CopyGroup,
        nodes: list[Node],
        db: int,
        keys: list[bytes],
        wall_ms: int,
        size: int,
        is_large: bool,
    ) -> None:
        self.executor = executor
        self.key_turns = group.key_turns
        self.connections: list[NodeConnection] = [executor.connection(node, 2, 0) for node in nodes]
        self.db = db
        self.keys = keys
        self.wall_ms = wall_ms
        self.size = size
        self.is_large = is_large
        self.began_at = executor.now
        self.step = ComparisonStep.STATES
        #: Of a large one: what it is, and how much of that; of a hash the copies may count differently.
        self.large_kind = b"none"
        self.large_length = 0
        self.counts_differ = False
        #: Keys whose DUMPs differ, and their types, empty until they are known; those that are hashes with fields that
        #: expire; and what was asked for last.
        self.suspects: dict[bytes, bytes] = {}
        self.with_expiring_fields: dict[bytes, bool] = {}
        #: Of these, those whose contents differ, for a reason that is not known yet.
        self.with_other_fields: dict[bytes, bool] = {}
        self.asked: list[tuple[bytes, bytes]] = []
        self.different_keys: list[bytes] = []
        self.put_off: list[bytes] = []
        #: Its DUMPs differ, and its content is too long to be brought to one form in one turn of the loop.
        self.needs_pieces = False
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
        requests = [state_requests(conn.node, self.keys, value_requests) for conn in self.connections]
        self.ask_all(ComparisonStep.STATES, requests)

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
        if problem and not batch_reply.problem and self.step is ComparisonStep.FIELDS:
            self.on_fields_refused()
        elif problem:
            self.finish(problem)
        elif self.step is ComparisonStep.TYPES_OF_LARGE:
            self.on_type_of_large(batch_reply.replies[0])
        elif self.step is ComparisonStep.STATES:
            self.on_states(batch_reply.replies)
        elif self.step is ComparisonStep.TYPES:
            self.on_types(batch_reply.replies)
        else:
            self.on_parts(batch_reply.replies)

    def free_keys(self, keys: list[bytes]) -> list[bytes]:
        """Those of which their leader is not ahead of the other copies just now; the others are put off."""
        turns = self.key_turns
        taken = [key for key in keys if turns.busy and turns.is_taken([(self.db, key)])]
        self.put_off += taken
        return [key for key in keys if key not in taken]

    def on_type_of_large(self, raw: bytes) -> None:
        """There is one."""
        self.large_kind = raw[1:-2]
        if self.free_keys(self.keys):
            self.ask_states([length_request(self.large_kind, key) for key in self.keys])
        else:
            self.finish("")

    # -- what they hold ------------------------------------------------------------------------------

    def on_states(self, replies: list[bytes]) -> None:
        """Compare values and expiries."""
        states_by_copy: list[list[KeyState]] = []
        for at, raw in enumerate(replies):
            node = self.connections[at].node
            states = parse_key_states(node, len(self.keys), raw, self.wall_ms, self.is_large)
            if states is None:
                self.finish(f"{node.name} gave no sensible answer to DUMP")
                return
            states_by_copy.append(states)
        for at, key in enumerate(self.keys):
            self.compare_states(key, [states[at] for states in states_by_copy])
        unknown = [key for key, kind in self.suspects.items() if not kind]
        if unknown:
            self.ask_types(ComparisonStep.TYPES, unknown)
        else:
            self.ask_contents()

    def compare_states(self, key: bytes, states: list[KeyState]) -> None:
        """Equal, or different, or to be looked at more closely."""
        first = states[0].dump
        self.value_bytes += len(first or b"")
        is_equal = all(state.dump == first for state in states)
        present = [state for state in states if state.dump is not None]
        expires_by_field = any(fields_may_expire(state.dump or b"") for state in present)
        if self.differ_in_expiry(present if expires_by_field else states):
            self.different_keys.append(key)
        elif self.is_large:
            self.compare_lengths(key, [state.dump or b"" for state in present])
        elif expires_by_field and not is_equal:
            self.suspects[key] = b"hash"
            self.with_expiring_fields[key] = True
        elif not is_equal and len(present) == len(states):
            self.suspects[key] = b""

    def compare_lengths(self, key: bytes, lengths: list[bytes]) -> None:
        """Fields of a hash may have expired that one copy counts still."""
        numbers = [parse_integer(raw) for raw in lengths]
        self.large_length = (numbers[0] if numbers else 0) or 0
        self.counts_differ = any(raw != lengths[0] for raw in lengths)
        if self.counts_differ and (self.large_kind != b"hash" or None in numbers):
            self.different_keys.append(key)

    def elapsed_ms(self) -> int:
        """So long ago was the wall clock read."""
        return int((self.executor.now - self.began_at) * 1000)

    def differ_in_expiry(self, states: list[KeyState]) -> bool:
        """Whether some have the key and some have not, or have it for longer than others."""
        have = [state.expires_ms for state in states if state.dump is not None]
        if not have:
            return False
        if len(have) < len(states):
            return not one_has_expired(states, self.wall_ms + self.elapsed_ms())
        tells_moments = all(tells_expiry_as_moment(connection.node) for connection in self.connections)
        tolerance = 1 if tells_moments else ROUNDING_MS + self.elapsed_ms()
        return max(have) - min(have) > tolerance

    # -- what that means -----------------------------------------------------------------------------

    def on_types(self, replies: list[bytes]) -> None:
        """The contents of most types can be asked for; a module's value can differ in its DUMP alone."""
        unknown = [key for key, kind in self.suspects.items() if not kind]
        for at, key in enumerate(unknown):
            kind = replies[at][1:-2]
            self.suspects[key] = kind
            if content_request(kind, key) is None:
                del self.suspects[key]
                if kind != b"none":
                    self.different_keys.append(key)
        self.ask_contents()

    def ask_contents(self) -> None:
        """Ask for the contents of all that is suspect; what is larger than a batch is alone, and compared in pieces."""
        self.needs_pieces = bool(self.suspects) and self.size > BATCH_BYTES
        if self.needs_pieces:
            self.finish("")
            return
        self.asked = [(key, self.suspects[key]) for key in self.free_keys(list(self.suspects))]
        requests = [content_request(kind, key) or [] for key, kind in self.asked]
        self.ask_or_finish(ComparisonStep.CONTENTS, requests)

    def ask_or_finish(self, step: ComparisonStep, requests: list[list[bytes]]) -> None:
        if requests:
            self.ask_all(step, [requests] * len(self.connections))
        else:
            self.finish("")

    def on_parts(self, replies: list[bytes]) -> None:
        """The parts of each copy's transaction: one for each content, two for the fields of each hash."""
        by_copy = [parse_array(raw) or [] for raw in replies]
        count = len(self.asked) * (1 if self.step is ComparisonStep.CONTENTS else 2)
        for at, parts in enumerate(by_copy):
            if len(parts) != count:
                self.finish(f"{self.connections[at].node.name} gave no sensible answer to EXEC")
                return
        if self.step is ComparisonStep.CONTENTS:
            self.on_contents(by_copy)
        else:
            self.on_fields(by_copy)

    def on_contents(self, by_copy: list[list[bytes]]) -> None:
        """Compare them by what they mean; of a hash whose fields expire, look at each field."""
        names_by_key: dict[bytes, list[bytes]] = {}
        for at, (key, kind) in enumerate(self.asked):
            contents = [parts[at] for parts in by_copy]
            names = field_names(contents)
            first = meaning(kind, contents[0])
            differs = any(meaning(kind, content) != first for content in contents)
            if names and self.with_expiring_fields.get(key) and not any(is_error(raw) for raw in contents):
                names_by_key[key] = names
                if differs:
                    self.with_other_fields[key] = True
            elif differs:
                self.different_keys.append(key)
        self.asked = [(key, b"hash") for key in self.free_keys(list(names_by_key))]
        requests: list[list[bytes]] = []
        for key, _ in self.asked:
            requests += field_requests(key, names_by_key[key])
        self.ask_or_finish(ComparisonStep.FIELDS, requests)

    def on_fields(self, by_copy: list[list[bytes]]) -> None:
        """Values and moments of the fields; what expires about now may be there or not."""
        expired_until = self.wall_ms + self.elapsed_ms() + ROUNDING_MS
        for at, (key, _) in enumerate(self.asked):
            if fields_differ([parts[2 * at : 2 * at + 2] for parts in by_copy], expired_until):
                self.different_keys.append(key)
        self.finish("")

    def on_fields_refused(self) -> None:
        """A copy does not know when a field expires, or its user may not ask: the contents alone count."""
        self.different_keys += [key for key, _ in self.asked if key in self.with_other_fields]
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
