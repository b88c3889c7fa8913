"""What all sessions share: the pools they may belong to, the exchange, and the list of sessions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.replies.accounting import DISCONNECT_REASONS
from kidoproxy.replies.jobs import TurnDurations
from kidoproxy.resp import limits
from kidoproxy.resp.loading import node_error_as_loading
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import CopyGroup, Node
from kidoproxy.scripts.library_peers import fetch_libraries_from_peers
from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.session.handlers.client import is_blocked
from kidoproxy.session.incidents import Incidents
from kidoproxy.session.pubsub.subscriptions import Subscriptions
from kidoproxy.session.users import Users
from kidoproxy.upstream.dedicated import DedicatedPool
from kidoproxy.upstream.executor import Executor

if TYPE_CHECKING:
    from kidoproxy.session.handlers.blocking import Monitor
    from kidoproxy.session.session import ClientSession

#: What CLIENT REPLY has said: answer everything, nothing, or not the next one.
REPLY_ON: Final = 0
REPLY_OFF: Final = 1
REPLY_SKIP: Final = 2


@final
class PoolContext:
    """One listening pool as its sessions see it."""

    def __init__(self, name: str, mode: str, root: Route, commands: CommandSet) -> None:
        self.name = name
        self.mode = mode
        self.root = root
        self.commands = commands
        self.users = Users([])
        self.databases = 16
        #: The routes, or a pool that misses softly, look at all arguments: large requests are not left folded.
        self.needs_arguments = root.needs_arguments()
        #: Transactions that span nodes are refused when a command is queued.
        self.strict_transactions = False
        #: A node that gives no reply is a miss (``on_down = "miss"``).
        self.miss_on_failure = False
        #: Clients hear what is a node's fault behind LOADING (``node_errors = "retry"``).
        self.as_loading = False
        self.max_bulk_bytes = 512 * 1024 * 1024
        self.max_query_bytes = 1024 * 1024 * 1024
        self.max_output_bytes = 1024 * 1024 * 1024
        #: The same for clients that have subscribed.
        self.max_pubsub_output_bytes = limits.PUBSUB_OUTPUT_BYTES
        self.max_clients = 10_000
        self.idle_seconds = 0
        #: How often its nodes have been greeted.
        self.handshakes_seen = 0
        self.client_count = 0
        #: CLIENT PAUSE: until when, by the wall clock (0: not paused); whether reads go on; who waits for its end.
        self.paused_until_ms = 0
        self.pause_writes_only = False
        self.paused_sessions: dict[int, ClientSession] = {}
        #: What was loaded through this pool is taught to its nodes again when they have lost it.
        self.script_registry = ScriptRegistry()
        for node in root.nodes():
            node.warmup.registries.append(self.script_registry)

    def translate_error(self, frame: bytes) -> bytes:
        """An error as clients of this pool want to hear it."""
        return node_error_as_loading(frame) if self.as_loading else frame

    def update_sessions(self, proxy: "ProxyState") -> None:
        """Tell all sessions of the pool that something has changed for them."""
        for session in proxy.sessions.values():
            if session.context is self:
                session.update_flags()

    def forget_commands_if_reconnected(self) -> None:
        """A node that has come back may know commands that it did not know before."""
        handshakes = sum([node.handshakes for node in self.root.nodes()])
        if handshakes != self.handshakes_seen:
            self.handshakes_seen = handshakes
            self.commands.forget_unknown()

    def unpause(self, proxy: "ProxyState") -> None:
        """Everybody goes on."""
        self.paused_until_ms = 0
        self.pause_writes_only = False
        self.update_sessions(proxy)
        paused_sessions = self.paused_sessions
        self.paused_sessions = {}
        for session in paused_sessions.values():
            session.wake()


@final
class ProxyState:
    """Shared by all sessions of one process. ``wall_ms`` is the wall clock, set once per batch by the net."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        fetch_libraries_from_peers(executor)
        self.dedicated_pool = DedicatedPool(executor)
        self.monitors: list[Monitor] = []
        self.contexts: list[PoolContext] = []
        self.sessions: dict[int, ClientSession] = {}
        #: By the pool's name; a pool whose clients never subscribe or publish has none.
        self.subscriptions_by_pool: dict[str, Subscriptions] = {}
        self.last_client_id = 0
        self.wall_ms = 0
        self.started_ms = 0
        self.version = ""
        self.build = ""
        self.pid = 0
        self.config_file = ""
        self.run_id = b"0" * 40
        self.connections_received = 0
        self.connections_rejected = 0
        #: Clients that were cut, by the reason.
        self.forced_disconnects: dict[str, int] = dict.fromkeys(DISCONNECT_REASONS, 0)
        self.draining = False
        self.copy_groups: list[CopyGroup] = []
        self.max_clients = 10_000
        self.max_sockets = 1_000_000_000
        self.commands_processed = 0
        self.commands_rejected = 0
        self.split_transactions = 0
        #: Logins that were refused.
        self.auth_failures = 0
        self.incidents = Incidents()
        self.bytes_in = 0
        self.bytes_out = 0
        #: How long the loop's turns were.
        self.turn_durations = TurnDurations()
        #: So many bytes that nobody can guess; None where there is no source of them.
        self.random_bytes: Callable[[int], bytes] | None = None
        #: Begins a sync of the node; answers with the error sentence, or "" when it has begun.
        self.begin_sync: Callable[[Node], str] | None = None
        #: PROXY SYNC with a word behind the name: why not (or empty), and lines for a person.
        self.run_sync_command: Callable[[Node, str], tuple[str, list[str]]] | None = None
        #: One line per running or finished sync, by the index of the node: names are unique in one pool only.
        self.sync_status: dict[int, str] = {}

    def limit_sockets(self, max_sockets: int) -> None:
        """So many sockets there may be of clients and lanes together."""
        self.max_sockets = max_sockets
        self.max_clients = min(self.max_clients, max_sockets)
        self.dedicated_pool.has_free_socket = self.has_free_socket

    def has_free_socket(self) -> bool:
        """Whether one more socket may be opened, for a client or for a lane: what is left belongs to the nodes."""
        return len(self.sessions) + len(self.executor.unshared_connections) < self.max_sockets

    def blocked_clients(self, context: PoolContext) -> int:
        """How many clients of the pool wait, in a command or for the end of CLIENT PAUSE."""
        return len(
            [session for session in self.sessions.values() if session.context is context and is_blocked(session)]
        )

    def tick(self) -> None:
        """A few times a second: lanes that are not needed, streams that have lost a node, pauses that are over."""
        self.dedicated_pool.tick(self.executor.now)
        for monitor in self.monitors:
            monitor.attach_missing()
        for context in self.contexts:
            context.forget_commands_if_reconnected()
            if context.paused_until_ms and self.wall_ms >= context.paused_until_ms:
                context.unpause(self)

    def subscriptions_of(self, context: PoolContext) -> Subscriptions:
        """The switchboard of this pool."""
        subscriptions = self.subscriptions_by_pool.get(context.name)
        if subscriptions is None:
            subscriptions = Subscriptions(self.executor, context.root)
            self.subscriptions_by_pool[context.name] = subscriptions
        return subscriptions

    def messages_delivered(self) -> int:
        """Messages that subscribers were sent."""
        return sum([subscriptions.delivered_count for subscriptions in self.subscriptions_by_pool.values()])

    def next_client_id(self) -> int:
        """A client id: they grow and are never used again."""
        self.last_client_id += 1
        return self.last_client_id
