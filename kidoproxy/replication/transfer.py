"""Copies one batch of keys from one node to another, exactly, while writes go on.

The writes of a copy pool travel to each node on one ordered connection. So the order of events is:

1. hold back the writes on the target's connection;
2. ask the source for values and expiries (DUMP, PEXPIRETIME) on *its* ordered connection, and the target likewise;
3. when both have replied, send what differs (RESTORE, UNLINK) on the target's connection;
4. let the writes go that were held back.

On both nodes the same writes now stand before and after the copy, so a key that is written all the time converges too.
The hold lasts one round trip and concerns the target alone; however the transfer ends, it is over.

Value and expiry of a key are asked for in one transaction: otherwise a key that expires between the two would look as
if it never expired.

An older server does not read the DUMP of a newer one. Then the transfer has failed with ``dump_refused``, the proof
remembers it, and whoever asked begins again with a `content_transfer.ContentTransfer`.
"""

from typing import Final

from mypy_extensions import mypyc_attr

from kidoproxy.replication.batch import (
    ANY_PROTO,
    BatchReply,
    Callback,
    seconds_for_bytes,
    send_requests,
    send_transaction,
)
from kidoproxy.replication.key_meaning import fields_may_expire
from kidoproxy.replication.key_state import KeyState, one_has_expired, parse_key_states, state_requests
from kidoproxy.replication.parse_replies import first_error, first_error_within, parse_array
from kidoproxy.replication.source_proof import Proof
from kidoproxy.resp.decode import is_error
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.executor import Executor

#: How a server says that it does not read this DUMP (Redis, Valkey): its version, or the encoding of the value.
_DUMP_REFUSALS: Final = (b"-ERR DUMP payload version", b"-ERR Bad data format")


