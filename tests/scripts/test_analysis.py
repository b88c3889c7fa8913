"""What is certain about a script: each command that it calls, and whether copies that run it stay equal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import COPY_BROADCAST
from kidoproxy.scripts.analysis import analyze
from kidoproxy.scripts.determinism import is_deterministic
from kidoproxy.scripts.lexer import MAX_ANALYSED_BYTES
from kidoproxy.scripts.library import analyze_library
from tests.scripts.oracle import called, has_lua
from tests.strategies import examples

NAMELESS = "it calls a command whose name is not a literal"


def refusal(text: str) -> str:
    """Why copies must not run it."""
    return analyze(text.encode()).replication_refusal()


DETERMINISTIC = [
    "return 1",
    "return redis.pcall('SET', KEYS[1], ARGV[1])",
    "return redis.call('set', KEYS[1], ARGV[1], 'NX')",
    "return redis.call('set', KEYS[1], ARGV[1], 'PXAT', ARGV[2], 'XX')",
    "return redis.call('getex', KEYS[1])",
    "return redis.call('get', KEYS[1])",
    "-- redis.call('time')\nreturn redis.call('incr', KEYS[1])",
    "--[==[ redis.call('time') ]==] return redis.call('incr', KEYS[1])",
    "return redis.sha1hex('time (' .. KEYS[1])",
    "return redis.error_reply('no (redis.call)')",
    "server.log(server.LOG_NOTICE, 'x') return server.call('incrby', KEYS[1], 2)",
    "local r = redis local c = r.call return c('get', KEYS[1])",
    "return redis['call']('get', KEYS[1])",
    "return redis.call('g' .. 'et', KEYS[1])",
    "return redis.call(string.format('%s', 'get'), KEYS[1])",
    "local call = redis.call local function f(k) return call('get', k) end return f(KEYS[1])",
    "return pcall(redis.call, 'incr', KEYS[1])",
    "return redis.call('hset', KEYS[1], 'a', 1)",
    "local t = {'hset', KEYS[1]} t[#t + 1] = 'f' table.insert(t, 'v') return redis.call(unpack(t))",
    "return redis.call(unpack({'get', KEYS[1]}))",
    "return redis.call('del', unpack(KEYS))",
    "return redis.call('rpush', KEYS[1], unpack(ARGV, 2))",
    "return redis.call('set', KEYS[1], tostring(tonumber(ARGV[1]) + 1))",
    "return redis.call('set', KEYS[1], (string.gsub(ARGV[1], 'a', 'b')))",
    "local n = 0 for i = 1, #ARGV do n = n + i end return tostring(n)",
    "return tostring(redis.call('get', KEYS[1]) or 0)",
    "local function f() return 1 end return tostring(f())",
    "local x = ARGV[1] x = x:sub(1, 2) return tostring(x)",
    "return tostring((ARGV[1]))",
    "return cjson.encode({1, 'a', {ARGV[1]}})",
    "return cmsgpack.pack(1)",
    "for i, v in ipairs(ARGV) do redis.call('rpush', KEYS[1], v) end",
    "local v = ARGV[1] == 'get' and 'get' or 'strlen' return redis.call(v, KEYS[1])",
    "local k = KEYS return redis.call('get', k[1])",
    "if redis.replicate_commands then redis.replicate_commands() end redis.setresp(3) return cjson.null",
    "local xs = {} xs.a = 1 xs[2] = 3 return xs",
    "nonsense(",
    "KEYS[1] = 'x' return redis.call('get', KEYS[1])",
    "--[[\n" * 1000,
    " " * (MAX_ANALYSED_BYTES + 1),
    "return math.floor(3.5) + math.pi + math.huge",
]


@pytest.mark.parametrize("text", DETERMINISTIC)
def test_deterministic(text: str) -> None:
    """Every command is written in the text, and nothing depends on a node: copies may run it."""
    assert refusal(text) == ""


NONDETERMINISTIC = [
    ("return redis.call('time')", "it calls time"),
    ("return redis.call('TIME')", "it calls time"),
    ("return redis.call('spop', KEYS[1])", "it calls spop"),
    ("return redis.call('srandmember', KEYS[1])", "it calls srandmember"),
    ("return redis.call('smembers', KEYS[1])", "it calls smembers"),
    ("return redis.call('nosuch')", "it calls nosuch"),
    ("return redis.call('dbsize')", "it calls dbsize"),
    ("return redis.call('set', KEYS[1], 1, 'EX', 5)", "it calls set"),
    ("return redis.call('set', KEYS[1], 1, ARGV[1], 5)", "it calls set"),
    ("return redis.call('set', unpack(ARGV))", "it calls set"),
    ("local f return redis.call('set', KEYS[1], f())", "it calls set"),
    ("return redis.call('getex', KEYS[1], 'EX', 5)", "it calls getex"),
    ("return redis.call('expire', KEYS[1], 5)", "it calls expire"),
    ("return redis.call('xadd', KEYS[1], '*', 'a', 1)", "it calls xadd"),
    ("return redis.call('object', 'freq', KEYS[1])", "it calls object"),
    ("return redis.call('memory', 'usage', KEYS[1])", "it calls memory"),
    ("return redis.call('xinfo', 'stream', KEYS[1], 'full')", "it calls xinfo"),
    ("return redis.call('publish', 'c', 'm')", "it calls publish"),
    ("--[[ x\n]] return redis.call('spop', KEYS[1])", "it calls spop"),
    ("-- x\rreturn redis.call('spop', KEYS[1])", "it calls spop"),
    ("local x = [[ -- ]] return redis.call('spop', KEYS[1])", "it calls spop"),
    ("return redis.call([[spop]], KEYS[1])", "it calls spop"),
    ("return redis.call('\\115pop', KEYS[1])", "it calls spop"),
    ("return redis.call'randomkey'", "it calls randomkey"),
    ("local r = redis return r.call('time')", "it calls time"),
    ("local c = redis.call return c('time')", "it calls time"),
    ("local c; c = redis.call return c('time')", "it calls time"),
    ("local x local c = x and redis.call or redis.pcall return c('time')", "it calls time"),
    ("local a = {} or redis return a.call('time')", "it calls time"),
    ("return (redis).call('time')", "it calls time"),
    ("return pcall(redis.call, 'time')", "it calls time"),
    ("return redis.call(ARGV[1] == '1' and 'get' or 'spop', KEYS[1])", "it calls spop"),
    ("return redis.call(ARGV[1], KEYS[1])", NAMELESS),
    ("return redis.call('get' .. ARGV[1], KEYS[1])", NAMELESS),
    ("return redis.call()", NAMELESS),
    ("return redis.call(unpack(ARGV))", NAMELESS),
    ("local t = {'get'} t[1] = 'spop' return redis.call(unpack(t))", NAMELESS),
    ("local t = {'get'} table.insert(t, 1, 'spop') return redis.call(unpack(t))", NAMELESS),
    ("local t = {'get'} local u = t u[1] = 'spop' return redis.call(unpack(t))", NAMELESS),
    ("local t, u = {'get'}, {} t[#u + 1] = 'spop' return redis.call(unpack(t))", NAMELESS),
    ("local t = {'get', a = 1} return redis.call(unpack(t))", NAMELESS),
    ("local t = {'get'} t = {'spop'} return redis.call(unpack(t))", "it calls spop"),
    ("local t = {'get'} t = {'spop'} t[1] = ARGV[1] return redis.call(unpack(t))", NAMELESS),
    ("local t = {'get'} t = {} return redis.call(unpack(t))", NAMELESS),
    ("local t = {'get'} t = ARGV return redis.call(unpack(t))", NAMELESS),
    ("local t = {'set', 'k', 'v', 'px', 5} t = {'set', 'k', 'v'} redis.call(unpack(t))", "it calls set"),
    ("return redis.call(unpack(x))", NAMELESS),
    ("return redis.call(unpack({'get', 'spop', KEYS[1]}, 2))", NAMELESS),
    ("local t = {'get', 'spop', KEYS[1]} return redis.call(unpack(t, 2, 3))", NAMELESS),
    ("return redis[ARGV[1]]('get', KEYS[1])", "it uses redis.?"),
    ("return _G['redis'].call('time')", "it uses _G"),
    ("return _G.redis.call('time')", "it uses _G"),
    ("return loadstring(ARGV[1])()", "it uses loadstring"),
    ("return load(function() end)()", "it uses load"),
    ("return getfenv(1).redis.call('time')", "it uses getfenv"),
    ("local t = {redis.call} return t[1]('time')", "it hands redis.call around"),
    ("local t = {r = redis} return t.r.call('time')", "it hands redis around"),
    ("local function f(c) return c('time') end return f(redis.call)", "it hands redis.call around"),
    ("local t = {} t.x = redis return t.x.call('time')", "it hands redis around"),
    ("x = redis.call return x('time')", "it hands redis.call around"),
    ("string.gsub('time', '.*', redis.call)", "it hands redis.call around"),
    ("return redis:call('time')", "it hands redis around"),
    ("return (function() return redis end)().call('time')", "it hands redis around"),
    ("return select(1, redis.call)('time')", "it hands redis.call around"),
    ("return math.random()", "it uses math.random"),
    ("local r = math.random return r(1, 2)", "it uses math.random"),
    ("local m = math return m['ran' .. 'dom']()", "it uses math.random"),
    ("math[ARGV[1]]()", "it uses math.?"),
    ("return os.clock()", "it uses os.clock"),
    ("return os.time()", "it uses os.time"),
    ("for k, v in pairs({a = 1}) do redis.call('rpush', KEYS[1], k) end", "it uses pairs"),
    ("for k, v in next, {a = 1} do redis.call('rpush', KEYS[1], k) end", "it uses next"),
    ("return tostring({})", "it uses tostring"),
    ("return tostring(redis.call('time'))", "it uses tostring"),
    ("return tostring(redis.call('lrange', KEYS[1], 0, 1))", "it uses tostring"),
    ("local t = tostring return t({})", "it uses tostring"),
    ("string.gsub('a', 'a', tostring)", "it uses tostring"),
    ("local x = 1 x = {} return tostring(x)", "it uses tostring"),
    ("local g local function f() return g() end return tostring(f())", "it uses tostring"),
    ("local x = {} local function f() return x end return tostring(f())", "it uses tostring"),
    ("local x = {} return tostring(1 or x)", "it uses tostring"),
    ("local x = '' return tostring(" + "x and (" * 45 + "x" + ")" * 45 + ")", "it uses tostring"),
    (
        " ".join([f"redis.call('get', ('a' or 'b') .. ('c' or 'd') .. ('e' or 'f') .. '{n}')" for n in range(90)]),
        "it uses more names of keys than are followed",
    ),
    ("return tostring(x.y)", "it uses x, of which nothing is known"),
    ("local f = function() end return tostring(f)", "it uses tostring"),
    ("return cjson.encode({a = 1, b = 2})", "it uses cjson.encode with fields"),
    ("return cjson.encode({{a = 1, 2}})", "it uses cjson.encode with fields"),
    ("local t = {} t.a = 1 t.b = 2 return cjson.encode(t)", "it uses cjson.encode with fields"),
    ("local t = {} return cmsgpack.pack(1, t)", "it uses cmsgpack.pack with fields"),
    ("local e = {cjson.encode} return e[1]({a = 1, b = 2})", "it uses cjson.encode"),
    ("return redis.acl_check_cmd('get', KEYS[1])", "it uses redis.acl_check_cmd"),
    ("return collectgarbage('count')", "it uses collectgarbage"),
    ("return setmetatable({}, {})", "it uses setmetatable, of which nothing is known"),
    ("return nosuch", "it uses nosuch, of which nothing is known"),
    ("local f = {string} return 1", "it hands string around"),
    ("tostring = 1", "it assigns to the global name tostring"),
    ("redis.sha1hex = redis.log", "it changes redis"),
    ("function redis.sha1hex() end", "it changes redis"),
    ("return redis(", "line 1 is no Lua 5.1 near"),
    ("x = _G 'a", "line 1 has what is no Lua 5.1"),
    ("return 1 end redis.call('spop', KEYS[1]) function f()", "line 1 is no Lua 5.1 near 'end'"),
    ("redis" + " " * MAX_ANALYSED_BYTES, "larger than"),
    ("local a = redis local b = a local c = b local d = c local e = d return e.call('time')", "it calls time"),
    (
        "local " + ", ".join(f"a{i}" for i in range(20)) + " a19 = redis "
        + "".join(f"a{i} = a{i + 1} " for i in range(19)) + "return a0.call('time')",
        "it uses too many names for one thing",
    ),
    ("local a = " + " or ".join(f"x{i}" for i in range(20)) + " return a.call('time')", "too many names"),
    ("local a " + "".join(f"a = x{i} " for i in range(20)) + "return a.call('time')", "too many names"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), NONDETERMINISTIC)
def test_nondeterministic(text: str, why: str) -> None:
    """Whatever could differ from copy to copy, or hide what could, is a reason to refuse it."""
    assert why in refusal(text)


def test_deterministic_commands_are_reviewed() -> None:
    """A command that is broadcast as it is may stand in a script too, unless its arguments or tips say no."""
    spec = COMMANDS[b"incr"]
    assert spec.replication == COPY_BROADCAST
    assert is_deterministic(spec, [b"incr", b"k"], False)


# -- tricks ------------------------------------------------------------------------------------------------

#: Ways to say ``redis.call``: what stands before, and the expression.
CALLEES = [
    ("", "redis.call"),
    ("", "redis.pcall"),
    ("", "(redis.call)"),
    ("", "(redis).call"),
    ("", "redis['call']"),
    ("", "redis[ [[call]] ]"),
    ("", "redis['ca' .. 'll']"),
    ("", "redis['\\99all']"),
    ("local r = redis ", "r.call"),
    ("local c = redis.call ", "c"),
    ("local c c = redis.call ", "c"),
    ("local r, c = redis, redis.call ", "c"),
    ("local a = redis local b = a local c = b.call local d = c ", "d"),
    ("local c = nil or redis.call ", "c"),
    ("local c = true and redis.call ", "c"),
    ("local c = false or (redis).call ", "c"),
    ("local t = {c = redis.call} ", "t.c"),
    ("local t = {redis.call} ", "t[1]"),
    ("local t = {} t.c = redis.call ", "t.c"),
    ("local t = {redis} ", "t[1].call"),
    ("local function f() return redis end ", "f().call"),
    ("local function f(x) return x end ", "f(redis.call)"),
    ("", "(function() return redis.call end)()"),
    ("", "_G.redis.call"),
    ("", "_G['redis']['call']"),
    ("", "getfenv().redis.call"),
    ("", "loadstring('return redis.call')()"),
    ("local k = 'call' ", "redis[k]"),
    ("local k = ('c%s'):format('all') ", "redis[k]"),
    ("local k = string.format('%s%s', 'ca', 'll') ", "redis[k]"),
    ("local k = ('llac'):reverse() ", "redis[k]"),
    ("local g = _G ", "g.redis.call"),
    ("for _, c in ipairs({redis.call}) do x = c end local c = redis.call ", "c"),
    ("local redis = redis ", "redis.call"),
    ("local server = redis ", "server.call"),
    ("local pcall = redis.call ", "pcall"),
    ("local x = 1 do local x = redis.call y = x end local x = redis.call ", "x"),
    ("local c = select(2, 1, redis.call) ", "c"),
    ("local c = rawget(redis, 'call') ", "c"),
    ("local m = setmetatable({}, {__index = redis}) ", "m.call"),
    ("local m = setmetatable({}, {__call = function(_, ...) return redis.call(...) end}) ", "m"),
]
#: Ways to give a name and the first key.
ARGUMENTS = [
    "('%s', KEYS[1])",
    '("%s", KEYS[1])',
    "([[%s]], KEYS[1])",
    "([==[%s]==], KEYS[1])",
    "('%s' .. '', KEYS[1])",
    "(('%s'), KEYS[1])",
    "(nil or '%s', KEYS[1])",
    "('x' and '%s', KEYS[1])",
    "(unpack({'%s', KEYS[1]}))",
    "(({'%s'})[1], KEYS[1])",
    "(string.lower('%s'), KEYS[1])",
    "(string.format('%%s', '%s'), KEYS[1])",
    "((function() return '%s' end)(), KEYS[1])",
]
#: Frames around it: comments and strings that end sooner or later than they seem to.
FRAMES = [
    "%s",
    "-- x\n%s",
    "-- x\r%s",
    "--[[ x ]] %s",
    "--[[ x\n]] %s",
    "--[=[ ]] ]=] %s",
    "--[ [ x\n%s",
    "--[=x\n%s",
    "local s = '--[[' %s",
    'local s = "--" %s',
    "local s = [[ -- ]] %s",
    "local s = '\\'' %s",
    "local s = '\\\\' %s",
    "local s = 'a\\\n' %s",
    "local s = [=[ ' ]=] %s",
    "do %s end",
    "if true then %s end",
    "local function f() %s end f()",
    "local f = function() %s end f()",
    "pcall(function() %s end)",
    "for i = 1, 1 do %s end",
    "repeat %s until true",
    "while true do %s break end",
    "#!lua\n%s",
    "local t = {f = function() %s end} t.f()",
    "--[[ %s ]]",
    "local s = [[ %s ]]",
    "-- %s",
]


@st.composite
def hidden(draw: st.DrawFn, name: str) -> bytes:
    """A script that calls this command, or only seems to, in one of very many ways."""
    before, callee = draw(st.sampled_from(CALLEES))
    words = draw(st.sampled_from(ARGUMENTS)).replace("%%s", "\0").replace("%s", name).replace("\0", "%s")
    frame = draw(st.sampled_from(FRAMES))
    text = frame.replace("%s", f"{before}{callee}{words}")
    return (text if draw(st.booleans()) else text.replace(" ", "\n")).encode()


def without_shebang(text: bytes) -> bytes:
    """The text as Redis hands it to Lua."""
    return text.partition(b"\n")[2] if text.startswith(b"#!") else text


@examples(2)
@given(hidden("spop"))
def test_no_trick_hides_a_random_command(text: bytes) -> None:
    """If Lua 5.1 really calls SPOP, copies do not run it, however it is written."""
    if has_lua() and any(words and words[0] == "spop" for words in called(without_shebang(text))):
        assert analyze(text).replication_refusal()


@examples(2)
@given(hidden("flushdb"))
def test_no_trick_hides_a_whole_node(text: bytes) -> None:
    """If Lua 5.1 really calls FLUSHDB, a ring knows, or knows that it does not know."""
    if has_lua() and any(words and words[0] == "flushdb" for words in called(without_shebang(text))):
        found = analyze(text)
        assert found.keyspace_command or found.hidden_reason or found.parse_error or found.nameless_calls


#: Strings that could be taken for something else than a string.
ODD_STRINGS = ["", "#", "#+1", "each", "?", "redis.?", "\\0?", "KEYS", "nil", "1", "register_function", "%", "..."]
#: Places for a string, and for two.
PLACES = [
    "local t = {} t[%s] = 1 redis.call(unpack(t))",
    "local t = {} t[%s + 1] = %s",
    "local t = {'get'} t[#t + %s] = 'k' redis.call(unpack(t))",
    "for i = 1, %s do redis.call('get', ARGV[i]) end",
    "for i = %s, #ARGV, %s do redis.call('get', ARGV[i]) end",
    "redis.call('get', ARGV[%s] .. KEYS[%s])",
    "redis.call(unpack(ARGV, %s))",
    "redis.call(%s, %s)",
    "redis[%s](%s)",
    "local r = redis[%s] r(%s)",
    "redis.register_function(%s, function(k) return k[%s] end)",
    "redis.register_function{function_name=%s, callback=%s}",
    "return tostring(%s .. #%s)",
    "return string.format(%s, %s)",
    "return (%s):format(%s)",
]


@given(st.sampled_from(PLACES), st.lists(st.sampled_from(ODD_STRINGS), min_size=2, max_size=2))
def test_a_string_is_a_string(place: str, strings: list[str]) -> None:
    """Whatever a string says, and wherever it stands, reading the text ends well."""
    words = iter(f"'{text}'" for text in strings)
    text = re.sub("%s", lambda _: next(words), place).encode()
    assert analyze(text).parse_error == ""
    assert all(analysis.parse_error == "" for analysis in analyze_library(text).values())


def test_a_string_is_no_index() -> None:
    """ARGV by a string is nil, not each of its elements; a table by a string is not added to at its end."""
    assert analyze(b"redis.call('get', ARGV['each'])").undeclared_keys == []
    assert analyze(b"local t = {'get'} t['#+1'] = 'k' redis.call(unpack(t))").unnamed_reason
    assert not analyze(b"local t = {'get'} t[#t+1] = 'k' redis.call(unpack(t))").unnamed_reason


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        (b"local function unused(name, key) redis.call(name, key) end", True),
        (b"local function f(name) redis.call(name, KEYS[1]) end f('get') f('lpop')", True),
        (b"local name redis.call(name, KEYS[1])", True),
        (b"redis.call({}, KEYS[1])", True),
        (b"local function f(name) redis.call(name, KEYS[1]) end pcall(f, g())", False),
        (b"local function f(name) redis.call(name, KEYS[1]) end xpcall(f, g)", False),
        (b"local function f(name) redis.call(name, KEYS[1]) end return setmetatable({}, {__call = f})()", False),
        (b"local function f(...) redis.call(..., KEYS[1]) end", False),
        (b"local name name = g() redis.call(name, KEYS[1])", False),
        (b"local t = {} t[1] = g() redis.call(unpack(t))", False),
        (b"local t = {nil} t[1] = g() redis.call(unpack(t))", False),
        (b"redis.call(g())", False),
        (b"redis.call()", False),
    ],
)
def test_what_is_never_called(text: bytes, is_named: bool) -> None:
    """What cannot be the name of a command calls none, as in a function that nobody calls; anything else may."""
    assert (analyze(text).unnamed_reason == "") == is_named
