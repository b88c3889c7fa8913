"""A crowd: several clients who say anything, and nodes that answer, fall silent, die and come back, as chance has it.

The nodes are toys that keep for each connection what a server keeps: the transaction, the watched keys, whether it
blocks. Their replies name the key that was asked for, so that a reply at the wrong place is seen.
"""

from collections.abc import Callable
from typing import Final

from kidoproxy.resp.decode import is_error, is_null, items
from kidoproxy.resp.decode import string_value as text
from kidoproxy.resp.encode import (
    OK,
    PONG,
    QUEUED,
    array,
    bulk,
    encode_request,
    error,
    integer,
    mapping,
    null,
    null_array,
)
from kidoproxy.resp.replies import ReplyReader
from kidoproxy.session import cleanup
from kidoproxy.session.handlers.blocking import Monitor
from kidoproxy.session.mode import BLOCKED, CLOSING, PAUSED, READY
from kidoproxy.session.session import ClientSession
from kidoproxy.session.watches import DedicatedWatch
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.handlers import NO_DEADLINE
from kidoproxy.upstream.states import CONNECTING, DOWN
from tests import accounts
from tests.greet import GREETING, LANE_GREETING
from tests.story import Pool, Story, tick

BLOCKING: Final = (b"BLPOP", b"BLMOVE", b"BZPOPMIN", b"WAIT")
UNBLOCK: Final = [b"CLIENT", b"UNBLOCK"]
#: The words with which an error may begin here.
WORDS: Final = (
    b"ERR NODEDOWN TIMEOUT PARTIAL CROSSSLOT NOREPLICAS BEHIND EXECABORT UNBLOCKED NOPROTO WRONGPASS NOAUTH LOADING"
).split()


def blocks(argv: list[bytes]) -> bool:
    """Whether a server may keep its client waiting."""
    return argv[0] in BLOCKING or (argv[0] in (b"XREAD", b"XREADGROUP") and b"BLOCK" in argv)


