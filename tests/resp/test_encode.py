"""`kidoproxy.resp.encode`: each type in both protocols, and no text that becomes a frame of its own."""

import math

import pytest

from kidoproxy.resp import encode
from tests.resp.feeding import read_replies, read_requests

FRAMES = [
    (encode.simple(b"hi"), b"+hi\r\n"),
    (encode.error(b"ERR no"), b"-ERR no\r\n"),
    (encode.integer(-3), b":-3\r\n"),
    (encode.bulk(b""), b"$0\r\n\r\n"),
    (encode.bulk(b"\r\n"), b"$2\r\n\r\n\r\n"),
    (encode.verbatim(2, b"a\r\n"), b"$3\r\na\r\n\r\n"),
    (encode.verbatim(3, b"a\r\n"), b"=7\r\ntxt:a\r\n\r\n"),
    (encode.array([]), b"*0\r\n"),
    (encode.array([b":1\r\n", b"+a\r\n"]), b"*2\r\n:1\r\n+a\r\n"),
    (encode.array([b":1\r\n"] * 2000), b"*2000\r\n" + b":1\r\n" * 2000),
    (encode.null(2), b"$-1\r\n"),
    (encode.null(3), b"_\r\n"),
    (encode.null_array(2), b"*-1\r\n"),
    (encode.null_array(3), b"_\r\n"),
    (encode.mapping(2, [b"+a\r\n", b":1\r\n"]), b"*2\r\n+a\r\n:1\r\n"),
    (encode.mapping(3, [b"+a\r\n", b":1\r\n"]), b"%1\r\n+a\r\n:1\r\n"),
    (encode.set_of(2, [b":1\r\n"]), b"*1\r\n:1\r\n"),
    (encode.set_of(3, [b":1\r\n"]), b"~1\r\n:1\r\n"),
    (encode.push(2, [b":1\r\n"]), b"*1\r\n:1\r\n"),
    (encode.push(3, [b":1\r\n"]), b">1\r\n:1\r\n"),
    (encode.adapt_push(2, b">1\r\n:1\r\n"), b"*1\r\n:1\r\n"),
    (encode.adapt_push(3, b">1\r\n:1\r\n"), b">1\r\n:1\r\n"),
    (encode.boolean(2, True), b":1\r\n"),
    (encode.boolean(2, False), b":0\r\n"),
    (encode.boolean(3, True), b"#t\r\n"),
    (encode.boolean(3, False), b"#f\r\n"),
    (encode.double(2, 0.1), b"$3\r\n0.1\r\n"),
    (encode.double(3, 0.1), b",0.1\r\n"),
    (encode.double(3, 3.0), b",3\r\n"),
    (encode.double(3, -math.inf), b",-inf\r\n"),
    (encode.double(3, 1e22), b",1e+22\r\n"),
    (encode.encode_request([b"GET", b"k"]), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
    (encode.encode_request([b"x" * 5000]), b"*1\r\n$5000\r\n" + b"x" * 5000 + b"\r\n"),
    (encode.encode_request([b""] * 1500), b"*1500\r\n" + b"$0\r\n\r\n" * 1500),
    (encode.OK + encode.PONG + encode.QUEUED, b"+OK\r\n+PONG\r\n+QUEUED\r\n"),
]


@pytest.mark.parametrize(("frame", "wire"), FRAMES)
def test_frames(frame: bytes, wire: bytes) -> None:
    """Each type is written as Redis writes it, in RESP3 and in what RESP2 has instead."""
    assert frame == wire


@pytest.mark.parametrize("text", [b"a\r\n+OK", b"\r\n", b"\n-ERR", b"a\rb", b""])
def test_line_ends_are_replaced(text: bytes) -> None:
    """An error or status with any bytes of a peer in it is one frame."""
    for raw in (encode.error(b"ERR " + text), encode.simple(text)):
        assert read_replies([raw]) == ([raw], "", [])


def test_a_request_is_read_back() -> None:
    """A request reader finds the same arguments."""
    argv = [b"SET", b"", b"\r\n", b"x" * 1023, b"y" * 1024, b"\0"]
    assert read_requests([encode.encode_request(argv)]).argvs == [argv]
