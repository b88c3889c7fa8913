"""Scripts by their texts: what copies run, and what is known of scripts and functions."""

from collections.abc import Callable

import pytest

from kidoproxy.commands.expiry_effect import OF_SOURCES, SCRIPT_SETS_ANY, SCRIPT_SETS_DECLARED, ExpiryEffect
from kidoproxy.commands.find import COMMANDS
from kidoproxy.resp.encode import encode_request
from kidoproxy.routes.ring_scripts import undeclared_keys_refusal
from kidoproxy.routes.route import WallClock
from kidoproxy.routes.scripts import (
    ScriptDecision,
    decide_copy_script,
    decide_leader_script,
    find_analysis,
    find_script,
    script_expiry_effect,
)
from kidoproxy.scripts.interposed import hex_digest
from kidoproxy.scripts.registry import (
    MAX_ANALYSIS_BYTES,
    MAX_LIBRARY_CHANGES,
    MAX_REMEMBERED_BYTES,
    Script,
    ScriptRegistry,
)
from kidoproxy.scripts.ways import WAY_BROADCAST, WAY_INTERPOSED, WAY_LEADER, WAY_READ, WAY_REFUSED


def decided(registry: ScriptRegistry, *argv: bytes) -> ScriptDecision | None:
    """What a copy pool does with this request."""
    return decide_copy_script(registry, COMMANDS[argv[0].lower()], list(argv), WallClock(1_000))


def test_copy_decision() -> None:
    """EVAL as it is; EVALSHA as EVAL, once the text is known; what only reads keeps its digest."""
    registry = ScriptRegistry()
    text = b"return redis.call('incr', KEYS[1])"
    digest = registry.remember(text)
    decision = decided(registry, b"EVAL", text, b"1", b"k")
    assert decision is not None
    assert (decision.way, decision.payload, decision.reason, decision.interposed) == (WAY_BROADCAST, None, "", None)
    sha = decided(registry, b"EVALSHA", digest.upper(), b"1", b"k")
    assert sha is not None
    assert sha.payload == encode_request([b"EVAL", text, b"1", b"k"])
    assert decided(registry, b"EVALSHA", b"0" * 40, b"0") is None
    assert decided(registry, b"FCALL", b"f", b"0") is None
    read = decided(registry, b"EVALSHA", registry.remember(b"return redis.call('time')"), b"0")
    assert read is not None
    assert (read.way, read.payload) == (WAY_READ, None)


def test_interposed_decision() -> None:
    """The text with its prologue, and one argument more: the clock, and in front of it who publishes."""
    registry = ScriptRegistry()
    text = b"redis.call('expire', KEYS[1], 5)"
    script = registry.interpose_script(Script(text))
    for argv in ([b"EVAL", text], [b"EVALSHA", registry.remember(text)]):
        decision = decided(registry, *argv, b"1", b"k", b"a")
        assert decision is not None
        assert decision.way == WAY_INTERPOSED
        assert decision.payload == encode_request([b"EVAL", script.text, b"1", b"k", b"a", b"01000000"])
        assert decision.interposed is not None
        assert decision.interposed.publisher_payload is None
        assert decision.interposed.shown == ((hex_digest(script.text), registry.digests[text]),)
    publishing = b"redis.call('publish', 'c', 'm')"
    decision = decided(registry, b"EVAL", publishing, b"0")
    assert decision is not None
    assert decision.interposed is not None
    assert decision.interposed.publisher_payload is not None
    assert decision.interposed.publisher_payload.endswith(b"$8\r\n11000000\r\n")


@pytest.mark.parametrize("count", [b"x", b"-1", b"2", b"01", b""])
def test_nothing_is_added_to_what_does_not_run(count: bytes) -> None:
    """A wrong number of keys is an error, and one argument more must not make it right."""
    text = b"redis.call('expire', KEYS[1], 5)"
    registry = ScriptRegistry()
    decision = decided(registry, b"EVAL", text, count, b"k")
    assert decision is not None
    assert (decision.payload, decision.interposed) == (None, None)
    decision = decided(registry, b"EVALSHA", registry.remember(text), count, b"k")
    assert decision is not None
    assert decision.payload == encode_request([b"EVAL", text, count, b"k"])


