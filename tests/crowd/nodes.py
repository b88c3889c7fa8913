"""The nodes of a crowd: each keeps for every connection what a server keeps, and replies with the key asked for."""

from collections.abc import Callable

from kidoproxy.resp.decode import items
from kidoproxy.resp.decode import string_value as text
from kidoproxy.resp.encode import (
    OK,
    PONG,
    QUEUED,
    array,
    bulk,
    error,
    integer,
    mapping,
    null,
    null_array,
)
from kidoproxy.upstream.connection import NodeConnection
from tests.crowd.requests import blocks, streams
from tests.story import Story


def cut(play: Story, conn: NodeConnection, hopeless: bool = False) -> None:
    """One connection dies."""
    conn.transport = None
    conn.on_connection_lost("it closed the connection", play.executor.now, hopeless)


class Connection:
    """What a server knows of one connection."""

    def __init__(self, number: int, conn: NodeConnection) -> None:
        self.number = number
        self.conn = conn
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
        return self.peer is not None and self.conn.transport is self.peer and not self.conn.must_close


class Server:
    """One node."""

    def __init__(self, play: Story, name: str, on_unblock: Callable[[list[bytes]], None]) -> None:
        self.play = play
        self.name = name
        #: Called with a request before it is unblocked: whether it may be is for others to say.
        self.on_unblock = on_unblock
        self.up = True
        self.silent = False
        self.versions: dict[tuple[int, bytes], int] = {}
        self.connections: list[Connection] = []
        self.last = 100

    def of(self, conn: NodeConnection) -> Connection:
        """What is kept for this connection of the proxy."""
        for one in self.connections:
            if one.conn is conn and one.peer is conn.transport:
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
                cut(self.play, one.conn, hopeless)
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
            one.conn.feed(raw, self.play.executor.now)

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
            assert one.conn.dedicated, f"a connection that others share would block: {argv}"
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
            assert one.conn.dedicated, "a connection that others share would watch"
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
            if argv[1] == b"KILL":
                return self.kill(int(argv[3]))
            return integer(one.number) if argv[1] == b"ID" else self.unblock(int(argv[2]), argv[3])
        if name == b"MONITOR":
            assert one.conn.dedicated, "a connection that others share would become a stream"
            one.monitor = True
            return OK
        return self.fact(argv, one.proto)

    def fact(self, argv: list[bytes], proto: int) -> bytes:
        """What the proxy itself asks for, and what is not there."""
        if argv[0] == b"INFO":
            return bulk(self.play.info(self.name))
        if argv[0] == b"PING":
            return bulk(argv[1]) if len(argv) > 1 else PONG
        if argv[0] == b"UNWATCH":
            return OK
        if argv[0] in (b"XREAD", b"XREADGROUP"):
            return null_array(proto)
        return integer(-1) if argv[0] == b"PTTL" else integer(0)

    def kill(self, number: int) -> bytes:
        """CLIENT KILL ID."""
        found = [one for one in self.connections if one.number == number]
        for one in found:
            assert not one.lives(), "a connection was closed that is in use"
        return integer(len(found))

    def unblock(self, number: int, reason: bytes) -> bytes:
        """CLIENT UNBLOCK."""
        self.sweep()
        for one in self.connections:
            if one.number == number and one.blocked is not None:
                argv, one.blocked = one.blocked, None
                self.on_unblock(argv)
                self.say(
                    one, self.nothing(one, argv) if reason == b"TIMEOUT" else error(b"UNBLOCKED by CLIENT UNBLOCK")
                )
                return integer(1)
        return integer(0)
