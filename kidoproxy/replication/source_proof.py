"""May this copy be changed after that one? The one question before anything is deleted or overwritten anywhere.

Yes, if the source is in sync, is another server than the target, and has answered on the connection that it still has.
Two servers have two run ids. Where one does not say its run id (its user may not ask), a key with a name that
nobody else uses is written at the target and looked for at the source.
"""

from typing import Final, final

from kidoproxy.replication.batch import BatchReply, Callback, send_requests
from kidoproxy.replication.parse_replies import first_error, parse_integer
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.replication_errors import same_server_cause
from kidoproxy.routes.topology import IN_SYNC, CopyGroup, Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import info_text, parse_info

#: The source must have said something so recently (seconds) when something is deleted for its sake.
MAX_SOURCE_SILENCE: Final = 5.0
MARKER_MS: Final = b"10000"


def source_not_in_sync(group: CopyGroup, source: Node) -> str:
    """Why this copy cannot decide what others hold; empty if it is in sync."""
    if not group.elected or group.copy_of(source).state != IN_SYNC:
        return f"{source.name}, from which it was copied, fell behind meanwhile"
    return ""


@final
class Proof:
    """That ``source`` may decide what ``target`` holds, as long as neither loses its connection."""

    def __init__(self, group: CopyGroup, source: NodeConnection, target: NodeConnection) -> None:
        self.group = group
        self.source_connection = source
        self.target_connection = target
        self.readers = (source.reader, target.reader)
        self.run_id = source.node.run_id
        self.proven = False

    def source_may_have_lost_data(self, later: "Proof") -> bool:
        """Whether the source may have lost its data between this proof and a later one."""
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


INFO_SENT: Final = 0
MARKER_SENT: Final = 1
LOOKUP_SENT: Final = 2
CLEANUP_SENT: Final = 3


@final
class Prover(Callback):
    """Finds out whether ``proof`` can be given; tells ``boss`` with ``problem`` (empty: it is given)."""

    def __init__(self, executor: Executor, group: CopyGroup, source: Node, target: Node, wall_ms: int) -> None:
        self.exchange = executor
        self.proof = Proof(group, executor.connection(source, 2, 0), executor.connection(target, 2, 0))
        self.marker = b"kidoproxy:same-server?:%d:%d" % (wall_ms, target.node_id)
        self.stage = INFO_SENT
        self.callback: Callback | None = None

    def begin(self, callback: Callback) -> None:
        """Ask both who they are."""
        self.callback = callback
        batch_reply = BatchReply(self, 2)
        self.send_request(self.proof.source_connection, batch_reply, 0, [b"INFO"])
        self.send_request(self.proof.target_connection, batch_reply, 1, [b"INFO"])

    def send_request(self, connection: NodeConnection, batch_reply: BatchReply, index: int, argv: list[bytes]) -> None:
        """One question on an ordered link."""
        send_requests(connection, batch_reply, index, [argv], 0, self.exchange.now)

    def on_done(self, batch_reply: BatchReply) -> None:
        """The answers to one step."""
        if batch_reply.problem:
            self.finish(batch_reply.problem)
        elif self.stage == INFO_SENT:
            self.on_info(batch_reply.replies)
        elif self.stage == LOOKUP_SENT:
            self.on_marker_lookup(batch_reply.replies[0])
        elif self.stage == MARKER_SENT:
            self.on_marker_written(batch_reply.replies)
        else:
            self.finish(first_error(batch_reply.replies))

    def on_info(self, replies: list[bytes]) -> None:
        """What both say of themselves."""
        source, target = [parse_info(b"" if is_error(raw) else info_text(raw)) for raw in replies]
        name = self.proof.source_connection.node.name
        mine, theirs = source.get(b"run_id", b""), target.get(b"run_id", b"")
        if source.get(b"role", b"master") != b"master":
            self.finish(f"{name} is a replica, its data is another server's")
        elif source.get(b"loading", b"0") != b"0" or target.get(b"loading", b"0") != b"0":
            self.finish(f"{name} or {self.proof.target_connection.node.name} is still loading its data")
        elif not mine or not theirs:
            self.write_marker()
        elif mine == theirs:
            self.finish(same_server_cause(name))
        else:
            self.finish("")

    def write_marker(self) -> None:
        """No run id: write where it does no harm, look where it must not be found."""
        self.stage = MARKER_SENT
        argv = [b"SET", self.marker, b"1", b"PX", MARKER_MS, b"NX"]
        self.send_request(self.proof.target_connection, BatchReply(self, 1), 0, argv)

    def on_marker_written(self, replies: list[bytes]) -> None:
        """Written, or not: then nothing can be proved."""
        problem = first_error(replies)
        if problem or replies[0][:1] != b"+":
            self.finish(f"nobody can say whether they are two servers: {problem or 'a marker could not be written'}")
            return
        self.stage = LOOKUP_SENT
        self.send_request(self.proof.source_connection, BatchReply(self, 1), 0, [b"EXISTS", self.marker])

    def on_marker_lookup(self, raw: bytes) -> None:
        """The source has it (it is the same server), has it not, or does not say."""
        found = parse_integer(raw)
        if found == 0:
            self.stage = CLEANUP_SENT
            self.send_request(self.proof.target_connection, BatchReply(self, 1), 0, [b"DEL", self.marker])
        elif found == 1:
            self.finish(same_server_cause(self.proof.source_connection.node.name))
        else:
            problem = first_error([raw]) or "the answer to EXISTS is no number"
            self.finish(f"nobody can say whether they are two servers: {problem}")

    def finish(self, problem: str) -> None:
        """Give the proof, or say why not."""
        callback = self.callback
        if callback is None:
            return
        self.callback = None
        self.proof.proven = not problem
        outcome = BatchReply(callback, 1)
        outcome.problem = problem
        outcome.set_reply(0, b"")
