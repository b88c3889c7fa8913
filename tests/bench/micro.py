"""``python -m tests.bench.micro``: nanoseconds per operation of the pure packages, without a socket.

Whichever build is imported is measured: run it from the source tree for the interpreted one, or with the
interpreter of an environment that has the compiled wheel, from a folder that does not hold the source:
``cd /tmp && PYTHONPATH=stage python -m tests.bench.micro`` where ``stage`` links to ``tests`` alone.

Each figure is the best of several short runs: what the code costs when nothing disturbs it.
"""

import sys
import time
from collections.abc import Callable
from typing import Final

from kidoproxy.commands.command_set import CommandSet
from kidoproxy.commands.find import find
from kidoproxy.resp import scan
from kidoproxy.resp.reply_reader import ReplyReader
from kidoproxy.resp.request_reader import RequestReader
from kidoproxy.resp.request_scanner import RequestLimits
from kidoproxy.routes.node import NodeRoute
from kidoproxy.routes.placement.owners import ketama
from kidoproxy.routes.placement.tags import Tags
from kidoproxy.routes.ring import Ring
from kidoproxy.routes.route import Route
from kidoproxy.routes.topology import Node
from kidoproxy.session.pool_context import PoolContext
from kidoproxy.session.proxy_state import ProxyState
from kidoproxy.session.session import ClientSession
from kidoproxy.upstream.connection import NodeConnection
from kidoproxy.upstream.connection_set import ConnectionSet
from kidoproxy.upstream.executor import Executor
from kidoproxy.upstream.handshake import ConnectionOptions
from tests.bench import report
from tests.bench.workloads import bulk, frame, key, value
from tests.greet import greet

NAMES: Final = ["node-a", "node-b", "node-c"]
KEYS: Final = 10_000
RUN_SECONDS: Final = 0.1
RUNS: Final = 5
INFO: Final = b"# Server\r\nredis_version:7.0.15\r\nrun_id:0123\r\nuptime_in_seconds:1\r\n"


class Path:
    """A proxy without sockets: what the nodes' sockets would bring is handed to the connections directly."""

    def __init__(self, value_bytes: int) -> None:
        nodes = [Node(at, name, f"127.0.0.1:{at}", at + 1) for at, name in enumerate(NAMES)]
        self.executor = Executor([ConnectionSet(node, ConnectionOptions()) for node in nodes])
        members: list[Route] = [NodeRoute(node) for node in nodes]
        ring = Ring("bench", members, ketama(NAMES, [1, 1, 1]), Tags(ord("{"), ord("}"), []))
        proxy = ProxyState(self.executor)
        pool = PoolContext("bench", "ring", ring, CommandSet(frozenset(), frozenset(), {}))
        self.session = ClientSession(proxy, pool, "127.0.0.1:1", "127.0.0.1:2")
        self.reply = bulk(value(0, value_bytes))
        self.connections = [self.executor.connection(node, 2, 0) for node in nodes]
        for conn in self.connections:
            conn.start_connecting()
            conn.on_connected(0.0, 1.0)
            conn.feed(greet(conn, INFO), 0.0)
            self.write(conn)
        self.executor.dirty_connections.clear()

    def write(self, conn: NodeConnection) -> int:
        """What the node's socket does at the end of a turn."""
        conn.flush_scheduled = False
        return len(b"".join(conn.take_output()))

    def turn(self, requests: bytes) -> int:
        """Requests in, requests out to the nodes, replies in, replies out; the number of bytes that the client gets."""
        self.session.feed(requests)
        dirty = self.executor.dirty_connections
        conns = dirty[:]
        dirty.clear()
        for conn in conns:
            self.write(conn)
        for conn in conns:
            conn.feed(self.reply * conn.pending_count(), 0.0)
        self.executor.turn_work.reply_queues.clear()
        return len(b"".join(self.session.replies.take_output()))


def nanoseconds(operation: Callable[[int], object], count: int) -> float:
    """Time per item of an operation that does ``count`` items; it gets a number that grows from call to call."""
    best, nth = float("inf"), 0
    for _ in range(RUNS):
        calls, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < RUN_SECONDS:
            for _ in range(20):
                operation(nth)
                nth += 1
            calls += 20
        best = min(best, spent / calls / count)
    return best * 1e9


def measure() -> list[tuple[str, float]]:
    """All figures, in the order of a request's way."""
    requests = [b"".join(frame(b"GET", key((at * 16 + n) % KEYS)) for n in range(16)) for at in range(KEYS // 16)]
    single = [frame(b"GET", key(n)) for n in range(KEYS)]
    keys = [key(n) for n in range(KEYS)]
    replies = bulk(value(0, 64)) * 16
    requested, replied = RequestReader(RequestLimits()), ReplyReader()

    def cut_requests(nth: int) -> None:
        requested.feed(requests[nth % len(requests)])
        while requested.next() is not None:
            pass

    def cut_replies(nth: int) -> None:
        replied.feed(replies)
        while replied.next() is not None:
            pass

    argv, ring, cold = [b"GET", b"k"], ketama(NAMES, [1, 1, 1]), ketama(NAMES, [1, 1, 1])
    path = Path(64)
    large = Path(64 * 1024)
    mget = [frame(b"MGET", *keys[at : at + 10]) for at in range(0, KEYS, 10)]

    return [
        ("cut a GET, 16 at once", nanoseconds(cut_requests, 16)),
        ("cut a 64 B reply, 16 at once", nanoseconds(cut_replies, 16)),
        ("find a command", nanoseconds(lambda nth: find(argv), 1)),
        ("place a key, seen before", nanoseconds(lambda nth: ring.owner(keys[nth % KEYS]), 1)),
        ("place a key, worked out", nanoseconds(lambda nth: cold.find_owner(keys[nth % KEYS]), 1)),
        ("there and back, one GET", nanoseconds(lambda nth: path.turn(single[nth % KEYS]), 1)),
        ("there and back, per GET of 16", nanoseconds(lambda nth: path.turn(requests[nth % len(requests)]), 16)),
        ("there and back, one GET of 64 KiB", nanoseconds(lambda nth: large.turn(single[nth % KEYS]), 1)),
        ("cut an MGET of 10", nanoseconds(cutter(mget), 1)),
    ]


def cutter(frames: list[bytes]) -> Callable[[int], object]:
    """Cuts one frame after another."""
    reader = RequestReader(RequestLimits())

    def cut(nth: int) -> object:
        reader.feed(frames[nth % len(frames)])
        return reader.next()

    return cut


def main() -> None:
    """Prints the table."""
    build = "interpreted" if str(scan.__file__).endswith(".py") else "compiled"
    rows = [[name, f"{each:.0f}"] for name, each in measure()]
    sys.stdout.write(report.table([f"{build}, Python {sys.version.split()[0]}", "ns"], rows))


if __name__ == "__main__":
    main()
