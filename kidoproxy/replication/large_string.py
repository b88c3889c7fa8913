"""Copies one large string in pieces, so that neither server, nor a connection that carries writes, is busy for long.

The pieces travel on connections of the sync's own, into a key of the sync's own at the target. That they make one
value, and which point of the order of writes it belongs to, is known by WATCH. Order of events:

1. WATCH the key at the source, and ask for its type and length.
2. Make the target's key as long, then read and write one piece after another. It expires soon if that ends half way.
3. Hold back the target's writes, and ask the source something on *its* ordered connection: when it has replied, all
   writes that the target has got before are done there, too.
4. EXEC at the source, with the key's expiry in it. It fails if a write has changed the key: then begin again.
5. Rename the target's key, in front of the writes that were held back, and let them go.

A value of 512 MiB can be copied in no other way: its DUMP is longer than a server accepts.
What is no string, is gone, or is written all the time is *unsuitable*: whoever asked copies it by DUMP and RESTORE.
"""

from enum import Enum
from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests, send_transaction
from kidoproxy.replication.key_state import expiry_request
from kidoproxy.replication.parse_replies import first_error, parse_array, parse_bulk, parse_integer
from kidoproxy.replication.source_proof import Proof
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor

#: From this size on a value is copied in pieces, if it can be.
LARGE_BYTES: Final = 8 * 1024 * 1024
PIECE_BYTES: Final = 1024 * 1024
MAX_ATTEMPTS: Final = 3
#: The target's key expires so long after its last piece.
UNFINISHED_MS: Final = b"60000"


class LargeStep(Enum):
    """The request whose reply is waited for."""

    WATCH = 0
    ALLOCATE = 1
    READ = 2
    WRITE = 3
    MARK = 4
    EXEC = 5
    RENAME = 6
    DONE = 7


