"""Keys that depend on the request, computed from it."""

import pytest

from kidoproxy.scripts.analysis import analyze
from kidoproxy.scripts.resolve import (
    MAX_RESOLVED_KEYS,
    ScriptInputs,
    called_commands,
    find_key_command,
    find_keyspace_command,
    resolve_all_keys,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("redis.call('get', KEYS[1])", []),
        ("redis.call('get', KEYS[1] .. ':x')", ["k1:x"]),
        ("redis.call('get', KEYS[9] .. ':x')", []),
        ("for _, k in ipairs(KEYS) do redis.call('get', k .. ':x') end", ["k1:x", "k2:x"]),
        ("for _, k in ipairs(KEYS) do redis.call('get', k .. ARGV[1]) end", ["k1a1", "k2a1"]),
        (
            "for _, k in ipairs(KEYS) do for _, a in ipairs(ARGV) do redis.call('get', k .. a) end end",
            ["k1.", "k2."],
        ),
        ("for i = 2, #ARGV do redis.call('get', ARGV[i]) end", ["a2", "a4", "SET"]),
        ("for i = 1, #ARGV, 2 do redis.call('get', ARGV[i]) end", ["a1", "SET"]),
        ("redis.call('get', ARGV[1] .. x)", ["a1."]),
        ("redis.call('get', x .. ARGV[1])", []),
        ("redis.call('get', ARGV[3])", []),
        ("redis.call('keys', KEYS[1] .. '[x]')", ["k1."]),
        ("redis.call('keys', ARGV[1])", ["a1"]),
        ("redis.call('mset', ARGV[1], 1, ARGV[2], 2)", ["a1", "a2"]),
        ("redis.call(ARGV[5], ARGV[2], ARGV[1])", ["a2"]),
        ("redis.call(ARGV[9], ARGV[2])", []),
        ("redis.call(ARGV[1], ARGV[2])", []),
    ],
)
def test_resolved_keys(text: str, found: list[str]) -> None:
    """Each with what is known of it; an empty argument gives no key."""
    inputs = ScriptInputs([b"EVAL", b"", b"2", b"k1", b"k2", b"a1", b"a2", b"", b"a4", b"SET"])
    analysis = analyze(f"local x = redis.call('get', KEYS[1]) {text}".encode())
    used = resolve_all_keys(analysis.undeclared_keys, analysis.dynamic_calls, inputs)
    assert used is not None
    assert [(each.text + b"." * each.is_prefix).decode() for each in used] == found


@pytest.mark.parametrize("text", ["KEYS[i] .. ':a'", "'a' .. ARGV[i]", "KEYS[i] .. ARGV[i]"])
@pytest.mark.parametrize(("rows", "computed"), [(MAX_RESOLVED_KEYS, True), (MAX_RESOLVED_KEYS + 1, False)])
def test_resolved_keys_are_bounded(text: str, rows: int, computed: bool) -> None:
    """More keys than the bound are not computed, though text and KEYS are short."""
    analysis = analyze(f"for i = 1, #KEYS do for i = 1, #ARGV do redis.call('get', {text}) end end".encode())
    words = [b"%d" % at for at in range(rows)]
    found = resolve_all_keys(
        analysis.undeclared_keys, analysis.dynamic_calls, ScriptInputs([b"EVAL", b"", b"%d" % rows, *words, *words])
    )
    assert (found is not None) == computed


def test_commands() -> None:
    """A command that the request names counts like one that the text names."""
    found = analyze(b"redis.call(ARGV[1], KEYS[1]) redis.call(ARGV[2])")
    assert list(called_commands(found, ScriptInputs([b"EVAL", b"", b"1", b"k", b"Get", b"FlushDB"]))) == [
        b"get",
        b"flushdb",
    ]
    assert list(called_commands(found, ScriptInputs([b"EVAL", b"", b"1", b"k", b"object"]))) == [b"object"]
    assert list(called_commands(analyze(b"redis.call('get', KEYS[1])"), ScriptInputs([b"EVAL", b"", b"0"]))) == [b"get"]
    assert find_key_command(found, ScriptInputs([b"EVAL", b"", b"1", b"k", b"time", b"get"])) == b"get"
    assert find_key_command(found, ScriptInputs([b"EVAL", b"", b"1", b"k", b"time", b"nosuch"])) == b""
    assert find_keyspace_command(found, ScriptInputs([b"EVAL", b"", b"1", b"k", b"get", b"DBSIZE"]), False) == b"dbsize"
    assert find_keyspace_command(found, ScriptInputs([b"EVAL", b"", b"1", b"k", b"get", b"get"]), False) == b""
    listing = analyze(b"redis.call('get', 'x') redis.call('keys', 'x*')")
    assert find_keyspace_command(listing, ScriptInputs([b"EVAL", b"", b"0"]), False) == b""
    assert find_keyspace_command(listing, ScriptInputs([b"EVAL", b"", b"0"]), True) == b"keys"


def test_odd_counts() -> None:
    """A count that is no number is 0."""
    for word in (b"x", b"-1", b"9" * 30):
        assert ScriptInputs([b"EVAL", b"", word, b"a"]).args == [b"a"]
