"""Compares one large key on several copies: type, length and expiry, then the value, piece by piece.

Each piece is asked for on the connections that carry the writes, of all copies in the same breath, so at one point of
the order. What is equal at one point stays equal, so the pieces need not be of one moment: no difference is reported
that is none, and what differs all the time is found. The callback is called after each piece; `next_piece` goes on.

A value that cannot be read in pieces, as one of a module, one with huge members, or by a user who may not, is compared
by type, length and expiry alone (``is_complete``).
"""

from enum import Enum
from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests, send_transaction
from kidoproxy.replication.batch_size import BATCH_BYTES
from kidoproxy.replication.group import CopyGroup
from kidoproxy.replication.key_comparison import RESP2, KeyComparison
from kidoproxy.replication.key_meaning import field_requests, fields_differ
from kidoproxy.replication.key_pieces import KeyPieces, has_pieces
from kidoproxy.replication.key_state import ROUNDING_MS
from kidoproxy.replication.parse_replies import first_error, parse_array
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor

HASH: Final = b"hash"


class LargeStep(Enum):
    """What was asked last."""

    STATES = 0
    SCAN = 1
    PIECE = 2
    FIELDS = 3


@final
class LargeComparison(Callback):
    """Compares ``key`` of ``db`` on ``nodes``; the callback gets a reply after each piece, until it ``is_over``.

    ``scan_connections``: one to each node, on which nobody else waits. ``size``: about how many bytes the value has.
    """

    def __init__(
        self,
        executor: Executor,
        group: CopyGroup,
        nodes: list[Node],
        scan_connections: list[NodeConnection],
        db: int,
        key: bytes,
        wall_ms: int,
        size: int,
    ) -> None:
        self.executor = executor
        self.connections: list[NodeConnection] = [executor.connection(node, 2, 0) for node in nodes]
        self.scan_connections = scan_connections
        self.db = db
        self.key = key
        self.size = size
        self.wall_ms = wall_ms
        self.states = KeyComparison(executor, group, nodes, db, [key], wall_ms, 0, True)
        self.step = LargeStep.STATES
        self.pieces = KeyPieces(b"none", key, 0, 0)
        self.differs = False
        self.is_complete = True
        self.is_over = False
        #: In so many turns it was in the hands of its leader.
        self.tries = 0
        self.callback: Callback | None = None

    def begin(self, callback: Callback) -> None:
        self.callback = callback
        self.states.begin(self)

    def next_piece(self, callback: Callback, wall_ms: int) -> None:
        """Go on; no write to the key is in its leader's hands."""
        self.callback = callback
        self.wall_ms = wall_ms
        if self.pieces.needs_scan:
            self.step = LargeStep.SCAN
            request = [self.pieces.scan_request()]
            now = self.executor.now
            connection = self.scan_connections[self.pieces.copy_at]
            send_requests(connection, BatchReply(self, 1), 0, request, self.db, now, BATCH_BYTES)
        else:
            self.ask_all(LargeStep.PIECE, [self.pieces.piece_request()])

    def ask_all(self, step: LargeStep, requests: list[list[bytes]]) -> None:
        """Ask each copy in one transaction, in the same breath."""
        self.step = step
        batch_reply = BatchReply(self, len(self.connections))
        now = self.executor.now
        for at, connection in enumerate(self.connections):
            send_transaction(connection, batch_reply, at, requests, self.db, now, BATCH_BYTES, RESP2)

    def on_done(self, batch_reply: BatchReply) -> None:
        if self.callback is None:
            return
        if batch_reply.problem:
            self.is_over = True
            self.report(batch_reply.problem)
        elif self.step is LargeStep.STATES:
            self.on_states()
        elif first_error(batch_reply.replies):
            self.on_refused()
        elif self.step is LargeStep.SCAN:
            self.on_scanned(batch_reply.replies[0])
        elif self.step is LargeStep.PIECE:
            self.on_piece(batch_reply.replies)
        else:
            self.on_fields(batch_reply.replies)

    def on_states(self) -> None:
        """Type, length and expiry are equal, or not; or the key was in the hands of its leader."""
        states = self.states
        kind, length = states.large_kind, states.large_length
        self.differs = bool(states.different_keys)
        self.pieces = KeyPieces(kind, self.key, length, self.size, len(self.connections) if states.counts_differ else 1)
        is_readable = has_pieces(kind, length, self.size)
        self.is_complete = is_readable or kind == b"none"
        self.is_over = self.differs or bool(states.put_off) or not is_readable
        self.report("")

    def on_refused(self) -> None:
        """A user may not read in pieces, or the key is of another type by now; a field's expiry is no known command."""
        self.differs = self.step is LargeStep.FIELDS
        self.is_complete = self.differs
        self.is_over = True
        self.report("")

    def on_scanned(self, raw: bytes) -> None:
        """There are names to look up; or none just now."""
        if not self.pieces.take_scan(raw):
            self.on_refused()
            return
        self.is_over = self.pieces.is_over
        self.report("")

    def on_piece(self, replies: list[bytes]) -> None:
        """Each copy holds the same, or the fields of a hash may be about to expire."""
        pieces = [b"".join(parse_array(raw) or []) for raw in replies]
        meanings = [self.pieces.meaning_of(piece) for piece in pieces]
        is_equal = all(each == meanings[0] for each in meanings)
        if not is_equal and self.pieces.kind == HASH:
            self.ask_all(LargeStep.FIELDS, field_requests(self.key, self.pieces.names))
            return
        self.on_compared(is_equal, pieces[0])

    def on_fields(self, replies: list[bytes]) -> None:
        """The same fields once more, and when each expires."""
        expired_until = self.wall_ms + ROUNDING_MS
        self.on_compared(not fields_differ([parse_array(raw) or [] for raw in replies], expired_until), b"")

    def on_compared(self, is_equal: bool, piece: bytes) -> None:
        self.differs = not is_equal
        self.pieces.take_piece(piece)
        self.is_over = self.differs or self.pieces.is_over
        self.report("")

    def put_off(self) -> list[bytes]:
        """The key, if it was in the hands of its leader."""
        return self.states.put_off

    def cancel(self) -> None:
        """Tell nobody any more."""
        self.callback = None
        self.states.cancel()

    def report(self, problem: str) -> None:
        """A piece is compared, or it ``is_over``."""
        callback, self.callback = self.callback, None
        assert callback is not None
        outcome = BatchReply(callback, 1)
        outcome.problem = problem
        outcome.set_reply(0, b"")
