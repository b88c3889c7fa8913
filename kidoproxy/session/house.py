"""What all sessions share: the pools they may belong to, the exchange, and the list of sessions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from kidoproxy import limits
from kidoproxy.channels.switchboard import Switchboard
from kidoproxy.commands.vocabulary import Vocabulary
from kidoproxy.errors_loading import retryable
from kidoproxy.exchange import Exchange
from kidoproxy.exchange_lanes import Lanes
from kidoproxy.ledger_account import CUTS
from kidoproxy.ledger_jobs import Turns
from kidoproxy.routes.book import Book
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import CopyGroup, Node
from kidoproxy.session.client import is_blocked
from kidoproxy.session.incidents import Incidents
from kidoproxy.session.users import Users

if TYPE_CHECKING:
    from kidoproxy.session.conversation import ClientSession
    from kidoproxy.session.lanes import Monitor

#: What CLIENT REPLY has said: answer everything, nothing, or not the next one.
REPLY_ON: Final = 0
REPLY_OFF: Final = 1
REPLY_SKIP: Final = 2


@final
class PoolFacts:
    """One listening pool as its sessions see it."""

    def __init__(self, name: str, mode: str, root: Route, words: Vocabulary) -> None:
        self.name = name
        self.mode = mode
        self.root = root
        self.words = words
        self.users = Users([])
        self.databases = 16
        #: The routes, or a pool that misses softly, look at all arguments: large requests are not left folded.
        self.thorough = root.needs_arguments()
        #: Transactions that span nodes are refused when a command is queued.
        self.strict = False
        #: A node that gives no reply is a miss (``on_down = "miss"``).
        self.soft = False
        #: Clients hear what is a node's fault behind LOADING (``node_errors = "retry"``).
        self.as_loading = False
        self.bulk_bytes = 512 * 1024 * 1024
        self.query_bytes = 1024 * 1024 * 1024
        self.output_bytes = 1024 * 1024 * 1024
        #: The same for clients that have subscribed.
        self.pubsub_output_bytes = limits.PUBSUB_OUTPUT_BYTES
        self.max_clients = 10_000
        self.idle_seconds = 0
        #: How often its nodes have been greeted.
        self.met = 0
        self.clients = 0
        #: CLIENT PAUSE: until when, by the wall clock (0: not paused); whether reads go on; who waits for its end.
        self.paused_until = 0
        self.only_writes = False
        self.held: dict[int, ClientSession] = {}
        #: What was loaded through this pool is taught to its nodes again when they have lost it.
        self.book = Book()
        for node in root.nodes():
            node.school.books.append(self.book)

    def told(self, frame: bytes) -> bytes:
        """An error as clients of this pool want to hear it."""
        return retryable(frame) if self.as_loading else frame

    def settle(self, house: "House") -> None:
        """Tell all sessions of the pool that something has changed for them."""
        for session in house.sessions.values():
            if session.pool is self:
                session.settle()

    def notice_newcomers(self) -> None:
        """A node that has come back may know commands that it did not know before."""
        met = sum([node.met for node in self.root.nodes()])
        if met != self.met:
            self.met = met
            self.words.forget()

    def unpause(self, house: "House") -> None:
        """Everybody goes on."""
        self.paused_until = 0
        self.only_writes = False
        self.settle(house)
        held = self.held
        self.held = {}
        for session in held.values():
            session.wake()


@final
class House:
    """Shared by all sessions of one process. ``wall_ms`` is the wall clock, set once per batch by the net."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.lanes = Lanes(exchange)
        self.monitors: list[Monitor] = []
        self.pools: list[PoolFacts] = []
        self.sessions: dict[int, ClientSession] = {}
        #: By the pool's name; a pool whose clients never subscribe or publish has none.
        self.boards: dict[str, Switchboard] = {}
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
        #: Clients that were cut, by the reason.
        self.cuts: dict[str, int] = dict.fromkeys(CUTS, 0)
        self.draining = False
        self.groups: list[CopyGroup] = []
        self.max_clients = 10_000
        self.files = 1_000_000_000
        self.commands = 0
        self.errors = 0
        self.split_transactions = 0
        #: Logins that were refused.
        self.auth_failures = 0
        self.incidents = Incidents()
        self.bytes_in = 0
        self.bytes_out = 0
        #: How long the loop's turns were.
        self.turns = Turns()
        #: So many bytes that nobody can guess; None where there is no source of them.
        self.chance: Callable[[int], bytes] | None = None
        #: Begins a sync of the node; answers with the error sentence, or "" when it has begun.
        self.begin_sync: Callable[[Node], str] | None = None
        #: PROXY SYNC with a word behind the name: why not (or empty), and lines for a person.
        self.order_copy: Callable[[Node, str], tuple[str, list[str]]] | None = None
        #: One line per running or finished sync, by the index of the node: names are unique in one pool only.
        self.syncs: dict[int, str] = {}

    def limit_files(self, files: int) -> None:
        """So many sockets there may be of clients and lanes together."""
        self.files = files
        self.max_clients = min(self.max_clients, files)
        self.lanes.has_room = self.has_room

    def has_room(self) -> bool:
        """Whether one more socket may be opened, for a client or for a lane: what is left belongs to the nodes."""
        return len(self.sessions) + len(self.exchange.others) < self.files

    def blocked(self, pool: PoolFacts) -> int:
        """How many clients of the pool wait, in a command or for the end of CLIENT PAUSE."""
        return len([session for session in self.sessions.values() if session.pool is pool and is_blocked(session)])

    def tick(self) -> None:
        """A few times a second: lanes that are not needed, streams that have lost a node, pauses that are over."""
        self.lanes.tick(self.exchange.now)
        for monitor in self.monitors:
            monitor.listen()
        for pool in self.pools:
            pool.notice_newcomers()
            if pool.paused_until and self.wall_ms >= pool.paused_until:
                pool.unpause(self)

    def board(self, pool: PoolFacts) -> Switchboard:
        """The switchboard of this pool."""
        board = self.boards.get(pool.name)
        if board is None:
            board = Switchboard(self.exchange, pool.root)
            self.boards[pool.name] = board
        return board

    def delivered(self) -> int:
        """Messages that subscribers were sent."""
        return sum([board.delivered for board in self.boards.values()])

    def next_id(self) -> int:
        """A client id: they grow and are never used again."""
        self.last_id += 1
        return self.last_id
