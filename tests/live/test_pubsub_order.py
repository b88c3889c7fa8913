"""Messages and subscriptions that cross: several clients that wait for nothing, through the real program."""

import random
import socket
from collections.abc import Iterator
from typing import Final

import pytest

from kidoproxy.commands.glob import matches
from kidoproxy.resp.decode import integer_value, items, string_value
from kidoproxy.resp.encode import encode_request
from kidoproxy.resp.reply_reader import ReplyReader
from tests.live.proxies import RunningProxy, Starter
from tests.live.test_faults import said

pytestmark = pytest.mark.live

ROUNDS: Final = 100


@pytest.fixture(scope="module", params=["ring", "copy"])
def proxy(request: pytest.FixtureRequest, serve_proxy: Starter) -> RunningProxy:
    """A pool in which somebody has subscribed before, to another name."""
    proxy = serve_proxy(request.param, 3)
    with proxy.raw() as connection:
        connection.sendall(encode_request([b"SUBSCRIBE", b"other"]))
        said(connection, 1)
    return proxy


@pytest.mark.parametrize("in_transaction", [False, True], ids=["alone", "in a transaction"])
def test_a_message_right_behind(proxy: RunningProxy, in_transaction: bool) -> None:
    """A client that sends SUBSCRIBE, and at once PUBLISH on another connection, has one subscriber each time."""
    for number in range(ROUNDS):
        channel = b"behind:%d:%d" % (in_transaction, number)
        publish = encode_request([b"PUBLISH", channel, b"m"])
        with proxy.raw() as listener, proxy.raw() as publisher:
            for connection in (publisher, listener):
                connection.sendall(b"PING\r\n")
                said(connection, 1)
            listener.sendall(encode_request([b"SUBSCRIBE", channel]))
            publisher.sendall(b"MULTI\r\n" + publish + b"EXEC\r\n" if in_transaction else publish)
            assert said(publisher, 3 if in_transaction else 1)[-1] == (b"*1\r\n:1\r\n" if in_transaction else b":1\r\n")
            assert [string_value(items(frame)[0]) for frame in said(listener, 2)] == [b"subscribe", b"message"]


class Listener:
    """A client that subscribes to names, each once, and leaves them again, without waiting; and what it must hear."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.patterns: dict[bytes, bool] = {}
        self.must: list[tuple[bytes, bytes]] = []
        self.reader = ReplyReader()

    def add(self, name: bytes) -> None:
        """Subscribe to it, as a pattern if it is one."""
        self.patterns[name] = True
        self.connection.sendall(encode_request([b"PSUBSCRIBE" if name.endswith(b"*") else b"SUBSCRIBE", name]))

    def drop(self, name: bytes) -> None:
        """Leave it when all that it must bring has come: what is under way then may be missed."""
        self.hear()
        del self.patterns[name]
        self.connection.sendall(encode_request([b"PUNSUBSCRIBE" if name.endswith(b"*") else b"UNSUBSCRIBE", name]))

    def expect(self, channel: bytes, text: bytes) -> int:
        """A message is sent; how often this client must hear it."""
        found = [(name, text) for name in self.patterns if matches(name, channel)]
        self.must += found
        return len(found)

    def hear(self) -> None:
        """Everything that must come comes, once."""
        while self.must:
            data = self.connection.recv(1 << 16)
            assert data, self.must
            self.reader.feed(data)
            while (frame := self.reader.next()) is not None:
                words = items(frame)
                if string_value(words[0]).endswith(b"message"):
                    self.must.remove((string_value(words[1]), string_value(words[-1])))


@pytest.fixture
def connections(proxy: RunningProxy) -> Iterator[list[socket.socket]]:
    """Five that leave no request in the kernel until an earlier one is acknowledged; closed in the end."""
    opened = [proxy.raw() for _ in range(5)]
    for connection in opened:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    yield opened
    for connection in opened:
        connection.close()


@pytest.mark.parametrize("seed", range(4))
def test_as_one_server(connections: list[socket.socket], seed: int) -> None:
    """Every message reaches who has sent SUBSCRIBE before it and has not left, and is counted at least as often."""
    chance = random.Random(seed)
    listeners = [Listener(connection) for connection in connections[:3]]
    for number in range(300):
        listener = chance.choice(listeners)
        step = chance.random()
        if step < 0.25:
            listener.add(b"%d:%d%b" % (seed, number, chance.choice([b"", b"", b"*"])))
        elif step < 0.35 and listener.patterns:
            listener.drop(chance.choice(list(listener.patterns)))
        elif listener.patterns:
            # A publisher waits for its reply: of two messages in one read the second one may have overtaken.
            channel = chance.choice([list(listener.patterns)[-1], *listener.patterns]).removesuffix(b"*")
            publisher = chance.choice(connections[3:])
            text = b"%d" % number
            count = sum([one.expect(channel, text) for one in listeners])
            publisher.sendall(encode_request([b"PUBLISH", channel, text]))
            assert integer_value(said(publisher, 1)[0]) >= count
    for listener in listeners:
        listener.hear()
