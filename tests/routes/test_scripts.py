"""Scripts of a copy pool: every copy must come to the same result, or the script is refused and told why."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.routes.book import LARGE_SCRIPT, Book
from kidoproxy.routes.scripts import arguments, judge, keyed_call, undeclared, unfit

HIDES = "it uses what lets a script hide the commands that it calls"
NAMELESS = "it calls a command whose name is not a literal"

LOCK = b"""
-- release the lock (redis.call)
if redis.call("get", KEYS[1]) == ARGV[1] then --[[ still
ours ]] return redis.call('del', KEYS[1])
else return redis.error_reply("no (redis.call)") end
"""


@pytest.mark.parametrize(
    "text",
    [
        b"return 1",
        LOCK,
        b"return redis.pcall('SET', KEYS[1], ARGV[1])",
        b"server.log(server.LOG_NOTICE, 'x') return server.call('incrby', KEYS[1], 2)",
        b"return redis.call('set', KEYS[1], f('a)', {1, 2}))",
        b"local x = 'time (' return redis.sha1hex(x)",
    ],
)
def test_fit(text: bytes) -> None:
    """Commands named by literals, each of them sure."""
    assert unfit(text) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"return redis.call('time')", "it calls time, which depends on chance, time or order"),
        (b"return redis.call('spop', KEYS[1])", "it calls spop, which depends on chance, time or order"),
        (b"return redis.call('smembers', KEYS[1])", "it calls smembers, which depends on chance, time or order"),
        (b"return redis.call('nosuch')", "it calls nosuch, which depends on chance, time or order"),
        (b"return redis.call('set', KEYS[1], 1, 'EX', 5)", "it calls set, which depends on chance, time or order"),
        (b"return redis.call('set', unpack(ARGV))", "it calls set, which depends on chance, time or order"),
        (b"return redis.call('set', 'x", "it calls set, which depends on chance, time or order"),
        (b"return redis.call('set', KEYS[1]", "it calls set, which depends on chance, time or order"),
        (b"return redis.call('dbsize')", "it calls dbsize, which depends on chance, time or order"),
        (b"return redis.call(ARGV[1], KEYS[1])", NAMELESS),
        (b"return redis['call']('get', KEYS[1])", NAMELESS),
        (b"local r = redis return r.call('time')", NAMELESS),
        (b"return redis.call('get' .. 'x', KEYS[1])", NAMELESS),
        (b"return _G['redis'].call('time')", HIDES),
        (b"return loadstring(ARGV[1])()", HIDES),
        (b"return [[redis.call]]", HIDES),
    ],
)
def test_unfit(text: bytes, reason: str) -> None:
    """Whatever could differ, or cannot be read, is refused."""
    assert unfit(text) == reason


def test_arguments() -> None:
    """Counted up to the parenthesis that closes the call; what is not plain is not counted."""
    assert arguments(b", KEYS[1], 'a,b', f(1, 2))", 0) == 4
    assert arguments(b")", 0) == 1
    assert arguments(b", 'open", 0) == -1
    assert arguments(b", unpack(ARGV))", 0) == -1
    assert arguments(b", KEYS[1]", 0) == -1


def test_judge() -> None:
    """EVAL as it is; EVALSHA as EVAL, once the text is known; others are none of its business."""
    book = Book()
    text = b"return redis.call('get', KEYS[1])"
    digest = book.learn(text)
    verdict = judge(book, COMMANDS[b"eval"], [b"EVAL", text, b"1", b"k"])
    assert verdict is not None
    assert (verdict.payload, verdict.refusal) == (None, b"")
    sha = judge(book, COMMANDS[b"evalsha"], [b"EVALSHA", digest.upper(), b"1", b"k"])
    assert sha is not None
    assert sha.payload == b"*4\r\n$4\r\nEVAL\r\n$33\r\nreturn redis.call('get', KEYS[1])\r\n$1\r\n1\r\n$1\r\nk\r\n"
    missing = judge(book, COMMANDS[b"evalsha"], [b"EVALSHA", b"0" * 40, b"0"])
    assert missing is not None
    assert missing.refusal.startswith(b"-NOSCRIPT")
    for text in (b"return redis.call('time')", b"return redis.call('time') --" + b"x" * LARGE_SCRIPT):
        wild = judge(book, COMMANDS[b"eval"], [b"EVAL", text, b"0"])
        assert wild is not None
        assert wild.refusal.startswith(b"-ERR 'script' is not served here: copies could part: it calls time")
    assert judge(book, COMMANDS[b"spop"], [b"SPOP", b"k"]) is None


@pytest.mark.parametrize(
    ("text", "called"),
    [
        (b"return redis.call('get', 'k')", "get"),
        (b'return redis.pcall("SORT", ARGV[1])', "sort"),
        (b"return redis.call('time')", ""),
        (b"return redis.call('publish', 'c', 'm')", ""),
        (b"-- redis.call('get', 'k')\nreturn 1", ""),
        (b"return redis.call(ARGV[1], ARGV[2])", ""),
        (b"return redis.call('nosuch', 'k')", ""),
    ],
)
def test_calls_for_a_key(text: bytes, called: str) -> None:
    """A literal name of a command with keys is seen; what is not plain, or in a comment, is not."""
    assert keyed_call(text) == called


def test_undeclared() -> None:
    """By text or by digest, if it is known; a text too large to be remembered is read each time."""
    book = Book()
    text = b"return redis.call('get', 'k')"
    assert undeclared(book, COMMANDS[b"evalsha"], [b"EVALSHA", b"0" * 40, b"0"]) == ""
    assert undeclared(book, COMMANDS[b"eval"], [b"EVAL", text, b"0"]) == "get"
    digest = book.learn(text)
    assert undeclared(book, COMMANDS[b"evalsha_ro"], [b"EVALSHA_RO", digest.upper(), b"0"]) == "get"
    large = text + b" " * LARGE_SCRIPT
    assert undeclared(book, COMMANDS[b"eval_ro"], [b"EVAL_RO", large, b"0"]) == "get"
    assert undeclared(book, COMMANDS[b"fcall"], [b"FCALL", b"f", b"0"]) == ""