@pytest.mark.parametrize(
    ("text", "way", "why"),
    [
        (b"redis.call('spop', KEYS[1]) redis.call('flushdb')", WAY_REFUSED, "it calls spop"),
        (b"redis.call(ARGV[1], KEYS[1])", WAY_REFUSED, "it calls a command whose name is not a literal, and the keys"),
        (b"_G.redis.call('spop', KEYS[1])", WAY_REFUSED, "it uses _G"),
        (
            b"return redis.call('time') --" + b"x" * MAX_REMEMBERED_BYTES,
            WAY_REFUSED,
            "it is larger than the 128 KiB that are read",
        ),
    ],
)
def test_refused_by_copies(text: bytes, way: int, why: str) -> None:
    """A script that could make them differ, or that is too large to be read."""
    decision = decided(ScriptRegistry(), b"EVAL", text, b"1", b"k", b"swapdb")
    assert decision is not None
    assert decision.way == way
    assert decision.reason.startswith(why)


def test_decided_by_the_leader() -> None:
    """What depends on chance is the leader's to run, by its text, with the keys that it may write to."""
    registry = ScriptRegistry()
    text = b"redis.call('spop', KEYS[1])"
    for argv in ([b"EVAL", text], [b"EVALSHA", registry.remember(text)]):
        decision = decided(registry, *argv, b"1", b"k", b"x")
        assert decision is not None
        assert decision.leader is not None
        assert decision.leader.argv == [b"EVAL", text, b"1", b"k", b"x"]
        assert (decision.way, decision.leader.written_keys, decision.leader.publishes) == (WAY_LEADER, [b"k"], False)


def test_functions_on_copies() -> None:
    """Reads and what all copies repeat go their ways; what needs a prologue is run as a script, if that is possible."""
    registry = ScriptRegistry()
    assert decided(registry, b"FCALL", b"f", b"0") is None
    bodies = {b"get": WAY_READ, b"incr": WAY_BROADCAST, b"spop": WAY_LEADER, b"smembers": WAY_READ}
    registry.load_library(
        b"#!lua name=lib\n"
        + b"".join(
            b"redis.register_function('%b', function(keys, args) return redis.call('%b', keys[1]) end)\n" % (name, name)
            for name in bodies
        )
        + b"redis.register_function('ttl', function(k) redis.call('expire', k[1], 5) end)\n"
        + b"redis.register_function{function_name='x', flags={5}, callback=function(k) redis.call('time') "
        + b"redis.call('incr', k[1]) end}\n"
        + b"redis.register_function('all', function() redis.call('flushall') redis.call('spop', 's') end)\n"
    )
    for name, way in {**bodies, b"ttl": WAY_INTERPOSED, b"x": WAY_LEADER, b"all": WAY_REFUSED}.items():
        decision = decided(registry, b"FCALL", name, b"1", b"k")
        assert decision is not None
        assert (name, decision.way) == (name, way)
        assert (decision.leader is not None) == (way == WAY_LEADER)


def test_analysed_once() -> None:
    """The analysis of a text is remembered with it, for every client, by text or by digest."""
    registry = ScriptRegistry()
    text = b"return redis.call('get', KEYS[1])"
    first = find_script(registry, COMMANDS[b"eval"], [b"EVAL", text, b"1", b"k"])
    again = find_script(registry, COMMANDS[b"evalsha_ro"], [b"EVALSHA_RO", registry.remember(text).upper(), b"1", b"k"])
    assert first is not None
    assert again is not None
    assert registry.analyse_script(first) is registry.analyse_script(again)
    assert find_script(registry, COMMANDS[b"fcall"], [b"FCALL", b"f", b"0"]) is None


