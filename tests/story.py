"""Stories: a dialogue between clients, the proxy's pure core and nodes. No socket, no loop; time is an argument.

    story(ring("a", "b")) >> client("GET {a}1", "GET {b}2") << to("a", "GET {a}1") << to("b", "GET {b}2")
                          >> node("b", "$1 x") << silence()              # {a}1 is still owed
                          >> node("a", "$-1") << to_client("$-1", "$1 x")

``>>`` lets something happen, ``<<`` says what must come of it. Nothing may come of it that is not said:
the next ``>>`` (or `silence`) complains about what is left, and shows both sides.

The key ``{a}1`` lives on node ``a``: the rings of stories place by tags that are the nodes' names. Links
connect and greet by themselves, unless the story begins with ``shy=True``. Requests are written as words,
replies as tokens: ``+OK``, ``-ERR no``, ``:1``, ``$1 x``, ``$-1``, ``*2 $1 a :1``; or as raw bytes.
"""

from collections.abc import Callable

from kidoproxy.commands.acl import Acl
from kidoproxy.commands.command_set import CommandSet
from kidoproxy.replication.group import IN_SYNC, CopyGroup
from kidoproxy.replies.queue import ReplyQueue
from kidoproxy.replies.transport import Transport
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.requests import RequestLimits, RequestReader
from kidoproxy.routes.copy import CopyPool
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement.hashes import FNV1A_64, hash32
from kidoproxy.routes.placement.owners import Placement
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.session import cleanup
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.session import ClientSession
from kidoproxy.session.users import User, Users, password_digest
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from kidoproxy.upstream.server import Server
from kidoproxy.upstream.states import CONNECTING
from tests.greet import greet

Text = str | bytes
#: A link of a ring: (protocol, database). A node of a copy pool has only the first of these. Lanes are counted.
Way = tuple[int, int]
PLAIN: Way = (2, 0)
#: The first and the second lane to a node, in the order in which they were opened.
LANE: Way = (-1, 0)
LANE2: Way = (-2, 0)
TICK = 0.05
WALL_MS = 1_700_000_000_000


# -- words -----------------------------------------------------------------------------------------------


def request(text: Text) -> bytes:
    """The frame of a request written as words; bytes are a frame already."""
    if isinstance(text, bytes):
        return text
    return encode_request([word.encode() for word in text.split(" ")])


def frame(text: Text) -> bytes:
    """The frames of a reply written as tokens; bytes are a frame already."""
    if isinstance(text, bytes):
        return text
    if text[0] in "+-":
        return text.encode() + b"\r\n"
    tokens = text.split(" ")
    raw = b""
    while tokens:
        token = tokens.pop(0)
        raw += token.encode() + b"\r\n"
        if token[0] in "$=" and token != "$-1":
            payload = tokens.pop(0).encode()
            assert len(payload) == int(token[1:]), f"{token} is not the length of {payload!r}"
            raw += payload + b"\r\n"
    return raw


def frames(texts: tuple[Text, ...]) -> bytes:
    """Several replies, one behind the other."""
    return b"".join([frame(text) for text in texts])


def shown(raw: bytes) -> str:
    """Bytes for a person who reads a mismatch: one line of the protocol per line."""
    return "\n".join(["    " + repr(row[:200])[1:] for row in raw.splitlines(keepends=True)]) or "    (nothing)"


def requests(raw: bytes) -> list[bytes]:
    """What was written to a node, cut into requests."""
    reader = RequestReader(RequestLimits())
    reader.feed(raw)
    found: list[bytes] = []
    while True:
        one = reader.next()
        if one is None:
            assert not reader.buffered_bytes(), f"half a request was written: {raw[:200]!r}"
            return found
        found.append(one.raw)


# -- who takes part ------------------------------------------------------------------------------------------


class Pool:
    """A pool as a story begins with it: its nodes, its routes, and the facts about it."""

    def __init__(self, name: str, mode: str) -> None:
        self.name = name
        self.mode = mode
        self.nodes: list[Node] = []
        self.groups: list[CopyGroup] = []
        self.words = CommandSet(frozenset(), frozenset(), {})
        self.users = Users([])
        self.strict = False
        self.soft = False
        self.as_loading = False
        self.route: Route | None = None

    def add(self, name: str) -> Node:
        """A node of this pool; names are one letter, the letter is its place."""
        node = Node(0, name, f"{name}:6379", ord(name) - ord("a") + 1)
        self.nodes.append(node)
        return node

    def adopt(self, member: "str | Pool") -> Route:
        """A member's route; its nodes are ours too."""
        if isinstance(member, str):
            return NodeRoute(self.add(member))
        self.nodes += member.nodes
        self.groups += member.groups
        assert member.route is not None
        return member.route


