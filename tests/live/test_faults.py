"""A node that is down, silent, slow or no Redis at all costs its own keys an error in time, and nothing else."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from tests.badlink import BadLink
from tests.live.fake import Fake
from tests.live.proxies import RunningProxy, Starter
from tests.ports import free_port
from tests.wait import eventually

pytestmark = pytest.mark.live

DEADLINE: Final = 0.3
#: What a busy machine may add: an answer is in time until here.
MARGIN: Final = 1.0
OPTIONS: Final[dict[str, Any]] = {"timeout_ms": 300, "connect_timeout_ms": 300}


@contextmanager
def in_time() -> Iterator[None]:
    """What is done inside is over within the deadline."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < DEADLINE + MARGIN


def said(connection: socket.socket, count: int) -> list[bytes]:
    """So many replies from a bare socket."""
    reader = ReplyReader()
    found: list[bytes] = []
    while len(found) < count:
        data = connection.recv(1 << 16)
        assert data, found
        reader.feed(data)
        while (reply := reader.next()) is not None:
            found.append(reply)
    return found


def error_of(client: Any, *words: object) -> str:
    """The error that a command gets, within the deadline."""
    with in_time(), pytest.raises(redis.ResponseError) as error:
        client.execute_command(*words)
    return str(error.value)


def served(client: Any, key: str) -> Callable[[], bool]:
    """Whether the key can be read."""

    def works() -> bool:
        try:
            client.get(key)
        except redis.ResponseError:
            return False
        return True

    return works


@pytest.fixture(scope="module")
def pair(serve_proxy: Starter) -> RunningProxy:
    """A ring of two that several tests share; each leaves it well."""
    return serve_proxy("ring", 2, **OPTIONS)


@pytest.fixture
def ring(pair: RunningProxy) -> RunningProxy:
    """The same, emptied and well."""
    client = pair.client()
    for at in (0, 1):
        eventually(served(client, pair.keys_on(at, 1)[0]))
    client.flushall()
    return pair


def test_refused_at_start(own_proxy: Starter) -> None:
    """With a node that refuses, the proxy starts, serves the other's keys, and names the node and the cause."""
    dead = f"redis://127.0.0.1:{free_port()}"
    proxy = own_proxy("ring", 1, through=lambda urls: [*urls, dead], **OPTIONS)
    client = proxy.client()
    good, bad = (proxy.keys_on(at, 1)[0] for at in (0, 1))
    assert client.set(good, 1)
    assert error_of(client, "GET", bad) == f"NODEDOWN node-1 {dead.removeprefix('redis://')} (connection refused)"
    assert error_of(client, "MGET", good, bad).startswith("NODEDOWN node-1 ")
    assert error_of(client, "MSET", good, 2, bad, 2).startswith("PARTIAL 'mset' failed for 1 of 2 keys on node-1 ")
    assert error_of(client, "DBSIZE").startswith("NODEDOWN node-1 ")
    assert client.get(good) == b"2"


def test_killed_in_a_pipeline(ring: RunningProxy) -> None:
    """A node that dies under a pipeline fails its own commands only; the socket lives, and so does the node again."""
    good, bad = (ring.keys_on(at, 50) for at in (0, 1))
    with ring.raw() as connection:
        ring.pause(1)
        requests = [
            encode_request([b"SET", key.encode(), b"v"]) for both in zip(good, bad, strict=True) for key in both
        ]
        connection.sendall(b"".join(requests))
        # The replies of the node that lives cannot leave before those in front of them: kill the other one.
        ring.kill(1)
        with in_time():
            replies = said(connection, 100)
        assert replies[::2] == [b"+OK\r\n"] * 50
        for reply in replies[1::2]:
            assert reply.startswith((b"-NODEDOWN node-1 ", b"-TIMEOUT node-1 "))
        ring.restart(1)
        client = ring.client()
        eventually(served(client, bad[0]))
        connection.sendall(encode_request([b"SET", bad[0].encode(), b"v"]) + encode_request([b"GET", bad[0].encode()]))
        assert said(connection, 2) == [b"+OK\r\n", b"$1\r\nv\r\n"]


def test_a_write_may_have_run(own_proxy: Starter) -> None:
    """Of a write that was sent before the connection died the error says that its outcome is unknown."""
    with behind_bad_link(own_proxy) as (proxy, conn):
        client = proxy.client()
        client.set("k", 1)
        conn.cut_after(0)
        assert error_of(client, "INCR", "k").endswith("the write may have run, its outcome is unknown")
        conn.heal()
        eventually(served(client, "k"))
        assert client.get("k") == b"2"


@contextmanager
def behind_bad_link(start: Starter, **options: Any) -> Iterator[tuple[RunningProxy, BadLink]]:
    """A proxy with one node behind a network that can be bad."""
    conns: list[BadLink] = []

    def through(urls: list[str]) -> list[str]:
        conns.extend(BadLink(url) for url in urls)
        return [conn.url for conn in conns]

    try:
        proxy = start("ring", 1, through=through, **{**OPTIONS, **options})
        yield proxy, conns[0]
        proxy.stop()
    finally:
        for conn in conns:
            conn.__exit__(None, None, None)


