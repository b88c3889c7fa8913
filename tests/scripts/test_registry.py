"""The script registry of a pool: which scripts are known, and the requests that bring a node what was loaded."""

import hashlib

import pytest

from kidoproxy.resp.encode import encode_request
from kidoproxy.scripts import registry as module
from kidoproxy.scripts.registry import (
    MAX_LIBRARY_CHANGE_BYTES,
    MAX_LIBRARY_CHANGES,
    MAX_REMEMBERED_BYTES,
    MAX_SCRIPTS,
    MAX_TOTAL_SCRIPT_BYTES,
    ScriptRegistry,
    library_name,
)

ONE = b"#!lua name=one\nredis.register_function('f', function() return 1 end)"
NEW = b"#!lua name=one\nredis.register_function('f', function() return 2 end)"
TWO = b"#!lua name=two\nredis.register_function('g', function() return 1 end)"


def load(code: bytes) -> bytes:
    """The request that brings a library."""
    return encode_request([b"FUNCTION", b"LOAD", b"REPLACE", code])


def load_requests(found: ScriptRegistry) -> list[bytes]:
    """What a node is sent that lost everything, if no other node can be asked."""
    return found.library_requests() + found.script_load_requests()


def test_loaded_scripts() -> None:
    """A text is known by its SHA1; only what was loaded is sent to nodes, and what was flushed meanwhile is not."""
    found = ScriptRegistry()
    digest = found.remember(b"return 1")
    assert digest == hashlib.sha1(b"return 1").hexdigest().encode()
    assert found.remember(b"return 1") == digest
    assert load_requests(found) == []
    found.mark_loaded(b"return 1")
    script = found.find_script(digest)
    assert script is not None
    assert script.text == b"return 1"
    assert load_requests(found) == [encode_request([b"SCRIPT", b"LOAD", b"return 1"])]
    version = found.version
    found.mark_loaded(b"return 1")
    found.mark_loaded(b"return 2")
    assert found.version == version
    found.flush_scripts()
    found.mark_loaded(b"return 1")
    assert found.find_script(digest) is None
    assert load_requests(found) == []
    assert found.version == version + 1
    assert found.script_bytes == 0


def test_count_is_bounded() -> None:
    """Only so many texts are remembered; the oldest go first, and those that were loaded last of all."""
    assert module.MAX_SCRIPTS == MAX_SCRIPTS
    found = ScriptRegistry()
    loaded = found.remember(b"return 0")
    found.mark_loaded(b"return 0")
    first = found.remember(b"return 1")
    for number in range(2, MAX_SCRIPTS):
        found.remember(b"return %d" % number)
    assert found.find_script(first) is not None
    found.remember(b"return -1")
    assert found.find_script(first) is None
    assert found.find_script(loaded) is not None
    assert len(found.digests) == len(found.loaded) + len(found.seen) == MAX_SCRIPTS


