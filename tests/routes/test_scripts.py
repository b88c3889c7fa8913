"""Scripts by their texts: what copies run, and what a ring runs without keys."""

from collections.abc import Callable

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.routes.book import ANALYSED_BYTES, LARGE_SCRIPT, STEPS, Book
from kidoproxy.routes.scripts import judge, known, names_no_keys, script_of, undeclared


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
    assert judge(book, COMMANDS[b"spop"], [b"SPOP", b"k"]) is None
    assert judge(book, COMMANDS[b"fcall"], [b"FCALL", b"f", b"0"]) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"return redis.call('time')", b"it calls time"),
        (b"return redis.call('time') --" + b"x" * LARGE_SCRIPT, b"it is larger than the 128 KiB that are read"),
    ],
)
def test_refused_by_copies(text: bytes, why: bytes) -> None:
    """What could let them part, or is too large to tell."""
    wild = judge(Book(), COMMANDS[b"eval"], [b"EVAL", text, b"0"])
    assert wild is not None
    assert wild.refusal.startswith(b"-ERR 'eval' is not served here: copies could part: " + why)


def test_read_once() -> None:
    """What is known of a text is remembered with it, whoever sends it, by text or by digest."""
    book = Book()
    text = b"return redis.call('get', KEYS[1])"
    first = script_of(book, COMMANDS[b"eval"], [b"EVAL", text, b"1", b"k"])
    again = script_of(book, COMMANDS[b"evalsha_ro"], [b"EVALSHA_RO", book.learn(text).upper(), b"1", b"k"])
    assert first is not None
    assert again is not None
    assert book.analysis(first) is book.analysis(again)
    assert script_of(book, COMMANDS[b"fcall"], [b"FCALL", b"f", b"0"]) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"return 1", None),
        (b"return redis.call('time')", None),
        (b"return redis.call('publish', 'c', 'm')", None),
        (b"return redis.call('nosuch', 'k')", None),
        (b"-- redis.call('get', 'k')\nreturn 1", None),
        (b"return nonsense(", None),
        (b"return redis.call('get', 'k')", "names no keys, but its script calls 'get'"),
        (b'return redis.pcall("SORT", ARGV[1])', "its script calls 'sort'"),
        (b"local c = redis.call return c('get', 'k')", "its script calls 'get'"),
        (b"return redis.call(ARGV[1], 'k')", "its script calls 'get'"),
        (b"return redis.call('flushdb')", "calls 'flushdb', which would see one node of several"),
        (b"return redis.call('keys', '*')", "calls 'keys'"),
        (b"return redis.call('scan', 0)", "calls 'scan'"),
        (b"return redis.call('dbsize')", "calls 'dbsize'"),
        (b"return redis.call('randomkey')", "calls 'randomkey'"),
        (b"return redis.call(ARGV[2])", "calls 'flushall'"),
        (b"return _G.redis.call('flushdb')", "it uses _G"),
        (b"return redis.call(x.y)", "whose name is not a literal"),
        (b"return redis.call(", "line 1 is no Lua 5.1"),
    ],
)
@pytest.mark.parametrize("name", [b"eval", b"eval_ro", b"evalsha", b"evalsha_ro"])
def test_undeclared(text: bytes, said: str | None, name: bytes) -> None:
    """A script without keys that plainly needs some, or every node, is refused and told why; one that hides it too."""
    book = Book()
    digest = book.learn(text)
    refusal = undeclared(
        book,
        COMMANDS[name],
        [name, text if name.startswith(b"eval_") or name == b"eval" else digest, b"0", b"get", b"flushall"],
    )
    assert (refusal is None) == (said is None)
    assert refusal is None or (said is not None and said.encode() in refusal)


def test_unknown() -> None:
    """Of a digest that nobody has shown us the client is asked for the text; functions are not looked at."""
    refusal = undeclared(Book(), COMMANDS[b"evalsha"], [b"EVALSHA", b"0" * 40, b"0"])
    assert refusal is not None
    assert refusal.startswith(b"-NOSCRIPT")
    assert undeclared(Book(), COMMANDS[b"fcall"], [b"FCALL", b"f", b"0"]) is None


@pytest.mark.parametrize(
    ("word", "none"), [(b"0", True), (b"00", True), (b"+0", True), (b"1", False), (b"", False), (b"x", False)]
)
def test_no_keys(word: bytes, none: bool) -> None:
    """No keys at all, by any server's reading; what is no number is the node's to refuse."""
    assert names_no_keys([b"EVAL", b"x", word]) == none
    assert not names_no_keys([b"EVAL", b"x"])


