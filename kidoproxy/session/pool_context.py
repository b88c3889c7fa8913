"""One listening pool as its sessions see it."""

from typing import final

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.replies.queue import ReplyQueue
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
        self.paused_sessions: dict[int, ReplyQueue] = {}
        #: What was loaded through this pool is taught to its nodes again when they have lost it.
        self.script_registry = ScriptRegistry()
        for node in root.nodes():
            node.warmup.registries.append(self.script_registry)

    def translate_error(self, frame: bytes) -> bytes:
        """An error as clients of this pool want to hear it."""
        return node_error_as_loading(frame) if self.as_loading else frame

    def forget_commands_if_reconnected(self) -> None:
        """A node that has come back may know commands that it did not know before."""
        handshakes = sum([node.handshakes for node in self.root.nodes()])
        if handshakes != self.handshakes_seen:
            self.handshakes_seen = handshakes
            self.commands.forget_unknown()
