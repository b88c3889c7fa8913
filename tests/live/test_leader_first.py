"""Copies whose leader decides alone: what it has decided stands on all of them, whoever dies in between."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest
import redis

from tests.live.contents import Crowd, equal, states
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

pytestmark = pytest.mark.live

MEMBERS: Final = 3000


@pytest.fixture(scope="module", params=[2, 3])
def shared(serve_proxy: Starter, request: pytest.FixtureRequest) -> RunningProxy:
    """Copies that several tests share; each leaves them well."""
    return serve_proxy("copy", request.param)


@pytest.fixture
def proxy(shared: RunningProxy) -> RunningProxy:
    """The same, emptied."""
    shared.client().flushall()
    return shared


@pytest.fixture(params=[2, 3])
def client(proxy: RunningProxy, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client that speaks either protocol."""
    with redis.Redis(port=proxy.port, protocol=request.param) as found:
        yield found


def test_pops(proxy: RunningProxy, client: Any) -> None:
    """What is popped is gone from every copy, in the order in which the client says it."""
    client.sadd("s", *range(10))
    pipe = client.pipeline(transaction=False)
    for _ in range(4):
        pipe.spop("s")
    pipe.sadd("s", "new").scard("s").spop("s", 3).dbsize().spop("none").spop("none", 2).spop("s", 0)
    *popped, added, size, more, keys, nothing, none, zero = pipe.execute()

    assert (added, size, keys, nothing, list(none), list(zero)) == (1, 7, 1, None, [], [])
    assert len({*popped, *more}) == 7
    held = equal(proxy)[(0, b"s")][1]
    assert held == {b"new", *[b"%d" % at for at in range(10)]} - {*popped, *more}
    assert set(client.spop("s", 100)) == held
    assert equal(proxy) == {}


def test_sort(proxy: RunningProxy, client: Any) -> None:
    """A stored result whose order is a node's own is the leader's on every copy; an empty one removes the key."""
    client.rpush("l", *range(50))
    for at in range(50):
        client.set(f"w_{at}", at % 3)
    assert client.sort("l", by="w_*", store="d") == 50
    assert equal(proxy)[(0, b"d")][1] == client.lrange("d", 0, -1)
    assert client.sort("none", by="w_*", store="d") == 0
    assert (0, b"d") not in equal(proxy)


def pending(node: Any) -> list[tuple[bytes, bytes, int]]:
    """Whose each pending entry is, and how often it was delivered."""
    found = node.xpending_range("x", "g", "-", "+", 100)
    return [(one["message_id"], one["consumer"], one["times_delivered"]) for one in found]


def test_claims(proxy: RunningProxy, client: Any) -> None:
    """Who claims what, how often it was delivered and since when agree; what was deleted is forgotten by all."""
    for at in range(8):
        client.xadd("x", {"f": at}, id=f"1-{at + 1}")
    client.xgroup_create("x", "g", id="0")
    nodes = proxy.node_clients()
    for node in nodes:
        node.xreadgroup("g", "one", {"x": ">"})
    client.xdel("x", "1-2", "1-7")

    assert [one[0] for one in client.xclaim("x", "g", "two", 0, ["1-1", "1-2", "1-9"])] == [b"1-1"]
    assert client.xclaim("x", "g", "two", 60_000, ["1-3"]) == []
    assert client.xclaim("x", "g", "three", 0, ["1-4"], retrycount=9, idle=70_000, justid=True) == [b"1-4"]
    assert client.xclaim("x", "g", "three", 0, ["1-5"], time=1_000_000_000_000)[0][0] == b"1-5"
    assert [one[0] for one in client.xautoclaim("x", "g", "four", 60_000, count=2)[1]] == [b"1-4", b"1-5"]
    assert client.xautoclaim("x", "g", "five", 0, start_id="1-5", justid=True) == [b"1-5", b"1-6", b"1-8"]
    assert client.xautoclaim("x", "g", "six", 60_000_000)[1] == []
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        client.xautoclaim("x", "none", "five", 0)

    for node in nodes:
        assert pending(node) == pending(nodes[0])
        idle = [one["time_since_delivered"] for one in node.xpending_range("x", "g", "1-4", "1-4", 1)]
        assert idle[0] < 30_000
        names = [one["name"] for one in node.xinfo_consumers("x", "g")]
        assert names == [one["name"] for one in nodes[0].xinfo_consumers("x", "g")]
    assert {one[0] for one in pending(nodes[0])} == {b"1-1", b"1-3", b"1-4", b"1-5", b"1-6", b"1-8"}


