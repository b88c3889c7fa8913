"""What all sessions share: the pools they may belong to, the exchange, and the list of sessions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from kidoproxy.commands.vocabulary import Vocabulary
from kidoproxy.exchange import Exchange
from kidoproxy.routes.book import Book
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import CopyGroup, Node

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession


@final
class PoolFacts:
    """One listening pool as its sessions see it. ``password`` is empty when none is asked for."""

    def __init__(self, name: str, mode: str, root: Route, words: Vocabulary) -> None:
        self.name = name
        self.mode = mode
        self.root = root
        self.words = words
        self.password = b""
        self.databases = 16
        #: The routes, or a pool that misses softly, look at all arguments: large requests are not left folded.
        self.thorough = root.needs_arguments()
        #: Transactions that span nodes are refused when a command is queued.
        self.strict = False
        #: A node that gives no reply is a miss (``on_down = "miss"``).
        self.soft = False
        self.bulk_bytes = 512 * 1024 * 1024
        self.query_bytes = 1024 * 1024 * 1024
        self.output_bytes = 1024 * 1024 * 1024
        self.max_clients = 10_000
        self.idle_seconds = 0
        self.clients = 0
        #: What was loaded through this pool is taught to its nodes again when they have lost it.
        self.book = Book()
        for node in root.nodes():
            node.school.books.append(self.book)


@final
class House:
    """Shared by all sessions of one process. ``wall_ms`` is the wall clock, set once per batch by the net."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.pools: list[PoolFacts] = []
        self.sessions: dict[int, ClientSession] = {}
        self.last_id = 0
        self.wall_ms = 0
        self.started_ms = 0
        self.version = ""
        self.build = ""
        self.pid = 0
        self.config_file = ""
        self.run_id = b"0" * 40
        self.connections = 0
        self.rejected = 0
        self.cut_clients = 0
        self.draining = False
        self.groups: list[CopyGroup] = []
        self.max_clients = 10_000
        self.commands = 0
        self.errors = 0
        self.split_transactions = 0
        self.bytes_in = 0
        self.bytes_out = 0
        #: Begins a sync of the node; answers with the error sentence, or "" when it has begun.
        self.begin_sync: Callable[[Node], str] | None = None
        #: One line per running or finished sync: node name -> what it is doing.
        self.syncs: dict[str, str] = {}

    def next_id(self) -> int:
        """A client id: they grow and are never used again."""
        self.last_id += 1
        return self.last_id