def ring(
    *members: "str | Pool",
    strict: bool = False,
    soft: bool = False,
    password: bytes = b"",
    words: CommandSet | None = None,
) -> Pool:
    """A ring; the key ``{a}…`` lives on its member ``a``."""
    pool = Pool("cache", "ring")
    pool.strict = strict
    pool.soft = soft
    if password:
        pool.users = only_default(password)
    pool.words = words or pool.words
    names = [member if isinstance(member, str) else member.name for member in members]
    spots = sorted((int(hash32(name.encode(), FNV1A_64)), at) for at, name in enumerate(names))
    placement = Placement([spot for spot, _ in spots], [at for _, at in spots], FNV1A_64, len(names))
    pool.route = Ring(pool.name, [pool.adopt(member) for member in members], placement, Tags(123, 125, []))
    return pool


def only_default(password: bytes) -> Users:
    """The default user, who must say this password."""
    return Users([User(b"default", Acl(), True, False, [password_digest(password)])])


def copies(*names: str, behind: str = "", min_in_sync: int = 1, elected: bool = True, name: str = "pair") -> Pool:
    """A copy pool whose copies are all in sync, but for those named in ``behind``."""
    pool = Pool(name, "copy")
    for letter in names:
        pool.add(letter)
    group = CopyGroup(name, pool.nodes, min_in_sync)
    pool.groups.append(group)
    if elected:
        group.elected = True
        for copy in group.copies:
            if copy.node.name not in behind:
                copy.state = IN_SYNC
    pool.route = CopyPool(name, group)
    return pool


def led_by(pool: Pool, name: str, number: int = 1) -> str:
    """A key of a copy pool whose leader is the node ``name``; another one for each ``number``."""
    found = 0
    for at in range(1000):
        leader = pool.groups[0].ranked_copies(b"k%d" % at)[0]
        found += leader.node.name == name
        if found == number:
            return f"k{at}"
    raise AssertionError(f"no key led by {name}")


