"""What a client can try, beside a real server that is tried the same way."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from click.testing import CliRunner

from kidoproxy.admin.cli import main
from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.resp.encode import encode_request
from tests.commands.oracle import program
from tests.live.asking import replies
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live


SERVERS: Final = ("redis", "valkey")


class Pair:
    """A real server, and the proxy in front of an equal one."""

    def __init__(self, straight: str, proxy: Any) -> None:
        self.straight = straight
        self.proxy = proxy


@pytest.fixture(scope="module", params=SERVERS)
def both(request: pytest.FixtureRequest, serve_proxy: Starter) -> Iterator[Pair]:
    """Both kinds of server."""
    with EmbeddedNodes() as nodes:
        straight = nodes.start(1, program(request.param))[0]
        yield Pair(straight, serve_proxy("ring", 1, server=program(request.param)))


WEB: Final = [
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nSET pwned 1\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\nSET pwned 1\r\n",
    b"post\r\nSET pwned 1\r\n",
    b"hOST: x\r\nSET pwned 1\r\n",
    b'"POST" x\r\nSET pwned 1\r\n',
    encode_request([b"POST", b"x"]) + encode_request([b"SET", b"pwned", b"1"]),
    encode_request([b"Host:"]) + encode_request([b"SET", b"pwned", b"1"]),
    encode_request([b"PoSt\0tail"]) + encode_request([b"SET", b"pwned", b"1"]),
    b"MULTI\r\nPOST\r\nSET pwned 1\r\nEXEC\r\n",
]


@pytest.mark.parametrize("page", WEB)
def test_a_web_page_is_hung_up_on(both: Pair, page: bytes) -> None:
    """What a browser can be made to send runs no command: the connection is closed, as the server does, and logged."""
    with both.proxy.raw() as connection:
        connection.sendall(page)
        while connection.recv(4096):
            pass
    assert both.proxy.client().exists("pwned") == 0
    eventually(lambda: "http request: pool=pool addr=127.0.0.1" in both.proxy.log())


@pytest.mark.parametrize("name", [b"host", b"posts", b"host:x", b"pos"])
def test_names_like_those_are_just_unknown(both: Pair, name: bytes) -> None:
    """The very error of the server, and the conversation goes on."""
    asked = [[name, b"x"], [b"PING"]]
    assert replies(both.proxy.url, asked) == replies(both.straight, asked)


#: Numbers in every way in which somebody may write one.
ODD: Final = [b"0x1", b"0X1p-4", b"1e-2", b" 0.01", b"0.01 ", b"nan", b"-inf", b"+.01", b".01", b"0x.02", b"-1", b""]
ODD_MORE: Final = [b"1_0", b"0.01\0", b"9" * 5000, b"0x", b"1e", b"--1", b"0.0001", b"1e400", b"0x1p99999", b"inf"]
DIGITS: Final = [b"9" * 18, b"9" * 19, b"9" * 20, b"9" * 4300, b"9" * 5000, b"-1", b"01", b"16", b"+1", b" 1", b""]
REQUESTS: Final = [
    *[[b"BLPOP", b"k", odd] for odd in ODD if odd != b"0x1"],
    *[[b"BZPOPMIN", b"k", odd] for odd in ODD_MORE],
    [b"XREAD", b"BLOCK", b"0x1", b"STREAMS", b"s", b"$"],
    [b"XREAD", b"BLOCK", b"1e1", b"STREAMS", b"s", b"$"],
    [b"XREAD", b"BLOCK", b"9" * 5000, b"STREAMS", b"s", b"$"],
    *[[b"WAIT", b"0", odd] for odd in DIGITS],
    *[[b"MOVE", b"k", odd] for odd in DIGITS],
    *[[b"COPY", b"k", b"l", b"DB", odd] for odd in DIGITS],
    *[[b"SELECT", odd] for odd in DIGITS],
    *[[b"EXPIRE", b"k", odd] for odd in DIGITS],
    *[[b"SETEX", b"k", odd, b"v"] for odd in DIGITS],
    *[[b"LMPOP", odd, b"k", b"LEFT"] for odd in DIGITS],
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda words: repr(words)[:60])
def test_odd_numbers_are_read_as_the_server_reads_them(both: Pair, request_: list[bytes]) -> None:
    """Hexadecimal, exponents, spaces, thousands of digits: the same answer, and the same client afterwards."""
    asked = [request_, [b"PING"]]
    assert replies(both.proxy.url, asked) == replies(both.straight, asked)


PASSWORD: Final = "n0de-s3cret"


@pytest.fixture(scope="module", params=SERVERS)
def guarded(request: pytest.FixtureRequest, serve_proxy: Starter) -> Any:
    """Two nodes that have a password, and one of their own for a master."""
    args = ["--requirepass", PASSWORD, "--masterauth", "m4ster-s3cret", "--masteruser", "m4ster-user"]
    args += ["--slowlog-log-slower-than", "0"]
    return serve_proxy("ring", 2, server=program(request.param), args=args, node={"password": PASSWORD})


GET: Final = ["CONFIG", "GET"]
ASKED: Final = [
    [*GET, "*"],
    [*GET, "requirepass"],
    [*GET, "REQUIREPASS"],
    [*GET, "master*"],
    [*GET, "[mr]*", "maxmemory"],
    ["PROXY", "NODE", "node-0", *GET, "*"],
    ["PROXY", "NODE", "node-0", "ACL", "LIST"],
    ["PROXY", "NODE", "node-0", "ACL", "GETUSER", "default"],
    ["PROXY", "NODE", "node-0", "CLIENT", "LIST"],
    ["PROXY", "NODE", "node-0", "SLOWLOG", "GET", "-1"],
    ["PROXY", "EACH", *GET, "*"],
    ["PROXY", "EACH", "ACL", "LIST"],
    ["PROXY", "EACH", "SLOWLOG", "GET", "128"],
    ["PROXY", "NODES"],
    ["SLOWLOG", "GET", "128"],
    ["INFO", "everything"],
    ["ACL", "LIST"],
    ["EVAL", "return redis.call('config', 'get', 'requirepass')", "0"],
    ["EVAL", "return redis.call('acl', 'list')", "0"],
]


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
@pytest.mark.parametrize("way", ["straight", "multi", "watched", "listed"])
@pytest.mark.parametrize("protocol", [2, 3])
def test_no_way_leads_to_a_nodes_secrets(guarded: Any, words: list[str], way: str, protocol: int) -> None:
    """Passwords, their digests and the user at the master stay where they are; the rest is told."""
    key = guarded.keys_on(0, 1)[0]
    asked = [[word.encode() for word in words]]
    if way == "multi":
        asked = [[b"MULTI"], *asked, [b"GET", key.encode()], [b"EXEC"]]
    elif way == "watched":
        asked = [[b"WATCH", key.encode()], [b"MULTI"], *asked, [b"EXEC"]]
    elif way == "listed":
        asked = [[b"PROXY", b"REPLIES", b"LIST"], *asked]
    said = b"".join(replies(guarded.url, [[b"HELLO", b"%d" % protocol], *asked]))
    for secret in (PASSWORD, "m4ster", hashlib.sha256(PASSWORD.encode()).hexdigest()):
        assert secret.encode() not in said
    if words == [*GET, "*"]:
        assert b"maxmemory-policy" in said


def test_the_logs_know_no_secrets(guarded: Any) -> None:
    """Nor does what is logged when a node refuses."""
    assert "s3cret" not in guarded.log()


@pytest.mark.parametrize("renamed", ["AUTH", "HELLO"])
def test_a_node_that_repeats_our_login(serve_proxy: Starter, renamed: str) -> None:
    """A server that does not know the command says what it was told, the password with it: clients do not hear that."""
    args = ["--requirepass", PASSWORD, "--rename-command", renamed, "nothing-of-ours"]
    proxy = serve_proxy("ring", 1, server=program("redis"), args=args, node={"password": PASSWORD})
    protocol = b"3" if renamed == "HELLO" else b"2"
    asked = [[b"HELLO", protocol], [b"GET", b"k"], [b"PROXY", b"NODES"], [b"INFO", b"kidoproxynodes"]]
    said = b"".join(replies(proxy.url, asked))
    assert PASSWORD.encode() not in said
    # Without AUTH nothing works, and the node's own words say why; without HELLO only RESP3 is missing.
    assert (b"NOPROTO" if renamed == "HELLO" else b"unknown command") in said
    assert PASSWORD not in proxy.log()


AGREED: Final = [
    b"0",
    b"00",
    b"+0",
    b"-0",
    b"0" * 30,
    b"abc",
    b"1e1",
    b"0x10",
    b"0 ",
    b"9" * 21,
    b"9" * 5000,
    b"1.0",
    b"+",
]


@pytest.mark.parametrize("cursor", AGREED, ids=lambda cursor: repr(cursor)[:30])
def test_cursors_are_read_as_the_server_reads_them(both: Pair, serve_proxy: Starter, cursor: bytes) -> None:
    """Of the keyspace and within a key: what begins anew, and what is no cursor."""
    asked = [
        [b"FLUSHALL"],
        [b"SADD", b"s", b"m"],
        [b"SCAN", cursor],
        [b"SSCAN", b"s", cursor],
        [b"HSCAN", b"h", cursor],
    ]
    assert replies(both.proxy.url, asked) == replies(both.straight, asked)


@pytest.fixture(scope="module")
def copies(serve_proxy: Starter) -> Any:
    """A copy pool, where cursors within keys are the proxy's own, too."""
    return serve_proxy("copy", 2, server=program("redis"))


