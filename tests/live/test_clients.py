"""The clients that people have: redis-py old and new, redis-cli, redis-benchmark, and bare sockets."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from redis.lock import Lock

from kidoproxy.resp.encode import encode_request
from tests.live.asking import replies
from tests.live.proxies import RunningProxy, Starter, environment
from tests.needs import needs, needs_package

pytestmark = pytest.mark.live

KEYS: Final = [f"key:{number}" for number in range(512)]
SECONDS: Final = 60.0


@pytest.fixture(scope="module")
def running(serve_proxy: Starter) -> RunningProxy:
    """A ring of three."""
    return serve_proxy("ring", 3, timeout_ms=10_000)


@pytest.fixture
def ring(running: RunningProxy) -> RunningProxy:
    """The same, emptied."""
    running.client().flushall()
    return running


@pytest.fixture(params=[None, 2, 3], ids=["defaults", "RESP2", "RESP3"])
def client(ring: RunningProxy, request: pytest.FixtureRequest) -> Iterator[Any]:
    """redis-py as it is when nothing is said, and with both protocols."""
    options = {} if request.param is None else {"protocol": request.param}
    with redis.Redis(port=ring.port, **options) as made:
        yield made


# -- redis-py ------------------------------------------------------------------------------------------


def test_types(client: Any) -> None:
    """Each type's commands give what redis-py makes of a server's replies."""
    assert client.set("s", "v", ex=100)
    assert client.get("s") == b"v"
    assert 0 < client.ttl("s") <= 100
    assert client.hset("h", mapping={"a": 1, "b": 2}) == 2
    assert client.hgetall("h") == {b"a": b"1", b"b": b"2"}
    assert client.sadd("t", "a", "b") == 2
    assert client.smembers("t") == {b"a", b"b"}
    assert client.zadd("z", {"a": 1.5, "b": 2}) == 2
    assert client.zscore("z", "a") == 1.5
    assert [list(pair) for pair in client.zrange("z", 0, -1, withscores=True)] == [[b"a", 1.5], [b"b", 2.0]]
    assert client.rpush("l", 1, 2) == 2
    assert client.lrange("l", 0, -1) == [b"1", b"2"]
    assert client.xadd("x", {"f": "v"}, id="1-1") == b"1-1"
    assert client.xlen("x") == 1
    assert client.pfadd("p", "a") == 1
    assert client.geoadd("g", (13.36, 38.11, "Palermo")) == 1
    assert client.bitcount("s") == 5
    assert client.type("x") == b"stream"


def test_about_the_server(client: Any) -> None:
    """What clients ask about the server they understand."""
    assert client.ping()
    assert client.echo("x") == b"x"
    assert client.info()["redis_version"]
    assert client.client_id() > 0
    assert client.client_info()["lib-name"] == "redis-py"
    assert any(row["id"] for row in client.client_list())
    assert client.command_count() > 200
    assert "maxmemory" in client.config_get("maxmemory")
    assert client.time()[0] > 0
    assert client.dbsize() == 0


def test_wrong_type(client: Any) -> None:
    """A node's error is the client's exception, and the connection goes on."""
    client.lpush("l", 1)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE Operation against a key"):
        client.get("l")
    assert client.llen("l") == 1


def test_databases(ring: RunningProxy) -> None:
    """Each client has its database."""
    for db in (0, 7):
        with redis.Redis(port=ring.port, db=db) as client:
            assert client.get("k") is None
            client.set("k", db)
    with redis.Redis(port=ring.port, db=7) as client:
        assert client.get("k") == b"7"
        client.flushdb()
    with redis.Redis(port=ring.port) as client:
        assert client.get("k") == b"0"


def test_transaction(client: Any) -> None:
    """MULTI and EXEC over all nodes: each command's reply in its place, each error too."""
    with client.pipeline() as pipe:
        for key in KEYS[:50]:
            pipe.set(key, key)
        pipe.lpush(KEYS[0], 1)
        said = pipe.execute(raise_on_error=False)
    assert said[:50] == [True] * 50
    assert "WRONGTYPE" in str(said[50])
    with client.pipeline() as pipe:
        pipe.set("a", 1)
        pipe.execute_command("GET")
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            pipe.execute()
    assert client.get("a") is None


