"""Copies that die, stop, run full and come back: no acknowledged write is lost, no stale copy is read."""

import random
import time
from typing import Any, Final

import pytest
import redis

from tests.live.contents import Crowd, equal, is_behind, ordered, states, sync
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

DATABASES: Final = (0, 1, 5)
BEHIND: Final = "in sync; it gets writes and is not read"


class Acknowledged:
    """Writers of keys of their own that remember what was acknowledged, and readers that must find just that."""

    def __init__(self, proxy: RunningProxy, writers: int = 4) -> None:
        self.proxy = proxy
        self.acked = [-1] * writers
        self.errors: list[str] = []

    def join(self, crowd: Crowd, readers: int = 2) -> None:
        """Let them begin."""
        for number in range(len(self.acked)):
            crowd.join(Writer(self, number).step)
        for number in range(readers):
            crowd.join(Reader(self, number).step)

    def total(self) -> int:
        """How many writes have been acknowledged."""
        return sum(self.acked) + len(self.acked)

    def go_on(self, crowd: Crowd, count: int = 100) -> None:
        """Wait for so many more."""
        goal = self.total() + count
        eventually(lambda: crowd.problems or self.total() >= goal, 30)
        assert not crowd.problems, crowd.problems


class Writer:
    """Sets keys of its own, one after another; each once more if its outcome is unknown."""

    def __init__(self, whole: Acknowledged, number: int) -> None:
        self.whole = whole
        self.number = number
        self.client = whole.proxy.client(protocol=2 + number % 2)

    def step(self, turn: int) -> None:
        """The next write."""
        number, acked = self.number, self.whole.acked
        at = acked[number] + 1
        try:
            assert self.client.set(f"w{number}:{at}", at)
        except redis.ResponseError as problem:
            self.whole.errors.append(str(problem))
        else:
            acked[number] = at


class Reader:
    """Reads any key that was acknowledged, most often one of the last."""

    def __init__(self, whole: Acknowledged, number: int) -> None:
        self.whole = whole
        self.client = whole.proxy.client(protocol=3 - number % 2)
        self.dice = random.Random(number)

    def step(self, turn: int) -> None:
        """One read."""
        number = self.dice.randrange(len(self.whole.acked))
        last = self.whole.acked[number]
        if last >= 0:
            at = last if turn % 2 else self.dice.randrange(last + 1)
            assert self.client.get(f"w{number}:{at}") == b"%d" % at


class Restless:
    """Writes that a half-filled copy would judge differently: hot keys, and several keys at once, of all types."""

    def __init__(self, proxy: RunningProxy, number: int) -> None:
        self.client = proxy.client(protocol=2 + number % 2, db=DATABASES[number % len(DATABASES)])
        self.dice = random.Random(number)

    def step(self, turn: int) -> None:
        """One of each."""
        some = self.dice.randrange
        a, b = some(6), some(6)
        pipe = self.client.pipeline(transaction=turn % 3 == 0)
        pipe.incr("hot").append("hot text", f"{turn},")
        pipe.set(f"r{a}", turn).rename(f"r{a}", f"r{b}")
        pipe.sadd(f"s{a}", some(20)).smove(f"s{a}", f"s{b}", some(20)).sunionstore(f"s{some(6)}", f"s{a}", f"s{b}")
        pipe.mset({f"m{a}": turn, f"m{b}": turn}).copy(f"m{a}", f"c{b}", replace=True)
        pipe.msetnx({f"x{a}": turn, f"x{b}": turn}).delete(f"x{some(6)}")
        pipe.rpush(f"l{a}", turn).lmove(f"l{a}", f"l{b}").ltrim(f"l{b}", 0, 20)
        pipe.zadd(f"z{a}", {"m": turn}).zunionstore(f"z{some(6)}", [f"z{a}", f"z{b}"])
        pipe.set(f"e{a}", turn, ex=100).getex(f"e{b}", px=200_000).hset(f"h{a}", "f", turn).hincrby(f"h{b}", "n", 1)
        if turn % 20 == 0:
            pipe.move(f"m{some(6)}", 9)
        pipe.execute()