@pytest.mark.parametrize("cursor", [*AGREED, b""], ids=lambda cursor: repr(cursor)[:30])
def test_cursors_of_copies_are_read_as_the_server_reads_them(both: Pair, copies: Any, cursor: bytes) -> None:
    """The same; nothing at all begins anew, as with Redis 7."""
    asked = [
        [b"FLUSHALL"],
        [b"SADD", b"s", b"m"],
        [b"SCAN", cursor],
        [b"SSCAN", b"s", cursor],
        [b"HSCAN", b"h", cursor],
    ]
    said = replies(copies.url, asked)
    meant = [[word if word else b"0" for word in words] for words in asked]
    assert said == replies(both.straight, meant)


def test_random_keys_come_from_all_nodes(serve_proxy: Starter) -> None:
    """Of 90 keys each is met about as often as the others, wherever it lives; with one key it is always that one."""
    proxy = serve_proxy("ring", 3)
    client = proxy.client()
    client.set("only", 1)
    assert {client.randomkey() for _ in range(30)} == {b"only"}
    client.delete("only")
    assert client.randomkey() is None
    for at, count in ((0, 60), (1, 30)):
        for key in proxy.keys_on(at, count, f"of-{at}"):
            client.set(key, 1)
    with client.pipeline(transaction=False) as pipe:
        for _ in range(3000):
            pipe.randomkey()
        found = Counter(key[:4] for key in pipe.execute())
    assert found[b"of-0"] + found[b"of-1"] == 3000
    assert 1700 < found[b"of-0"] < 2300