def test_bytes_are_bounded() -> None:
    """Only so many bytes are remembered, and no text that alone is large; what was remembered last stays."""
    found = ScriptRegistry()
    assert found.find_script(found.remember(b"x" * (MAX_REMEMBERED_BYTES + 1))) is None
    texts = [
        b"%08d" % number + b"x" * (MAX_REMEMBERED_BYTES - 8)
        for number in range(MAX_TOTAL_SCRIPT_BYTES // MAX_REMEMBERED_BYTES)
    ]
    for text in texts:
        found.remember(text)
        found.mark_loaded(text)
    assert len(found.loaded) == len(texts)
    last = found.remember(b"return 1")
    assert found.find_script(last) is not None
    assert found.find_script(found.digests[texts[1]]) is not None
    assert texts[0] not in found.digests
    assert found.script_bytes == sum(len(text) for text in found.digests)


def test_libraries() -> None:
    """The changes lead to what FUNCTION LOAD, DELETE and FLUSH have left."""
    found = ScriptRegistry()
    found.load_library(ONE)
    found.load_library(TWO)
    assert load_requests(found) == [load(ONE), load(TWO)]
    found.load_library(NEW)
    assert load_requests(found) == [load(TWO), load(NEW)]
    found.delete_library(b"two")
    assert load_requests(found) == [load(NEW)]
    version = found.version
    found.flush_libraries()
    assert load_requests(found) == []
    assert found.version > version


def known(found: ScriptRegistry, name: bytes = b"f") -> bytes:
    """The code of the library that this function is known from."""
    function = found.functions.get(name)
    return function.code if function is not None else b""


def test_expected() -> None:
    """What nodes are sent next they run with the new library; if it fails there is again what was there before."""
    found = ScriptRegistry()
    expected = found.expect_library(ONE, False)
    assert expected is not None
    assert (known(found), load_requests(found)) == (ONE, [])
    assert found.expect_library(ONE, True) is None
    found.load_library(ONE, True)
    assert (known(found), load_requests(found)) == (ONE, [load(ONE)])
    assert found.expect_library(NEW, False) is None
    expected = found.expect_library(NEW, True)
    assert expected is not None
    assert known(found) == NEW
    found.give_up_library(expected)
    assert (known(found), load_requests(found)) == (ONE, [load(ONE)])
    expected = found.expect_library(TWO, True)
    assert expected is not None
    found.give_up_library(expected)
    assert not known(found, b"g")


def test_not_expected() -> None:
    """What is no Lua no node will take; if one does, it is known that nobody can read it."""
    found = ScriptRegistry()
    code = b"#!lua name=one\nnonsense("
    assert found.expect_library(code, True) is None
    assert found.find_function(b"f") is None
    found.load_library(code)
    assert found.find_function(b"f") is found.unnamed_functions is not None


def test_listed() -> None:
    """A node is right about its libraries, whoever has changed them, but for what was sent since it was asked."""
    found = ScriptRegistry()
    found.learn_listed([ONE, TWO], found.library_serial)
    assert (known(found), known(found, b"g"), load_requests(found)) == (ONE, TWO, [])
    found.learn_listed([NEW], found.library_serial)
    assert (known(found), known(found, b"g")) == (NEW, b"")
    serial = found.library_serial
    assert found.expect_library(ONE, True) is not None
    found.learn_listed([NEW, TWO], serial)
    assert (known(found), known(found, b"g")) == (ONE, TWO)
    found.learn_listed([], serial)
    assert known(found) == ONE
    many = [ONE.replace(b"one", b"l%d" % at).replace(b"'f'", b"'f%d'" % at) for at in range(101)]
    assert found.knows_all_functions
    found.learn_listed(many, found.library_serial)
    assert (known(found), known(found, b"f99") != b"", known(found, b"f100")) == (ONE, True, b"")
    assert not found.knows_all_functions


def test_expected_and_overtaken() -> None:
    """Of two loads that are under way the later one is right, and what is flushed meanwhile stays unknown."""
    found = ScriptRegistry()
    first, second = found.expect_library(ONE, True), found.expect_library(NEW, True)
    assert first is not None
    assert second is not None
    found.load_library(ONE, True)
    found.give_up_library(first)
    assert known(found) == NEW
    found.give_up_library(second)
    assert known(found) == ONE
    assert found.expect_library(NEW, True) is not None
    found.flush_libraries()
    found.load_library(NEW, True)
    assert not known(found)
    found.load_library(NEW)
    assert known(found) == NEW


def test_what_functions_take_is_given_back() -> None:
    """A library that is loaded again and again, always another one, takes no more than one."""
    found = ScriptRegistry()
    found.load_library(ONE)
    size = found.function_analysis_bytes
    for code in (NEW, TWO, ONE):
        found.load_library(code)
    found.delete_library(b"two")
    assert found.function_analysis_bytes == size
    found.flush_libraries()
    assert found.function_analysis_bytes == 0


def test_functions_that_copies_run_as_scripts() -> None:
    """The text is made once, unless the flags are not known; with too many analyses it is forgotten, and made again."""
    found = ScriptRegistry()
    put = b"#!lua name=put\nredis.register_function{%bfunction_name='put',callback=function() redis.call('time') end}"
    assert found.interpose_function(b"put") is None
    found.load_library(put % b"flags={'allow-oom'},")
    script = found.interpose_function(b"PUT")
    assert script is not None
    assert script.text.startswith(b"#!lua flags=allow-oom\n")
    assert found.interpose_function(b"put") is script
    found.count_analysis(module.MAX_ANALYSIS_BYTES)
    assert found.interpose_function(b"put") is not script
    found.load_library(put % b"flags=f,")
    assert found.interpose_function(b"put") is None


def test_restored() -> None:
    """A dump cannot be read here: it is kept, and what is deleted after it is deleted after it again."""
    found = ScriptRegistry()
    found.load_library(ONE)
    found.restore_libraries(b"dump", b"APPEND")
    restore = encode_request([b"FUNCTION", b"RESTORE", b"dump", b"REPLACE"])
    assert load_requests(found) == [load(ONE), restore]
    found.delete_library(b"one")
    delete = encode_request([b"FUNCTION", b"DELETE", b"one"])
    assert load_requests(found) == [restore, delete]
    found.load_library(TWO)
    found.restore_libraries(b"dump", b"replace")
    assert load_requests(found) == [delete, load(TWO), restore]
    found.restore_libraries(b"other", b"Flush")
    assert load_requests(found) == [encode_request([b"FUNCTION", b"RESTORE", b"other", b"REPLACE"])]


@pytest.mark.parametrize("size", [10, MAX_LIBRARY_CHANGE_BYTES // 10])
def test_changes_are_bounded(size: int) -> None:
    """Neither many libraries nor large ones fill the memory: the oldest are forgotten."""
    found = ScriptRegistry()
    count = min(MAX_LIBRARY_CHANGES, MAX_LIBRARY_CHANGE_BYTES // (size + 100))
    for number in range(count + 2):
        found.load_library(b"#!lua name=l%d\n" % number + b"x" * size)
    assert len(found.library_changes) == count
    assert found.library_changes[-1].name == b"l%d" % (count + 1)


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
