"""Which keys a call may write to: known from its text, or not all of them."""

import pytest

from kidoproxy.scripts.analysis import analyze


@pytest.mark.parametrize(
    ("text", "unknown", "count"),
    [
        ("redis.call('spop', KEYS[1])", b"", 0),
        ("redis.call('set', KEYS[1], math.random())", b"", 0),
        ("redis.call('del', unpack(KEYS))", b"", 0),
        ("redis.call('del', unpack(ARGV))", b"del", 0),
        ("redis.call('del', 'a', 'b', 'a')", b"", 2),
        ("redis.call('set', KEYS[1] .. ':' .. ARGV[1], 1)", b"", 1),
        ("redis.call('set', redis.call('get', KEYS[1]), 1)", b"set", 0),
        ("redis.call('get', redis.call('get', KEYS[1]))", b"", 0),
        ("redis.call('get', unpack(x))", b"", 0),
        ("redis.call('rename', KEYS[1], f())", b"rename", 0),
        ("redis.call('rename', f())", b"rename", 0),
        ("redis.call('zunionstore', 'd', 2, 'a', 'b')", b"", 3),
        ("redis.call('zunionstore', 'd', #KEYS, 'a')", b"zunionstore", 0),
        ("redis.call('zunionstore', KEYS[1], 2, KEYS[2], KEYS[3])", b"", 0),
        ("redis.call('zunionstore', KEYS[1], 2, unpack(ARGV))", b"zunionstore", 0),
        ("redis.call('sort', KEYS[1], 'store', KEYS[2])", b"", 0),
        ("redis.call('sort', KEYS[1], ARGV[1], KEYS[2])", b"sort", 0),
        ("redis.call('flushdb')", b"flushdb", 0),
        ("redis.call('keys', '*')", b"", 0),
        ("redis.call('time')", b"", 0),
        ("redis.call('publish', 'c', 'm')", b"", 0),
        ("redis.call('select', 1)", b"select", 0),
        ("redis.call('move', KEYS[1], 1)", b"move", 0),
        ("redis.call('copy', KEYS[1], KEYS[2])", b"", 0),
        ("redis.call('copy', KEYS[1], KEYS[2], 'DB', 1)", b"copy", 0),
        ("redis.call('copy', KEYS[1], KEYS[2], ARGV[1])", b"copy", 0),
        ("redis.call('xreadgroup', 'GROUP', ARGV[1], ARGV[2], 'COUNT', f(), 'STREAMS', KEYS[1], ARGV[3])", b"", 0),
        ("redis.call('xreadgroup', 'GROUP', 'g', 'c', 'STREAMS', KEYS[1] .. ARGV[1], '>')", b"", 1),
        ("redis.call('xreadgroup', 'GROUP', 'g', 'c', 'STREAMS', f(), '>')", b"xreadgroup", 0),
        ("redis.call('xreadgroup', 'GROUP', 'g', 'c', ARGV[1], 'STREAMS', KEYS[1], '>')", b"xreadgroup", 0),
        ("redis.call('xreadgroup', 'GROUP', 'g', 'c', 'STREAMS', KEYS[1], unpack(ARGV))", b"xreadgroup", 0),
        ("redis.call('xx.module', KEYS[1])", b"xx.module", 0),
        ("redis.call('del')", b"del", 0),
    ],
)
def test_written_keys(text: str, unknown: bytes, count: int) -> None:
    """The command that may write elsewhere, and how many undeclared keys the others may write to."""
    found = analyze(text.encode())
    assert (found.unknown_write, len(found.written_forms)) == (unknown, count)


def test_messages() -> None:
    """A script that may send messages is asked where clients hear them."""
    assert analyze(b"redis.call('publish', 'c', 'm')").may_publish
    assert not analyze(b"redis.call('spop', KEYS[1])").may_publish
