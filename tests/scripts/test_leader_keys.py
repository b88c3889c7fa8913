"""The keys that a script writes to which the leader runs for all copies."""

import pytest

from kidoproxy.scripts.analysis import analyze
from kidoproxy.scripts.leader_keys import leader_keys, leader_refusal, used_keys
from kidoproxy.scripts.resolve import MAX_RESOLVED_KEYS

CHANCE = "which depends on chance, time or order"
ELSEWHERE = "may write to keys that are not declared"


def keys_of(text: str, *argv: str) -> list[bytes] | None:
    """The keys of an EVAL; ``argv`` begins with the number of keys."""
    return leader_keys(analyze(text.encode()), [b"EVAL", text.encode(), *[word.encode() for word in argv]])


@pytest.mark.parametrize(
    ("text", "argv", "keys"),
    [
        ("redis.call('spop', KEYS[1])", "2 a b x", [b"a", b"b"]),
        ("redis.call('set', KEYS[1] .. ARGV[1], 1) redis.call('del', 'a')", "1 a x", [b"a", b"ax"]),
        ("for i, k in ipairs(KEYS) do redis.call('set', k .. ':n', 1) end", "2 a b", [b"a", b"b", b"a:n", b"b:n"]),
        (
            "for i, k in ipairs(KEYS) do for j, v in ipairs(ARGV) do redis.call('set', k .. v, 1) end end",
            "2 a b x y",
            None,
        ),
        ("redis.call(ARGV[1], KEYS[1], ARGV[2])", "1 a sadd x", [b"a"]),
        ("redis.call(ARGV[1], ARGV[2])", "0 spop x", [b"x"]),
        ("redis.call(ARGV[1], ARGV[2])", "0", []),
        ("redis.call(ARGV[1], ARGV[2])", "0 flushdb", None),
        ("redis.call(ARGV[1], ARGV[2])", "0 no.such x", None),
    ],
)  # fmt: skip
def test_keys(text: str, argv: str, keys: list[bytes] | None) -> None:
    """Those that are declared, and those that can be computed as the script does it; or nobody knows."""
    found = keys_of(text, *argv.split())
    assert (None if found is None else sorted(found)) == (None if keys is None else sorted(keys))


@pytest.mark.parametrize(
    ("text", "argv", "keys"),
    [
        ("return 1", "0", []),
        ("return redis.call('get', KEYS[1])", "2 a b", [b"a", b"b"]),
        ("redis.call('set', KEYS[1], redis.call('get', 'x:' .. ARGV[1]))", "1 a n", [b"a", b"x:n"]),
        ("return redis.call('get', redis.call('get', KEYS[1]))", "1 a", None),
        ("return redis.call('mget', unpack(ARGV))", "0 a", None),
        ("return redis.call('time')", "0", []),
        ("return redis.call('dbsize')", "0", None),
        ("return redis.call('keys', 'a*')", "0", None),
        ("redis.call('sort', KEYS[1], 'BY', 'w_*', 'STORE', KEYS[2])", "2 a b", None),
        ("redis.call('sort', KEYS[1], 'BY', 'nosort', 'GET', '#', 'STORE', KEYS[2])", "2 a b", [b"a", b"b"]),
        ("redis.call('sort', KEYS[1], 'GET', ARGV[1], 'STORE', KEYS[2])", "2 a b x*", None),
        ("redis.call('publish', 'c', 'm')", "0", []),
        ("redis.call('move', KEYS[1], 1)", "1 a", None),
        ("redis.call('no.such', KEYS[1])", "1 a", None),
        ("redis.call(ARGV[1], ARGV[2])", "0 get x", [b"x"]),
        ("redis.call(ARGV[1], ARGV[2])", "0 set x", [b"x"]),
        ("redis.call(ARGV[1], ARGV[2])", "0 randomkey x", None),
        ("redis.call(f(), KEYS[1])", "1 a", None),
        ("_G.redis.call('get', KEYS[1])", "1 a", None),
        ("redis.call(", "1 a", None),
    ],
)  # fmt: skip
def test_used_keys(text: str, argv: str, keys: list[bytes] | None) -> None:
    """All that it reads or writes to: first those that are declared, then those that can be computed; or None."""
    assert used_keys(analyze(text.encode()), [b"EVAL", text.encode(), *argv.encode().split()]) == keys


def test_too_many() -> None:
    """There is a bound, for one name and for all of them."""
    each = "for i, k in ipairs(KEYS) do redis.call('set', k .. ':{}', 1) end "
    many = [f"k{at}" for at in range(MAX_RESOLVED_KEYS + 1)]
    assert keys_of(each, str(len(many)), *many) is None
    half = many[: MAX_RESOLVED_KEYS // 2 + 1]
    assert keys_of(each, str(len(half)), *half) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("redis.call('spop', KEYS[1])", ""),
        ("redis.call(ARGV[1], KEYS[1])", ""),
        ("redis.call(f(), KEYS[1])", "it calls a command whose name is not a literal"),
        ("_G.redis.call('spop', KEYS[1])", "it uses _G"),
        ("redis.call(", "line 1"),
        (
            "redis.call('spop', KEYS[1]) redis.call('flushdb')",
            f"it calls spop, {CHANCE}, and flushdb {ELSEWHERE}",
        ),
        (
            "redis.call(ARGV[1]) redis.call('del', redis.call('get', KEYS[1]))",
            "it calls a command whose name is not a literal, and del may write to keys that are not declared",
        ),
        (
            "redis.call('expire', redis.call('get', KEYS[1]), 5)",
            f"it calls expire, {CHANCE}, and expire {ELSEWHERE}",
        ),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    """Why one copy must not run it for all."""
    found = leader_refusal(analyze(text.encode()))
    assert found == reason or (reason == "line 1" and found)