def test_one_server_under_several_names(serve_proxy: Starter, tmp_path: Path) -> None:
    """A ring that says so may name a server twice: nothing is counted twice, and nothing is said twice."""
    with EmbeddedNodes() as nodes:
        first, second = nodes.start(2)
        with RunningProxy(tmp_path, "ring", [first, second, first], EmbeddedNodes(), same_server=True) as proxy:
            client = proxy.start().client()
            for number in range(200):
                client.set(f"key:{number}", number)
            assert client.dbsize() == 200
            assert sorted(client.scan_iter(count=7)) == sorted(client.keys("*"))
            assert len(set(client.scan_iter())) == len(client.keys("*")) == 200
            assert int(client.info("keyspace")["db0"]["keys"]) == 200
            assert client.delete(*[f"key:{number}" for number in range(150)]) == 150
            listener = client.pubsub(ignore_subscribe_messages=True)
            listener.psubscribe("*")
            listener.get_message(timeout=5)
            assert client.publish("news", "once") == 1
            assert listener.get_message(timeout=5)["data"] == b"once"
            listener.close()
            assert client.flushdb()
            assert client.dbsize() == 0
            check = CliRunner().invoke(main, ["check", "--config", str(proxy.config)])
            assert check.exit_code == 0, check.output


@pytest.mark.parametrize("mode", ["ring", "copy"])
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_database_that_the_nodes_have_not(serve_proxy: Starter, mode: str, protocol: int) -> None:
    """Who asks for it hears the node's error, on whatever way; nothing lands elsewhere, and nobody else notices."""
    proxy = serve_proxy(mode, 2, args=["--databases", "4"], databases=64)
    other = proxy.client(protocol=protocol)
    other.set("mine", "kept")
    beyond = b"-ERR DB index is out of range\r\n"
    for db in (4, 50, 63):
        greet, select = [b"HELLO", b"%d" % protocol], [b"SELECT", b"%d" % db]
        said = replies(proxy.url, [greet, select, [b"SET", b"mine", b"lost"], [b"GET", b"mine"], [b"PING"]])[1:]
        assert said == [b"+OK\r\n", beyond, beyond, b"+PONG\r\n", b"+OK\r\n"]
        said = replies(proxy.url, [greet, select, [b"MULTI"], [b"SET", b"mine", b"lost"], [b"EXEC"], [b"PING"]])
        assert b"".join(said).count(b"DB index is out of range") == 1
        assert b"NODEDOWN" not in b"".join(replies(proxy.url, [greet, select, [b"BLPOP", b"mine", b"0.1"]]))
        assert other.get("mine") == b"kept"
    there = [[b"SELECT", b"3"], [b"SET", b"mine", b"third"], [b"SELECT", b"0"], [b"GET", b"mine"]]
    assert replies(proxy.url, there)[-2] == b"$4\r\nkept\r\n"
    assert "node down" not in proxy.log()


def counted(client: Any) -> int:
    """How many keys there are; -1 while nobody can say."""
    try:
        return int(client.dbsize())
    except redis.RedisError:
        return -1


@pytest.mark.parametrize("mode", ["ring", "copy"])
def test_a_large_cache_can_be_cleared(serve_proxy: Starter, mode: str) -> None:
    """What takes a node longer than the deadline is done and answered, and nobody takes the node for silent."""
    proxy = serve_proxy(mode, 1, server=program("redis"), args=["--enable-debug-command", "yes"], timeout_ms=120)
    (straight,) = proxy.node_clients()
    straight.execute_command("DEBUG", "POPULATE", "500000")
    client, other = (proxy.client(protocol=protocol, socket_timeout=60) for protocol in (2, 3))
    eventually(lambda: counted(client) == counted(other) == 500_000)
    before = len(proxy.log())
    assert client.flushdb()
    assert counted(straight) == 0
    assert "node down" not in proxy.log()[before:]
    eventually(lambda: counted(client) == counted(other) == 0)
