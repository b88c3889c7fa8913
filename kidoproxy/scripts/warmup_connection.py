"""Loading scripts and libraries through a connection: all of them in its handshake, or one ahead of an EVALSHA."""

from typing import Final, final

from kidoproxy.replication.group import IN_SYNC, group_of
from kidoproxy.replies.callbacks import BatchHandler, CallbackHandler
from kidoproxy.resp import limits
from kidoproxy.resp.decode import error_text, is_error
from kidoproxy.resp.errors import NodeFailure, sanitize_bytes
from kidoproxy.scripts.registry import MAX_SCRIPTS, script_load_request
from kidoproxy.scripts.warmup import WarmupConnection
from kidoproxy.upstream.handlers import NO_DEADLINE
from kidoproxy.upstream.sending import SECONDS_PER_BYTE, SendingConnection
from kidoproxy.upstream.states import HANDSHAKING, READY

#: FUNCTION DELETE of a library that the node does not have is no failure.
LIBRARY_NOT_FOUND: Final = b"-ERR Library not found"


@final
class WarmupAdapter(WarmupConnection):
    """A connection that joins the warm-up of its node: in its handshake, it is not ready before that is over."""

    def __init__(self, conn: SendingConnection) -> None:
        self.connection = conn
        #: Every socket has a reader of its own, which tells whether it is still the same socket.
        self.reader = conn.reader

    def is_connected(self) -> bool:
        """Whether it is the same socket, and lives."""
        conn = self.connection
        return conn.reader is self.reader and conn.state in (HANDSHAKING, READY)

    def load_scripts(self, payload: bytes, reply_count: int) -> None:
        """As part of the handshake, or behind what a ready connection has sent."""
        conn = self.connection
        handler = BatchHandler(reply_count, self.on_loaded, self.on_load_failure)
        handler.due = conn.last_read_at + limits.WARMUP_SECONDS + len(payload) * SECONDS_PER_BYTE
        conn.handshake_deadline = handler.due
        conn.send(handler, payload, conn.proto, conn.db, reply_count)

    def on_loaded(self, replies: list[bytes]) -> None:
        """What the node refuses shows as its ``cause``; its other commands are served."""
        node = self.connection.node
        refusals = [raw for raw in replies if is_error(raw) and not raw.startswith(LIBRARY_NOT_FOUND)]
        node.warmup.finish(self, not refusals)
        if refusals:
            node.cause = "it refused what was loaded: " + sanitize_bytes(error_text(refusals[-1]))

    def on_load_failure(self, failure: NodeFailure) -> None:
        """The connection is lost, or the node is too slow: warm up another time."""
        self.connection.node.warmup.finish(self, False)

    def resume(self) -> None:
        """Make the connection ready, if it is not already."""
        conn = self.connection
        if self.is_connected() and conn.state == HANDSHAKING:
            conn.become_ready()
            conn.release_queue(conn.last_read_at)


def start_warmup(conn: SendingConnection) -> None:
    """The handshake is accepted: the connection is ready once its node has what it has to load."""
    node = conn.node
    group = group_of(node)
    if group is not None and (not group.elected or group.copy_of(node).state != IN_SYNC):
        # Nobody reads this copy before its sync is over, and a sync does not wait.
        conn.become_ready()
    if not node.warmup.join(WarmupAdapter(conn)) and conn.state == HANDSHAKING:
        conn.become_ready()


def preload_script(
    conn: SendingConnection, digest: bytes, script_text: bytes, proto: int, db: int, now: float, reload: bool
) -> bool:
    """Send SCRIPT LOAD ahead of an EVALSHA, unless this connection has carried the script; whether it was sent.

    ``reload``: send it all the same, unless the connection has carried it in this very turn.
    Unless the reply is good, the connection counts as not having carried it. Once sent it is never late: the EVALSHA
    behind it is.
    """
    loaded_scripts = conn.loaded_scripts
    loaded_at = loaded_scripts.get(digest)
    if conn.can_send and loaded_at is not None and (loaded_at == now or not reload):
        return False
    if len(loaded_scripts) >= MAX_SCRIPTS:
        loaded_scripts.clear()

    def on_load_reply(raw: bytes) -> None:
        if is_error(raw):
            loaded_scripts.pop(digest, None)

    def on_load_failure(failure: NodeFailure) -> None:
        """The script may not have arrived."""
        loaded_scripts.pop(digest, None)

    handler = CallbackHandler(on_load_reply, on_load_failure)
    could_send = conn.can_send
    if could_send:
        # One that waits for the connection may be late and never be sent.
        loaded_scripts[digest] = now
    conn.submit(handler, script_load_request(script_text), proto, db, now)
    if could_send:
        handler.due = NO_DEADLINE
    return True