def test_deep_pipeline(client: Any) -> None:
    """A pipeline of 10 000 is answered in order."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            pipe.set(f"deep:{number}", number) if number % 2 == 0 else pipe.get(f"deep:{number - 1}")
        said = pipe.execute()
    assert said[::2] == [True] * 5000
    assert said[1::2] == [b"%d" % number for number in range(0, 10_000, 2)]


def test_many_keys(client: Any) -> None:
    """Commands of 512 keys."""
    assert client.mset({key: key for key in KEYS})
    assert client.mget(KEYS) == [key.encode() for key in KEYS]
    assert client.exists(*KEYS) == 512
    assert sorted(client.scan_iter("key:*", count=100)) == sorted(key.encode() for key in KEYS)
    assert client.delete(*KEYS) == 512


@pytest.mark.parametrize(
    "key", [b"", b"\x00", b"\r\n", b"\xff" * 10, b"{}", b"{", b"a{b}c}", "żółw".encode(), b"k" * 70_000]
)
def test_odd_keys(client: Any, key: bytes) -> None:
    """Empty keys, binary keys, long keys; and such values."""
    assert client.set(key, key)
    assert client.get(key) == key
    assert client.mget([key, b"other"]) == [key, None]
    assert client.keys() == [key]
    assert client.delete(key) == 1


@pytest.mark.parametrize("size", [0, 1, 16_384, 32_768, 65_536, 1_000_003, 20_000_000])
def test_sizes(client: Any, size: int) -> None:
    """Values of any size come back as they were, alone and between others."""
    value = bytes(range(256)) * (size // 256 + 1)
    value = value[:size]
    assert client.set("k", value)
    assert client.get("k") == value
    with client.pipeline(transaction=False) as pipe:
        assert pipe.set("small", 1).get("k").get("small").execute() == [True, value, b"1"]


def test_lock(client: Any) -> None:
    """redis-py's lock, which is a Lua script, keeps the others out and is given back."""
    lock = Lock(client, "lock", timeout=20)
    other = Lock(client, "lock", timeout=20, blocking=False)
    assert lock.acquire()
    assert not other.acquire()
    assert lock.extend(5)
    lock.release()
    assert other.acquire()
    other.release()
    with pytest.raises(redis.exceptions.LockError):
        other.release()


def test_script(client: Any) -> None:
    """A registered script is loaded when a node does not have it, also within a pipeline."""
    script = client.register_script("return {KEYS[1], ARGV[1]}")
    assert [script(keys=[key], args=["x"]) for key in KEYS[:20]] == [[key.encode(), b"x"] for key in KEYS[:20]]
    with client.pipeline() as pipe:
        for key in KEYS[:20]:
            script(keys=[key], args=["y"], client=pipe)
        assert pipe.execute() == [[key.encode(), b"y"] for key in KEYS[:20]]


def test_threads(ring: RunningProxy) -> None:
    """Many clients at once: each gets its own answers."""
    wrong: list[object] = []

    def work(name: int) -> None:
        with redis.Redis(port=ring.port) as client:
            for number in range(100):
                client.set(f"{name}:{number}", f"{name}-{number}")
                if client.get(f"{name}:{number}") != f"{name}-{number}".encode():
                    wrong.append((name, number))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert ring.client().dbsize() == 2000


async def test_asyncio(ring: RunningProxy) -> None:
    """redis-py's asyncio client."""
    made: Any = redis.asyncio.Redis(port=ring.port)
    async with made as client:
        assert await client.mset({key: key for key in KEYS})
        assert await client.mget(KEYS) == [key.encode() for key in KEYS]
        async with client.pipeline() as pipe:
            assert await pipe.set("a", 1).get("a").execute() == [True, b"1"]


OLD: Final = """
import redis
assert redis.__version__.split(".")[0] == VERSION, redis.__version__
for protocol in (2, 3) if VERSION != "4" else (None,):
    options = {} if protocol is None else {"protocol": protocol}
    client = redis.Redis(port=PORT, **options)
    client.flushall()
    assert client.mset({f"k{n}": n for n in range(100)})
    assert client.mget([f"k{n}" for n in range(100)]) == [b"%d" % n for n in range(100)]
    assert sorted(client.scan_iter("k*", count=10)) == sorted(b"k%d" % n for n in range(100))
    assert client.pipeline().set("a", 1).incr("a").execute() == [True, 2]
    assert client.hset("h", "f", "v") == 1
    assert client.hgetall("h") == {b"f": b"v"}
    with client.lock("lock", timeout=5):
        assert client.get("lock")
    try:
        client.hget("a", "f")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error)
    assert client.info()["redis_version"]
    client.close()
print("well")
"""


