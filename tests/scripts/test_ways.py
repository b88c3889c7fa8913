"""Which way scripts go: a read, to every copy as they are or behind a prologue, to the leader, or not at all."""

import pytest

from kidoproxy.scripts.analysis import analyze
from kidoproxy.scripts.ways import (
    WAY_BROADCAST,
    WAY_INTERPOSED,
    WAY_LEADER,
    WAY_READ,
    WAY_REFUSED,
    copy_way,
    copy_way_of_request,
)


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("return 1", WAY_READ),
        ("return redis.call('srandmember', KEYS[1])", WAY_READ),
        ("for k in pairs(redis.call('keys', '*')) do redis.call('get', k) end", WAY_READ),
        ("redis.call('time') return redis.call('ttl', KEYS[1])", WAY_READ),
        ("redis.call('select', 1) return redis.call('get', KEYS[1])", WAY_LEADER),
        ("return redis.call('xread', 'STREAMS', KEYS[1], 0)", WAY_READ),
        ("redis.call('xread', 'STREAMS', KEYS[1], 0) redis.call('incr', KEYS[2])", WAY_BROADCAST),
        ("redis.call('xreadgroup', 'GROUP', ARGV[1], 'c', 'STREAMS', KEYS[1], '>')", WAY_BROADCAST),
        ("return redis.call('nosuch')", WAY_LEADER),
        ("redis.call('incr', KEYS[1])", WAY_BROADCAST),
        ("redis.setresp(3) redis.call('incr', KEYS[1])", WAY_BROADCAST),
        ("redis.call('expire', KEYS[1], 5)", WAY_INTERPOSED),
        ("redis.call('set', KEYS[1], unpack(ARGV))", WAY_INTERPOSED),
        ("redis.call('del', KEYS[1]) redis.call('ttl', KEYS[1])", WAY_INTERPOSED),
        ("redis.setresp(3) redis.call('expire', KEYS[1], 5)", WAY_LEADER),
        ("redis.call('expire', KEYS[1], 5) redis.call('spop', KEYS[1])", WAY_LEADER),
        ("redis.call('set', KEYS[1], math.random())", WAY_INTERPOSED),
        ("for k in pairs(ARGV) do redis.call('set', KEYS[1], k) end", WAY_INTERPOSED),
        ("redis.call('set', KEYS[1], next({}) or cmsgpack.pack({a = cjson.encode({b = 1})}))", WAY_INTERPOSED),
        ("redis.call('set', KEYS[1], tostring({}))", WAY_LEADER),
        ("redis.call(ARGV[1], KEYS[1])", WAY_LEADER),
        ("_G.redis.call('get', KEYS[1])", WAY_REFUSED),
        ("redis.call('get', KEYS[1]", WAY_REFUSED),
    ],
)
def test_ways(text: str, way: int) -> None:
    """What is certain decides."""
    assert copy_way(analyze(text.encode())) == way


@pytest.mark.parametrize(
    ("text", "words", "way"),
    [
        ("redis.call(ARGV[1], KEYS[1])", b"1 k get", WAY_BROADCAST),
        ("redis.call(ARGV[1], KEYS[1], 'v')", b"1 k RPUSH", WAY_BROADCAST),
        ("redis.call(ARGV[1] .. 'PUSH', KEYS[1], 'v')", b"1 k L", WAY_BROADCAST),
        ("redis.call(ARGV[1], KEYS[1])", b"1 k", WAY_BROADCAST),
        ("redis.call(ARGV[1], KEYS[1])", b"1 k spop", WAY_LEADER),
        ("redis.call(ARGV[1], KEYS[1])", b"1 k xx.module", WAY_LEADER),
        ("redis.call(ARGV[1], KEYS[1]) redis.call(ARGV[2])", b"1 k spop flushall", WAY_LEADER),
        ("redis.call(ARGV[1], KEYS[1]) redis.call('publish', 'c', 'm')", b"1 k lpop", WAY_INTERPOSED),
        ("redis.call(ARGV[1], KEYS[1]) redis.call('srandmember', KEYS[1])", b"1 k lpop", WAY_LEADER),
        ("redis.call(ARGV[1], KEYS[1], 5)", b"1 k expire", WAY_LEADER),
        ("redis.call(ARGV[1], KEYS[1], 1, ARGV[2]) redis.call('set', KEYS[1], 1)", b"1 k set ex", WAY_INTERPOSED),
        (
            "redis.setresp(3) redis.call(ARGV[1], KEYS[1], 1, 'EX', 5) redis.call('set', KEYS[1], 1)",
            b"1 k set",
            WAY_LEADER,
        ),
        ("redis.call(f(), KEYS[1]) redis.call(ARGV[1])", b"1 k flushall", WAY_LEADER),
        ("redis.call('expire', KEYS[1], 5)", b"1 k", WAY_INTERPOSED),
        ("redis.call('spop', KEYS[1])", b"1 k", WAY_LEADER),
    ],
)
def test_ways_of_requests(text: str, words: bytes, way: int) -> None:
    """A command that an argument names is as good as one in the text, but that it brings no prologue with it."""
    assert copy_way_of_request(analyze(text.encode()), [b"EVAL", text.encode(), *words.split()]) == way
