# mypy: disable-error-code="import-untyped"
"""Scripts made by chance, on real servers: what a ring or copies run ends as on one server, or it is refused."""

import random
from collections.abc import Iterator
from typing import Any, Final

import pytest
import redis

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.live.proxies import RunningProxy, Starter

pytestmark = pytest.mark.live

#: How many scripts are made for each pool, from one seed.
SCRIPTS: Final = 250
NAMES: Final = [
    "KEYS[1]",
    "ARGV[1]",
    "ARGV[2]",
    "'lit'",
    "'{t}lit'",
    "k",
    "m[1]",
    "name('x')",
    "name(ARGV[1])",
    "other(KEYS[1])",
    "tostring(KEYS[1])",
    "('%s:f'):format(KEYS[1])",
    "string.format('%s-%s',KEYS[1],ARGV[2])",
    "redis.call('get',KEYS[1])",
]
BEFORE: Final = (
    "local k = KEYS[1] .. ':k' local m = KEYS local function name(x) return KEYS[1] .. x end "
    "local function other(x) return x .. ARGV[2] end "
)
CALLS: Final = (
    "redis.call('set', {}, 'v')",
    "local c = redis.call c('SET', {}, 'v')",
    "redis['call']([[set]], {}, 'v')",
)
WHOLE: Final = [
    "redis.call('flushdb')",
    "local c = redis.call c('FLUSHDB')",
    "redis[ [[call]] ]('flush' .. 'db')",
    "redis.call(ARGV[2])",
    "local r = {redis} r[1].call('flushdb')",
    "_G.redis.call('flushdb')",
    "loadstring('redis.call(\"flushdb\")')()",
    "--[[ x ]] redis.call('flushdb')",
    "-- x\rredis.call('flushdb')",
    "local function f(c) c('flushdb') end f(redis.call)",
    "for _, k in ipairs(redis.call('keys', '*')) do redis.call('del', k) end",
    "redis.call('del', redis.call('randomkey'))",
    "local got = redis.call('scan', 0, 'count', 1000)[2] redis.call('del', unpack(got))",
]


@pytest.fixture(scope="module")
def ring(serve_proxy: Starter) -> RunningProxy:
    """Three nodes."""
    return serve_proxy("ring", 3)


@pytest.fixture(scope="module")
def copy(serve_proxy: Starter) -> RunningProxy:
    """Three copies."""
    return serve_proxy("copy", 3)


@pytest.fixture(scope="module")
def straight() -> Iterator[Any]:
    """One server."""
    with EmbeddedNodes() as nodes:
        client = redis.Redis.from_url(nodes.start(1)[0])
        yield client
        client.close()


def made(rng: random.Random) -> tuple[str, list[str]]:
    """A script that sets some key, with its key and arguments."""
    key = rng.choice(["a", "b", "c{t}", "{t}d", "{u}e", "{t}"])
    name = " .. ".join(rng.choice(NAMES) for _ in range(rng.choice([1, 1, 2])))
    pending = rng.choice(CALLS).replace("{}", name)
    frame = rng.choice(["{}", "if ARGV[1] ~= 'y' then {} end", "for i = 1, 1 do {} end", "--[[ x ]] {}", "-- x\n{}"])
    return BEFORE + frame.replace("{}", pending), [key, rng.choice(["x", "{t}x", "y"]), rng.choice(["z", "{u}z"])]


def said(client: Any, *words: str | int) -> str:
    """The reply, or the error."""
    try:
        return repr(client.execute_command(*words))
    except redis.ResponseError as error:
        return f"{type(error).__name__} {error}"


@pytest.mark.parametrize("seed", [1, 2])
def test_what_a_ring_runs_is_found(ring: RunningProxy, straight: Any, seed: int) -> None:
    """Whatever a script has written by a name that can be computed, a GET finds; or it is refused before it ran."""
    rng = random.Random(seed)
    client = ring.client()
    ran = 0
    for _ in range(SCRIPTS):
        text, (key, *args) = made(rng)
        for each in (client, straight):
            each.flushdb()
            each.set(key, "{t}value" if "{t}" in key else "value")
        right = said(straight, "EVAL", text, 1, key, *args)
        got = said(client, "EVAL", text, 1, key, *args)
        if got != right:
            assert "CROSSSLOT" in got or "ClusterCrossSlotError" in got, (text, key, args)
            assert client.dbsize() == 1, "refused, but it ran"
            continue
        ran += 1
        if "redis.call('get'" not in text:
            expected = {name: straight.get(name) for name in straight.scan_iter()}
            assert {name: client.get(name) for name in expected} == expected, (text, key, args)
    assert 20 < ran < SCRIPTS