@pytest.mark.parametrize("version", ["4", "5", "6", "7"])
def test_older_redis_py(ring: RunningProxy, version: str, tmp_path: Path) -> None:
    """Older redis-py, unchanged, with both protocols where it has both."""
    folder = needs_package("redis", f"=={version}.*", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", f"VERSION = {version!r}; PORT = {ring.port}\n{OLD}"],
        env={**environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


# -- programs ------------------------------------------------------------------------------------------


def run(*words: str, given: str = "") -> str:
    """What a program prints."""
    done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()
    return done.stdout


@pytest.mark.parametrize("protocol", ["-2", "-3"])
def test_redis_cli(ring: RunningProxy, protocol: str) -> None:
    """redis-cli: a command, a script of them, another database, and its own ways through the keys."""
    cli = [needs("redis-cli"), "-p", str(ring.port), protocol]
    assert run(*cli, "set", "hello", "world") == "OK\n"
    assert run(*cli, "get", "hello") == "world\n"
    assert run(*cli, "-n", "3", "get", "hello") == "\n"
    assert run(*cli, given="set a 1\nincr a\nget nothing\nhset h f v\n") == "OK\n2\n\n1\n"
    assert sorted(run(*cli, "--scan").split()) == ["a", "h", "hello"]
    assert "hello" in run(*cli, "proxy", "route", "get", "hello")
    assert "summary" in run(*cli, "--bigkeys")
    many = "".join(f"set p{number} v\n" for number in range(1000))
    assert "errors: 0, replies: 1000" in run(*cli, "--pipe", given=many)


def test_redis_benchmark(ring: RunningProxy) -> None:
    """redis-benchmark runs its tests, alone and pipelined, and has no error."""
    program = needs("redis-benchmark")
    tests = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,zadd,lrange,mset"
    for depth in ("1", "16"):
        said = run(program, "-p", str(ring.port), "-n", "400", "-r", "1000", "-P", depth, "-q", "-t", tests)
        assert "error" not in said.lower()
        assert said.count("requests per second") >= 13


# -- bare sockets --------------------------------------------------------------------------------------


def test_inline(ring: RunningProxy) -> None:
    """Inline commands, as typed into telnet or nc."""
    with ring.raw() as connection:
        connection.sendall(b'set "a key" "a\\x00b"\r\n\r\n  get   "a key"  \nPING\r\nquit\r\n')
        said = b"".join(iter(lambda: connection.recv(1000), b""))
    assert said == b"+OK\r\n$3\r\na\x00b\r\n+PONG\r\n+OK\r\n"


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$9999999999\r\n", "invalid bulk length"),
        (b'get "a\r\n', "unbalanced quotes in request"),
        (b"x" * 70_000, "too big inline request"),
    ],
)
def test_malformed(ring: RunningProxy, frame: bytes, text: str) -> None:
    """What is no request gets Redis's own error, after all that is owed; then the connection is closed."""
    with ring.raw() as connection:
        connection.sendall(b"PING\r\nSET k v\r\n" + frame)
        said = b"".join(iter(lambda: connection.recv(1000), b""))
    assert said == b"+PONG\r\n+OK\r\n-ERR Protocol error: " + text.encode() + b"\r\n"


def test_bytewise(ring: RunningProxy) -> None:
    """A request that comes byte by byte, each a packet of its own."""
    with ring.raw() as connection:
        for byte in encode_request([b"SET", b"k", b"v"]) + encode_request([b"MGET", b"k", b"none"]) + b"QUIT\r\n":
            connection.sendall(bytes([byte]))
        said = b"".join(iter(lambda: connection.recv(1000), b""))
    assert said == b"+OK\r\n*2\r\n$1\r\nv\r\n$-1\r\n+OK\r\n"


def test_order(ring: RunningProxy) -> None:
    """However the nodes' answers come in, each client gets its own in the order of its requests."""
    requests = [[b"ECHO", b"%d" % n] if n % 3 else [b"SET", b"k%d" % n, b"v"] for n in range(3000)]
    said = replies(ring.url, requests)
    assert said[:-1] == [b"$%d\r\n%d\r\n" % (len(str(n)), n) if n % 3 else b"+OK\r\n" for n in range(3000)]


def test_client_that_leaves(ring: RunningProxy) -> None:
    """A client that hangs up in the middle of a request or of its replies disturbs nobody."""
    ring.client().set("big", b"x" * 3_000_000)
    for _ in range(10):
        for data in (
            b"*2\r\n$3\r\nGET\r\n$100\r\nabc",
            encode_request([b"GET", b"big"]) * 5,
            encode_request([b"MSET", b"a", b"1"]) * 100,
        ):
            with ring.raw() as connection:
                connection.sendall(data)
    client = ring.client()
    assert [client.get("big") for _ in range(3)] == [b"x" * 3_000_000] * 3
