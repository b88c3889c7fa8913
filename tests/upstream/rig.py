"""One connection by itself, without an executor or a story around it; and the failures that its client gets."""

from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.queue import ReplyQueue, TurnWork
from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.topology import Node
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.greet import greet

PING = encode_request([b"PING"])
REFUSED = "-NODEDOWN a a:6379 (connection refused)"
LATE = "-TIMEOUT a a:6379 (no reply in 500 ms)"
LATE_WRITE = LATE + "; the write may have run, its outcome is unknown"
SUSPECT = "-NODEDOWN a a:6379 (suspect: it answers, but nothing in 500 ms)"
CUT = "-NODEDOWN a a:6379 (it closed the connection)"
FULL = "-OVERLOADED a a:6379 (its queue is full)"


class Rig:
    """A connection to the node ``a``, ready unless it is to be opened later, and the reply queue of one client."""

    def __init__(self, options: ConnectionOptions | None = None, ready: bool = True) -> None:
        self.replies = ReplyQueue(TurnWork())
        self.conn = NodeConnection(Node(0, "a", "a:6379", 1), options or ConnectionOptions(), 2, 0, [])
        if ready:
            self.open()

    def open(self) -> None:
        """The node accepts the connection and answers the handshake."""
        self.conn.start_connecting()
        self.conn.on_connected(0.0, 1.0)
        self.conn.feed(greet(self.conn, b"run_id:1\r\n"), 0.0)

    def submit(self, payload: bytes = PING, spec: CommandSpec | None = None) -> None:
        """One more request of the client."""
        self.conn.submit(self.replies.open_pending(spec), payload, 2, 0, 0.0)

    def received(self) -> list[str]:
        """The replies that have left to the client since the last time, in order."""
        return [raw.decode().strip() for raw in self.replies.take_output()]