@final
class LargeString(Callback):
    """Copies ``key`` of ``db`` as ``proof`` allows. The callback gets a reply whose ``problem`` is empty on success.

    ``source`` and ``target`` are connections on which nobody else waits. ``unsuitable``: nothing was changed.
    """

    def __init__(
        self, executor: Executor, proof: Proof, source: NodeConnection, target: NodeConnection, db: int, key: bytes
    ) -> None:
        self.executor = executor
        self.proof = proof
        self.source = source
        self.target = target
        self.db = db
        self.key = key
        #: Of this attempt alone: a piece of a sync that failed may still arrive, on a connection that was given up.
        self.unfinished_key = b"kidoproxy:unfinished:%x:%b" % (executor.next_random(), key)
        self.length = 0
        self.offset = 0
        self.attempts = 0
        self.unsuitable = False
        self.step = LargeStep.WATCH
        self.callback: Callback | None = None

    def begin(self, callback: Callback) -> None:
        self.callback = callback
        self.start_attempt()

    def start_attempt(self) -> None:
        """From here on a write to the key is noticed."""
        self.attempts += 1
        requests = [[b"UNWATCH"], [b"WATCH", self.key], [b"TYPE", self.key], [b"STRLEN", self.key]]
        self.ask(self.source, LargeStep.WATCH, requests)

    def ask(self, connection: NodeConnection, step: LargeStep, requests: list[list[bytes]], size: int = 0) -> None:
        self.step = step
        send_requests(connection, BatchReply(self, len(requests)), 0, requests, self.db, self.executor.now, size)

    def on_done(self, batch_reply: BatchReply) -> None:
        """Take the replies to one step, and begin the next one."""
        step = self.step
        if step is LargeStep.DONE:
            return
        problem = batch_reply.problem
        error = first_error(batch_reply.replies)
        if problem:
            self.finish(problem)
        elif error and step is not LargeStep.RENAME:
            # What this user may not do, or this server cannot.
            self.give_up()
        elif step is LargeStep.WATCH:
            self.on_watched(batch_reply.replies)
        elif step is LargeStep.READ:
            self.on_read(batch_reply.replies[0])
        elif step is LargeStep.MARK:
            self.step = LargeStep.EXEC
            requests = [expiry_request(self.source.node, self.key)]
            send_transaction(self.source, BatchReply(self, 1), 0, requests, self.db, self.executor.now, 0)
        elif step is LargeStep.EXEC:
            self.on_executed(batch_reply.replies[0])
        elif step is LargeStep.RENAME:
            self.finish(error)
        else:
            self.next_piece()

    def on_watched(self, replies: list[bytes]) -> None:
        """Make room for a string; anything else is not for us."""
        length = parse_integer(replies[3])
        if replies[2] != b"+string\r\n" or not length:
            self.give_up()
            return
        self.length, self.offset = length, 0
        allocate = [b"SETRANGE", self.unfinished_key, b"%d" % (length - 1), b"\0"]
        self.ask(self.target, LargeStep.ALLOCATE, [[b"UNLINK", self.unfinished_key], allocate, self.expire()], length)

    def expire(self) -> list[bytes]:
        return [b"PEXPIRE", self.unfinished_key, UNFINISHED_MS]

    def next_piece(self) -> None:
        """Read it; after the last one see whether they are one value."""
        if self.offset >= self.length:
            self.mark()
            return
        end = min(self.offset + PIECE_BYTES, self.length) - 1
        self.ask(self.source, LargeStep.READ, [[b"GETRANGE", self.key, b"%d" % self.offset, b"%d" % end]], PIECE_BYTES)

    def on_read(self, raw: bytes) -> None:
        """Write it; one that is shorter shows that the key was changed."""
        piece = parse_bulk(raw)
        if piece is None or len(piece) != min(PIECE_BYTES, self.length - self.offset):
            self.retry()
            return
        write = [b"SETRANGE", self.unfinished_key, b"%d" % self.offset, piece]
        self.offset += len(piece)
        self.ask(self.target, LargeStep.WRITE, [write, self.expire()], PIECE_BYTES)

    def mark(self) -> None:
        """Hold back what the target would get from here on, and wait until the source has done all before it."""
        self.proof.target_connection.hold(self.executor.now, 0.0)
        self.ask(self.proof.source_connection, LargeStep.MARK, [[b"EXISTS", self.key]])

    def on_executed(self, raw: bytes) -> None:
        """The value stands for this point of the order, if EXEC was not refused."""
        now = self.executor.now
        items = parse_array(raw) or []
        expiry = parse_integer(items[0]) if len(items) == 1 else None
        refusal = self.proof.write_refusal(now)
        if expiry is None or expiry == -2 or refusal:
            self.proof.target_connection.unhold(now)
            self.step = LargeStep.READ
            if refusal:
                self.finish(refusal)
            else:
                self.retry()
            return
        key, is_moment = self.unfinished_key, expiry_request(self.source.node, self.key)[0] == b"PEXPIRETIME"
        name = b"PERSIST" if expiry < 0 else b"PEXPIREAT" if is_moment else b"PEXPIRE"
        expire = [name, key] if expiry < 0 else [name, key, b"%d" % expiry]
        self.step = LargeStep.RENAME
        requests = [expire, [b"RENAME", key, self.key]]
        send_transaction(self.proof.target_connection, BatchReply(self, 1), 0, requests, self.db, now, 0)
        self.proof.target_connection.unhold(now)

    def retry(self) -> None:
        """The key was changed meanwhile."""
        if self.attempts < MAX_ATTEMPTS:
            self.start_attempt()
        else:
            self.give_up()

    def give_up(self) -> None:
        """It has to be copied in another way. Whatever is unfinished is removed, or expires."""
        self.unsuitable = True
        self.release()
        if self.step is not LargeStep.WATCH:
            send_requests(
                self.target, BatchReply(self, 1), 0, [[b"UNLINK", self.unfinished_key]], self.db, self.executor.now
            )
        self.finish("")

    def cancel(self) -> None:
        """Tell nobody any more; replies that still come change nothing."""
        self.callback = None
        self.finish("")

    def release(self) -> None:
        """Let the target's writes go, if they are held back."""
        if self.step in (LargeStep.MARK, LargeStep.EXEC):
            self.proof.target_connection.unhold(self.executor.now)

    def finish(self, problem: str) -> None:
        self.release()
        self.step = LargeStep.DONE
        callback = self.callback
        self.callback = None
        if callback is not None:
            outcome = BatchReply(callback, 1)
            outcome.problem = problem
            outcome.set_reply(0, b"")
