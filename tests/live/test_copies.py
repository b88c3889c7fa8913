"""A copy pool from outside: every write stands on all nodes, in one order; what could make them diverge is refused."""

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
import redis

from tests.live.contents import Crowd, equal
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = [pytest.mark.live, pytest.mark.both_builds]

#: As django-redis has it: increments a key that exists and keeps its expiry.
INCR_SCRIPT: Final = """
local exists = redis.call('EXISTS', KEYS[1])
if (exists == 1) then
    return redis.call('INCRBY', KEYS[1], ARGV[1])
else return false end
"""


@pytest.fixture(scope="module")
def three(serve_proxy: Starter) -> RunningProxy:
    """Three copies that several tests share; each leaves them well."""
    return serve_proxy("copy", 3)


@pytest.fixture
def proxy(three: RunningProxy) -> RunningProxy:
    """The same, emptied."""
    three.client().flushall()
    return three


@pytest.fixture(params=[2, 3])
def client(proxy: RunningProxy, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client that speaks either protocol, beside others that may speak the other one."""
    with redis.Redis(port=proxy.port, protocol=request.param) as found:
        yield found


def refusal(client: Any, *words: object) -> str:
    """The error of a command."""
    with pytest.raises(redis.ResponseError) as error:
        client.execute_command(*words)
    return str(error.value)


# -- writes ------------------------------------------------------------------------------------------------------


def test_one_order(proxy: RunningProxy) -> None:
    """Hot keys, eight writers, both protocols, several databases: the order that shows is the same everywhere."""
    turns = [0] * 8

    with Crowd() as crowd:
        for number in range(8):
            writer = proxy.client(protocol=2 + number % 2, db=number % 3)

            def step(turn: int, number: int = number, writer: Any = writer) -> None:
                pipe = writer.pipeline(transaction=turn % 2 == 1)
                pipe.incr("count")
                pipe.append("text", f"{number}.{turn} ")
                pipe.rpush("list", f"{number}.{turn}")
                pipe.getset("last", f"{number}.{turn}")
                pipe.hincrby("hash", f"field{turn % 3}", number)
                pipe.execute()
                assert writer.append("text", f"{number}!{turn} ")
                turns[number] = turn + 1

            crowd.join(step)
        eventually(lambda: crowd.problems or min(turns) > 150, 30)

    held = equal(proxy, range(3))
    for db in range(3):
        assert held[(db, b"count")][1] == b"%d" % sum(turns[db::3])
        assert len(held[(db, b"list")][1]) == sum(turns[db::3])


def test_each(proxy: RunningProxy, client: Any) -> None:
    """What the ancestor said: one reply for each node, in the order of the configuration."""
    assert client.execute_command("PROXY", "EACH", "SET", "k", "v") == [b"OK"] * 3
    assert client.execute_command("PROXY", "EACH", "GET", "k") == [b"v"] * 3
    assert client.execute_command("PROXY", "REPLIES", "LIST") == b"OK"
    assert client.execute_command("INCRBY", "n", 5) == [5] * 3
    assert client.execute_command("LPUSH", "k", 1)[0].args[0].startswith("WRONGTYPE")
    assert client.execute_command("PROXY", "REPLIES", "MERGED") == b"OK"
    assert equal(proxy)[(0, b"n")][1] == b"5"


@pytest.mark.parametrize(
    "words",
    [
        "SWAPDB 0 1",
        "WAITAOF 1 1 0",
    ],
)
def test_refused(client: Any, words: str) -> None:
    """What each node would decide for itself is refused, and the error says so."""
    name = words.split()[0].lower()
    assert refusal(client, *words.split()).startswith(f"'{name}' is not served here: ")
    assert client.dbsize() == 0


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('SPOP', redis.call('RANDOMKEY'))",
        "return redis.call('DEL', redis.call('RANDOMKEY'), redis.call('SPOP', KEYS[1]))",
        "local c = redis.call; c('SPOP', KEYS[1]); return c('FLUSHALL')",
        "return redis.call(ARGV[1] .. redis.call('GET', 'x'), KEYS[1])",
    ],
)
def test_scripts_refused(client: Any, script: str) -> None:
    """A script that could come to another end on another node is not run on any."""
    client.sadd("s", 1, 2, 3)
    assert "copies could diverge" in refusal(client, "EVAL", script, 1, "s", "FLUSHALL")
    assert client.scard("s") == 3


def test_scripts(proxy: RunningProxy, client: Any) -> None:
    """What is certain works: a lock's release, django-redis's incr, and EVALSHA on a node that forgot the script."""
    lock = client.lock("lock", timeout=20)
    assert lock.acquire(blocking=False)
    assert not client.lock("lock", timeout=20).acquire(blocking=False)
    assert lock.extend(5)
    lock.release()
    assert client.exists("lock") == 0

    incr = client.register_script(INCR_SCRIPT)
    assert incr(["n"], [1]) is None
    client.set("n", 5)
    assert incr(["n"], [2]) == 7
    for node in proxy.node_clients():
        node.script_flush()
    assert client.evalsha(incr.sha, 1, "n", 3) == 10
    assert [node.get("n") for node in proxy.node_clients()] == [b"10"] * 3
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha("0" * 40, 1, "n")


@pytest.mark.parametrize(
    "words",
    [
        "SET k v EX 100",
        "SET k v PX 100000",
        "SETEX k 100 v",
        "PSETEX k 100000 v",
        "EXPIRE h 100",
        "PEXPIRE h 100000",
        "GETEX s EX 100",
        "GETEX s PX 100000",
        "HEXPIRE h 100 FIELDS 1 f",
        "HPEXPIRE h 100000 FIELDS 1 f",
    ],
)
def test_expiry(proxy: RunningProxy, client: Any, words: str) -> None:
    """A time to live becomes a moment: the same one on every node."""
    client.hset("h", "f", 1)
    client.set("s", "v")
    before = time.time()
    client.execute_command(*words.split())
    key = words.split()[1]
    question = ["HPEXPIRETIME", key, "FIELDS", 1, "f"] if words.startswith("H") else ["PEXPIRETIME", key]
    moments = [node.execute_command(*question) for node in proxy.node_clients()]
    assert moments[1:] == moments[:-1]
    moment = moments[0][0] if isinstance(moments[0], list) else moments[0]
    assert 99.9 <= moment / 1000 - before < 110


def test_expired(proxy: RunningProxy, client: Any) -> None:
    """Copies expire together: when a key is gone for the client it is gone on every node."""
    client.set("k", "v", px=40)
    eventually(lambda: client.get("k") is None)
    assert [node.exists("k") for node in proxy.node_clients()] == [0] * 3
    assert client.set("k", "w", nx=True)
    assert equal(proxy)[(0, b"k")][1] == b"w"


# -- transactions ----------------------------------------------------------------------------------------------------


def test_transactions(proxy: RunningProxy, client: Any) -> None:
    """MULTI stands whole on every node; its reads see its writes; an error inside leaves the rest standing."""
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", 1).incr("a").get("a").lpush("a", 1).rpush("l", 1, 2).lrange("l", 0, -1).expire("l", 100)
        replies = pipe.execute(raise_on_error=False)
    assert replies[:3] == [True, 2, b"2"]
    assert isinstance(replies[3], redis.ResponseError)
    assert replies[4:] == [2, [b"1", b"2"], True]
    with client.pipeline(transaction=True) as pipe:
        pipe.get("a").exists("l").dbsize()
        assert pipe.execute() == [b"2", 1, 2]
    assert len(equal(proxy)) == 2


def test_transaction_refused(client: Any) -> None:
    """What is refused is refused while queueing, and spoils the whole."""
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", 1).execute_command("WAITAOF", 1, 1, 0)
        with pytest.raises(redis.ResponseError, match="'waitaof' is not served here"):
            pipe.execute()
    assert client.get("a") is None


def test_watch(client: Any, proxy: RunningProxy) -> None:
    """A transaction with watched keys runs on all copies, or on none if somebody wrote to them meanwhile."""
    client.set("n", 1)
    with client.pipeline() as pipe:
        pipe.watch("n")
        value = int(pipe.get("n"))
        pipe.multi()
        assert pipe.set("n", value + 1).execute() == [True]
        pipe.watch("n")
        proxy.client().incr("n")
        pipe.multi()
        with pytest.raises(redis.WatchError):
            pipe.set("n", 100).execute()
    assert set(client.execute_command("PROXY", "EACH", "GET", "n")) == {b"3"}


def test_watched_key_expires(client: Any) -> None:
    """A key that is gone by the time of EXEC has changed."""
    client.set("n", 1, px=60)
    with client.pipeline() as pipe:
        pipe.watch("n")
        eventually(lambda: client.get("n") is None)
        pipe.multi()
        with pytest.raises(redis.WatchError):
            pipe.set("n", 2).execute()


def test_wait(client: Any) -> None:
    """The other copies are the replicas."""
    client.set("a", 1)
    assert client.wait(5, 0) == len(client.execute_command("PROXY", "EACH", "GET", "a")) - 1


# -- the whole keyspace --------------------------------------------------------------------------------------------


def test_scan(client: Any) -> None:
    """SCAN and the scans of a key give all there is once, and stay on one copy."""
    names = {b"%d" % number for number in range(3000)}
    client.mset(dict.fromkeys(names, 1))
    assert sorted(client.scan_iter(count=100)) == sorted(names)
    assert client.dbsize() == len(names)
    client.flushdb()
    client.sadd("s", *names)
    client.hset("h", mapping=dict.fromkeys(names, 1))
    client.zadd("z", dict.fromkeys(names, 1))
    assert set(client.sscan_iter("s", count=100)) == names
    assert {field for field, _ in client.hscan_iter("h", count=100)} == names
    assert {member for member, _ in client.zscan_iter("z", count=100)} == names
    assert refusal(client, "SSCAN", "s", 77) == "invalid cursor"
    assert client.sscan("nothing") == (0, [])


def test_databases(proxy: RunningProxy, client: Any) -> None:
    """A database is the same on every node; FLUSHDB empties it everywhere."""
    with client.client() as one:
        for db in (0, 4, 9):
            one.select(db)
            one.set("k", db)
        one.select(4)
        assert one.get("k") == b"4"
        assert one.move("k", 5)
        assert one.copy("k", "l", 9) is False
        one.select(9)
        assert one.copy("k", "l", 4)
        one.flushdb()
        one.select(0)
    held = equal(proxy, range(10))
    assert {place: value for place, (_, value, _) in held.items()} == {
        (0, b"k"): b"0",
        (5, b"k"): b"4",
        (4, b"l"): b"9",
    }
