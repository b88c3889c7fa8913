"""One client's work never holds up the others: whatever it sends, and whoever waits for a node that is silent."""

import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.config.example import to_toml
from kidoproxy.resp.encode import encode_request
from tests.badlink import BadLink
from tests.live.proxies import RunningProxy
from tests.ports import free_port

pytestmark = pytest.mark.live

#: What clients of the silent node are patient for, and what they may wait at most on a machine that is busy.
PATIENCE: Final = 0.5
MOST: Final = 5.0
KEYS: Final = 40_000
END: Final = b"$3\r\nend\r\n"


class TwoPools(RunningProxy):
    """Beside its pool another one, ``other``, of the last of its nodes alone."""

    def _toml(self, mode: str, options: dict[str, Any]) -> str:
        self.other = free_port()
        self.admin = free_port()
        *urls, last = self.urls
        self.urls, self.names = urls, self.names[:-1]
        text = super()._toml(mode, {"proxy": {"admin": f"127.0.0.1:{self.admin}"}, "timeout_ms": 20_000, **options})
        rows = {
            "listen": f"127.0.0.1:{self.other}",
            "mode": "ring",
            "nodes": [last],
            "timeout_ms": int(PATIENCE * 1000),
        }
        return text + "[pool.other]\n" + "".join(f"{key} = {to_toml(value)}\n" for key, value in rows.items())

    def turns(self) -> dict[str, float]:
        """How many turns of the loop were at most so long, by bucket."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as page:
            rows = [line.split() for line in page.read().decode().splitlines()]
        name = 'kidoproxy_loop_turn_seconds_bucket{le="'
        return {row[0].removeprefix(name).partition('"')[0]: float(row[1]) for row in rows if row[0].startswith(name)}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TwoPools, BadLink]]:
    """A ring of two nodes, and another pool of a node behind a network that can be bad."""
    nodes = EmbeddedNodes()
    urls = nodes.start(3, tcp=True)
    with (
        BadLink(urls[2]) as conn,
        TwoPools(tmp_path_factory.mktemp("two"), "ring", [*urls[:2], conn.url], nodes) as made,
    ):
        yield made.start(), conn


def said(connection: socket.socket) -> int:
    """The bytes of all replies up to the last one."""
    size, tail = 0, b""
    while not tail.endswith(END):
        data = connection.recv(1 << 20)
        assert data, tail
        size += len(data)
        tail = (tail + data)[-len(END) :]
    return size


def send(proxy: TwoPools, raw: bytes) -> int:
    """A client sends this and hears everything."""
    with proxy.raw(120.0) as connection:
        sender = threading.Thread(target=connection.sendall, args=(raw + encode_request([b"ECHO", b"end"]),))
        sender.start()
        size = said(connection)
        sender.join()
    return size


@contextmanager
def busy(proxy: TwoPools, raw: bytes, clients: int) -> Iterator[None]:
    """So many clients send this again and again."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            send(proxy, raw)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def names(count: int) -> list[bytes]:
    """So many keys of all nodes."""
    return [b"key:%d" % at for at in range(count)]


def test_a_silent_node_of_another_pool(proxy: tuple[TwoPools, BadLink]) -> None:
    """Deadlines are looked at however busy the loop is: TIMEOUT comes in time, each time."""
    made, conn = proxy
    client = redis.Redis(port=made.other, protocol=2, retry=Retry(NoBackoff(), 0))
    client.set("k", "v")
    with busy(made, encode_request([b"MGET", *names(KEYS)]), 4):
        assert client.get("k") == b"v"
        conn.stall()
        try:
            for _ in range(3):
                began = time.monotonic()
                with pytest.raises(redis.RedisError, match=r"TIMEOUT|NODEDOWN"):
                    client.get("k")
                assert time.monotonic() - began < MOST
        finally:
            conn.heal()
    client.close()


#: Megabytes: made when they are sent.
FLOODS: Final[dict[str, Callable[[], bytes]]] = {
    "PING": lambda: encode_request([b"PING"]) * 40_000,
    "COMMAND": lambda: encode_request([b"COMMAND"]) * 200,
    "COMMAND DOCS": lambda: encode_request([b"COMMAND", b"DOCS"]) * 200,
    "INFO": lambda: encode_request([b"INFO"]) * 100,
    "lines": lambda: (b"a " * 30_000 + b"\r\n") * 8,
    "numbers": lambda: encode_request([b"CLIENT", b"LIST", b"ID", *[b"%d" % at for at in range(100_000)]]),
    "MSET": lambda: encode_request([b"MSET", *[word for name in names(KEYS) for word in (name, b"v")]]),
    "MGET": lambda: encode_request([b"MGET", *names(KEYS)]),
    "EXISTS": lambda: encode_request([b"EXISTS", *names(4 * KEYS)]),
    "DEL": lambda: encode_request([b"DEL", *names(4 * KEYS)]),
    "SUNION": lambda: encode_request([b"SUNION", *[b"{t}" + name for name in names(KEYS)]]),
    "EXEC": lambda: (
        encode_request([b"MULTI"])
        + b"".join([encode_request([b"GET", name]) for name in names(KEYS)])
        + encode_request([b"EXEC"])
    ),
    "watched": lambda: (
        encode_request([b"WATCH", b"k"])
        + encode_request([b"MULTI"])
        + encode_request([b"PING"]) * 20_000
        + encode_request([b"GET", b"k"]) * 20_000
        + encode_request([b"EXEC"])
    ),
    "SUBSCRIBE": lambda: encode_request([b"HELLO", b"3"]) + encode_request([b"SUBSCRIBE", *names(10_000)]),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_leaves_turns_short(proxy: tuple[TwoPools, BadLink], kind: str) -> None:
    """No turn of the loop is long, whatever is asked: others are served in many turns in between."""
    made, _ = proxy
    before = made.turns()
    assert send(made, FLOODS[kind]()) > 0
    after = made.turns()
    assert after["+Inf"] - after["1.0"] == before["+Inf"] - before["1.0"]
    assert after["+Inf"] > before["+Inf"]