@mypyc_attr(allow_interpreted_subclasses=True)
class Transfer(Callback):
    """Copies ``keys`` of ``db`` as ``proof`` allows. The callback gets a reply whose ``problem`` is empty on success.

    ``changed_keys`` are those that differed, some of them because they, or fields of a hash, expire on each node by
    itself: these say nothing about the rest. With ``fill_only`` the target is not asked, and every key is written.
    ``size``: about how many bytes the values have; it gives requests on both connections more time.
    """

    def __init__(
        self, executor: Executor, proof: Proof, db: int, keys: list[bytes], fill_only: bool, wall_ms: int, size: int = 0
    ) -> None:
        self.executor = executor
        self.proof = proof
        self.source_connection = proof.source_connection
        self.target_connection = proof.target_connection
        self.db = db
        self.keys = keys
        self.fill_only = fill_only
        self.wall_ms = wall_ms
        self.estimated_bytes = size
        #: The protocol of the nodes' replies.
        self.proto = ANY_PROTO
        #: How many bytes the values had.
        self.value_bytes = 0
        self.changed_keys: list[bytes] = []
        #: Of these, keys that expire about now; and hashes with fields that expire, for which it may be so.
        self.expired_keys: dict[bytes, bool] = {}
        self.with_expiring_fields: dict[bytes, bool] = {}
        self.began_at = executor.now
        self.callback: Callback | None = None
        self.is_reading = True
        #: Nothing failed but that the target does not read the source's DUMPs.
        self.dump_refused = False
        self.problem = ""

    def begin(self, callback: Callback) -> None:
        self.callback = callback
        self.read()

    def read(self) -> None:
        """Hold back the target's writes, and ask both at this point of the order."""
        self.target_connection.hold(self.executor.now, seconds_for_bytes(self.estimated_bytes))
        batch_reply = BatchReply(self, 1 if self.fill_only else 2)
        # If a connection is down its requests fail at once: the last of them must be the one that completes the batch.
        self.ask_state(batch_reply, 0)
        if not self.fill_only:
            self.ask_state(batch_reply, 1)

    def ask_state(self, batch_reply: BatchReply, index: int) -> None:
        """What the source (0) or the target (1) holds."""
        connection = self.target_connection if index else self.source_connection
        requests = self.read_requests(connection.node)
        now = self.executor.now
        send_transaction(connection, batch_reply, index, requests, self.db, now, self.estimated_bytes, self.proto)

    def read_requests(self, node: Node) -> list[list[bytes]]:
        return state_requests(node, self.keys, [[b"DUMP", key] for key in self.keys])

    def on_done(self, batch_reply: BatchReply) -> None:
        """First the values are there, then what differed has been written."""
        if self.callback is None:
            return
        problem = batch_reply.problem or first_error(batch_reply.replies)
        if self.is_reading:
            self.on_read(problem, batch_reply.replies)
        else:
            self.on_written(problem, batch_reply.replies)

    def on_read(self, problem: str, replies: list[bytes]) -> None:
        """Write what differs, and let go the writes that were held back."""
        self.is_reading = False
        changes = [] if problem else self.changes(replies)
        problem = problem or self.problem or (self.proof.write_refusal(self.executor.now) if changes else "")
        if changes and not problem:
            self.write(changes)
        self.target_connection.unhold(self.executor.now)
        if problem or not changes:
            self.finish(problem)

    def write(self, changes: list[list[list[bytes]]]) -> None:
        """One command or one transaction for each key, ahead of the writes that are held back."""
        outcome = BatchReply(self, len(changes))
        connection, now = self.target_connection, self.executor.now
        for at, commands in enumerate(changes):
            if len(commands) == 1:
                send_requests(connection, outcome, at, commands, self.db, now, self.value_bytes)
            else:
                send_transaction(connection, outcome, at, commands, self.db, now, self.value_bytes)

    def on_written(self, problem: str, replies: list[bytes]) -> None:
        """It is over; or the target wants contents instead of DUMPs, from now on."""
        errors = [raw for raw in replies if raw and is_error(raw)]
        if errors and all(raw.startswith(_DUMP_REFUSALS) for raw in errors) and not self.proof.needs_contents:
            self.proof.needs_contents = self.dump_refused = True
            self.finish("")
        else:
            self.finish(problem or first_error_within(replies))

    def changes(self, replies: list[bytes]) -> list[list[list[bytes]]]:
        """The commands for each key that the target holds differently."""
        source_states = self.parse_states(self.source_connection.node, replies[0])
        target_states = source_states if self.fill_only else self.parse_states(self.target_connection.node, replies[1])
        found: list[list[list[bytes]]] = []
        for index, key in enumerate(self.keys if source_states and target_states else []):
            source_state = source_states[index]
            self.value_bytes += len(source_state.dump or b"")
            if not self.fill_only and source_state.is_equal(target_states[index]):
                continue
            self.changed_keys.append(key)
            self.note_expiry(key, [source_state, target_states[index]])
            found.append(self.change(index, source_state))
        return found

    def change(self, index: int, state: KeyState) -> list[list[bytes]]:
        """The commands that make the target hold this for one of the keys."""
        return [state.restore_request(self.keys[index])]

    def note_expiry(self, key: bytes, states: list[KeyState]) -> None:
        """Why these may differ without a write that was missed."""
        now_ms = self.wall_ms + int((self.executor.now - self.began_at) * 1000)
        if one_has_expired(states, now_ms):
            self.expired_keys[key] = True
        elif any(fields_may_expire(state.dump or b"") for state in states):
            self.with_expiring_fields[key] = True

    def parse_states(self, node: Node, raw: bytes) -> list[KeyState]:
        """One state for each key; none, and ``problem`` is set, if the node replied something else."""
        states = parse_key_states(node, len(self.keys), raw, self.wall_ms)
        if states is None:
            self.problem = first_error(parse_array(raw) or []) or f"{node.name} gave no sensible answer to DUMP"
        return states or []

    def cancel(self) -> None:
        """Tell nobody any more; replies that still come change nothing."""
        self.callback = None
        if self.is_reading:
            self.is_reading = False
            self.target_connection.unhold(self.executor.now)

    def finish(self, problem: str) -> None:
        self.problem = problem
        callback = self.callback
        if callback is not None:
            self.callback = None
            outcome = BatchReply(callback, 1)
            outcome.problem = problem
            outcome.set_reply(0, b"")