@pytest.mark.parametrize("text", WHOLE)
@pytest.mark.parametrize("keys", [0, 1])
def test_a_part_is_never_taken_for_the_whole(ring: RunningProxy, text: str, keys: int) -> None:
    """What speaks of all keys does not happen to a third of them."""
    client = ring.client()
    client.flushdb()
    client.mset({f"k{number}": number for number in range(30)})
    answer = said(client, "EVAL", text, str(keys), *["k1"][:keys], "x", "flushdb")
    assert "is not served here" in answer or "names no keys" in answer
    assert client.dbsize() == 30


CHANCE: Final = [
    "redis.call('spop', KEYS[1])",
    "redis.call('set', 'k', redis.call('srandmember', KEYS[1]))",
    "redis.call('set', 'k', tostring({}))",
    "redis.call('set', 'k', tostring(redis.call('lrange', 'none', 0, 1)))",
    "redis.call('set', 'k', tostring(print))",
    "redis.call('set', 'k', redis.call('object', 'idletime', KEYS[1]))",
    "redis.call('set', 'k', (redis.call('info', 'server')))",
]
SURE: Final = [
    "local t = {} for i = 1, 50 do t[{}] = i end for _, v in next, t do redis.call('rpush', 'k', v) end",
    "local t = {} for i = 1, 50 do t[{}] = i end for _, v in pairs(t) do redis.call('rpush', 'k', v) end",
    "redis.call('set', 'k', math.random())",
    "redis.call('set', 'k', 1, 'PX', 90000)",
    "for _, v in ipairs(redis.call('smembers', KEYS[1])) do redis.call('rpush', 'k', v) end",
    "redis.call('set', 'k', redis.call('time')[2])",
    "redis.call('sadd', KEYS[1], 'more', unpack(ARGV))",
    "redis.call('set', 'k', tostring(1 + redis.call('scard', KEYS[1])))",
    "for i, v in ipairs(ARGV) do redis.call('rpush', 'k', i .. v) end",
    "redis.call('set', 'k', cjson.encode({1, 'two', {ARGV[1]}}))",
    "local t = {'rpush', 'k'} for i = 1, 9 do t[#t + 1] = i end redis.call(unpack(t))",
    "redis.call('set', 'k', string.format('%05d|%s', #ARGV, redis.sha1hex(ARGV[1])))",
]
WAYS: Final = [
    "{}",
    "local function f() {} end f()",
    "--[[ x ]] {}",
    "-- x\r{}",
    "pcall(function() {} end)",
    "do {} end",
]


@pytest.mark.parametrize("text", CHANCE + SURE)
def test_copies_stay_equal(copy: RunningProxy, text: str) -> None:
    """Whatever copies or their leader run leaves them equal; what would not is refused and runs on none of them."""
    client = copy.client()
    for way in WAYS:
        for repeated in (text, text.replace("redis.call", "rc")):
            client.flushdb()
            client.sadd("s", *range(200))
            alias = "local rc = redis.call " if repeated != text else ""
            answer = said(client, "EVAL", alias + way.replace("{}", repeated), 1, "s", "a", "b")
            refused = "not served here" in answer
            assert text in CHANCE or not refused, answer
            assert len({contents(node) for node in copy.node_clients()}) == 1
            assert (client.scard("s"), client.exists("k")) == (200, 0) or not refused


def contents(node: Any) -> str:
    """All that a node holds."""
    found = {key: node.type(key) for key in sorted(node.keys())}
    reads = {
        b"set": lambda key: sorted(node.smembers(key)),
        b"list": lambda key: node.lrange(key, 0, -1),
        b"string": node.get,
    }
    return repr([(key, reads[kind](key)) for key, kind in found.items()])
