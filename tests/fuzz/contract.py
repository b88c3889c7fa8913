"""The contract: a pool answers every request as one server does, or refuses it with a documented error.

A refused request changes nothing: the server that is the oracle is asked something unknown in its place,
which spoils a transaction just as a refusal does.
"""

import random
import socket
from collections.abc import Sequence
from typing import Any, Final

import redis

from kidoproxy.commands.find import find
from kidoproxy.resp.decode import is_null, items
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from tests.fuzz.requests import batch, noise, pieces
from tests.live.asking import SECONDS, Normaliser, connect, exact, first_type, in_any_order
from tests.live.proxies import RunningProxy
from tests.live.script import DIFFER

#: How a documented refusal begins, or what it says.
REFUSALS: Final = (
    b"is not served here: ",
    b"reads keys that may live on other nodes",
    # Copies: the proxy itself knows the scripts, and says so in Redis's words, not in Valkey's.
    b"-NOSCRIPT No matching script. Please use EVAL.",
    # A key without a value is told when it is queued; a server tells it at EXEC.
    b"wrong number of arguments for 'mset' command",
    b"wrong number of arguments for 'msetnx' command",
)
#: EXEC of a transaction that the leader of copies decides, with a command that the others could not be told.
TRANSACTION_REFUSAL: Final = b" cannot be in one transaction with '"
NOTHING: Final = [b"nosuch"]
DATABASES: Final = 3

#: Beyond what may differ between two equal servers: ours and the oracle have another past.
FREE: Final[dict[bytes, Normaliser]] = {
    b"hgetall": in_any_order,
    b"hkeys": in_any_order,
    b"hvals": in_any_order,
    b"hello": first_type,
    b"command|count": first_type,
}


class Broken(AssertionError):
    """The contract does not hold; the message says for what, and how to see it again."""


def is_refusal(raw: bytes) -> bool:
    """Whether the proxy says that it does not serve this."""
    return raw.startswith(b"-CROSSSLOT ") or (raw[:1] == b"-" and any(text in raw for text in REFUSALS))


def instead_of(request: list[bytes], ours: bytes) -> list[bytes]:
    """What the oracle is asked where the proxy gave this reply: nothing, and no transaction, if it was a refusal."""
    if ours.startswith(b"-EXECABORT ") and TRANSACTION_REFUSAL in ours:
        return [b"DISCARD"]
    return NOTHING if is_refusal(ours) else request


def same(request: Sequence[bytes], right: bytes, ours: bytes) -> bool:
    """Whether two replies to a request differ no more than they may."""
    if right == ours:
        return True
    spec = find(list(request))
    if spec is None:
        return False
    normal = FREE.get(spec.name) or DIFFER.get(spec.name.decode(), (exact, ""))[0]
    return normal(right) == normal(ours)


class Transcript:
    """Walks over requests and both replies, and knows what a transaction has queued."""

    def __init__(self) -> None:
        self.queue: list[list[bytes]] = []

    def fits(self, request: list[bytes], right: bytes, ours: bytes) -> bool:
        """Whether the proxy has kept the contract for this request."""
        if is_refusal(ours):
            return True
        name = request[0].lower()
        if ours.startswith(b"-EXECABORT ") and TRANSACTION_REFUSAL in ours:
            self.queue = []
            return name == b"exec" and right == b"+OK\r\n"
        if ours == b"+QUEUED\r\n":
            self.queue.append(request)
        if name == b"exec" and right[:1] == ours[:1] == b"*" and not (is_null(right) or is_null(ours)):
            queue, self.queue = self.queue, []
            both = zip(queue, items(right), items(ours), strict=True)
            return all(same(queued, one, other) or is_refusal(other) for queued, one, other in both)
        if name in (b"exec", b"discard", b"reset", b"multi"):
            self.queue = []
        return same(request, right, ours)


