"""The prologue: one line, only what is needed, and the script's own lines where they were."""

import pytest

from kidoproxy.commands.find import COMMANDS
from kidoproxy.commands.spec import CommandSpec
from kidoproxy.scripts.prologue import PIECES, PIECES_OF_NAMES, interpose, interpose_function

WITH_PIECE = [spec for spec in COMMANDS.values() if spec.prologue_piece]


@pytest.mark.parametrize("spec", WITH_PIECE, ids=[spec.name.decode() for spec in WITH_PIECE])
def test_every_piece_is_of_a_command(spec: CommandSpec) -> None:
    """And defines its handler, in one line without comments."""
    text = interpose(b"", [spec.prologue_piece])
    assert b"H.%s" % spec.name in text
    assert b"\n" not in text
    assert b"--" not in text


def test_no_piece_is_left_over() -> None:
    """What no command's data names nobody would ever run."""
    assert {spec.prologue_piece for spec in WITH_PIECE} | set(PIECES_OF_NAMES.values()) == set(PIECES)


def test_names() -> None:
    """The script's own names are bound in the order of their values."""
    text = interpose(b"server", ["PAIRS", "NEXT", "CJSON", "CMSGPACK", "RANDOM"])
    assert text.startswith(b"local redis, server, pairs, next, cjson, cmsgpack = (function(R, S)")
    assert (
        b"return wrap(R), wrap(S), native(ordered_pairs), native(ordered_next), setmetatable({encode = native(" in text
    )


def test_only_what_is_needed() -> None:
    """Each part once."""
    text = interpose(b"x", ["EXPIRE", "SETEX"])
    assert text.endswith(b" x")
    assert text.count(b"local function moment") == 1
    assert b"H.xadd" not in text


def test_lines_keep_their_numbers() -> None:
    """The prologue stands in front of the first line, or behind the line that names the engine."""
    assert interpose(b"a\nb", []).endswith(b" a\nb")
    first, second, third = interpose(b"#!lua flags=x\na\nb", []).split(b"\n")
    assert (first, third) == (b"#!lua flags=x", b"b")
    assert second.endswith(b" a")


def test_a_function() -> None:
    """The library stands in a function, on its own lines; what is in its first line is for FUNCTION LOAD alone."""
    code = b"#!lua name=lib engine=x\none()\ntwo() -- end"
    text = interpose_function(code, b"f", [b"no-writes", b"allow-oom"], ["EXPIRE"])
    first, second, third, last = text.split(b"\n")
    assert first == b"#!lua flags=no-writes,allow-oom"
    assert second.startswith(b"local redis, kidoproxy = (function(R, S)")
    assert b"registered['f'](KEYS, ARGV)" in second
    assert second.endswith(b"; return kidoproxy(function(...) one()")
    assert (third, last) == (b"two() -- end", b"end)")
    assert interpose_function(code, b"f", [], []).startswith(b"#!lua\n")
    assert b"coroutine" in interpose_function(code, b"f", [], [])
    assert b"coroutine" not in interpose_function(code + b" pcall", b"f", [], [])
    assert b"local redis, server, kidoproxy =" in interpose_function(b"x\nserver.call()", b"f", [], [])


@pytest.mark.parametrize(
    ("text", "catches"),
    [
        (b"redis.pcall('get', 'k')", False),
        (b"pcall(redis.call, 'get', 'k')", True),
        (b"local p = xpcall", True),
        (b"return x.pcall(1)", False),
    ],
)
def test_scripts_that_catch_errors(text: bytes, catches: bool) -> None:
    """What ends with an error may be a coroutine; what goes on may not."""
    assert (b"coroutine" in interpose(text, [])) != catches


def test_server() -> None:
    """Valkey's name for the same table is given to scripts that use it."""
    assert interpose(b"server.call('get', 'k')", []).startswith(b"local redis, server =")
    assert interpose(b"redis.call('get', 'k')", []).startswith(b"local redis =")
