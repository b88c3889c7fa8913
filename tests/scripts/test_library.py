"""Functions: each is what it does itself, and what it calls of its library's own."""

import pytest

from kidoproxy.scripts.library import MOST_WORK, functions
from kidoproxy.scripts.request import Inputs, names

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
    return [each.text for each in names(functions(LIBRARY)[name], Inputs([b"FCALL", name, b"1", b"k", b"a", b"b"]))]


def test_each_by_itself() -> None:
    """What one function does is not held against its neighbours."""
    found = functions(LIBRARY)
    assert sorted(found) == [b"arg", b"clear", b"get", b"loop", b"meta", b"more", b"twice"]
    assert [name for name in found if found[name].whole] == [b"clear"]
    assert [name for name in found if found[name].hidden] == []
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
    ],
)
def test_unclear(text: bytes) -> None:
    """Where it is not plain which function has which name, whatever is not known may be any of them."""
    found = functions(
        b"local function get(k) return redis.call('get', k[1]) end redis.register_function('g', get) " + text
    )
    assert sorted(found) == [b"", b"g"]
    assert list(found[b""].commands) == [b"get"]


def test_aliased() -> None:
    """A local name for what registers is followed."""
    found = functions(b"local r = redis.register_function r('f', function() return redis.call('flushdb') end)")
    assert [(name, analysis.whole) for name, analysis in found.items()] == [(b"f", b"flushdb")]


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
    """What hides a command anywhere in a library is held against each of its functions."""
    assert functions(text)[b"f"].hidden


def test_unreadable() -> None:
    """Of what is no Lua it is known that it cannot be read."""
    assert list(functions(b"#!lua name=x\nnonsense(")) == [b""]
    assert functions(b"#!lua name=x\nnonsense(")[b""].unread


def test_work_is_bounded() -> None:
    """Many functions that share very much are not each read anew: then each counts as all of them."""
    shared = b"local function shared(k) " + b"f(k) " * 1500 + b"return redis.call('get', k[1]) end "
    lines = [b"redis.register_function('f%d', function(k) return shared(k) end)" % at for at in range(60)]
    found = functions(shared + b" ".join(lines))
    assert len(found) == 60
    assert len({id(analysis) for analysis in found.values()}) <= 2 + MOST_WORK // 3000
    assert all(list(analysis.commands) == [b"get"] for analysis in found.values())
