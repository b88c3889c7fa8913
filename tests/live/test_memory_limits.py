"""Every kind of hoarding, thrown at a real proxy: memory stays within the limits and comes back, others are served.

A hoard is what one connection does, or makes a node do. Several do it at once. Meanwhile another client asks a node
that has nothing to do with it, and the memory of the process is watched. In the end the hoarders have been cut, and
counted by the reason; or they have been served, or told no.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import pytest
import redis

from kidoproxy.replies.accounting import DISCONNECT_REASONS, OUTPUT_LIMIT, QUERY_LIMIT
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

MIB: Final = 1 << 20
#: Hoarders at a time, and what the process may take for them all: each limit a few times over, and some slack.
CLIENTS: Final = 4
MOST: Final = 64 * MIB
#: What may be held for clients when all is over.
REST: Final = MIB
LIMITS: Final[dict[str, Any]] = {
    "limits": {"client_output_mb": 2, "pubsub_output_mb": 1, "query_buffer_mb": 2, "bulk_mb": 2},
    "node_queue_mb": 16,
    "timeout_ms": 1500,
}
VALUE: Final = b"v" * 100_000


class Scene:
    """A proxy over two nodes: ``here`` is served throughout, ``there`` is where harm is done."""

    def __init__(self, proxy: RunningProxy) -> None:
        self.proxy = proxy
        self.here = proxy.keys_on(0, 1)[0].encode()
        self.there = proxy.keys_on(1, 1)[0].encode()
        self.client = proxy.client(2)
        self.client.set(self.here, b"here")
        self.client.set(b"{%b}large" % self.here, VALUE)
        self.client.set(b"{%b}large" % self.there, VALUE)
        self.warm = 0

    def large(self) -> bytes:
        """A key with a large value, at the node that is well."""
        return b"{%b}large" % self.here

    def held(self) -> int:
        """Bytes that the proxy says it holds for all its clients."""
        return sum(int(one["tot-mem"]) for one in self.client.client_list())

    def cuts(self, reason: str) -> int:
        """How many clients have been cut for that."""
        return sum(line.endswith(f"reason={reason}") for line in self.proxy.log().splitlines())


Act = Callable[[Scene, socket.socket], None]


def push(connection: socket.socket, data: bytes, times: int) -> None:
    """Send it again and again; nothing is read. Ends when the other side has closed, or reads no more for long."""
    with suppress(OSError):
        for _ in range(times):
            connection.sendall(data)


def replies(connection: socket.socket, count: int) -> list[bytes]:
    """So many replies, or all there are until the end."""
    reader = ReplyReader()
    found: list[bytes] = []
    while len(found) < count:
        data = connection.recv(1 << 16)
        if not data:
            break
        reader.feed(data)
        while (raw := reader.next()) is not None:
            found.append(raw)
    return found


def drain(connection: socket.socket) -> None:
    """Wait for the end."""
    with suppress(ConnectionError):
        while connection.recv(1 << 20):
            pass


def reads_nothing(scene: Scene, connection: socket.socket) -> None:
    """Large replies, and nobody takes them."""
    push(connection, encode_request([b"GET", scene.large()]), 2000)
    eventually(lambda: is_closed(connection), 20)


def asks_for_help(scene: Scene, connection: socket.socket) -> None:
    """Small requests whose answer the proxy itself makes, and it is large."""
    push(connection, b"COMMAND\r\n" * 100, 100)
    eventually(lambda: is_closed(connection), 20)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has reset the connection; what it sent stays unread."""
    try:
        connection.send(b"\r\n", socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def writes_first(scene: Scene, connection: socket.socket) -> None:
    """All is written before anything is read, and less than the limit is owed: all is served."""
    one = encode_request([b"GET", scene.large()]) + encode_request([b"SET", scene.large(), VALUE])
    connection.sendall(one * 15)
    assert replies(connection, 30) == [b"$%d\r\n%b\r\n" % (len(VALUE), VALUE), b"+OK\r\n"] * 15


def queues(scene: Scene, connection: socket.socket) -> None:
    """A transaction that is never run."""
    push(connection, b"MULTI\r\n" + encode_request([b"SET", scene.here, VALUE]) * 100, 1)
    drain(connection)


def queues_small(scene: Scene, connection: socket.socket) -> None:
    """The same of many small requests."""
    push(connection, b"MULTI\r\n" + b"PING\r\n" * 50_000, 1)
    drain(connection)


def runs_large(scene: Scene, connection: socket.socket) -> None:
    """A transaction whose answer the proxy itself makes."""
    push(connection, b"MULTI\r\n" + b"COMMAND\r\n" * 2000 + b"EXEC\r\n", 1)
    drain(connection)


def never_ends(scene: Scene, connection: socket.socket) -> None:
    """One request of ever more arguments."""
    push(connection, b"*1000000\r\n" + b"$10000\r\n" + b"x" * 10_000 + b"\r\n", 1)
    push(connection, b"$10000\r\n" + b"x" * 10_000 + b"\r\n", 400)
    drain(connection)


def subscribes(scene: Scene, connection: socket.socket) -> None:
    """More and more channels."""
    for at in range(100):
        push(connection, encode_request([b"SUBSCRIBE", *[b"%d:%d" % (at, number) for number in range(100)]]), 1)
    drain(connection)


def hears_much(scene: Scene, connection: socket.socket) -> None:
    """Messages that nobody reads."""
    connection.sendall(b"SUBSCRIBE news\r\n")
    connection.recv(10)
    with suppress(OSError):
        for _ in range(600):
            scene.client.publish("news", VALUE)
            if is_closed(connection):
                break
    eventually(lambda: is_closed(connection), 20)


def watches_all(scene: Scene, connection: socket.socket) -> None:
    """MONITOR, and nothing is read."""
    connection.sendall(b"MONITOR\r\n")
    connection.recv(10)
    with suppress(OSError):
        for _ in range(600):
            scene.client.set(scene.large(), VALUE)
            if is_closed(connection):
                break
    eventually(lambda: is_closed(connection), 20)


def behind_a_slow_one(scene: Scene, connection: socket.socket) -> None:
    """A node that is silent, and large replies of another one behind it."""
    connection.sendall(encode_request([b"GET", scene.there]) + encode_request([b"GET", scene.large()]) * 300)
    drain(connection)


def parts_of_splits(scene: Scene, connection: socket.socket) -> None:
    """Replies of two nodes, of which one is silent."""
    connection.sendall(encode_request([b"MGET", scene.there, scene.large()]) * 300)
    drain(connection)


def writes_to_the_silent(scene: Scene, connection: socket.socket) -> None:
    """Large values for a node that takes none: each is told no, for one reason or another."""
    one = encode_request([b"SET", scene.there, VALUE])
    threading.Thread(target=push, args=(connection, one, 200), daemon=True).start()
    told = replies(connection, 200)
    assert len(told) == 200
    assert {raw.split()[0] for raw in told} <= {b"-TIMEOUT", b"-OVERLOADED", b"-NODEDOWN"}


def names_much(scene: Scene, connection: socket.socket) -> None:
    """Unknown commands of a megabyte each."""
    for _ in range(20):
        connection.sendall(encode_request([b"x" * MIB]))
        assert replies(connection, 1)[0].startswith(b"-ERR unknown command 'xxx")


def waits_and_sends(scene: Scene, connection: socket.socket) -> None:
    """It waits for an element, and sends more than fits meanwhile: its own socket keeps that."""
    connection.sendall(encode_request([b"BLPOP", b"{%b}queue" % scene.here, b"2"]))
    sender = threading.Thread(
        target=push, args=(connection, encode_request([b"SET", scene.here, b"here" + VALUE]), 200)
    )
    sender.start()
    told = replies(connection, 201)
    sender.join()
    assert told == [b"*-1\r\n"] + [b"+OK\r\n"] * 200
    scene.client.set(scene.here, b"here")


@dataclass(frozen=True)
class Hoard:
    """What is done, and why those who do it are cut; empty: they are not."""

    name: str
    act: Act
    reason: str = ""
    silent: bool = False


HOARDS: Final = (
    Hoard("reads nothing", reads_nothing, OUTPUT_LIMIT),
    Hoard("asks for much help", asks_for_help, OUTPUT_LIMIT),
    Hoard("writes first", writes_first),
    Hoard("queues large requests", queues, QUERY_LIMIT),
    Hoard("queues many requests", queues_small, QUERY_LIMIT),
    Hoard("runs a large transaction", runs_large, OUTPUT_LIMIT),
    Hoard("never ends a request", never_ends, QUERY_LIMIT),
    Hoard("subscribes to all", subscribes, QUERY_LIMIT),
    Hoard("hears much", hears_much, OUTPUT_LIMIT),
    Hoard("monitors", watches_all, OUTPUT_LIMIT),
    Hoard("behind a silent node", behind_a_slow_one, OUTPUT_LIMIT, silent=True),
    Hoard("parts of split reads", parts_of_splits, OUTPUT_LIMIT, silent=True),
    Hoard("writes to a silent node", writes_to_the_silent, silent=True),
    Hoard("names much", names_much),
    Hoard("waits and sends", waits_and_sends),
)


@pytest.fixture(scope="module")
def scene(serve_proxy: Starter) -> Scene:
    """One proxy for all of them: what one leaves behind the next one would add to."""
    scene = Scene(serve_proxy("ring", 2, **LIMITS))
    for hoard in HOARDS[:2]:
        attack(scene, hoard)
    scene.warm = scene.proxy.memory()
    return scene


class Watch(threading.Thread):
    """Looks at the memory of the proxy, and asks it something small, until it is told to stop."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene = scene
        self.over = threading.Event()
        self.most = 0
        self.served = 0
        self.problems: list[str] = []

    def run(self) -> None:
        client = self.scene.proxy.client(2)
        while not self.over.wait(0.01):
            self.most = max(self.most, self.scene.proxy.memory())
            try:
                assert client.get(self.scene.here)[:4] == b"here"
                self.served += 1
            except (AssertionError, redis.RedisError) as problem:
                self.problems.append(repr(problem))


@contextmanager
def watched(scene: Scene) -> Iterator[Watch]:
    """Watch it for the time of the ``with``."""
    watch = Watch(scene)
    watch.start()
    try:
        yield watch
        # What is over at once may have ended before anybody asked for anything.
        eventually(lambda: watch.served > 0 or bool(watch.problems))
    finally:
        watch.over.set()
        watch.join()


def attack(scene: Scene, hoard: Hoard) -> Watch:
    """Several do it at once."""
    failures: list[Exception] = []

    def one() -> None:
        try:
            with scene.proxy.raw() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                hoard.act(scene, connection)
        except (AssertionError, OSError) as failure:
            failures.append(failure)

    if hoard.silent:
        scene.proxy.pause(1)
    try:
        with watched(scene) as watch:
            threads = [threading.Thread(target=one) for _ in range(CLIENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        if hoard.silent:
            scene.proxy.resume(1)
    assert not failures, failures
    return watch


@pytest.mark.alone  # several clients send hundreds of megabytes within the time-out of a command
@pytest.mark.parametrize("hoard", HOARDS, ids=lambda hoard: hoard.name)
def test_hoarding(scene: Scene, hoard: Hoard) -> None:
    """Memory is bounded and comes back, others are served meanwhile, and who goes too far is cut and counted."""
    before, cuts = scene.proxy.memory(), {reason: scene.cuts(reason) for reason in DISCONNECT_REASONS}
    watch = attack(scene, hoard)
    assert watch.problems == []
    assert watch.served
    assert watch.most - before < MOST, f"{(watch.most - before) / MIB:.0f} MiB"
    eventually(lambda: scene.held() < REST)
    # The allocator keeps some, in holes between what lives on; it uses them again: one hoard adds nothing to another's.
    eventually(lambda: scene.proxy.memory() - scene.warm < MOST)
    for reason in DISCONNECT_REASONS:
        assert scene.cuts(reason) - cuts[reason] == (CLIENTS if reason == hoard.reason else 0)