def streams(argv: list[bytes]) -> list[bytes]:
    """The keys of an XREAD."""
    rest = argv[argv.index(b"STREAMS") + 1 :]
    return rest[: len(rest) // 2]


# -- nodes ---------------------------------------------------------------------------------------------------


class Connection:
    """What a server knows of one connection."""

    def __init__(self, number: int, conn: NodeConnection) -> None:
        self.number = number
        self.link = conn
        self.peer = conn.transport
        self.proto = 2
        self.db = 0
        self.unread: list[bytes] = []
        self.queue: list[list[bytes]] | None = None
        self.watched: dict[tuple[int, bytes], int] = {}
        self.blocked: list[bytes] | None = None
        self.monitor = False

    def lives(self) -> bool:
        """Whether the proxy still has it."""
        return self.peer is not None and self.link.transport is self.peer and not self.link.must_close


class Server:
    """One node."""

    def __init__(self, crowd: "Crowd", name: str) -> None:
        self.crowd = crowd
        self.name = name
        self.up = True
        self.silent = False
        self.versions: dict[tuple[int, bytes], int] = {}
        self.connections: list[Connection] = []
        self.last = 100

    def of(self, conn: NodeConnection) -> Connection:
        """The connection behind this link."""
        for one in self.connections:
            if one.link is conn and one.peer is conn.transport:
                return one
        self.last += 1
        self.connections.append(Connection(self.last, conn))
        return self.connections[-1]

    def sweep(self) -> None:
        """Forget what the proxy has closed."""
        self.connections = [one for one in self.connections if one.lives()]

    def lost(self, hopeless: bool = False) -> None:
        """All connections die."""
        for one in self.connections:
            if one.lives():
                self.crowd.cut(one.link, hopeless)
        self.sweep()

    def step(self, at: int) -> None:
        """One connection's next request is read and, unless it blocks, answered."""
        self.sweep()
        ready = [one for one in self.connections if one.unread and one.blocked is None]
        if self.silent or not ready:
            return
        self.read(ready[at % len(ready)])

    def read(self, one: Connection) -> None:
        """The next request of a connection is read and, unless it blocks, answered."""
        argv = [text(word) for word in items(one.unread.pop(0))]
        raw = self.answer(one, argv)
        if raw:
            self.say(one, raw)

    def say(self, one: Connection, raw: bytes) -> None:
        """Bytes to the proxy."""
        if one.lives():
            one.link.feed(raw, self.crowd.play.exchange.now)

    def serve(self, at: int, full: bool) -> None:
        """Something comes for a connection that blocks, or its time is over."""
        self.sweep()
        waiting = [one for one in self.connections if one.blocked is not None]
        if self.silent or not waiting:
            return
        one = waiting[at % len(waiting)]
        argv, one.blocked = one.blocked, None
        assert argv is not None
        self.say(one, self.found(one, argv) if full else self.nothing(one, argv))

    def nothing(self, one: Connection, argv: list[bytes]) -> bytes:
        """The time is over."""
        return integer(0) if argv[0] == b"WAIT" else null_array(one.proto)

    def found(self, one: Connection, argv: list[bytes]) -> bytes:
        """Something has come."""
        name, key = argv[0], argv[1]
        if name == b"WAIT":
            return integer(1)
        if name == b"BLMOVE":
            return bulk(key)
        if name in (b"XREAD", b"XREADGROUP"):
            key = streams(argv)[0]
            entries = array([array([bulk(b"1-1"), array([bulk(b"f"), bulk(b"v")])])])
            return mapping(3, [bulk(key), entries]) if one.proto == 3 else array([array([bulk(key), entries])])
        return array([bulk(key), bulk(b"x"), bulk(b"1")][: 3 if name == b"BZPOPMIN" else 2])

    def answer(self, one: Connection, argv: list[bytes]) -> bytes:
        """The reply to one request; empty when it begins to block."""
        name = argv[0]
        if name in (b"EXEC", b"MULTI", b"WATCH") or (name == b"UNWATCH" and one.queue is None):
            return self.transact(one, argv)
        if one.queue is not None:
            one.queue.append(argv)
            return QUEUED
        if blocks(argv):
            assert one.link.dedicated, f"a link that others share would block: {argv}"
            one.blocked = argv
            return b""
        return self.run(one, argv)

    def transact(self, one: Connection, argv: list[bytes]) -> bytes:
        """MULTI, EXEC, WATCH, UNWATCH."""
        name = argv[0]
        if name == b"MULTI":
            assert one.queue is None
            one.queue = []
        elif name == b"EXEC":
            queue, one.queue = one.queue, None
            watched, one.watched = one.watched, {}
            assert queue is not None
            if any(self.versions.get(key, 0) != version for key, version in watched.items()):
                return null_array(one.proto)
            return array([self.nothing(one, argv) if blocks(argv) else self.run(one, argv) for argv in queue])
        elif name == b"WATCH":
            assert one.link.dedicated, "a link that others share would watch"
            for key in argv[1:]:
                one.watched.setdefault((one.db, key), self.versions.get((one.db, key), 0))
        else:
            one.watched = {}
        return OK

    def run(self, one: Connection, argv: list[bytes]) -> bytes:
        """Do it."""
        name = argv[0]
        if name in (b"SELECT", b"HELLO"):
            one.db = int(argv[1]) if name == b"SELECT" else one.db
            one.proto = int(argv[1]) if name == b"HELLO" else one.proto
            return OK if name == b"SELECT" else mapping(one.proto, [bulk(b"proto"), integer(one.proto)])
        if name == b"GET":
            version = self.versions.get((one.db, argv[1]), 0)
            return bulk(argv[1]) if version else null(one.proto)
        if name == b"SET":
            self.versions[one.db, argv[1]] = self.versions.get((one.db, argv[1]), 0) + 1
            return OK
        if name == b"MGET":
            return array([self.run(one, [b"GET", key]) for key in argv[1:]])
        if name == b"CLIENT":
            return integer(one.number) if argv[1] == b"ID" else self.unblock(int(argv[2]), argv[3])
        if name == b"MONITOR":
            assert one.link.dedicated, "a link that others share would become a stream"
            one.monitor = True
            return OK
        return self.fact(argv, one.proto)

    def fact(self, argv: list[bytes], proto: int) -> bytes:
        """What the proxy itself asks for, and what is not there."""
        if argv[0] == b"INFO":
            return bulk(self.crowd.play.info(self.name))
        if argv[0] == b"PING":
            return bulk(argv[1]) if len(argv) > 1 else PONG
        if argv[0] == b"UNWATCH":
            return OK
        if argv[0] in (b"XREAD", b"XREADGROUP"):
            return null_array(proto)
        return integer(-1) if argv[0] == b"PTTL" else integer(0)

    def unblock(self, number: int, reason: bytes) -> bytes:
        """CLIENT UNBLOCK."""
        self.sweep()
        for one in self.connections:
            if one.number == number and one.blocked is not None:
                argv, one.blocked = one.blocked, None
                self.crowd.may_be_unblocked(argv)
                self.say(
                    one, self.nothing(one, argv) if reason == b"TIMEOUT" else error(b"UNBLOCKED by CLIENT UNBLOCK")
                )
                return integer(1)
        return integer(0)


# -- clients -----------------------------------------------------------------------------------------------------


class Speaker:
    """One client: what it has said, and which of that has to be answered."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.owed: list[list[bytes]] = []
        self.reader = ReplyReader()
        self.queued: list[list[bytes]] = []
        self.multi = False
        self.monitor = False
        self.quiet = False
        self.skip = False
        self.ended = False
        self.killed = False
        #: What it waits for is to be unblocked, for so it was told to the proxy; or may be at any time.
        self.to_unblock = False
        self.may_be_unblocked = False
        #: The numbers of those that the proxy has unblocked for this one.
        self.has_unblocked: list[bytes] = []

    def says(self, argv: list[bytes]) -> None:
        """Note what must come of it."""
        name = b" ".join(argv[:2]).upper()
        silent = self.quiet or self.skip
        self.skip = False
        if argv[0] == b"RESET":
            silent = silent and not self.quiet
            self.quiet = self.multi = self.monitor = False
        elif name == b"CLIENT REPLY" and not self.multi:
            self.quiet = argv[2] == b"OFF" or (self.quiet and argv[2] == b"SKIP")
            self.skip = argv[2] == b"SKIP" and not self.quiet
            silent = argv[2] != b"ON"
        elif argv[0] == b"MULTI":
            self.multi = True
        elif argv[0] in (b"EXEC", b"DISCARD"):
            self.multi = False
        elif argv[0] == b"QUIT":
            self.ended = True
        if not silent:
            self.owed.append(argv)

    def hear(self, raw: bytes) -> None:
        """Each reply must be one to what was asked, in this order."""
        self.reader.feed(raw)
        while (reply := self.reader.next()) is not None:
            if reply.startswith(b"+line "):
                continue
            assert self.owed, f"{self.name} was told what it has not asked for: {reply!r}"
            asked = self.owed.pop(0)
            self.to_unblock = self.to_unblock and not blocks(asked)
            if asked[:2] == UNBLOCK and reply == integer(1):
                self.has_unblocked.append(asked[2])
            assert self.fits(asked, reply), f"{self.name} has asked {asked} and was told {reply!r}"
        assert not self.reader.held_bytes()

    def fits(self, argv: list[bytes], raw: bytes) -> bool:
        """Whether this may be said to that."""
        name = argv[0]
        queued: list[list[bytes]] = []
        if name in (b"EXEC", b"DISCARD", b"RESET") or (name == b"MULTI" and raw == OK):
            queued, self.queued = self.queued, []
        if is_error(raw):
            return raw[1:].split(b" ")[0].strip() in WORDS
        if raw == QUEUED:
            self.queued.append(argv)
            return name not in (b"MULTI", b"EXEC", b"DISCARD", b"RESET", b"QUIT", b"WATCH")
        if name == b"EXEC":
            return is_null(raw) or all(self.fits(*both) for both in zip(queued, items(raw), strict=True))
        return fits(argv, raw)


def fits(argv: list[bytes], raw: bytes) -> bool:
    """Whether a reply that is no error is one to this request."""
    name, proto = argv[0], 3 if raw == b"_\r\n" else 2
    if name in (b"GET", b"BLMOVE"):
        return is_null(raw) or raw == bulk(argv[1])
    if name == b"MGET":
        return all(is_null(one) or one == bulk(key) for key, one in zip(argv[1:], items(raw), strict=True))
    if name in (b"BLPOP", b"BZPOPMIN"):
        return raw == null_array(proto) or items(raw)[0] == bulk(argv[1])
    if name in (b"XREAD", b"XREADGROUP"):
        flat = [] if raw == null_array(proto) else items(raw)
        names = flat[::2] if raw[:1] == b"%" else [items(pair)[0] for pair in flat]
        return all(text(one) in streams(argv) for one in names)
    if name == b"PING":
        return raw == bulk(argv[1])
    if name == b"RESET":
        return raw == b"+RESET\r\n"
    if name in (b"SET", b"WATCH", b"UNWATCH", b"MULTI", b"DISCARD", b"SELECT", b"QUIT", b"MONITOR"):
        return raw == OK
    return raw[:1] in ((b":",) if name == b"WAIT" else (b":", b"+", b"*", b"%", b"$", b"="))


# -- all of them ---------------------------------------------------------------------------------------------------


class Crowd:
    """A story in which anything may happen, and what must hold at any moment of it."""

    def __init__(self, pool: Pool, count: int = 3) -> None:
        self.play = Story(pool, shy=True)
        self.servers = {node.name: Server(self, node.name) for node in pool.nodes}
        self.speakers = [Speaker(f"c{at}") for at in range(count)]
        for speaker in self.speakers:
            self.play.guest(speaker.name)

    def get_to_know(self) -> None:
        """Each node is connected, and has an idle lane."""
        for node in self.play.pool.nodes:
            self.play.exchange.connection(node, 2, 0).start_connecting()
            self.play.house.dedicated_pool.acquire(node, 2, 0).connection.start_connecting()
        self.turn()
        self.connect()
        for name in self.servers:
            self.answer(name, 0, len(GREETING) + len(LANE_GREETING))
        for lease in list(self.play.house.dedicated_pool.leases.values()):
            lease.release()

    # -- what may happen

    def say(self, at: int, requests: list[str]) -> None:
        """A client says something; ``ME`` stands for its name, ``#0`` for the number of the first client."""
        speaker = self.speakers[at]
        if not speaker.ended:
            self.send(speaker, requests)

    def send(self, speaker: Speaker, requests: list[str]) -> None:
        """In one go."""
        said = b""
        for template in requests:
            if speaker.ended:
                break
            line = self.filled(template, speaker.name)
            argv = [word.encode() for word in line.split(" ")]
            if argv[0] == b"MONITOR" and not speaker.multi:
                # A second one is not answered.
                if speaker.monitor:
                    continue
                speaker.monitor = True
            self.notice(line)
            owed = len(speaker.owed)
            speaker.says(argv)
            if argv[:2] == UNBLOCK and (len(speaker.owed) == owed or speaker.multi):
                # Nobody will hear when that is done.
                self.numbered(argv[2]).may_be_unblocked = True
            said += encode_request(argv)
        self.play.guest(speaker.name).session.feed(said)
        self.turn()

    def filled(self, line: str, name: str) -> str:
        """The request that a template becomes."""
        for number, other in enumerate(self.speakers):
            line = line.replace(f"#{number}", str(self.play.guest(other.name).session.id))
        return line.replace("ME", name)

    def numbered(self, number: bytes) -> Speaker:
        """The client with this number."""
        play = self.play
        return next(one for one in self.speakers if b"%d" % play.guest(one.name).session.id == number)

    def notice(self, line: str) -> None:
        """Who may be killed from now on."""
        if line.startswith("CLIENT KILL ID "):
            self.numbered(line.split(" ")[-1].encode()).killed = True

    def may_be_unblocked(self, argv: list[bytes]) -> None:
        """Only who was to be unblocked is; streams of several nodes end each other's waiting."""
        asked = [line[2] for speaker in self.speakers for line in speaker.owed if line[:2] == UNBLOCK]
        meant = [self.numbered(number) for number in asked]
        meant += [one for one in self.speakers if one.to_unblock or one.may_be_unblocked or one.killed]
        is_meant = any(speaker.name.encode() in b" ".join(argv) for speaker in meant)
        assert is_meant or argv[0] in (b"XREAD", b"XREADGROUP", b"WAIT"), f"it was not meant: {argv}"

    def hang_up(self, at: int) -> None:
        """A client goes; what it has sent is still run, with nobody to hear of it."""
        session = self.half_close(at)
        self.play.guest(self.speakers[at].name).gone = True
        if session.closing and session.id in self.play.house.sessions:
            session.on_disconnect()
            assert session.blocked_request is None
            self.turn()

    def half_close(self, at: int) -> ClientSession:
        """A client sends nothing more, and hears what it is owed, unless it waits for it."""
        speaker = self.speakers[at]
        session = self.play.guest(speaker.name).session
        if session.id in self.play.house.sessions:
            speaker.ended = speaker.killed = speaker.may_be_unblocked = True
            cleanup.on_eof(session)
            self.turn()
        return session

    def answer(self, name: str, at: int, count: int = 1) -> None:
        """A node answers some of what it has been asked."""
        for _ in range(count):
            self.servers[name].step(at)
            self.turn()

    def answer_lanes(self, name: str) -> None:
        """A node reads all that came on lanes, while what came on links that are shared waits."""
        server = self.servers[name]
        for one in server.connections[:]:
            while one.link.dedicated and one.unread and one.blocked is None and one.lives() and not server.silent:
                server.read(one)
                self.turn()

    def serve(self, name: str, at: int, full: bool) -> None:
        """Something comes for one who waits at a node, or its time is over."""
        self.servers[name].serve(at, full)
        self.turn()

    def line(self, name: str) -> None:
        """A node tells those who MONITOR it something."""
        server = self.servers[name]
        server.sweep()
        for one in server.connections:
            if one.monitor:
                server.say(one, b"+line of MONITOR\r\n")
        self.turn()

    def connect(self, count: int = 100) -> None:
        """Some of the connections that are wanted are made, or refused."""
        wanted = [
            conn for conn in self.play.exchange.all_connections() if conn.state == CONNECTING and conn.transport is None
        ]
        for conn in wanted[:count]:
            if self.servers[conn.node.name].up:
                self.play.connect(conn)
            elif conn.state == CONNECTING:
                conn.on_connection_lost("connection refused", self.play.exchange.now, True)
        self.turn()

    def cut(self, conn: NodeConnection, hopeless: bool = False) -> None:
        """One connection dies."""
        conn.transport = None
        conn.on_connection_lost("it closed the connection", self.play.exchange.now, hopeless)

    def cut_one(self, name: str, at: int) -> None:
        """One connection of a node dies, shared or not."""
        server = self.servers[name]
        server.sweep()
        if server.connections:
            self.cut(server.connections[at % len(server.connections)].link)
            self.turn()

    def harm(self, name: str, what: str) -> None:
        """A node dies, falls silent, comes back, or is another run."""
        server = self.servers[name]
        server.up = what != "down"
        server.silent = what == "silent"
        if what in ("down", "restart"):
            server.versions.clear()
            self.play.run_ids[name] += "+"
            server.lost()
        self.turn()

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        tick(seconds)(self.play)
        self.turn()

    # -- the end of each turn

    def turn(self) -> None:
        """All that is to be done is done; who was told something looks at it."""
        play = self.play
        play.settle()
        for name, told in play.told.items():
            for one in told:
                conn = play.link(name, one.way)
                self.servers[name].of(conn).unread.append(one.raw)
            told.clear()
        for speaker in self.speakers:
            guest = play.guest(speaker.name)
            heard, guest.heard = guest.heard, b""
            speaker.hear(heard)
            for number in speaker.has_unblocked:
                self.numbered(number).to_unblock = True
            speaker.has_unblocked.clear()
            if guest.closed and guest.session.id in play.house.sessions:
                speaker.ended = True
                guest.session.on_disconnect()
        self.check()

    def check(self) -> None:
        """What holds at any moment."""
        proxy = self.play.house
        for server in self.play.exchange.servers:
            lanes = [conn for conn in self.play.exchange.unshared_connections if conn.node is server.node]
            assert server.leased == len(lanes) - len(server.idle)
        for conn in self.owned():
            assert conn in self.play.exchange.unshared_connections or conn.state == DOWN
        assert all(number in proxy.sessions for number in self.play.facts.paused_sessions)
        for server in self.play.exchange.servers:
            for conn in server.idle:
                assert conn.push_handler is None
                assert conn.head == len(conn.reply_handlers)
                assert not conn.queue
        for speaker in self.speakers:
            self.check_session(speaker)
        for copy in [copy for group in self.play.pool.groups for copy in group.copies]:
            assert copy.unconfirmed >= 0
        accounts.check(proxy)

    def owned(self) -> list[NodeConnection]:
        """Every lane that somebody has, or that is kept; none of them twice."""
        found = [conn for server in self.play.exchange.servers for conn in server.idle]
        for session in self.play.house.sessions.values():
            watched = session.watch
            if isinstance(watched, DedicatedWatch):
                found.append(watched.lease.connection)
            if isinstance(session.monitor, Monitor):
                found += [lease.connection for lease in session.monitor.leases.values()]
            if session.blocked_request is not None:
                found += [waiting.lease.connection for waiting in session.blocked_request.blocked]
        assert len({id(conn) for conn in found}) == len(found), found
        return found

    def check_session(self, speaker: Speaker) -> None:
        """Who is stalled waits for something that will come."""
        session = self.play.guest(speaker.name).session
        if session.mode not in (READY, CLOSING):
            held = session.mode == PAUSED
            assert held == (session.id in session.context.paused_sessions)
            assert held or 0 <= session.replies.resume_at < session.replies.open_count()
            assert not held or session.suspended_request is not None
        if session.blocked_request is not None and not session.closing:
            assert session.mode == BLOCKED
            # Who is to be let go is let go in time.
            limit = (
                NO_DEADLINE
                if not session.blocked_request.unblock_reason
                else self.play.exchange.now + session.executor.servers[0].options.timeout
            )
            assert all(waiting.due <= limit for waiting in session.blocked_request.blocked)
        assert (session.monitor in self.play.house.monitors) == (session.monitor is not None)

    # -- the end of all

    def calm(self, done: Callable[[], bool]) -> None:
        """The nodes are well, answer all, and time goes by, until it is done."""
        for server in self.servers.values():
            server.up, server.silent = True, False
        for _ in range(400):
            self.connect()
            for server in self.servers.values():
                while any(one.unread and one.blocked is None for one in server.connections if one.lives()):
                    self.answer(server.name, 0)
                while any(one.blocked is not None for one in server.connections if one.lives()):
                    self.serve(server.name, 0, False)
            if done():
                return
            self.wait(0.05)
        raise AssertionError("it does not come to an end")

    def all_told(self) -> bool:
        """Every client that is still there has been told everything; those that were to go are gone."""
        waiting = any(speaker.owed for speaker in self.speakers if not speaker.killed)
        return not waiting and not any(session.closing for session in self.play.house.sessions.values())

    def all_free(self) -> bool:
        """Nobody has anything any more."""
        executor, proxy = self.play.exchange, self.play.house
        lanes = {id(conn) for server in executor.servers for conn in server.idle}
        for session in list(proxy.sessions.values()):
            # What it has sent has been run by now, and its socket is closed.
            if session.closing:
                session.on_disconnect()
                self.turn()
        if proxy.sessions:
            return False
        assert not proxy.monitors
        assert not self.play.facts.paused_sessions
        assert not any(group.watches for group in self.play.pool.groups)
        return (
            not any(server.leased for server in executor.servers)
            and {id(conn) for conn in executor.unshared_connections} == lanes
            and not any(group.open_writes for group in self.play.pool.groups)
            and not any(copy.unconfirmed for group in self.play.pool.groups for copy in group.copies)
        )
