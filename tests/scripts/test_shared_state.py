"""What a library's functions share must stay as it is, or one node's calls decide what another one's do."""

import pytest

from kidoproxy.scripts.library import analyze_library
from kidoproxy.scripts.ways import WAY_BROADCAST, WAY_LEADER, WAY_READ, copy_way

PUT = "redis.register_function('put', function(keys, args) %s return redis.call('set', keys[1], args[1]) end)"
OTHER = "redis.register_function('other', function(keys, args) return redis.call('set', keys[1], 'x') end)"


def way(code: str, name: bytes = b"put") -> int:
    """Which way a function of this library goes."""
    return copy_way(analyze_library(f"#!lua name=lib\n{code}\n{OTHER}".encode())[name])


#: What is there when the functions are made, and how one of them uses it.
STAYS = [
    ("local n = 5", "local m = n + 1"),
    ("local prefix, unit = 'a' .. 'b', 60 * 60", "redis.call('get', prefix .. unit)"),
    ("local never", "if never then return 1 end"),
    ("local name = string.format('%s:%d', 'a', 5)", "redis.call('get', name)"),
    ("local name = ('A'):lower()", "redis.call('get', name)"),
    ("local call = string.format", "call('x')"),
    ("local function helper(k) local t = {} t.x = k return t end", "helper(keys[1]).y = 5"),
    ("local function helper(k) local n = 0 local function more() n = n + k end more() return n end", "helper(5)"),
    ("local t = {1, 2, 'x', f = function() return 1 end}", "local m = t[1] + #t + t.f() + (unpack(t))"),
    ("local t = {}", "redis.call('get', t[1])"),
    ("local t = {limit = 5}", "for _, each in ipairs(t) do redis.call('get', t.limit) end"),
    ("local M = {} function M.help(k) return k end M.other = 5", "M.help(keys[1]) pcall(M.help)"),
    ("local M = {} function M.help(k) return k end local N = M N = {}", "M.help(keys[1])"),
    ("local n = 5 local t = {}", "local t = {} t.x = n table.insert(t, n)"),
]
CHANGES = [
    ("local n = 0", "n = n + 1"),
    ("local n = 0 local function bump() n = n + 1 end", "bump()"),
    ("local n = 0 local M = {bump = function() n = n + 1 end}", "M.bump()"),
    ("local cache", "cache = cache or {}"),
    ("local t = {}", "t[keys[1]] = 1"),
    ("local t = {}", "t.n = (t.n or 0) + 1"),
    ("local t = {}", "table.insert(t, 1)"),
    ("local t = {}", "local u = t u.x = 1"),
    ("local t = {u = {}}", "t.u.x = 1"),
    ("local t = {u = {}}", "local u = t.u u.x = 1"),
    ("local t = {{}}", "for _, u in ipairs(t) do u.x = 1 end"),
    ("local t = {['a b'] = {}}", "local u = t['a b'] u.x = 1"),
    ("local t = {1}", "if keys then return t end"),
    ("local t = {1} function t:add() self[2] = 1 end", "t:add()"),
    ("local t = {1} t = {2}", "local m = t[1]"),
    ("local t = {1} local function change() t.x = 1 end", "local m = t.x"),
    ("local t = cjson.decode('{}')", "t.x = 1"),
    ("local t = cjson.decode('[]')", "local m = #t"),
]
#: What is done while the library is loaded, though no function uses it.
LOADS = [
    "local function make() local n = 0 return function() n = n + 1 return n end end local nextid = make()",
    "local each = string.gmatch('a b', '%a')",
    "local n = math.random(5)",
    "local n = os.time()",
    "local n = tostring({})",
    "for k in pairs({a = 1, b = 2}) do local m = k end",
    "local t = setmetatable({}, {})",
    "local t = {f = function() end} t:f()",
    "local version = redis.REDIS_VERSION",
    "local call = redis.call",
    "local server = redis",
    "redis.log(redis.LOG_NOTICE, 'loaded')",
    "pcall(function() end)",
]


@pytest.mark.parametrize(("shared", "use"), STAYS)
def test_what_stays_as_it_is(shared: str, use: str) -> None:
    """Plain values, functions, and tables that nobody changes are the same at every call."""
    assert way(f"{shared} {PUT % use}") == WAY_BROADCAST


@pytest.mark.parametrize(("shared", "use"), CHANGES)
def test_what_may_change(shared: str, use: str) -> None:
    """What a function changes, or hands on so that it may be changed, is another thing on every node."""
    assert way(f"{shared} {PUT % use}") == WAY_LEADER
    assert way(f"{shared} {PUT % use}", b"other") == (WAY_LEADER if "M =" in shared else WAY_BROADCAST)


@pytest.mark.parametrize("code", LOADS)
def test_what_is_done_while_loading(code: str) -> None:
    """A library may come to another result on every node before it is called."""
    assert way(f"{code} {PUT % ''}") == WAY_LEADER


def test_a_function_that_only_reads() -> None:
    """It is asked of one copy, whatever it remembers: the others must not depend on it."""
    code = "local n = 0 redis.register_function('peek', function() n = n + 1 return redis.call('get', 'k') end) "
    assert way(code, b"peek") == WAY_READ
    assert way(code + PUT % "args = {n}") == WAY_LEADER
