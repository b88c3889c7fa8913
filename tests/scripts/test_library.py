"""Functions of libraries: each by what it does itself, and what it calls of its library's own."""

import pytest

from kidoproxy.scripts.analysis import analyze
from kidoproxy.scripts.library import MAX_WORK, analyze_library, merge_analyses
from kidoproxy.scripts.resolve import ScriptInputs, resolve_all_keys
from kidoproxy.scripts.ways import WAY_BROADCAST, WAY_INTERPOSED, WAY_LEADER, copy_way

LIBRARY = b"""#!lua name=lib
local function meta(key) return key .. ':meta' end
local function clear() return redis.call('flushdb') end
local function indirect() return clear() end
local function get(keys, args) return redis.call('get', keys[1]) end
redis.register_function('get', get)
redis.register_function('meta', function(keys, args) return redis.call('get', meta(keys[1])) end)
redis.register_function{function_name='arg', callback=function(_, args) return redis.call('get', args[2]) end}
redis.register_function{function_name='clear', callback=indirect, flags={'no-writes'}}
server.register_function('more', function(keys, args, third) return redis.call('get', third) end)
redis.register_function('twice', get)
local function loop(k) if k then return loop(k) end return loop(nil) or loop(k) end
redis.register_function('loop', function(k) return loop(k) end)
"""


def used(name: bytes) -> list[bytes]:
    """The keys that it uses beside those that are declared."""
    found = analyze_library(LIBRARY)[name]
    inputs = ScriptInputs([b"FCALL", name, b"1", b"k", b"a", b"b"])
    return [each.text for each in resolve_all_keys(found.undeclared_keys, found.dynamic_calls, inputs) or []]


def test_each_by_itself() -> None:
    """What one function does does not count for its neighbours."""
    found = analyze_library(LIBRARY)
    assert sorted(found) == [b"arg", b"clear", b"get", b"loop", b"meta", b"more", b"twice"]
    assert [name for name in found if found[name].keyspace_command] == [b"clear"]
    assert [name for name in found if found[name].hidden_reason] == []
    assert [list(found[name].commands) for name in (b"get", b"clear")] == [[b"get"], [b"flushdb"]]


@pytest.mark.parametrize(
    ("name", "keys"), [(b"get", []), (b"twice", []), (b"meta", [b"k:meta"]), (b"arg", [b"b"]), (b"more", [])]
)
def test_keys_and_arguments(name: bytes, keys: list[bytes]) -> None:
    """A function's parameters are its keys and its arguments, whatever they are called."""
    assert used(name) == keys


@pytest.mark.parametrize(
    "text",
    [
        b"redis.register_function{['function_name']='f', callback=get}",
        b"redis.register_function('f', helper)",
        b"redis.register_function('f' .. 'g', get)",
        b"redis.register_function('f')",
        b"redis.register_function()",
        b"redis.register_function{callback=get}",
        b"redis.register_function{}",
        b"local r = redis.register_function r('f', helper)",
        b"local n = 'register_function' redis[n]('f', get)",
        b"redis['register_' .. 'function']('f', get)",
        b"local r = redis.register_function local q = r q('f', get)",
        b"local r = (redis.register_function) r('f', get)",
        b"pcall(redis.register_function, 'f', get)",
        b"local function register(name, f) redis.register_function(name, f) end register('f', get)",
    ],
)
def test_unknown_names(text: bytes) -> None:
    """Where it is not certain which function has which name, an unknown name may be any of them."""
    found = analyze_library(
        b"local function get(k) return redis.call('get', k[1]) end redis.register_function('g', get) " + text
    )
    assert sorted(found) == [b"", b"g"]
    assert list(found[b""].commands) == [b"get"]


def test_aliased() -> None:
    """A local name for ``register_function`` is followed."""
    found = analyze_library(b"local r = redis.register_function r('f', function() return redis.call('flushdb') end)")
    assert [(name, analysis.keyspace_command) for name, analysis in found.items()] == [(b"f", b"flushdb")]


@pytest.mark.parametrize(
    "text",
    [
        b"local t = {redis.call} redis.register_function('f', function() return t[1]('x') end)",
        b"local t = {} redis.register_function('g', function() t.c = redis.call end) "
        b"redis.register_function('f', function() return t.c('x') end)",
        b"redis.register_function('f', function() end) redis.register_function('g', function() loadstring('x')() end)",
    ],
)
def test_hidden(text: bytes) -> None:
    """What hides a command anywhere in a library counts for each of its functions."""
    assert analyze_library(text)[b"f"].hidden_reason


CLEAR = b"function() return redis.call('flushdb') end"