def test_functions() -> None:
    """A function whose library was loaded through the pool is looked at like a script, until it is gone."""
    registry = ScriptRegistry()
    pending = [b"FCALL", b"f", b"0"]
    flushing = b"#!lua name=%s\nredis.register_function('f', function() return redis.call('flushdb') end)"
    ways: list[Callable[[], None]] = [
        lambda: registry.delete_library(b"lib"),
        registry.flush_libraries,
        lambda: registry.restore_libraries(b"dump", b"APPEND"),
        lambda: registry.load_library(b"#!lua name=lib\nredis.register_function('g', function() end)"),
    ]
    for gone in ways:
        registry.load_library(flushing % b"lib")
        for name in (b"fcall", b"fcall_ro"):
            refusal = undeclared_keys_refusal(registry, COMMANDS[name], pending)
            assert refusal is not None
            assert b"its script calls 'flushdb'" in refusal
        gone()
        assert undeclared_keys_refusal(registry, COMMANDS[b"fcall"], pending) is None
    assert find_analysis(registry, COMMANDS[b"fcall"], [b"FCALL", b"g", b"0"]) is not None


def test_functions_are_found_as_nodes_find_them() -> None:
    """Letter case does not count in the name of a function."""
    registry = ScriptRegistry()
    registry.load_library(b"#!lua name=lib\nredis.register_function('Clear', function() redis.call('flushdb') end)")
    for name in (b"clear", b"CLEAR", b"Clear"):
        refusal = undeclared_keys_refusal(registry, COMMANDS[b"fcall"], [b"FCALL", name, b"0"])
        assert refusal is not None
        assert b"its script calls 'flushdb'" in refusal
    registry.delete_library(b"lib")
    assert not registry.functions


def test_functions_without_known_names() -> None:
    """What functions of unknown names do is known until their library is gone, whatever other libraries do."""
    registry = ScriptRegistry()
    pending = [b"FCALL", b"f", b"0"]
    text = b"#!lua name=%s\nredis.register_function('%s' .. '', function() return redis.call('%s') end)"
    assert undeclared_keys_refusal(registry, COMMANDS[b"fcall"], pending) is None
    registry.load_library(text % (b"one", b"f", b"flushdb"))
    registry.load_library(text % (b"two", b"g", b"time"))
    assert b"'flushdb'" in (undeclared_keys_refusal(registry, COMMANDS[b"fcall"], pending) or b"")
    registry.delete_library(b"two")
    assert b"'flushdb'" in (undeclared_keys_refusal(registry, COMMANDS[b"fcall"], pending) or b"")
    registry.delete_library(b"one")
    assert undeclared_keys_refusal(registry, COMMANDS[b"fcall"], pending) is None


def test_forgotten_functions() -> None:
    """With the oldest libraries their functions are forgotten: what is known has a bound."""
    registry = ScriptRegistry()
    for at in range(MAX_LIBRARY_CHANGES + 1):
        registry.load_library(b"#!lua name=l%d\nredis.register_function('f%d', function() end)" % (at, at))
    assert len(registry.functions) == len(registry.functions_by_library) == MAX_LIBRARY_CHANGES


def test_queued() -> None:
    """What is only queued is looked at, and known no sooner than it runs."""
    registry = ScriptRegistry()
    analysis = find_analysis(registry, COMMANDS[b"eval"], [b"EVAL", b"return redis.call('flushdb')", b"0"], True)
    assert analysis is not None
    assert analysis.keyspace_command == b"flushdb"
    assert not registry.digests


def test_analyses_are_bounded() -> None:
    """What is remembered of texts has a bound in bytes: beyond, all is forgotten, and read again when it is asked."""
    registry = ScriptRegistry()
    for number in range(3):
        registry.remember(b"return redis.call('get', 'k%d')" % number)
    first, second, third = registry.seen.values()
    registry.mark_loaded(second.text)
    weight = registry.analyse_script(first).memory_bytes()
    assert registry.analysis_bytes == weight
    registry.analysis_bytes = MAX_ANALYSIS_BYTES - weight
    registry.analyse_script(second)
    assert first.analysis is not None
    registry.analyse_script(third)
    assert registry.analysis_bytes == weight
    assert [script for script in (first, second, third) if script.analysis is not None] == [third]
    assert registry.analyse_script(first).undeclared_keys


