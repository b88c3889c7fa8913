"""What WATCH leaves in a session: a dedicated connection whose node watches, or keys that the proxy watches.

See `kidoproxy.session.handlers.watch` for which of the two it is.
"""

from typing import Final, final

from kidoproxy.replication.group import CopyGroup, WatchedKeys
from kidoproxy.replies.callbacks import CallbackHandler
from kidoproxy.resp import encode
from kidoproxy.resp.decode import is_error
from kidoproxy.resp.errors import NodeFailure
from kidoproxy.upstream.dedicated_pool import Lease
from kidoproxy.upstream.handlers import WatchConnectionGuard

#: EXEC aborts this long before a watched key expires by our clock: transport takes time, and clocks differ.
EXPIRY_MARGIN_MS: Final = 20
UNWATCH_COMMAND: Final = encode.encode_request([b"UNWATCH"])


class Watch:
    """The keys that one session watches, all on one node or copy pool (`Node.placement_id`)."""

    def __init__(self, shard_id: int, first_key: bytes) -> None:
        self.placement_id = shard_id
        #: For the error about keys that live elsewhere.
        self.first_key = first_key
        self.key_count = 0
        #: What remembering them costs the proxy.
        self.memory_bytes = 0

    def exec_lease(self) -> Lease | None:
        """The dedicated connection on which EXEC has to run, if any."""
        return None

    def must_abort_exec(self, now_ms: int) -> bool:
        """Whether EXEC is answered with null and nothing is sent."""
        raise NotImplementedError

    def unwatch(self) -> None:
        """End the watching."""
        raise NotImplementedError

    def on_exec(self) -> None:
        """EXEC is about to be sent; it ends the watching of a node by itself."""


@final
class DedicatedWatch(Watch):
    """The node watches. If the connection is lost nobody knows what has changed since, so EXEC aborts.

    So it does when the node is another server by now: what is watched is of no use there.
    """

    def __init__(self, first_key: bytes, lease: Lease) -> None:
        super().__init__(lease.connection.node.shard_id(), first_key)
        self.lease = lease
        self.push_handler = WatchConnectionGuard()
        lease.connection.push_handler = self.push_handler
        #: An earlier WATCH was lost with its connection.
        self.cas_dirty = False

    def exec_lease(self) -> Lease | None:
        return self.lease

    def must_abort_exec(self, now_ms: int) -> bool:
        """The node decides, unless the connection is lost, or is one to the server that the node was before."""
        conn = self.lease.connection
        return self.push_handler.lost or self.cas_dirty or conn.role_changes_seen != conn.node.role_changes

    def unwatch(self) -> None:
        """Send UNWATCH; the connection can be reused once that is answered."""
        conn = self.lease.connection
        now = self.lease.pool.executor.now
        if self.push_handler.lost:
            self.lease.close()
        elif not conn.is_ready():
            # The WATCH has not been sent yet; a client that was killed must not wait for its reply.
            conn.on_connection_lost("its client watches nothing any more", now, True)
            self.lease.close()
        else:
            handler = CallbackHandler(self.on_unwatch_reply, self.on_unwatch_failure)
            conn.submit(handler, UNWATCH_COMMAND, conn.proto, conn.db, now)

    def on_unwatch_reply(self, raw: bytes) -> None:
        """An error means that the node still watches."""
        if is_error(raw):
            self.lease.close()
        else:
            self.lease.release()

    def on_unwatch_failure(self, failure: NodeFailure) -> None:
        self.lease.close()


@final
class CopyWatch(Watch):
    """The proxy watches: all writes to a copy pool pass through it."""

    def __init__(self, group: CopyGroup, first_key: bytes) -> None:
        super().__init__(group.copies[0].node.shard_id(), first_key)
        self.group = group
        self.watched_keys = WatchedKeys()
        group.watches.append(self.watched_keys)

    def must_abort_exec(self, now_ms: int) -> bool:
        """A watched key was written to, has expired or is about to."""
        expiry_ms = self.watched_keys.first_expiry_ms
        return self.watched_keys.cas_dirty or (expiry_ms > 0 and now_ms + EXPIRY_MARGIN_MS >= expiry_ms)

    def unwatch(self) -> None:
        self.group.watches.remove(self.watched_keys)

    def on_exec(self) -> None:
        self.unwatch()