def test_functions() -> None:
    """A function whose library was loaded through the pool is looked at like a script, until it is gone."""
    book = Book()
    call = [b"FCALL", b"f", b"0"]
    flushing = b"#!lua name=%s\nredis.register_function('f', function() return redis.call('flushdb') end)"
    ways: list[Callable[[], None]] = [
        lambda: book.delete_library(b"lib"),
        book.flush_libraries,
        lambda: book.restore_libraries(b"dump", b"APPEND"),
        lambda: book.load_library(b"#!lua name=lib\nredis.register_function('g', function() end)"),
    ]
    for gone in ways:
        book.load_library(flushing % b"lib")
        for name in (b"fcall", b"fcall_ro"):
            refusal = undeclared(book, COMMANDS[name], call)
            assert refusal is not None
            assert b"its script calls 'flushdb'" in refusal
        gone()
        assert undeclared(book, COMMANDS[b"fcall"], call) is None
    assert known(book, COMMANDS[b"fcall"], [b"FCALL", b"g", b"0"]) is not None


def test_functions_are_found_as_nodes_find_them() -> None:
    """Nodes take no notice of the case of a function's name."""
    book = Book()
    book.load_library(b"#!lua name=lib\nredis.register_function('Clear', function() redis.call('flushdb') end)")
    for name in (b"clear", b"CLEAR", b"Clear"):
        refusal = undeclared(book, COMMANDS[b"fcall"], [b"FCALL", name, b"0"])
        assert refusal is not None
        assert b"its script calls 'flushdb'" in refusal
    book.delete_library(b"lib")
    assert not book.functions


def test_functions_without_plain_names() -> None:
    """What a library hides behind names that are not plain is known until that library is gone, whatever others do."""
    book = Book()
    call = [b"FCALL", b"f", b"0"]
    text = b"#!lua name=%s\nredis.register_function('%s' .. '', function() return redis.call('%s') end)"
    assert undeclared(book, COMMANDS[b"fcall"], call) is None
    book.load_library(text % (b"one", b"f", b"flushdb"))
    book.load_library(text % (b"two", b"g", b"time"))
    assert b"'flushdb'" in (undeclared(book, COMMANDS[b"fcall"], call) or b"")
    book.delete_library(b"two")
    assert b"'flushdb'" in (undeclared(book, COMMANDS[b"fcall"], call) or b"")
    book.delete_library(b"one")
    assert undeclared(book, COMMANDS[b"fcall"], call) is None


def test_forgotten_functions() -> None:
    """With the oldest libraries their functions are forgotten: what is known has a bound."""
    book = Book()
    for at in range(STEPS + 1):
        book.load_library(b"#!lua name=l%d\nredis.register_function('f%d', function() end)" % (at, at))
    assert len(book.functions) == len(book.brought) == STEPS


def test_queued() -> None:
    """What is only queued is looked at, and known no sooner than it runs."""
    book = Book()
    analysis = known(book, COMMANDS[b"eval"], [b"EVAL", b"return redis.call('flushdb')", b"0"], True)
    assert analysis is not None
    assert analysis.whole == b"flushdb"
    assert not book.digests


def test_analyses_are_bounded() -> None:
    """What is remembered of texts has a bound in bytes: beyond, all is forgotten, and read again when it is asked."""
    book = Book()
    for number in range(3):
        book.learn(b"return redis.call('get', 'k%d')" % number)
    first, second, third = book.seen.values()
    book.load(second.text)
    weight = book.analysis(first).weight()
    assert book.analysed_bytes == weight
    book.analysed_bytes = ANALYSED_BYTES - weight
    book.analysis(second)
    assert first.analysis is not None
    book.analysis(third)
    assert book.analysed_bytes == weight
    assert [script for script in (first, second, third) if script.analysis is not None] == [third]
    assert book.analysis(first).names


def test_functions_are_bounded() -> None:
    """So has what is remembered of functions."""
    book = Book()
    code = b"#!lua name=l%d\nredis.register_function('f%d', function() return redis.call('get', 'k') end)"
    book.load_library(code % (1, 1))
    weight = book.function_bytes
    book.function_bytes = ANALYSED_BYTES - weight
    book.load_library(code % (2, 2))
    assert sorted(book.functions) == [b"f1", b"f2"]
    book.load_library(code % (3, 3))
    assert list(book.functions) == [b"f3"]
    assert book.function_bytes == weight