def fill(proxy: RunningProxy, count: int) -> None:
    """All types, several databases, some with a time to live."""
    for db in DATABASES:
        with redis.Redis(port=proxy.port, db=db) as client:
            pipe = client.pipeline(transaction=False)
            for number in range(count):
                pipe.set(f"string:{number}", number, ex=1000 + number if number % 3 == 0 else None)
                if number % 10 == 0:
                    pipe.rpush(f"list:{number}", *range(number % 50 + 1))
                    pipe.sadd(f"set:{number}", *range(number % 70 + 1))
                    pipe.hset(f"hash:{number}", mapping=dict.fromkeys(range(number % 90 + 1), number))
                    pipe.zadd(f"zset:{number}", {f"m{at}": at for at in range(number % 150 + 1)})
                    pipe.xadd(f"stream:{number}", {"f": number}, id=f"{number + 1}-1")
                    pipe.pexpire(f"hash:{number}", 900_000 + number)
            pipe.execute()


# -- a node that dies ----------------------------------------------------------------------------------------------


def test_killed_and_back_empty(own_proxy: Starter) -> None:
    """A node dies under writers and comes back empty: nobody gets an error, no acknowledged write is missed."""
    proxy = own_proxy("copy", 3)
    work = Acknowledged(proxy)
    with Crowd() as crowd:
        work.join(crowd)
        work.go_on(crowd, 400)
        proxy.kill(1)
        work.go_on(crowd)
        proxy.restart(1)
        eventually(is_behind(proxy, 1))
        work.go_on(crowd)
        with redis.Redis(port=proxy.port) as client:
            listed = client.execute_command("PROXY", "EACH", "GET", "w0:0")
            assert listed[0] == listed[2] == b"0"
            assert str(listed[1]).endswith(BEHIND)
        assert "in sync" in sync(proxy, 1)
        work.go_on(crowd)
    assert states(proxy) == ["in sync"] * 3
    assert work.errors == []
    assert len(equal(proxy)) == work.total()


def test_restarted_at_once(own_proxy: Starter) -> None:
    """A node that is back, empty, before the proxy has noticed: what waited for it is not answered by it."""
    proxy = own_proxy("copy", 2)
    work = Acknowledged(proxy)
    with Crowd() as crowd:
        work.join(crowd, readers=4)
        for at in (0, 1, 0, 1):
            work.go_on(crowd)
            proxy.kill(at)
            proxy.restart(at)
            eventually(is_behind(proxy, at))
            sync(proxy, at)
    assert work.errors == []
    assert len(equal(proxy)) == work.total()


def test_sync_under_writes(own_proxy: Starter) -> None:
    """Twenty thousand keys of all types come over while hot keys and several keys at once are written."""
    proxy = own_proxy("copy", 2)
    fill(proxy, 4500)
    proxy.kill(1)
    proxy.restart(1)
    work = Acknowledged(proxy, writers=1)
    with Crowd() as crowd:
        work.join(crowd, readers=1)
        for number in range(3):
            crowd.join(Restless(proxy, number).step)
        eventually(is_behind(proxy, 1))
        assert "in sync" in sync(proxy, 1)
        work.go_on(crowd, 20)
    assert states(proxy) == ["in sync"] * 2
    assert len(equal(proxy, (*DATABASES, 9))) > 20_000


def test_dies_while_it_is_synced(own_proxy: Starter) -> None:
    """A node that dies in the middle of its sync stays behind, the sync says why, and the next one succeeds."""
    proxy = own_proxy("copy", 2)
    fill(proxy, 2000)
    client = proxy.client()
    proxy.kill(1)
    client.set("k", "v")
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    assert client.execute_command("PROXY", "SYNC", "node-1") == b"OK"
    eventually(lambda: states(proxy)[1] == "syncing")
    proxy.kill(1)
    eventually(lambda: "sync failed: pool=pool node=node-1" in proxy.log())
    assert client.execute_command("PROXY", "SYNC")[b"node-1"].startswith(b"failed: ")
    assert client.get("k") == b"v"
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    sync(proxy, 1)
    equal(proxy, DATABASES)