def converse(connection: socket.socket, requests: Sequence[list[bytes]], chance: random.Random) -> list[bytes]:
    """Send the requests in pieces of any size; their replies."""
    data = b"".join([encode_request(request) for request in requests])
    for piece in pieces(data, chance):
        connection.sendall(piece)
    reader = ReplyReader()
    found: list[bytes] = []
    while len(found) < len(requests):
        received = connection.recv(1 << 16)
        if not received:
            raise Broken(f"the connection was closed after {len(found)} replies")
        reader.feed(received)
        while (reply := reader.next()) is not None:
            found.append(reply)
    return found


class Fuzzer:
    """A ring (or copies) and its oracle, and what is thrown at them."""

    def __init__(self, ring: RunningProxy, oracle: str, seed: int, copies: bool = False) -> None:
        self.ring = ring
        self.copies = copies
        self.oracle = oracle
        self.seed = seed
        self.chance = random.Random(seed)
        self.requests = 0

    def commands(self, count: int = 80) -> None:
        """One conversation with each."""
        requests = batch(self.chance, count)
        with self.ring.raw(SECONDS) as connection:
            ours = converse(connection, requests, self.chance)
        instead = [instead_of(words, reply) for words, reply in zip(requests, ours, strict=True)]
        with connect(self.oracle) as connection:
            right = converse(connection, instead, self.chance)
        self.requests += len(requests)
        transcript = Transcript()
        for at, request in enumerate(requests):
            if not transcript.fits(request, right[at], ours[at]):
                before = "\n".join([f"    {b' '.join(words)!r}" for words in requests[:at]][-12:])
                raise Broken(f"seed {self.seed}: {request}\n  server: {right[at]!r}\n  ring: {ours[at]!r}\n{before}")

    def contents(self) -> None:
        """What both hold is the same; of copies each one holds it."""
        for db in range(DATABASES):
            with redis.Redis.from_url(self.oracle, db=db, protocol=2) as straight:
                right = content(straight)
            for url in (self.ring.url, *(self.ring.nodes.urls if self.copies else ())):
                with redis.Redis.from_url(url, db=db, protocol=2) as client:
                    ours = content(client)
                if right != ours:
                    keys = {key for key in {*right, *ours} if right.get(key) != ours.get(key)}
                    raise Broken(f"seed {self.seed}: database {db} differs at {url}: {keys}")

    def bytes(self) -> None:
        """Bytes that are mostly no request: the proxy answers or hangs up, and lives."""
        data = noise(self.chance)
        with self.ring.raw(SECONDS) as connection:
            try:
                for piece in pieces(data, self.chance):
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
            except TimeoutError:
                raise Broken(f"seed {self.seed}: no end after {data!r}") from None
            except OSError:
                # It hung up while we were still talking, as it may.
                pass
        if not self.ring.alive() or "Traceback" in self.ring.log():
            raise Broken(f"seed {self.seed}: after {data!r}:\n{self.ring.log()}")
        self.requests += 1

    def empty(self) -> None:
        """Forget everything."""
        for url in (self.oracle, self.ring.url):
            with connect(url) as connection:
                converse(connection, [[b"FLUSHALL"], [b"SCRIPT", b"FLUSH"]], self.chance)


READS: Final[dict[bytes, tuple[str, ...]]] = {
    b"string": ("GET", "{}"),
    b"list": ("LRANGE", "{}", "0", "-1"),
    b"hash": ("HGETALL", "{}"),
    b"set": ("SMEMBERS", "{}"),
    b"zset": ("ZRANGE", "{}", "0", "-1", "WITHSCORES"),
    b"stream": ("XRANGE", "{}", "-", "+"),
}


def content(client: Any) -> dict[bytes, object]:
    """Every key's value and moment of expiry."""
    found: dict[bytes, object] = {}
    for key in client.scan_iter(count=100):
        words = READS[client.type(key)]
        value = client.execute_command(*[key if word == "{}" else word for word in words])
        found[key] = value, client.pexpiretime(key)
    return found
