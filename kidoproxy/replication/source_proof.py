"""Proof that one copy may decide what another one holds. Nothing is deleted or overwritten anywhere without it.

A proof is given if the source is in sync, is another server than the target, and has answered on the connection that it
still has. Two servers have two run ids. Where one does not tell its run id (its user may not ask), a marker key that
nobody else uses is written at the target and looked for at the source.

Order of events: `SourceVerifier` asks both for INFO; without two run ids it writes the marker, looks it up and removes
it; then its `Proof` is proven, or its callback hears why not. The proof holds while both connections stand, and
`Proof.write_refusal` is asked once more before each change.
"""

from enum import Enum
from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.replication.parse_replies import first_error, parse_integer
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.replication_errors import same_server_cause
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import info_text, parse_info

#: The source must have replied so recently (seconds) when something is deleted for its sake.
MAX_SOURCE_SILENCE: Final = 5.0
#: A marker that cannot be removed any more expires after this.
MARKER_MS: Final = b"10000"


def source_not_in_sync(group: CopyGroup, source: Node) -> str:
    """Why ``source`` cannot decide what others hold; empty if it is in sync."""
    if not group.elected or group.copy_of(source).state != IN_SYNC:
        return f"{source.name}, from which it was copied, fell behind meanwhile"
    return ""


@final
class Proof:
    """That ``source`` may decide what ``target`` holds, as long as both connections stand."""

    def __init__(self, group: CopyGroup, source: NodeConnection, target: NodeConnection) -> None:
        self.group = group
        self.source_connection = source
        self.target_connection = target
        self.readers = (source.reader, target.reader)
        self.run_id = source.node.run_id
        self.proven = False
        #: The target does not read the source's DUMPs: keys are copied by their contents.
        self.needs_contents = False

    def source_may_have_lost_data(self, later: "Proof") -> bool:
        """Whether the source may have lost data between this proof and a later one."""
        if self.readers[0] is later.readers[0]:
            return False
        return not self.run_id or self.run_id != later.run_id

    def is_valid(self) -> bool:
        """Whether it was given and both connections still stand; if not it can be given again."""
        return (
            self.proven
            and self.source_connection.is_ready()
            and self.target_connection.is_ready()
            and self.readers[0] is self.source_connection.reader
            and self.readers[1] is self.target_connection.reader
        )

    def write_refusal(self, now: float) -> str:
        """Why nothing may be deleted or overwritten at the target now; empty when it may."""
        source = self.source_connection.node
        problem = source_not_in_sync(self.group, source)
        if problem:
            return problem
        for connection in (self.source_connection, self.target_connection):
            if not connection.is_ready():
                return f"NODEDOWN {connection.node.name} ({connection.cause})"
        if not self.is_valid():
            return f"the connection to {source.name} or {self.target_connection.node.name} was lost meanwhile"
        if now - self.source_connection.last_read_at > MAX_SOURCE_SILENCE:
            return f"{source.name} has not answered for {round(now - self.source_connection.last_read_at)} s"
        return ""


class ProverStep(Enum):
    """What was asked last. ASK_INFO may be the only step; else the four follow each other."""

    ASK_INFO = 0
    WRITE_MARKER = 1
    LOOK_UP_MARKER = 2
    REMOVE_MARKER = 3


@final
class SourceVerifier(Callback):
    """Finds out whether ``proof`` can be given. The callback gets a reply whose ``problem`` is empty if it is."""

    def __init__(self, executor: Executor, group: CopyGroup, source: Node, target: Node, wall_ms: int) -> None:
        self.executor = executor
        self.proof = Proof(group, executor.connection(source, 2, 0), executor.connection(target, 2, 0))
        self.marker = b"kidoproxy:same-server?:%d:%d" % (wall_ms, target.node_id)
        self.step = ProverStep.ASK_INFO
        self.callback: Callback | None = None

    def begin(self, callback: Callback) -> None:
        """Ask both who they are."""
        self.callback = callback
        batch_reply = BatchReply(self, 2)
        self.send_request(self.proof.source_connection, batch_reply, 0, [b"INFO"])
        self.send_request(self.proof.target_connection, batch_reply, 1, [b"INFO"])

    def send_request(self, connection: NodeConnection, batch_reply: BatchReply, index: int, argv: list[bytes]) -> None:
        """Ask in database 0 on the connection that carries the writes."""
        send_requests(connection, batch_reply, index, [argv], 0, self.executor.now)

    def on_done(self, batch_reply: BatchReply) -> None:
        if batch_reply.problem:
            self.finish(batch_reply.problem)
        elif self.step is ProverStep.ASK_INFO:
            self.on_info(batch_reply.replies)
        elif self.step is ProverStep.LOOK_UP_MARKER:
            self.on_marker_lookup(batch_reply.replies[0])
        elif self.step is ProverStep.WRITE_MARKER:
            self.on_marker_written(batch_reply.replies)
        else:
            self.finish(first_error(batch_reply.replies))

    def on_info(self, replies: list[bytes]) -> None:
        """Compare the run ids; a replica, or a server that is loading its data, decides nothing."""
        source, target = [parse_info(b"" if is_error(raw) else info_text(raw)) for raw in replies]
        name = self.proof.source_connection.node.name
        source_run_id, target_run_id = source.get(b"run_id", b""), target.get(b"run_id", b"")
        if source.get(b"role", b"master") != b"master":
            self.finish(f"{name} is a replica, its data is another server's")
        elif source.get(b"loading", b"0") != b"0" or target.get(b"loading", b"0") != b"0":
            self.finish(f"{name} or {self.proof.target_connection.node.name} is still loading its data")
        elif not source_run_id or not target_run_id:
            self.write_marker()
        elif source_run_id == target_run_id:
            self.finish(same_server_cause(name))
        else:
            self.finish("")

    def write_marker(self) -> None:
        """Without run ids: write at the target, where it does no harm; the source must not have it."""
        self.step = ProverStep.WRITE_MARKER
        argv = [b"SET", self.marker, b"1", b"PX", MARKER_MS, b"NX"]
        self.send_request(self.proof.target_connection, BatchReply(self, 1), 0, argv)

    def on_marker_written(self, replies: list[bytes]) -> None:
        """Look for it at the source; if it could not be written nothing can be proved."""
        problem = first_error(replies)
        if problem or replies[0][:1] != b"+":
            self.finish(f"nobody can say whether they are two servers: {problem or 'a marker could not be written'}")
            return
        self.step = ProverStep.LOOK_UP_MARKER
        self.send_request(self.proof.source_connection, BatchReply(self, 1), 0, [b"EXISTS", self.marker])

    def on_marker_lookup(self, raw: bytes) -> None:
        """1: the source has it, so it is the same server; 0: it has not; anything else proves nothing."""
        found = parse_integer(raw)
        if found == 0:
            self.step = ProverStep.REMOVE_MARKER
            self.send_request(self.proof.target_connection, BatchReply(self, 1), 0, [b"DEL", self.marker])
        elif found == 1:
            self.finish(same_server_cause(self.proof.source_connection.node.name))
        else:
            problem = first_error([raw]) or "the answer to EXISTS is no number"
            self.finish(f"nobody can say whether they are two servers: {problem}")

    def finish(self, problem: str) -> None:
        callback = self.callback
        if callback is None:
            return
        self.callback = None
        self.proof.proven = not problem
        outcome = BatchReply(callback, 1)
        outcome.problem = problem
        outcome.set_reply(0, b"")
