"""One listening pool as its sessions see it."""

from typing import final

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.commands.families import FAMILIES, UNKNOWN_FAMILY, FamilyCounter
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.replies.durations import REQUEST_BUCKETS, Durations
from kidoproxy.replies.error_counts import ErrorCounts
from kidoproxy.resp import limits
from kidoproxy.resp.loading import node_error_as_loading
from kidoproxy.routes.route import Route
from kidoproxy.scripts.registry import ScriptRegistry
from kidoproxy.session.users import Users


@final
class PoolContext:
    """One listening pool as its sessions see it."""

    def __init__(self, name: str, mode: str, root: Route, commands: CommandSet) -> None:
        self.name = name
        self.mode = mode
        self.root = root
        self.commands = commands
        #: Then one worker alone serves it.
        self.has_copies = any(node.is_copy for node in root.nodes())
        self.users = Users([])
        self.databases = 16
        #: The routes look at all arguments, so large requests have to be materialized.
        self.needs_arguments = root.needs_arguments()
        #: Transactions that span nodes are refused when a command is queued.
        self.strict_transactions = False
        #: A read whose node fails is answered as a miss (``on_down = "miss"``).
        self.miss_on_down = False
        #: A node's failure reaches clients as a LOADING error (``node_errors = "retry"``).
        self.node_errors_as_loading = False
        self.max_bulk_bytes = 512 * 1024 * 1024
        self.max_query_bytes = 1024 * 1024 * 1024
        self.max_output_bytes = 1024 * 1024 * 1024
        #: The same for clients that have subscribed.
        self.max_pubsub_output_bytes = limits.PUBSUB_OUTPUT_BYTES
        self.max_clients = 10_000
        self.idle_seconds = 0
        #: The handshakes of its nodes when unknown commands were last forgotten.
        self.handshakes_seen = 0
        self.client_count = 0
        #: The requests of its clients, by family; each counts where it is refused, queued or run.
        self.family_counters: list[FamilyCounter] = [FamilyCounter() for _ in FAMILIES]
        self.bytes_received = 0
        self.bytes_sent = 0
        #: How long some of its requests took from their last byte to the first of their reply, and when the next one is
        #: looked at.
        self.request_durations = Durations(REQUEST_BUCKETS)
        self.sample_at = 0.0
        #: The error replies that its clients got.
        self.error_counts = ErrorCounts()
        #: The field of a client's certificate that names its user, "CN" or "URI"; empty: none does.
        self.certificate_user = ""
        #: When the certificates end that clients are shown, by their files, in seconds since 1970.
        self.certificate_expiries: dict[str, float] = {}
        #: Sockets whose TLS handshake is under way.
        self.pending_handshakes = 0
        #: CLIENT PAUSE: until when, by the wall clock (0: not paused); whether reads go on; the ids of
        #: the sessions that wait, in the order in which they go on.
        self.paused_until_ms = 0
        self.pause_writes_only = False
        self.paused_sessions: dict[int, bool] = {}
        #: Scripts and libraries that were loaded through this pool; nodes that have lost them get them again.
        self.script_registry = ScriptRegistry()
        for node in root.nodes():
            node.warmup.registries.append(self.script_registry)
            self.script_registry.asks_copies = self.script_registry.asks_copies or node.is_copy

    def count_command(self, spec: CommandSpec | None) -> None:
        """One more request; None: of no command that is known."""
        family = UNKNOWN_FAMILY if spec is None else spec.family
        self.family_counters[family].count += 1
        self.error_counts.current_family = family

    def translate_error(self, frame: bytes) -> bytes:
        """An error as clients of this pool get it, see `as_loading`."""
        return node_error_as_loading(frame) if self.node_errors_as_loading else frame

    def forget_commands_if_reconnected(self) -> None:
        """A node that has restarted may have commands that it did not have before."""
        handshakes = sum([node.handshakes for node in self.root.nodes()])
        if handshakes != self.handshakes_seen:
            self.handshakes_seen = handshakes
            self.commands.forget_unknown()
