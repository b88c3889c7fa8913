"""What all sessions of a process share: its pools, the executor, counters, and the sessions themselves."""

from collections.abc import Callable
from typing import final

from kidoproxy.replication.group import CopyGroup
from kidoproxy.replies.accounting import DISCONNECT_REASONS
from kidoproxy.replies.durations import MILLISECOND_BUCKETS, Durations
from kidoproxy.routes.route import WallClock
from kidoproxy.routes.topology import Node
from kidoproxy.scripts.library_peers import fetch_libraries_from_peers
from kidoproxy.session.incidents import Incidents
from kidoproxy.session.mode import YIELDED
from kidoproxy.session.peers import Peers
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.pubsub.subscriptions import Subscriptions
from kidoproxy.session.state import MonitorStream, SessionState
from kidoproxy.upstream.dedicated_pool import DedicatedPool
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.slow_log import SlowLog


@final
class ProxyState:
    """One per process. Its ``clock`` is set by `kidoproxy.net` once per batch of events."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        fetch_libraries_from_peers(executor)
        self.slow_log = SlowLog()
        for connection_set in executor.connection_sets:
            connection_set.node.slow_log = self.slow_log
        self.dedicated_pool = DedicatedPool(executor)
        self.monitors: list[MonitorStream] = []
        self.contexts: list[PoolContext] = []
        self.sessions: dict[int, SessionState] = {}
        #: By the pool's name; a pool whose clients never subscribe or publish has none.
        self.subscriptions_by_pool: dict[str, Subscriptions] = {}
        #: The ids of several workers are those of other remainders; each is noted where a successor finds it.
        self.last_client_id = 0
        self.client_id_step = 1
        self.note_client_id: Callable[[int], None] | None = None
        #: The other workers; None: there are none.
        self.peers: Peers | None = None
        self.clock = WallClock(0)
        self.started_ms = 0
        self.version = ""
        self.build = ""
        self.pid = 0
        self.config_file = ""
        self.run_id = b"0" * 40
        self.connections_received = 0
        self.connections_rejected = 0
        #: Clients that were disconnected, by reason.
        self.forced_disconnects: dict[str, int] = dict.fromkeys(DISCONNECT_REASONS, 0)
        self.draining = False
        self.copy_groups: list[CopyGroup] = []
        #: Sockets whose TLS handshake is under way, of all pools.
        self.pending_handshakes = 0
        self.max_clients = 10_000
        self.max_sockets = 1_000_000_000
        #: Connections to the admin pages that had to give way to new ones.
        self.admin_connections_dropped = 0
        self.commands_processed = 0
        self.commands_rejected = 0
        self.split_transactions = 0
        #: Failed logins.
        self.auth_failures = 0
        #: How often the configuration was read anew, by what came of it; when one was taken over last.
        #: New processes that did not take over.
        self.upgrade_failures = 0
        self.reloads: dict[str, int] = {"ok": 0, "rejected": 0}
        self.configured_ms = 0
        self.incidents = Incidents()
        #: The durations of the event loop's iterations.
        self.turn_durations = Durations(MILLISECOND_BUCKETS)
        #: Cryptographically random bytes; None where there is no source of them.
        self.random_bytes: Callable[[int], bytes] | None = None
        #: Begins a sync of the node; the reason when it cannot, or "".
        self.request_sync: Callable[[Node], str] | None = None
        #: PROXY SYNC with an action: the reason when it is refused (or ""), and lines for a person.
        self.run_sync_command: Callable[[Node, str], tuple[str, list[str]]] | None = None
        #: One line per running or finished sync, by the node's id: names are unique in one pool only.
        self.sync_status: dict[int, str] = {}

    @property
    def wall_ms(self) -> int:
        """The wall clock in milliseconds."""
        return self.clock.ms

    def count_reload(self, is_ok: bool) -> None:
        """The configuration was read anew, and taken over or rejected."""
        self.reloads["ok" if is_ok else "rejected"] += 1
        if is_ok:
            self.configured_ms = self.wall_ms

    def limit_sockets(self, max_sockets: int) -> None:
        """Bound the sockets of clients and dedicated connections together."""
        self.max_sockets = max_sockets
        self.max_clients = min(self.max_clients, max_sockets)
        self.dedicated_pool.has_free_socket = self.has_free_socket

    def has_free_socket(self) -> bool:
        """Whether a client or a dedicated connection may have a socket; the rest is for shared ones."""
        clients = len(self.sessions) + self.pending_handshakes
        return clients + len(self.executor.unshared_connections) < self.max_sockets

    def has_room_for_client(self, context: PoolContext) -> bool:
        """Whether a client of this pool may come in. One that is still in its TLS handshake counts as one."""
        return (
            context.client_count + context.pending_handshakes < context.max_clients
            and len(self.sessions) + self.pending_handshakes < self.max_clients
            and self.has_free_socket()
        )

    def blocked_clients(self, context: PoolContext) -> int:
        """Clients of the pool that wait in a command or for the end of CLIENT PAUSE."""
        return len(
            [session for session in self.sessions.values() if session.context is context and session.is_blocked()]
        )

    def update_sessions(self, context: PoolContext) -> None:
        """Let all sessions of the pool derive their flags again."""
        for session in self.sessions.values():
            if session.context is context:
                session.update_flags()

    def unpause(self, context: PoolContext) -> None:
        """The end of CLIENT PAUSE: all clients of the pool go on."""
        context.paused_until_ms = 0
        context.pause_writes_only = False
        self.update_sessions(context)
        paused_sessions = context.paused_sessions
        context.paused_sessions = {}
        for client_id in paused_sessions:
            session = self.sessions[client_id]
            session.enter(YIELDED)
            session.wake()

    def tick(self) -> None:
        """A few times a second: close idle dedicated connections, reattach MONITOR, end pauses that are over."""
        self.dedicated_pool.tick(self.executor.now)
        for monitor in self.monitors:
            monitor.attach_missing()
        for context in self.contexts:
            context.forget_commands_if_reconnected()
            if context.paused_until_ms and self.wall_ms >= context.paused_until_ms:
                self.unpause(context)

    def subscriptions_of(self, context: PoolContext) -> Subscriptions:
        """The subscriptions of this pool, made on first use."""
        subscriptions = self.subscriptions_by_pool.get(context.name)
        if subscriptions is None:
            subscriptions = Subscriptions(self.executor, context.root)
            self.subscriptions_by_pool[context.name] = subscriptions
        return subscriptions

    def bytes_received(self) -> int:
        """From all clients."""
        return sum([context.bytes_received for context in self.contexts])

    def bytes_sent(self) -> int:
        """To all clients."""
        return sum([context.bytes_sent for context in self.contexts])

    def messages_delivered(self) -> int:
        """Messages sent to subscribers."""
        return sum([subscriptions.delivered_count for subscriptions in self.subscriptions_by_pool.values()])

    def next_client_id(self) -> int:
        """A client id: ids grow and are never reused."""
        self.last_client_id += self.client_id_step
        if self.note_client_id is not None:
            self.note_client_id(self.last_client_id)
        return self.last_client_id

    def find_context(self, pool_name: str) -> PoolContext | None:
        """The pool of that name, if this process serves it."""
        for context in self.contexts:
            if context.name == pool_name:
                return context
        return None