class Guest:
    """One client: what it was sent and has not been told of yet."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        #: Compiled classes cannot be derived from here, so a bare one marks whose ledger it is.
        self.mark = Transport()
        session.replies.transport = self.mark
        self.heard = b""
        self.closed = False
        #: Nobody reads what it is told, as `ClientIO.write_nowhere` has it.
        self.gone = False


class Told:
    """A request as it was written to a node."""

    def __init__(self, way: Way, raw: bytes, conn: NodeConnection | None = None) -> None:
        self.way = way
        self.raw = raw
        #: The connection, where `way` cannot say which: a sync has some of its own.
        self.link = conn


# -- the story -------------------------------------------------------------------------------------------------

Event = Callable[["Story"], None]


class Story:
    """Plays the part of the network around the core."""

    def __init__(self, pool: Pool, shy: bool = False, logins: ConnectionOptions | None = None) -> None:
        self.pool = pool
        self.shy = shy
        for at, node in enumerate(pool.nodes):
            node.node_id = at
        for group in pool.groups:
            group.placement_id = group.copies[0].node.node_id
        self.exchange = Executor([Server(node, logins or ConnectionOptions()) for node in pool.nodes])
        self.exchange.now = 100.0
        self.house = ProxyState(self.exchange)
        self.house.clock.ms = WALL_MS
        assert pool.route is not None
        self.facts = PoolContext(pool.name, pool.mode, pool.route, pool.words)
        self.facts.users = pool.users
        self.facts.strict_transactions = pool.strict
        self.facts.miss_on_failure = pool.soft
        self.facts.as_loading = pool.as_loading
        self.house.contexts.append(self.facts)
        self.house.copy_groups = pool.groups
        self.guests: dict[str, Guest] = {}
        self.told: dict[str, list[Told]] = {node.name: [] for node in pool.nodes}
        self.run_ids: dict[str, str] = {node.name: f"{node.name}-first" for node in pool.nodes}
        #: Every lane that was ever opened, by node.
        self.lanes: dict[str, list[NodeConnection]] = {node.name: [] for node in pool.nodes}
        #: Called at every tick, with the time: keepers.
        self.ticking: list[Callable[[float], None]] = []
        #: Sockets that the links gave up.
        self.dropped = 0

    def __rshift__(self, event: Event) -> "Story":
        """Something happens; all that came of what happened before must have been said."""
        self.settle()
        self.nothing_left()
        event(self)
        self.settle()
        return self

    def __lshift__(self, expectation: Event) -> "Story":
        """Something must have come of it."""
        self.settle()
        expectation(self)
        return self

    # -- as the net does it -------------------------------------------------------------------------------

    def settle(self) -> None:
        """The ends of turns, until nothing is to be done."""
        executor = self.exchange
        turn = executor.pending_writes
        while turn.drained or executor.dirty_connections or turn.reply_queues or turn.jobs.queue:
            turn.spent_units = 0
            turn.jobs.step_all(lambda: False)
            drained = turn.drained
            turn.drained = []
            for replies in drained:
                guest = self.guest_of(replies)
                guest.session.resume()
                guest.closed = guest.closed or (guest.session.closing and not replies.open_count())
            conns = executor.dirty_connections[:]
            executor.dirty_connections.clear()
            for conn in conns:
                self.look_after(conn)
            ledgers = turn.reply_queues
            turn.reply_queues = []
            for replies in ledgers:
                guest = self.guest_of(replies)
                heard = b"".join(replies.take_output())
                guest.closed = (
                    guest.gone
                    or bool(replies.disconnect_reason)
                    or (guest.session.closing and not replies.open_count())
                )
                if not guest.gone:
                    guest.heard += heard
                elif guest.session.closing:
                    guest.session.on_disconnect()

    def guest_of(self, replies: ReplyQueue) -> Guest:
        """Whose ledger it is."""
        return next(guest for guest in self.guests.values() if guest.mark is replies.transport)

    def look_after(self, conn: NodeConnection) -> None:
        """Write what is there; open and close sockets."""
        conn.flush_scheduled = False
        if conn.must_close:
            conn.must_close = False
            conn.transport = None
            self.dropped += 1
        if conn.transport is not None:
            way = self.way_of(conn)
            for raw in requests(b"".join(conn.take_output())):
                self.told[conn.node.name].append(Told(way, raw, conn))
        elif conn.state == CONNECTING:
            if conn.dedicated and conn not in self.lanes[conn.node.name]:
                self.lanes[conn.node.name].append(conn)
            if not self.shy:
                self.connect(conn)
                self.greet(conn)

    def way_of(self, conn: NodeConnection) -> Way:
        """How stories call this link."""
        if conn.dedicated:
            return (-1 - self.lanes[conn.node.name].index(conn), 0)
        return (conn.base_proto, conn.base_db)

    def connect(self, conn: NodeConnection) -> None:
        """The socket is there."""
        conn.transport = Transport()
        conn.on_connected(self.exchange.now, 1.0)

    def greet(self, conn: NodeConnection) -> None:
        """The node answers the greeting as a good one does."""
        number = 100 - self.way_of(conn)[0] if conn.dedicated else 1
        conn.feed(greet(conn, self.info(conn.node.name), number), self.exchange.now)
        if not conn.flush_scheduled:
            conn.schedule_flush()

    def info(self, name: str) -> bytes:
        """INFO server of a node."""
        return f"redis_version:7.2.4\r\nrun_id:{self.run_ids[name]}\r\nuptime_in_seconds:9\r\n".encode()

    # -- looking things up ----------------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.pool.nodes if node.name == name)

    def link(self, name: str, on: Way = PLAIN) -> NodeConnection:
        """Its link for (protocol, database), or one of its lanes."""
        if on[0] < 0:
            return self.lanes[name][-1 - on[0]]
        return self.exchange.connection(self.node(name), on[0], on[1])

    def guest(self, name: str) -> Guest:
        """The client of that name; it connects when it is first spoken of."""
        if name not in self.guests:
            session = ClientSession(self.house, self.facts, f"{name}:1", "proxy:6379")
            self.guests[name] = Guest(session)
        return self.guests[name]

    def nothing_left(self) -> None:
        """Nobody was told anything that the story does not say."""
        for name, told in self.told.items():
            assert not told, f"node {name} was asked, and the story does not say so:\n" + "\n".join(
                [shown(one.raw) for one in told]
            )
        for name, guest in self.guests.items():
            assert not guest.heard, f"client {name} was told, and the story does not say so:\n{shown(guest.heard)}"


story = Story


# -- events ------------------------------------------------------------------------------------------------------


def client(*texts: Text, name: str = "me") -> Event:
    """The client sends these requests, in one go."""

    def event(play: Story) -> None:
        play.guest(name).session.feed(b"".join([request(text) for text in texts]))

    return event


def node(name: str, *replies: Text, on: Way = PLAIN) -> Event:
    """The node sends these replies."""

    def event(play: Story) -> None:
        play.link(name, on).feed(frames(replies), play.exchange.now)

    return event


def lost(name: str, cause: str = "it closed the connection", on: Way = PLAIN) -> Event:
    """The node's socket is closed by somebody else."""

    def event(play: Story) -> None:
        conn = play.link(name, on)
        conn.transport = None
        conn.on_connection_lost(cause, play.exchange.now, False)

    return event


