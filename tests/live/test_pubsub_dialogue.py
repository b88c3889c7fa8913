"""Pub/sub byte for byte: the same dialogue with a server and through the proxy."""

import socket
from collections.abc import Iterator
from typing import Final

import pytest

from kidoproxy.admin.embedded import EmbeddedNodes
from kidoproxy.resp.encode import encode_request
from tests.commands.oracle import program
from tests.live.asking import connect, lines
from tests.live.proxies import Starter

pytestmark = [pytest.mark.live, pytest.mark.both_builds]


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def proto(request: pytest.FixtureRequest) -> int:
    """Both protocols."""
    return int(request.param)


DIALOGUE: Final = """
me subscribe a b a
you publish a hello
you publish b ""
you publish c nobody
me psubscribe a* [
you publish a both
you publish abc "one\\r\\ntwo"
me ssubscribe s
you spublish s shard
you spublish a nobody
me subscribe
me unsubscribe b nosuch b
you publish b gone
me ping
me ping hello
you pubsub channels
you pubsub channels a*
you pubsub numsub
you pubsub numsub a b a nosuch
you pubsub numpat
you pubsub shardchannels
you pubsub shardnumsub s a
you pubsub shardnumsub
me punsubscribe [ nosuch
you publish a again
me sunsubscribe nosuch
me sunsubscribe
me sunsubscribe
me punsubscribe
me punsubscribe
me unsubscribe
me unsubscribe
me unsubscribe a
me punsubscribe a b
me get key
you publish a
you publish a b c
you pubsub
you pubsub nosuch
you pubsub numpat extra
me subscribe x
me reset
you publish x nobody
me subscribe x
me quit
"""
CONFINED: Final = """
me subscribe a
me get key
me client setname x
me hello 3
me auth x
me multi
me nosuch
me get
me ping a b
me pubsub channels
me publish a b
me ssubscribe s
me unsubscribe
me get key
me sunsubscribe
me get key
"""
FREE: Final = """
me subscribe a
me get key
me set key value
me client setname x
me psubscribe p*
you publish a hello
me get key
me hello 2
me get key
me hello 3
me reset
me get key
"""


class Side:
    """Two connections to one address; steps are answered one by one."""

    def __init__(self, url: str, proto: int) -> None:
        self.connections = {name: connect(url) for name in ("me", "you")}
        self.proto = proto
        for connection in self.connections.values():
            connection.sendall(encode_request([b"HELLO", b"%d" % proto]))
            self.until(connection, b":%d\r\n$2\r\nid\r\n" % proto)
            self.fence(connection)

    def until(self, connection: socket.socket, end: bytes) -> bytes:
        """What comes up to and with ``end``."""
        raw = b""
        while end not in raw:
            piece = connection.recv(1 << 16)
            assert piece, raw
            raw += piece
        return raw

    def fence(self, connection: socket.socket) -> bytes:
        """What has come up to now."""
        connection.sendall(encode_request([b"PING", b"-fence-"]))
        raw = self.until(connection, b"$7\r\n-fence-\r\n").removesuffix(b"$7\r\n-fence-\r\n")
        return raw.removesuffix(b"*2\r\n$4\r\npong\r\n")

    def say(self, step: list[bytes]) -> None:
        """One step."""
        self.connections[step[0].decode()].sendall(encode_request(step[1:]))

    def hear(self, step: list[bytes]) -> tuple[bytes, bytes]:
        """What both have heard when it is over: a server sends messages before it answers."""
        who = self.connections[step[0].decode()]
        if step[1:] == [b"quit"]:
            return self.rest(who), b""
        first = self.fence(who)
        return first, self.fence(self.connections["you" if step[0] == b"me" else "me"])

    def rest(self, connection: socket.socket) -> bytes:
        """All that comes until it hangs up."""
        raw = b""
        while piece := connection.recv(1 << 16):
            raw += piece
        return raw

    def hear_as(self, step: list[bytes], expected: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """As much as was expected; messages may come a moment after the reply."""
        if step[1:] == [b"quit"]:
            return self.rest(self.connections["me"]), b""
        other = "you" if step[0] == b"me" else "me"
        got = []
        for name, wanted in zip((step[0].decode(), other), expected, strict=True):
            raw = b""
            while len(raw) < len(wanted):
                piece = self.connections[name].recv(len(wanted) - len(raw))
                assert piece, (step, raw)
                raw += piece
            got.append(raw + self.fence(self.connections[name]))
        return got[0], got[1]

    def close(self) -> None:
        """Hang up."""
        for connection in self.connections.values():
            connection.close()


@pytest.fixture(scope="module", params=["redis", "valkey"])
def pair(request: pytest.FixtureRequest, serve_proxy: Starter) -> Iterator[tuple[str, str]]:
    """A server, and an equal one behind the proxy."""
    server = program(request.param)
    with EmbeddedNodes() as nodes:
        yield nodes.start(1, server)[0], serve_proxy("ring", 1, server=server).url


@pytest.mark.parametrize(
    ("proto", "text"),
    [(2, DIALOGUE), (3, DIALOGUE), (2, CONFINED), (3, FREE)],
    ids=["RESP2", "RESP3", "confined", "free"],
)
def test_as_a_server_says_it(pair: tuple[str, str], proto: int, text: str) -> None:
    """Confirmations, messages, counts and errors have the bytes of a server's own."""
    straight, proxied = Side(pair[0], proto), Side(pair[1], proto)
    try:
        for step in lines(text):
            straight.say(step)
            expected = straight.hear(step)
            proxied.say(step)
            if step[1] == b"hello" and b"standalone" in expected[0]:
                # Who it is may differ.
                proxied.hear(step)
            else:
                assert proxied.hear_as(step, expected) == expected, step
    finally:
        straight.close()
        proxied.close()