def test_transactions(proxy: RunningProxy, client: Any) -> None:
    """A transaction with a command that copies cannot repeat: what it has written on the leader is on all copies."""
    client.sadd("s", *range(9))
    with client.pipeline() as pipe:
        pipe.watch("s")
        pipe.multi()
        pipe.spop("s", 2).set("k", "v", ex=100).incr("n").get("none").ping().scard("s")
        popped, *others = pipe.execute()
    assert others == [True, 1, None, True, 7]
    held = equal(proxy)
    assert held[(0, b"s")][1] == {b"%d" % at for at in range(9)} - set(popped)
    assert held[(0, b"n")][1] == b"1"
    with (
        client.pipeline() as pipe,
        pytest.raises(redis.exceptions.ExecAbortError, match="'flushdb' cannot be in one transaction"),
    ):
        pipe.spop("s").flushdb().execute()
    with client.pipeline() as pipe:
        pipe.watch("s")
        proxy.client().spop("s")
        pipe.multi()
        pipe.spop("s")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.scard("s") == 6
    equal(proxy)


LIBRARY: Final = """#!lua name=chance
redis.register_function('pop', function(keys) return redis.call('spop', keys[1]) end)
redis.register_function('expire', function(keys) return redis.call('set', keys[1], 'v', 'EX', 100) end)
redis.register_function('count', function(keys) return redis.call('incr', keys[1]) end)
"""


def test_scripts(proxy: RunningProxy, client: Any) -> None:
    """Scripts and functions that depend on chance run on the leader; what they have written is on all copies."""
    client.sadd("s", *range(20))
    move = "for i, v in ipairs(redis.call('spop', KEYS[1], 2)) do redis.call('rpush', KEYS[1] .. ':' .. ARGV[1], v) end"
    client.eval(move, 1, "s", "list")
    client.eval("redis.call('set', KEYS[1], math.random())", 1, "number")
    with pytest.raises(redis.ResponseError, match="half way"):
        client.eval("redis.call('spop', KEYS[1]) return redis.error_reply('half way')", 1, "s")
    digest = client.script_load("redis.call('spop', KEYS[1]) return redis.call(ARGV[1], KEYS[1])")
    assert client.evalsha(digest, 1, "s", "scard") == 16
    client.function_load(LIBRARY, replace=True)
    assert [client.fcall("count", 1, "n"), client.fcall("expire", 1, "e"), bool(client.fcall("pop", 1, "s"))] == [
        1,
        b"OK",
        True,
    ]
    with client.pipeline() as pipe:
        popped, added, also = pipe.fcall("pop", 1, "s").incr("n").evalsha(digest, 1, "s", "scard").execute()
    assert (popped is not None, added, also) == (True, 2, 13)
    with pytest.raises(redis.ResponseError, match="set may write to keys that are not declared"):
        client.eval("redis.call('set', redis.call('spop', KEYS[1]), 1)", 1, "s")

    held = equal(proxy)
    assert set(held) == {(0, key) for key in (b"s", b"s:list", b"number", b"n", b"e")}
    assert len(held[(0, b"s")][1]) == 13


def test_a_crowd(proxy: RunningProxy) -> None:
    """Many pop from and add to a few sets at a time: nothing is popped twice, nothing is lost, the copies are equal."""
    popped: list[list[bytes]] = [[] for _ in range(6)]
    added = [0] * 6

    with Crowd() as crowd:
        for number in range(6):
            writer = proxy.client(protocol=2 + number % 2)

            def step(turn: int, number: int = number, writer: Any = writer) -> None:
                pipe = writer.pipeline(transaction=False)
                pipe.sadd(f"set{turn % 2}", *[f"{number}.{turn}.{at}" for at in range(3)])
                pipe.spop(f"set{turn % 2}")
                pipe.srandmember(f"set{turn % 2}")
                pipe.spop(f"set{(turn + 1) % 2}", 2)
                _, one, _, more = pipe.execute()
                popped[number] += [one] if one else []
                popped[number] += more
                added[number] += 3

            crowd.join(step)
        eventually(lambda: crowd.problems or sum(added) > MEMBERS, 60)

    assert not crowd.problems
    held = equal(proxy)
    left = [member for _, members, _ in held.values() for member in members]
    gone = [member for one in popped for member in one]
    assert len(set(gone)) == len(gone)
    assert not set(gone) & set(left)
    assert len(gone) + len(left) == sum(added)