def test_functions_are_bounded() -> None:
    """The analyses of functions have the same bound."""
    registry = ScriptRegistry()
    code = b"#!lua name=l%d\nredis.register_function('f%d', function() return redis.call('get', 'k') end)"
    registry.load_library(code % (1, 1))
    weight = registry.function_analysis_bytes
    registry.function_analysis_bytes = MAX_ANALYSIS_BYTES - weight
    registry.load_library(code % (2, 2))
    assert sorted(registry.functions) == [b"f1", b"f2"]
    registry.load_library(code % (3, 3))
    assert list(registry.functions) == [b"f3"]
    assert registry.function_analysis_bytes == weight


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        (b"redis.call('hset', KEYS[1], 'f', 'v')", OF_SOURCES),
        (b"redis.call('set', KEYS[1], ARGV[1])", OF_SOURCES),
        (b"redis.call('set', KEYS[1], ARGV[1], 'pxat', 7)", SCRIPT_SETS_DECLARED),
        (b"redis.call('rename', KEYS[1], KEYS[2])", SCRIPT_SETS_DECLARED),
        (b"redis.call('pexpireat', KEYS[1], 7) redis.call('pexpireat', 'other', 7)", SCRIPT_SETS_ANY),
        (b"redis.call('pexpireat', ARGV[1], 7) redis.call('pexpireat', KEYS[1], 7)", SCRIPT_SETS_ANY),
        (b"redis.call('json.set', KEYS[1], '$', '1')", SCRIPT_SETS_ANY),
        (b"redis.call(ARGV[1], KEYS[1])", SCRIPT_SETS_ANY),
        (b"local call = loadstring('x') redis.call('get', KEYS[1])", SCRIPT_SETS_ANY),
        (b"redis.call('get', KEYS[1]", SCRIPT_SETS_ANY),
    ],
)
def test_expiry_of_scripts(text: bytes, effect: ExpiryEffect) -> None:
    """What a script's calls may do to the expiry of keys, of those that it declares or of any."""
    assert script_expiry_effect(ScriptRegistry(), COMMANDS[b"eval"], [b"EVAL", text, b"1", b"k"]) is effect


def test_expiry_of_an_unknown_script() -> None:
    """Of a script that is not known nothing is known."""
    assert script_expiry_effect(ScriptRegistry(), COMMANDS[b"evalsha"], [b"EVALSHA", b"x", b"0"]) is SCRIPT_SETS_ANY


@pytest.mark.parametrize(
    ("text", "keys", "publishes"),
    [
        (b"return {KEYS[1], redis.call('incr', KEYS[1])}", [b"k"], False),
        (b"redis.call('expire', KEYS[1], 5)", [b"k"], False),
        (b"redis.call('set', KEYS[1] .. 'x', 1) redis.call('publish', 'c', 'm')", [b"k", b"kx"], True),
    ],
)
def test_a_script_on_the_leader(text: bytes, keys: list[bytes], publishes: bool) -> None:
    """What each copy could run may run on the leader too: as it is, with the keys that it may write to."""
    registry = ScriptRegistry()
    for argv in ([b"EVAL", text], [b"EVALSHA", registry.remember(text)]):
        spec = COMMANDS[argv[0].lower()]
        script = decide_leader_script(registry, spec, [*argv, b"1", b"k"])
        assert script is not None
        assert (script.argv, script.written_keys, script.publishes) == ([b"EVAL", text, b"1", b"k"], keys, publishes)


def test_a_function_on_the_leader() -> None:
    """As it is called; one that is not known has no keys that are known."""
    registry = ScriptRegistry()
    call = [b"FCALL", b"f", b"1", b"k"]
    assert decide_leader_script(registry, COMMANDS[b"fcall"], call) is None
    registry.load_library(
        b"#!lua name=lib\nredis.register_function('f', function(k) return redis.call('incr', k[1]) end)"
    )
    script = decide_leader_script(registry, COMMANDS[b"fcall"], call)
    assert script is not None
    assert (script.argv, script.written_keys) == (call, [b"k"])


def test_not_on_the_leader() -> None:
    """A digest that is not known, and a script that writes to a key whose name is in another one."""
    registry = ScriptRegistry()
    assert decide_leader_script(registry, COMMANDS[b"evalsha"], [b"EVALSHA", b"x", b"0"]) is None
    text = b"redis.call('set', redis.call('get', KEYS[1]), 1)"
    assert decide_leader_script(registry, COMMANDS[b"eval"], [b"EVAL", text, b"1", b"k"]) is None