def test_both_die(own_proxy: Starter) -> None:
    """The last copy in sync never leaves: while it is away there is an error, and no answer from the other one."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    proxy.kill(1)
    client.set("k", 2)
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    proxy.pause(0)
    for words in (("GET", "k"), ("SET", "k", 3), ("GET", "k")):
        with pytest.raises(redis.ResponseError, match=r"TIMEOUT|NODEDOWN|NOREPLICAS"):
            client.execute_command(*words)
    proxy.resume(0)
    eventually(lambda: answers(client))
    assert client.get("k") in (b"2", b"3")
    proxy.kill(0)
    proxy.restart(0)
    eventually(lambda: answers(client))
    assert client.get("k") is None
    client.set("k", 4)
    sync(proxy, 1)
    assert equal(proxy)[(0, b"k")][1] == b"4"


def test_the_last_one_is_back_empty(own_proxy: Starter) -> None:
    """The one that is behind may hold more than the last one in sync that came back empty: a person decides."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.mset({f"k{number}": 1 for number in range(100)})
    full = proxy.node_clients()[1]
    full.config_set("maxmemory", 1)
    client.set("k1", 2)
    full.config_set("maxmemory", 0)
    proxy.kill(0)
    proxy.restart(0)
    eventually(lambda: "no copy is trusted: pool=pool" in proxy.log())
    with pytest.raises(redis.ResponseError, match="NOREPLICAS no copy can be trusted: node-0 is empty"):
        client.get("k1")
    assert full.dbsize() == 100
    said = ordered(proxy, 1, "--trust", "--yes")
    assert "node-1 has 100 keys; it missed writes; will be served" in said
    assert client.get("k2") == b"1"
    client.set("k1", 3)
    sync(proxy, 0)
    assert len(equal(proxy)) == 100


def answers(client: Any) -> bool:
    """Whether a read gets an answer."""
    try:
        client.exists("k")
    except redis.ResponseError:
        return False
    return True


# -- a node that is silent, full or not to be written to ----------------------------------------------------------


def test_paused(own_proxy: Starter) -> None:
    """A silent node costs each writer the deadline once; back again it is not read, for it may lack writes."""
    proxy = own_proxy("copy", 2, timeout_ms=300)
    work = Acknowledged(proxy)
    slow: list[float] = []
    with Crowd() as crowd:
        work.join(crowd)
        work.go_on(crowd)
        proxy.pause(1)
        client = proxy.client()
        for number in range(50):
            started = time.monotonic()
            client.set(f"mine:{number}", number)
            slow.append(time.monotonic() - started)
        work.go_on(crowd)
        proxy.resume(1)
        eventually(is_behind(proxy, 1))
        work.go_on(crowd)
        sync(proxy, 1)
        work.go_on(crowd)
    assert len([seconds for seconds in slow if seconds > 0.25]) == 1
    assert work.errors == []
    equal(proxy)