def refused(name: str, cause: str = "connection refused", on: Way = PLAIN) -> Event:
    """An attempt to connect has failed (in a shy story), or a link is lost and so is the attempt that follows."""

    def event(play: Story) -> None:
        conn = play.link(name, on)
        conn.transport = None
        conn.on_connection_lost(cause, play.exchange.now, True)

    return event


def accepted(name: str, on: Way = PLAIN) -> Event:
    """In a shy story: the node accepts the connection; the link greets."""

    def event(play: Story) -> None:
        play.connect(play.link(name, on))

    return event


def greeted(name: str, on: Way = PLAIN) -> Event:
    """In a shy story: the node accepts the connection and answers the greeting."""

    def event(play: Story) -> None:
        play.connect(play.link(name, on))
        play.greet(play.link(name, on))

    return event


def restarted(name: str, on: Way = PLAIN) -> Event:
    """The node goes and comes back as another run."""

    def event(play: Story) -> None:
        play.run_ids[name] += "-again"
        lost(name, on=on)(play)

    return event


def tick(seconds: float = TICK) -> Event:
    """Time goes by."""

    def event(play: Story) -> None:
        end = play.exchange.now + seconds
        while play.exchange.now < end - 1e-9:
            now = min(end, play.exchange.now + TICK)
            play.house.clock.ms += round((now - play.exchange.now) * 1000)
            play.exchange.tick(now)
            play.house.tick()
            for one in play.ticking:
                one(now)
            play.settle()

    return event


def gone(name: str = "me") -> Event:
    """The client is gone: what has come whole is still run, but nobody hears of it."""

    def event(play: Story) -> None:
        guest = play.guest(name)
        guest.gone = guest.closed = True
        cleanup.on_eof(guest.session)
        if guest.session.closing:
            guest.session.on_disconnect()

    return event


def half_closed(name: str = "me") -> Event:
    """The client sends nothing more, and still reads."""

    def event(play: Story) -> None:
        cleanup.on_eof(play.guest(name).session)

    return event


def given(act: Event) -> Event:
    """Anything else that happens."""
    return act


def unheard(play: Story) -> None:
    """What has been said so far does not matter here."""
    for told in play.told.values():
        told.clear()
    for guest in play.guests.values():
        guest.heard = b""


# -- expectations ----------------------------------------------------------------------------------------------------


def to(name: str, *texts: Text, on: Way = PLAIN) -> Event:
    """These requests were written to the node, in this order."""

    def expectation(play: Story) -> None:
        told = play.told[name]
        wanted = [(on, request(text)) for text in texts]
        was = [(one.way, one.raw) for one in told[: len(wanted)]]
        assert was == wanted, "\n".join(
            [f"node {name} was to be asked, on {on}:"]
            + [shown(raw) for _, raw in wanted]
            + ["  but was asked:"]
            + [f"  on {way}:\n{shown(raw)}" for way, raw in was]
        )
        del told[: len(wanted)]

    return expectation


def to_client(*replies: Text, name: str = "me") -> Event:
    """The client was sent exactly these bytes."""

    def expectation(play: Story) -> None:
        guest = play.guest(name)
        wanted = frames(replies)
        was, guest.heard = guest.heard, b""
        assert was == wanted, f"client {name} was to be told:\n{shown(wanted)}\n  but was told:\n{shown(was)}"

    return expectation


def leased(play: Story) -> list[int]:
    """How many dedicated connections sessions have, by node."""
    return [server.leased for server in play.exchange.servers]


def silence() -> Event:
    """Nobody was told anything more."""
    return Story.nothing_left


def closed(name: str = "me") -> Event:
    """The client's socket is closed now."""

    def expectation(play: Story) -> None:
        assert play.guest(name).closed, f"client {name} is still connected"

    return expectation


def open_still(name: str = "me") -> Event:
    """The client's socket is not closed."""

    def expectation(play: Story) -> None:
        assert not play.guest(name).closed, f"client {name} has been cut"

    return expectation


def then(check: Callable[[Story], bool]) -> Event:
    """A fact about the proxy that must hold."""

    def expectation(play: Story) -> None:
        assert check(play)

    return expectation