def test_silent(ring: RunningProxy) -> None:
    """A silent node costs TIMEOUT within the deadline; its late replies reach nobody, and it is used again."""
    good, bad = (ring.keys_on(at, 20) for at in (0, 1))
    client = ring.client()
    client.mset({key: key for key in good + bad})
    ring.pause(1)
    try:
        text = error_of(client, "GET", bad[0])
        assert text.startswith("TIMEOUT node-1 ")
        with in_time():
            assert client.get(good[0]) == good[0].encode()
        # From now on the node is known to be down: the answer comes at once.
        eventually(lambda: error_of(client, "GET", bad[1]).startswith("NODEDOWN node-1 "))
    finally:
        ring.resume(1)
    eventually(served(client, bad[2]))
    assert client.mget(good + bad) == [key.encode() for key in good + bad]


def test_black_hole(own_proxy: Starter) -> None:
    """A network that swallows everything costs TIMEOUT, then the node counts as down until it is well."""
    with behind_bad_link(own_proxy) as (proxy, conn):
        client = proxy.client()
        client.set("k", "v")
        conn.swallow()
        assert error_of(client, "GET", "k").startswith("TIMEOUT node-0 ")
        assert client.ping()
        conn.heal()
        conn.cut()
        eventually(served(client, "k"))
        assert client.get("k") == b"v"


def test_stalled(own_proxy: Starter) -> None:
    """What a stalled connection brings late is never given to somebody else."""
    with behind_bad_link(own_proxy) as (proxy, conn):
        client = proxy.client()
        client.mset({f"k{number}": number for number in range(50)})
        for number in range(5):
            conn.stall()
            assert error_of(client, "GET", f"k{number}").startswith(("TIMEOUT node-0 ", "NODEDOWN node-0 "))
            conn.heal()
            eventually(served(client, "k0"))
            assert [client.get(f"k{at}") for at in range(50)] == [b"%d" % at for at in range(50)]


def test_refusing_then_accepting(own_proxy: Starter) -> None:
    """A node that refuses is down at once, and is used again by itself once it accepts."""
    with behind_bad_link(own_proxy) as (proxy, conn):
        client = proxy.client()
        client.set("k", "v")
        conn.refuse()
        eventually(lambda: "(connection refused)" in error_of(client, "GET", "k"))
        conn.accept()
        eventually(served(client, "k"))
        assert client.get("k") == b"v"


def test_trickling(own_proxy: Starter) -> None:
    """Replies that come byte by byte are put together."""
    with behind_bad_link(own_proxy, timeout_ms=20_000) as (proxy, conn):
        client = proxy.client()
        value = bytes(range(256)) * 8
        client.set("k", value)
        conn.trickle()
        assert client.mget("k", "none", "k") == [value, None, value]
        assert client.get("k") == value


@pytest.mark.parametrize("at", [0, 1, 3, 500, 1005])
def test_cut_in_a_reply(own_proxy: Starter, at: int) -> None:
    """A read whose reply is cut off is asked again: the client gets the whole value, never a part of it."""
    with behind_bad_link(own_proxy, timeout_ms=2000) as (proxy, conn):
        client = proxy.client()
        client.set("k", b"x" * 1000)
        conn.cut_after(at)
        assert client.get("k") == b"x" * 1000


def test_cut_in_a_large_reply(own_proxy: Starter) -> None:
    """A large reply that was passed on in part cannot be taken back: then, and only then, the client is hung up on."""
    with behind_bad_link(own_proxy, timeout_ms=2000) as (proxy, conn):
        client = proxy.client()
        value = b"x" * 3_000_000
        client.set("k", value)
        conn.cut_after(1_000_000)
        with proxy.raw() as connection:
            connection.sendall(encode_request([b"GET", b"k"]))
            reply = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        frame = b"$3000000\r\n" + value + b"\r\n"
        assert frame.startswith(reply)
        assert len(reply) < len(frame)
        eventually(served(client, "k"))
        assert client.get("k") == value


def test_loading(own_proxy: Starter) -> None:
    """A node that is LOADING says so to its own keys' clients, with the code word that they know."""
    answer = b"-LOADING Redis is loading the dataset in memory\r\n"
    with Fake(answer) as url:
        proxy = own_proxy("ring", 1, through=lambda urls: [*urls, url], **OPTIONS)
        good, bad = (proxy.keys_on(at, 1)[0] for at in (0, 1))
        with proxy.raw() as connection:
            connection.sendall(encode_request([b"GET", bad.encode()]) + encode_request([b"SET", good.encode(), b"1"]))
            with in_time():
                replies = said(connection, 2)
        assert b"LOADING" in replies[0]
        assert replies[1] == b"+OK\r\n"
        proxy.stop()


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x00" * 50, b"$-7\r\n", b"+OK\r\n" * 9],
    ids=["http", "hangs-up", "zeros", "bad-length", "too-much"],
)
def test_no_redis(own_proxy: Starter, answer: bytes) -> None:
    """A node that is no Redis is down, for its own keys alone."""
    with Fake(answer) as url:
        proxy = own_proxy("ring", 1, through=lambda urls: [*urls, url], **OPTIONS)
        client = proxy.client()
        good, bad = (proxy.keys_on(at, 1)[0] for at in (0, 1))
        assert error_of(client, "GET", bad).startswith(("NODEDOWN node-1 ", "TIMEOUT node-1 "))
        assert client.set(good, 1)
        proxy.stop()