def test_one_runs_full(own_proxy: Starter) -> None:
    """A copy without memory is behind, in transactions too; the pool serves on, and the copy can come back."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    full = proxy.node_clients()[0]
    client.mset({f"k{number}": 1 for number in range(20)})
    full.config_set("maxmemory", 1)
    with client.pipeline(transaction=True) as pipe:
        assert pipe.set("k0", 2).get("k0").execute() == [True, b"2"]
    assert states(proxy) == ["behind", "in sync"]
    assert client.mget([f"k{number}" for number in range(3)]) == [b"2", b"1", b"1"]
    full.config_set("maxmemory", 0)
    sync(proxy, 0)
    full.config_set("maxmemory", 1)
    with client.pipeline(transaction=False) as pipe:
        for number in range(20):
            pipe.set(f"k{number}", 3).get(f"k{number}")
        assert pipe.execute() == [True, b"3"] * 20
    assert states(proxy) == ["behind", "in sync"]
    full.config_set("maxmemory", 0)
    sync(proxy, 0)
    equal(proxy)


def test_all_run_full(own_proxy: Starter) -> None:
    """If no copy took the write it is refused, in Redis's words, and nobody is behind."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    for node in proxy.node_clients():
        node.config_set("maxmemory", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("k", 2)
    assert client.get("k") == b"1"
    assert states(proxy) == ["in sync"] * 2


def test_read_only(own_proxy: Starter) -> None:
    """A copy that somebody made a replica takes no writes: it is behind."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    proxy.node_clients()[1].execute_command("REPLICAOF", "127.0.0.1", 1)
    assert client.set("k", 2)
    assert client.get("k") == b"2"
    assert states(proxy) == ["in sync", "behind"]


# -- a sync that hurts nobody, ends, and empties nobody ---------------------------------------------------------


def test_large_values(own_proxy: Starter) -> None:
    """Hashes of twenty thousand fields come over while clients go on: none of them hears of it, and it ends well."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    for number in range(40):
        client.hset(f"hash:{number}", mapping={f"field:{at}": f"value-{at}" for at in range(20_000)})
    proxy.kill(1)
    client.set("k", 1)
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    with Crowd() as crowd:
        for number in range(4):
            crowd.join(Polite(proxy, number).step)
        assert "in sync" in sync(proxy, 1)
    assert states(proxy) == ["in sync"] * 2
    assert len(equal(proxy)) >= 41


class Polite:
    """A client that asks some fifty times a second; any error is a complaint."""

    def __init__(self, proxy: RunningProxy, number: int) -> None:
        self.client = proxy.client(protocol=2 + number % 2)
        self.number = number

    def step(self, turn: int) -> None:
        """Write, read, and write into one of the large values."""
        self.client.set(f"polite:{self.number}", turn)
        assert int(self.client.get(f"polite:{self.number}")) == turn
        self.client.hset(f"hash:{turn % 40}", f"field:{self.number}", turn)
        time.sleep(0.02)


def test_other_databases(own_proxy: Starter) -> None:
    """A database that only one copy has ends the sync with that reason; the good copy does not notice."""
    proxy = own_proxy("copy", 2)
    client = proxy.client()
    client.set("k", 1)
    proxy.nodes.kill(1)
    client.set("k", 2)
    proxy.nodes.restart(1, ["--databases", "64"])
    with redis.Redis.from_url(proxy.nodes.urls[1], db=50, protocol=2) as far:
        far.set("far", 1)
    eventually(is_behind(proxy, 1))
    before = client.execute_command("PROXY", "NODES")[0][b"reconnects"]
    client.execute_command("PROXY", "SYNC", "node-1")
    eventually(lambda: "do not both have database 50" in proxy.log())
    for turn in range(20):
        client.set("k", turn)
        assert client.get("k") == b"%d" % turn
    assert client.execute_command("PROXY", "NODES")[0][b"reconnects"] == before
    assert states(proxy) == ["in sync", "behind"]


def test_cancel(own_proxy: Starter) -> None:
    """A sync is ended by a word, says so, and can be ordered again."""
    proxy = own_proxy("copy", 2)
    fill(proxy, 2000)
    proxy.kill(1)
    proxy.client().set("k", 1)
    proxy.restart(1)
    eventually(is_behind(proxy, 1))
    # While the copy stands still the sync cannot be over before it is cancelled.
    proxy.pause(1)
    proxy.client().execute_command("PROXY", "SYNC", "node-1")
    eventually(lambda: states(proxy)[1] == "syncing")
    assert proxy.client().execute_command("PROXY", "SYNC", "node-1", "CANCEL") == b"OK"
    proxy.resume(1)
    assert states(proxy)[1] == "behind"
    assert proxy.client().execute_command("PROXY", "SYNC")[b"node-1"] == b"failed: cancelled"
    sync(proxy, 1)
    equal(proxy, DATABASES)


def test_min_in_sync(own_proxy: Starter) -> None:
    """With fewer copies than wanted writes are refused and reads go on."""
    proxy = own_proxy("copy", 2, min_in_sync=2)
    client = proxy.client()
    client.set("k", 1)
    proxy.pause(0)
    with pytest.raises(redis.ResponseError, match="NOREPLICAS write stands on node-1 only, 2 copies are wanted"):
        client.set("k", 2)
    with pytest.raises(redis.ResponseError, match=r"NOREPLICAS Not enough good replicas to write\."):
        client.set("k", 3)
    assert client.get("k") == b"2"
    proxy.kill(0)
    proxy.restart(0)
    eventually(is_behind(proxy, 0))
    sync(proxy, 0)
    assert client.set("k", 4)
    assert equal(proxy)[(0, b"k")][1] == b"4"
