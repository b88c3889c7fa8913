"""A toy Redis for stories: strings in databases, and what a sync asks for. Replies byte for byte as Redis 7."""

from kidoproxy.resp.decode import items
from kidoproxy.resp.decode import string_value as text
from kidoproxy.resp.encode import OK, PONG, QUEUED, array, bulk, error, integer, null
from tests.story import SentRequest, Story, client

#: What copies a large string in pieces.
PIECES = (b"WATCH", b"UNWATCH", b"TYPE", b"STRLEN", b"GETRANGE", b"SETRANGE", b"PEXPIRE", b"PEXPIREAT", b"PERSIST")


class Connection:
    """What a server keeps for one connection."""

    def __init__(self) -> None:
        self.db = 0
        self.queue: list[list[bytes]] | None = None
        #: What the keys of WATCH had.
        self.watched: dict[bytes, bytes | None] = {}


class Toy:
    """One server. ``scan`` says how many keys a step of SCAN gives, whatever COUNT says."""

    def __init__(self, scan: int = 2, databases: int = 16) -> None:
        self.dbs: dict[int, dict[bytes, bytes]] = {}
        self.until: dict[bytes, int] = {}
        self.scan = scan
        self.databases = databases
        self.seen: list[bytes] = []
        self.places: dict[bytes, int] = {}
        self.connections: dict[object, Connection] = {}
        self.connection = Connection()
        self.run_id = ""
        #: INFO has these lines, too; commands by their first word that are answered by this frame.
        self.info: list[str] = []
        self.lies: dict[bytes, bytes] = {}

    @property
    def keys(self) -> dict[bytes, bytes]:
        """The keys of the database that this connection has selected."""
        return self.dbs.setdefault(self.connection.db, {})

    def answer(self, raw: bytes, connection: object = None) -> bytes:
        """The reply to one request on one of the connections, queued or not."""
        self.connection = self.connections.setdefault(connection, Connection())
        argv = [text(word) for word in items(raw)]
        name = argv[0].upper()
        self.seen.append(b" ".join(argv))
        if name == b"PING":
            return PONG
        if name == b"MULTI":
            self.connection.queue = []
            return OK
        if name == b"EXEC":
            queue, self.connection.queue = self.connection.queue, None
            assert queue is not None
            watched, self.connection.watched = self.connection.watched, {}
            if any(self.keys.get(key) != value for key, value in watched.items()):
                return null(2)
            return self.lies.get(name) or array([self.lie(one) or self.run(one) for one in queue])
        if self.connection.queue is not None:
            self.connection.queue.append(argv)
            return QUEUED
        return self.lie(argv) or self.run(argv)

    def lie(self, argv: list[bytes]) -> bytes | None:
        """What it says instead of the truth, to this command or to it with its first argument."""
        return self.lies.get(argv[0].upper()) or self.lies.get(b" ".join(argv[:2]))

    def run(self, argv: list[bytes]) -> bytes:
        """Do it."""
        name = argv[0].upper()
        if name in (
            b"WATCH",
            b"UNWATCH",
            b"TYPE",
            b"STRLEN",
            b"GETRANGE",
            b"SETRANGE",
            b"PEXPIRE",
            b"PEXPIREAT",
            b"PERSIST",
        ):
            return self.pieces(name, argv)
        if name in (b"MGET", b"MSET", b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"):
            return self.many(name, argv)
        if name in (b"DUMP", b"PEXPIRETIME", b"PTTL", b"RESTORE", b"GET", b"SET", b"APPEND", b"RENAME"):
            return self.single(name, argv)
        if name == b"SELECT":
            if int(argv[1]) >= self.databases:
                return error(b"ERR DB index is out of range")
            self.connection.db = int(argv[1])
            return OK
        if name == b"SCAN":
            return self.step(int(argv[1]))
        if name == b"INFO":
            rows = [f"db{db}:keys={len(keys)},expires=0" for db, keys in sorted(self.dbs.items()) if keys]
            head = ["# Server", f"run_id:{self.run_id}", "role:master", *self.info]
            return bulk("\r\n".join([*head, "# Keyspace", *rows, "dbx:1", ""]).encode())
        if name == b"EVAL":  # whatever its text: sets the key that the first one names to the first argument
            self.keys[self.keys.get(argv[3], b"")] = argv[4]
            return null(2)
        if name == b"DBSIZE":
            return integer(len(self.keys))
        if name == b"MEMORY":
            return integer(len(self.keys[argv[2]]) + 50) if argv[2] in self.keys else null(2)
        if name == b"FUNCTION":
            return array([])
        assert name == b"FLUSHALL", argv
        self.dbs.clear()
        return OK

    def many(self, name: bytes, argv: list[bytes]) -> bytes:
        """Commands with any number of keys."""
        keys = self.keys
        if name == b"MGET":
            return array([bulk(keys[key]) if key in keys else null(2) for key in argv[1:]])
        if name == b"MSET":
            keys.update(zip(argv[1::2], argv[2::2], strict=True))
            return OK
        found = 0
        for key in argv[1:]:
            found += key in keys
            if name in (b"DEL", b"UNLINK"):
                keys.pop(key, None)
        return integer(found)

    def pieces(self, name: bytes, argv: list[bytes]) -> bytes:
        """WATCH, and what is done to parts of a value and to its expiry."""
        keys = self.keys
        if name in (b"WATCH", b"UNWATCH"):
            self.connection.watched = {key: keys.get(key) for key in argv[1:]}
            return OK
        key = argv[1]
        value = keys.get(key, b"")
        if name == b"TYPE":
            return b"+string\r\n" if key in keys else b"+none\r\n"
        if name == b"STRLEN":
            return integer(len(value))
        if name == b"GETRANGE":
            return bulk(value[int(argv[2]) : int(argv[3]) + 1])
        if name == b"SETRANGE":
            at = int(argv[2])
            keys[key] = value[:at].ljust(at, b"\0") + argv[3] + value[at + len(argv[3]) :]
            return integer(len(keys[key]))
        self.until[key] = int(argv[2]) if name == b"PEXPIREAT" else -1
        return integer(1)

    def single(self, name: bytes, argv: list[bytes]) -> bytes:
        """Commands about one value."""
        keys, key = self.keys, argv[1]
        if name in (b"PEXPIRETIME", b"PTTL"):
            return integer(self.until.get(key, -1) if key in keys else -2)
        if name in (b"DUMP", b"GET"):
            return bulk(keys[key]) if key in keys else null(2)
        if name == b"RENAME":
            if key not in keys:
                return error(b"ERR no such key")
            keys[argv[2]] = keys.pop(key)
            return OK
        if name == b"APPEND":
            keys[key] = keys.get(key, b"") + argv[2]
            return integer(len(keys[key]))
        if name == b"SET" and b"NX" in argv and key in keys:
            return null(2)
        keys[key] = argv[3] if name == b"RESTORE" else argv[2]
        if name == b"RESTORE":
            self.until[key] = int(argv[2]) or -1
        return OK

    def step(self, at: int) -> bytes:
        """One step of SCAN; as on a real server, keys that go meanwhile do not make it miss others."""
        for key in sorted(self.keys):
            self.places.setdefault(key, len(self.places))
        left = sorted((self.places[key], key) for key in self.keys if self.places[key] >= at)
        found = left[: self.scan]
        cursor = found[-1][0] + 1 if len(left) > self.scan else 0
        return array([bulk(b"%d" % cursor), array([bulk(key) for _, key in found])])


class ToyNodes:
    """A story whose nodes are toys that answer when they are let."""

    def __init__(self, play: Story) -> None:
        self.play = play
        self.toys = {node.name: Toy() for node in play.pool.nodes}

    def step(self, name: str, count: int = 1) -> None:
        """The node answers so many of the requests that it has."""
        play = self.play
        sent = play.sent[name]
        for _ in range(min(count, len(sent))):
            self.reply(name, sent.pop(0))
            play.settle()

    def reply(self, name: str, one: SentRequest) -> None:
        """The node answers this request, on the connection on which it came."""
        conn = one.conn or self.play.connection(name, one.key)
        toy = self.toys[name]
        toy.run_id = self.play.run_ids[name]
        raw = toy.answer(one.raw, (id(conn), id(conn.reader)))
        if conn.transport is not None and not conn.must_close:
            conn.feed(raw, self.play.executor.now)

    def run(self) -> None:
        """All nodes answer until nothing is asked any more."""
        play = self.play
        play.settle()
        while any(play.sent.values()):
            for name in play.sent:
                self.step(name)

    def say(self, request: str) -> bytes:
        """A client asks, the nodes answer; what it gets."""
        client(request)(self.play)
        self.run()
        me = self.play.client("me")
        raw, me.received = me.received, b""
        return raw