def test_password_of_a_node(own_proxy: Starter) -> None:
    """A node's password is said to it; a wrong one is told as the cause, and is not in the message."""
    node = ("--requirepass", "the-right-one")
    right = own_proxy("ring", 1, args=node, node={"password": "the-right-one"}, **OPTIONS)
    assert right.client().set("k", "v")
    wrong = own_proxy("ring", 1, args=node, node={"password": "a-wrong-one"}, **OPTIONS)
    text = error_of(wrong.client(), "GET", "k")
    assert text.startswith("NODEDOWN node-0 ")
    assert "WRONGPASS" in text
    assert "a-wrong-one" not in text + wrong.log()


def test_unix_sockets(own_proxy: Starter, tmp_path: Path) -> None:
    """Nodes and listeners may be unix sockets; a stale one is replaced, and ours is removed at the end."""
    path = tmp_path / "kidoproxy.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    proxy = own_proxy("ring", 1, listen=f"unix://{path}", **OPTIONS)
    assert proxy.urls[0].startswith("unix://")
    with redis.Redis(unix_socket_path=str(path)) as client:
        assert client.set("k", "v")
        assert client.get("k") == b"v"
    assert proxy.end() == 0
    assert not path.exists()


def test_miss(own_proxy: Starter) -> None:
    """With on_down = "miss" a node that is down finds nothing and drops writes; the other node is not touched by it."""
    proxy = own_proxy("ring", 2, on_down="miss", **OPTIONS)
    client = proxy.client()
    good, bad = (proxy.keys_on(at, 1)[0] for at in (0, 1))
    client.mset({good: 1, bad: 1})
    proxy.kill(1)
    with in_time():
        assert client.get(bad) is None
        assert client.set(bad, 2)
        assert client.delete(bad) == 0
        assert client.mget(good, bad) == [b"1", None]
    assert client.get(good) == b"1"
    proxy.restart(1)
    eventually(lambda: client.set(bad, 3) and client.get(bad) == b"3")


# -- clients that are bad ------------------------------------------------------------------------------


def test_slow_reader(own_proxy: Starter) -> None:
    """Who does not read is paused, then cut; the memory stays bounded, and nobody else notices."""
    proxy = own_proxy("ring", 1, limits={"client_output_mb": 16})
    client = proxy.client()
    client.set("big", b"x" * 1_000_000)
    before = proxy.memory()
    with proxy.raw() as connection:
        connection.sendall(encode_request([b"GET", b"big"]) * 400)
        eventually(lambda: len(client.client_list()) == 1, 20)
        assert client.get("big") == b"x" * 1_000_000
    assert proxy.memory("VmHWM") - before < 100_000_000


def test_max_clients(own_proxy: Starter) -> None:
    """One client too many gets Redis's error and is hung up on."""
    proxy = own_proxy("ring", 1, limits={"max_clients": 2})
    with proxy.raw() as first, proxy.raw() as second:
        for connection in (first, second):
            connection.sendall(b"PING\r\n")
            assert said(connection, 1) == [b"+PONG\r\n"]
        with proxy.raw() as third:
            assert said(third, 1) == [b"-ERR max number of clients reached\r\n"]
            assert third.recv(1) == b""
        first.sendall(b"PING\r\n")
        assert said(first, 1) == [b"+PONG\r\n"]


def test_password_of_the_pool(own_proxy: Starter) -> None:
    """Without the pool's password nothing is served; with it everything is."""
    proxy = own_proxy("ring", 1, password="secret")
    with proxy.raw() as connection:
        connection.sendall(b"GET k\r\nAUTH wrong\r\nPING\r\nAUTH secret\r\nPING\r\n")
        replies = said(connection, 5)
    assert replies[0] == b"-NOAUTH Authentication required.\r\n"
    assert replies[1].startswith(b"-WRONGPASS ")
    assert replies[2].startswith(b"-NOAUTH ")
    assert replies[3:] == [b"+OK\r\n", b"+PONG\r\n"]
    for protocol in (2, 3):
        with pytest.raises(redis.AuthenticationError):
            proxy.client(protocol=protocol, password="wrong").ping()
        with pytest.raises(redis.AuthenticationError):
            proxy.client(protocol=protocol).ping()
        assert proxy.client(protocol=protocol, password="secret").set("k", 1)
        assert proxy.client(protocol=protocol, username="default", password="secret").get("k") == b"1"
    assert "secret" not in proxy.log()