@pytest.mark.parametrize(
    "text",
    [
        b"local h = {} h.go = %s redis.register_function('f', function() return h.go() end)",
        b"local h = {go = %s} redis.register_function('f', function() return h.go() end)",
        b"local h = {{%s}} local g = h redis.register_function('f', function() return g[1][1]() end)",
        b"local go = (%s) redis.register_function('f', function() return go() end)",
        b"local go = nil or %s redis.register_function('f', function() return go() end)",
        b"local function make() return %s end local go = make() redis.register_function('f', function() go() end)",
        b"local clear = %s local go = clear redis.register_function('f', function() return go() end)",
        b"local clear = %s redis.register_function('f', function() return go() end) local go = clear",
        b"local clear = %s local h = {go = clear} redis.register_function('f', function() return h.go() end)",
    ],
)
def test_helpers_without_a_name(text: bytes) -> None:
    """A function that is kept in a table, or was made while loading, may be what any of them calls."""
    found = analyze_library(text % CLEAR + b" local a = 1 a = 2 redis.register_function('g', function() end)")
    assert [(name, analysis.keyspace_command) for name, analysis in found.items()] == [
        (b"f", b"flushdb"),
        (b"g", b"flushdb"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        "local a = KEYS[1]",
        "local a = ARGV",
        "redis.replicate_commands()",
        "server.breakpoint()",
        "redis.register_function('g', f)",
        "local r = redis r.breakpoint()",
    ],
)
def test_what_is_not_the_same_in_a_script(body: str) -> None:
    """A function that uses it needs the leader, where another one is run as a script."""
    code = "redis.register_function('f', function(keys) %s redis.call('expire', keys[1], 5) end)"
    assert copy_way(analyze_library((code % "").encode())[b"f"]) == WAY_INTERPOSED
    assert copy_way(analyze_library((code % body).encode())[b"f"]) == WAY_LEADER


def test_no_room() -> None:
    """Nor is there room for a prologue in every library."""
    code = "local a " * 181 + "redis.register_function('f', function(keys) redis.call('%s', keys[1], 5) end)"
    assert copy_way(analyze_library((code % "expire").encode())[b"f"]) == WAY_LEADER
    assert copy_way(analyze_library((code % "setrange").encode())[b"f"]) == WAY_BROADCAST


def test_merged() -> None:
    """Several analyses merged have what each of them has."""
    assert merge_analyses([]) is None
    one = analyze_library(b"redis.register_function('f' .. '', function() return redis.call('get', 'x') end)")[b""]
    two = analyze_library(
        b"redis.register_function('g' .. '', function() return redis.call('flushdb', loadstring) end)"
    )[b""]
    assert merge_analyses([one]) is one
    both = merge_analyses([one, two])
    assert both is not None
    assert (both.key_command, both.keyspace_command, bool(both.hidden_reason)) == (b"get", b"flushdb", True)
    assert (sorted(both.commands), len(both.undeclared_keys)) == ([b"flushdb", b"get"], 1)
    assert (both.unknown_write, both.unknown_use, both.may_publish) == (b"flushdb", True, False)
    three = analyze_library(
        b"redis.register_function('h' .. '', function() redis.call('set', 'y', 1) redis.call('publish', 'c', 'm') end)"
    )[b""]
    both = merge_analyses([one, three])
    assert both is not None
    assert (both.unknown_write, both.unknown_use, both.may_publish) == (b"", False, True)
    assert (len(both.written_forms), len(both.used_forms)) == (1, 2)


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    "body",
    [
        b"redis.call('set', KEYS[1] .. 'x', 1, 'EX', 5) redis.call('publish', 'c', 'm')",
        b"redis.call('del', redis.call('spop', KEYS[1])) redis.call(KEYS[2], 'k') redis.call('dbsize')",
        b"for k in pairs(t) do redis.call('expire', k, 5) end redis.setresp(3)",
        b"redis.call(f(), KEYS[1]) loadstring('x')",
    ],
)
def test_nothing_is_lost_by_merging(body: bytes, at: int) -> None:
    """With a function that does nothing: all that is known of the other one is known of both."""
    found = [analyze(b"return 1"), analyze(b"return 1")]
    found[at] = one = analyze(body)
    merged = merge_analyses(found)
    for name in [name for name in dir(one) if not name.startswith("_") and not callable(getattr(one, name))]:
        assert getattr(merged, name) == getattr(one, name), name


def test_unreadable() -> None:
    """A text that is no Lua is known to be unreadable."""
    assert list(analyze_library(b"#!lua name=x\nnonsense(")) == [b""]
    assert analyze_library(b"#!lua name=x\nnonsense(")[b""].parse_error


def test_work_is_bounded() -> None:
    """Many functions that share very much are not each analysed anew: then each counts as all of them."""
    shared = b"local function shared(k) " + b"f(k) " * 1500 + b"return redis.call('get', k[1]) end "
    lines = [b"redis.register_function('f%d', function(k) return shared(k) end)" % at for at in range(60)]
    found = analyze_library(shared + b" ".join(lines))
    assert len(found) == 60
    assert len({id(analysis) for analysis in found.values()}) <= 2 + MAX_WORK // 3000
    assert all(list(analysis.commands) == [b"get"] for analysis in found.values())
