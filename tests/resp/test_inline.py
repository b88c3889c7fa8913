"""`kidoproxy.resp.inline`: inline commands are split as by Redis's ``sdssplitargs``."""

import pytest

from kidoproxy.resp.errors import ProtocolError
from kidoproxy.resp.inline import split_args

LINES = [
    (b"", []),
    (b"\r", []),
    (b" \t\v\f ", []),
    (b"PING", [b"PING"]),
    (b"PING\r", [b"PING"]),
    (b"PING\r\r", [b"PING"]),
    (b"  set   k\tv ", [b"set", b"k", b"v"]),
    (b"a\rb", [b"a", b"b"]),
    (b"a\vb a\fb", [b"a\vb", b"a\fb"]),
    (b'set k "a b"', [b"set", b"k", b"a b"]),
    (b"set k 'a b'", [b"set", b"k", b"a b"]),
    (b"''", [b""]),
    (b'"" x', [b"", b"x"]),
    (b'foo"bar baz"', [b"foobar baz"]),
    (b"foo'bar'\tx", [b"foobar", b"x"]),
    (b"'a'\v'b'", [b"a", b"b"]),
    (rb'"\n\r\t\b\a\\\"\q"', [b'\n\r\t\b\a\\"q']),
    (rb'"\x41\xfF\x00"', [b"A\xff\x00"]),
    (rb'"\x4"', [b"x4"]),
    (rb'"\xg1\x1g"', [b"xg1x1g"]),
    (rb'"\x"', [b"x"]),
    (rb"'\n \x41 \' \\ '", [rb"\n \x41 ' \\ "]),
    (rb"\n\x41", [rb"\n\x41"]),
    (b"'\"' \"'\"", [b'"', b"'"]),
    (b"\xc3\xa9 \xa0", [b"\xc3\xa9", b"\xa0"]),
]

UNBALANCED = [
    b'"',
    b"'",
    b'"a',
    b"'a",
    b'"a"b',
    b"'a'b",
    b'a"b"c',
    b'"a""b"',
    b'"\\',
    b"'\\",
    b'"\\"',
    b"'\\'",
    b'"\\x41',
]


@pytest.mark.parametrize(("line", "argv"), LINES)
def test_split(line: bytes, argv: list[bytes]) -> None:
    """White space, both kinds of quotes and their escapes mean what they mean in Redis."""
    assert split_args(line) == argv


@pytest.mark.parametrize("line", UNBALANCED)
def test_unbalanced(line: bytes) -> None:
    """A quote that is not closed, or closed inside an argument, is an error."""
    with pytest.raises(ProtocolError, match="unbalanced quotes in request"):
        split_args(b"set k " + line)


def test_nul() -> None:
    """Redis waits forever for the end of a line with a NUL; here it is an error."""
    with pytest.raises(ProtocolError, match="NUL byte in inline request"):
        split_args(b"set k a\0b")
