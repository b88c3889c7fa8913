"""What a session that has said WATCH holds: the nodes' own watching, or the proxy's.

See `kidoproxy.session.handlers.watch` for which of the two it is.
"""

from typing import Final, final

from kidoproxy.replies.queue import ReplyHandler
from kidoproxy.resp import encode
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.routes.topology import CopyGroup, WatchedKeys
from kidoproxy.upstream.connection_loss import ConnectionLost
from kidoproxy.upstream.dedicated import Lease

#: Before a watched key expires by our clock, EXEC is refused: the way to the node takes time, and clocks differ.
EXPIRY_MARGIN_MS: Final = 20
UNWATCH_COMMAND: Final = encode.encode_request([b"UNWATCH"])


class Watch:
    """What one session watches. ``home``: the node or copy pool where all of it lives (`Node.home`)."""

    def __init__(self, placement_id: int, first_key: bytes) -> None:
        self.placement_id = placement_id
        #: The first key, for complaints about those that live elsewhere.
        self.first_key = first_key
        self.key_count = 0
        #: What it costs to remember them: nothing here, where the node does.
        self.memory_bytes = 0

    def exec_lease(self) -> Lease | None:
        """The lane on which the transaction has to run, if it has to run on one."""
        return None

    def must_abort_exec(self, now_ms: int) -> bool:
        """Whether EXEC must not even be sent."""
        raise NotImplementedError

    def unwatch(self) -> None:
        """Watch nothing more."""
        raise NotImplementedError

    def on_exec(self) -> None:
        """EXEC is about to be sent: with it the watching ends by itself."""


@final
class DedicatedWatch(Watch):
    """The node remembers. If the lane is lost nobody knows what has changed since."""

    def __init__(self, first_key: bytes, lease: Lease) -> None:
        super().__init__(lease.connection.node.placement_id(), first_key)
        self.lease = lease
        self.push_handler = ConnectionLost()
        lease.connection.push_handler = self.push_handler
        #: What was watched before it is lost.
        self.cas_dirty = False

    def exec_lease(self) -> Lease | None:
        """Its lane."""
        return self.lease

    def must_abort_exec(self, now_ms: int) -> bool:
        """The node tells; here only that it cannot."""
        return self.push_handler.lost or self.cas_dirty

    def unwatch(self) -> None:
        """Say UNWATCH; the lane is clean once that is answered."""
        conn = self.lease.connection
        now = self.lease.pool.executor.now
        if self.push_handler.lost:
            self.lease.close()
        elif not conn.is_ready():
            # The WATCH has not been sent yet; a client that was killed is not kept waiting for its end.
            conn.on_connection_lost("its client watches nothing any more", now, True)
            self.lease.close()
        else:
            conn.submit(UnwatchHandler(self.lease), UNWATCH_COMMAND, conn.proto, conn.db, now)


@final
class UnwatchHandler(ReplyHandler):
    """Gives the lane back when it is clean."""

    def __init__(self, lease: Lease) -> None:
        super().__init__()
        self.lease = lease

    def on_reply(self, raw: bytes) -> None:
        """Clean, unless the node does not know UNWATCH."""
        if is_error(raw):
            self.on_failure(NodeFailure("", "", "", "", False))
        else:
            self.lease.release()

    def on_failure(self, failure: NodeFailure) -> None:
        """In doubt, close."""
        self.lease.close()


@final
class CopyWatch(Watch):
    """The proxy sees all writes to a copy pool."""

    def __init__(self, group: CopyGroup, first_key: bytes) -> None:
        super().__init__(group.copies[0].node.placement_id(), first_key)
        self.group = group
        self.watched_keys = WatchedKeys()
        group.watches.append(self.watched_keys)

    def must_abort_exec(self, now_ms: int) -> bool:
        """A write has been sent, or a key has expired or is about to."""
        expiry_ms = self.watched_keys.first_expiry_ms
        return self.watched_keys.cas_dirty or (expiry_ms > 0 and now_ms + EXPIRY_MARGIN_MS >= expiry_ms)

    def unwatch(self) -> None:
        """Forget the keys."""
        self.group.watches.remove(self.watched_keys)

    def on_exec(self) -> None:
        """The same."""
        self.unwatch()