def test_too_large(own_proxy: Starter) -> None:
    """Past the pool's limit a script that depends on chance is not run, and says why; a smaller value is sent."""
    proxy = own_proxy("copy", 2, effect_max_mb=1)
    client = proxy.client()
    client.sadd("places", 1, 2, 3)
    script = "return redis.call('setrange', KEYS[1], redis.call('spop', KEYS[2]), 'y')"
    client.set("large", "x" * 1_100_000)
    client.set("small", "x" * 500_000)
    with pytest.raises(redis.ResponseError, match="its keys are larger than 1 MiB"):
        client.eval(script, 2, "large", "places")
    assert client.eval(script, 2, "small", "places") == 500_000
    assert b"y" not in equal(proxy)[(0, b"large")][1]
    assert b"y" in equal(proxy)[(0, b"small")][1]


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_the_leader_dies_in_between(own_proxy: Starter, how: str) -> None:
    """Leaders are killed or frozen under pops: an acknowledged pop is never undone, no member is popped twice."""
    proxy = own_proxy("copy", 3, timeout_ms=400)
    client = proxy.client()
    keys = [f"key{at}" for at in range(9)]
    for key in keys:
        client.sadd(key, *[f"{key}.{at}" for at in range(MEMBERS)])
    popped: list[bytes] = []
    unknown: list[str] = []

    def step(turn: int) -> None:
        try:
            popped.extend(writer.spop(keys[turn % 9], 2))
        except redis.ResponseError as error:
            unknown.append(str(error))

    with Crowd() as crowd:
        writer = proxy.client()
        crowd.join(step)
        eventually(lambda: crowd.problems or len(popped) > 200, 30)
        victim = random.Random(how).randrange(3)
        (proxy.kill if how == "kill" else proxy.pause)(victim)
        before = len(popped)
        eventually(lambda: crowd.problems or len(popped) > before + 400, 30)
    assert not crowd.problems
    if how == "pause":
        proxy.resume(victim)

    assert len(set(popped)) == len(popped)
    assert len(unknown) <= 6, unknown
    assert all("outcome is unknown" in text or "not decided yet" in text for text in unknown)
    left = {member for key in keys for member in client.smembers(key)}
    assert not left & set(popped)
    assert len(left) + len(popped) >= 9 * MEMBERS - 2 * len(unknown)


def claiming(client: Any, consumer: str) -> Callable[[int], object]:
    """What claims all pending entries for this consumer."""
    return lambda _: client.xautoclaim("x", "g", consumer, 0)


def was_delivered(client: Any, count: int) -> bool:
    """Whether the first pending entry was delivered so many times."""
    return pending(client)[0][2] >= count


def test_claims_during_syncs(own_proxy: Starter) -> None:
    """A copy that is filled while entries are claimed all the time has counted each delivery once."""
    proxy = own_proxy("copy", 2, heal="auto", timeout_ms=5000)
    client = proxy.client()
    client.xgroup_create("x", "g", 0, mkstream=True)
    for at in range(3):
        client.xadd("x", {"at": at})
    client.xreadgroup("g", "c", {"x": ">"})
    with Crowd() as crowd:
        for at in range(3):
            crowd.join(claiming(proxy.client(), f"c{at}"))
        for _ in range(3):
            goal = pending(client)[0][2] + 50
            eventually(partial(was_delivered, client, goal))
            proxy.restart(1)
            eventually(lambda: states(proxy)[1] != "in sync")
            eventually(lambda: states(proxy) == ["in sync"] * 2, 30)
    first, second = [pending(node) for node in proxy.node_clients()]
    assert first == second
    assert len(first) == 3
