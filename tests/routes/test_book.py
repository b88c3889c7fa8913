"""The book of a pool: which scripts are known, and the requests that bring a node to what was loaded."""

import hashlib

import pytest

from kidoproxy.resp.build import command
from kidoproxy.routes import book as module
from kidoproxy.routes.book import LARGE_SCRIPT, SCRIPT_BYTES, SCRIPTS, STEP_BYTES, STEPS, Book, library_name

ONE = b"#!lua name=one\nredis.register_function('f', function() return 1 end)"
NEW = b"#!lua name=one\nredis.register_function('f', function() return 2 end)"
TWO = b"#!lua name=two\nredis.register_function('g', function() return 1 end)"


def load(code: bytes) -> bytes:
    """The lesson that brings a library."""
    return command([b"FUNCTION", b"LOAD", b"REPLACE", code])


def lessons(found: Book) -> list[bytes]:
    """What a node is taught when nobody else can be asked."""
    return found.libraries() + found.texts()


def test_learn() -> None:
    """A text is known by its SHA1; only what was loaded is taught, and what was flushed meanwhile is not."""
    found = Book()
    digest = found.learn(b"return 1")
    assert digest == hashlib.sha1(b"return 1").hexdigest().encode()
    assert found.learn(b"return 1") == digest
    assert lessons(found) == []
    found.load(b"return 1")
    script = found.script(digest)
    assert script is not None
    assert script.text == b"return 1"
    assert lessons(found) == [command([b"SCRIPT", b"LOAD", b"return 1"])]
    version = found.version
    found.load(b"return 1")
    found.load(b"return 2")
    assert found.version == version
    found.flush()
    found.load(b"return 1")
    assert found.script(digest) is None
    assert lessons(found) == []
    assert found.version == version + 1
    assert found.script_bytes == 0


def test_count_is_bounded() -> None:
    """Only so many texts are remembered; the oldest go first, and those that were loaded last of all."""
    assert module.SCRIPTS == SCRIPTS
    found = Book()
    loaded = found.learn(b"return 0")
    found.load(b"return 0")
    first = found.learn(b"return 1")
    for number in range(2, SCRIPTS):
        found.learn(b"return %d" % number)
    assert found.script(first) is not None
    found.learn(b"return -1")
    assert found.script(first) is None
    assert found.script(loaded) is not None
    assert len(found.digests) == len(found.loaded) + len(found.seen) == SCRIPTS


def test_bytes_are_bounded() -> None:
    """Only so many bytes are remembered, and no text that alone is large; what was just learned stays."""
    found = Book()
    assert found.script(found.learn(b"x" * (LARGE_SCRIPT + 1))) is None
    texts = [b"%08d" % number + b"x" * (LARGE_SCRIPT - 8) for number in range(SCRIPT_BYTES // LARGE_SCRIPT)]
    for text in texts:
        found.learn(text)
        found.load(text)
    assert len(found.loaded) == len(texts)
    last = found.learn(b"return 1")
    assert found.script(last) is not None
    assert found.script(found.digests[texts[1]]) is not None
    assert texts[0] not in found.digests
    assert found.script_bytes == sum(len(text) for text in found.digests)


def test_libraries() -> None:
    """The steps lead to what FUNCTION LOAD, DELETE and FLUSH have left."""
    found = Book()
    found.load_library(ONE)
    found.load_library(TWO)
    assert lessons(found) == [load(ONE), load(TWO)]
    found.load_library(NEW)
    assert lessons(found) == [load(TWO), load(NEW)]
    found.delete_library(b"two")
    assert lessons(found) == [load(NEW)]
    version = found.version
    found.flush_libraries()
    assert lessons(found) == []
    assert found.version > version


def test_restored() -> None:
    """A dump cannot be read here: it is kept, and what is deleted after it is deleted after it again."""
    found = Book()
    found.load_library(ONE)
    found.restore_libraries(b"dump", b"APPEND")
    restore = command([b"FUNCTION", b"RESTORE", b"dump", b"REPLACE"])
    assert lessons(found) == [load(ONE), restore]
    found.delete_library(b"one")
    delete = command([b"FUNCTION", b"DELETE", b"one"])
    assert lessons(found) == [restore, delete]
    found.load_library(TWO)
    found.restore_libraries(b"dump", b"replace")
    assert lessons(found) == [delete, load(TWO), restore]
    found.restore_libraries(b"other", b"Flush")
    assert lessons(found) == [command([b"FUNCTION", b"RESTORE", b"other", b"REPLACE"])]


@pytest.mark.parametrize("size", [10, STEP_BYTES // 10])
def test_steps_are_bounded(size: int) -> None:
    """Neither many libraries nor large ones fill the memory: the oldest are forgotten."""
    found = Book()
    count = min(STEPS, STEP_BYTES // (size + 100))
    for number in range(count + 2):
        found.load_library(b"#!lua name=l%d\n" % number + b"x" * size)
    assert len(found.steps) == count
    assert found.steps[-1].name == b"l%d" % (count + 1)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (ONE, b"one"),
        (b'#!lua engine=x NAME="quo" ted', b"quo"),
        (b'#!lua "name=whole"\n', b"whole"),
        (b"#!lua\nname=x", b""),
        (b"name=x", b""),
        (b'#!lua name="x\n', b""),
        (b"", b""),
    ],
)
def test_library_name(code: bytes, name: bytes) -> None:
    """The name is the one that Redis reads in the first line."""
    assert library_name(code) == name
