"""A toy Redis for stories: strings in databases, and what a sync asks for. Replies byte for byte as Redis 7."""

from kidoproxy.resp.build import OK, PONG, QUEUED, array, bulk, error, integer, null
from kidoproxy.resp.open import bulk as text
from kidoproxy.resp.open import items
from tests.story import Story, client


class Toy:
    """One server. ``scan`` says how many keys a step of SCAN gives, whatever COUNT says."""

    def __init__(self, scan: int = 2) -> None:
        self.dbs: dict[int, dict[bytes, bytes]] = {}
        self.until: dict[bytes, int] = {}
        self.db = 0
        self.scan = scan
        self.seen: list[bytes] = []
        self.places: dict[bytes, int] = {}
        self.queue: list[list[bytes]] | None = None

    @property
    def keys(self) -> dict[bytes, bytes]:
        """The keys of the database that the one connection has selected."""
        return self.dbs.setdefault(self.db, {})

    def answer(self, raw: bytes) -> bytes:
        """The reply to one request, queued or not."""
        argv = [text(word) for word in items(raw)]
        name = argv[0].upper()
        self.seen.append(b" ".join(argv))
        if name == b"PING":
            return PONG
        if name == b"MULTI":
            self.queue = []
            return OK
        if name == b"EXEC":
            queue, self.queue = self.queue, None
            assert queue is not None
            return array([self.run(one) for one in queue])
        if self.queue is not None:
            self.queue.append(argv)
            return QUEUED
        return self.run(argv)

    def run(self, argv: list[bytes]) -> bytes:
        """Do it."""
        name = argv[0].upper()
        if name in (b"MGET", b"MSET", b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"):
            return self.many(name, argv)
        if name in (b"DUMP", b"PEXPIRETIME", b"PTTL", b"RESTORE", b"GET", b"SET", b"APPEND", b"RENAME"):
            return self.single(name, argv)
        if name == b"SELECT":
            self.db = int(argv[1])
            return OK
        if name == b"SCAN":
            return self.step(int(argv[1]))
        if name == b"INFO":
            rows = [f"db{db}:keys={len(keys)}" for db, keys in sorted(self.dbs.items()) if keys]
            return bulk("\r\n".join(["# Keyspace", *rows, "dbx:1", ""]).encode())
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


class Stage:
    """A story whose nodes are toys that answer when they are told to."""

    def __init__(self, play: Story) -> None:
        self.play = play
        self.toys = {node.name: Toy() for node in play.pool.nodes}

    def step(self, name: str, count: int = 1) -> None:
        """The node answers so many of the requests that it has."""
        play = self.play
        told = play.told[name]
        for _ in range(min(count, len(told))):
            one = told.pop(0)
            play.link(name, one.way).feed(self.toys[name].answer(one.raw), play.exchange.now)
            play.settle()

    def run(self) -> None:
        """All nodes answer until nothing is asked any more."""
        play = self.play
        play.settle()
        while any(play.told.values()):
            for name in play.told:
                self.step(name)

    def say(self, request: str) -> bytes:
        """A client asks, the nodes answer; what it is told."""
        client(request)(self.play)
        self.run()
        guest = self.play.guest("me")
        raw, guest.heard = guest.heard, b""
        return raw
