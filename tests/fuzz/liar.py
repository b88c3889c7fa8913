"""A node that lies: a relay before a real server, whose replies now and then are not what was asked for.

Other shapes than the command has, frames that never end, bytes that are no RESP, silence, a connection that is
closed in the middle. One reply stays one reply: a node that answers twice shifts all that follows, and nobody can tell.
"""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from kidoproxy.resp.encode import bulk
from kidoproxy.resp.reply_reader import ReplyReader
from tests.badlink import connect
from tests.fuzz.contract import Broken, converse
from tests.fuzz.requests import batch
from tests.live.asking import SECONDS
from tests.live.proxies import RunningProxy, Starter
from tests.wait import eventually

#: Well-formed, and mostly not what the command answers. RESP3's own types are for connections that speak it.
SHAPES: Final = (
    b"+OK\r\n",
    b"+QUEUED\r\n",
    b"+\r\n",
    b"-ERR a lie\r\n",
    b"-\r\n",
    b"-LOADING soon\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-MOVED 1 127.0.0.1:1\r\n",
    b"-EXECABORT no\r\n",
    b":0\r\n",
    b":1\r\n",
    b":-9223372036854775808\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"$0\r\n\r\n",
    b"$3\r\ninf\r\n",
    b"*0\r\n",
    b"*1\r\n:1\r\n",
    b"*1\r\n*-1\r\n",
    b"*2\r\n$1\r\n0\r\n*0\r\n",
    b"*2\r\n$1\r\n0\r\n$1\r\nx\r\n",
    b"*2\r\n$20\r\n99999999999999999999\r\n*1\r\n$1\r\nk\r\n",
    b"*2\r\n*1\r\n$1\r\nx\r\n:7\r\n",
    b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    b"$32\r\nused_memory:inf\r\nrole:nobody\r\nx:y\r\n",
    b"*1000\r\n" + b":1\r\n" * 1000,
)
SHAPES_OF_RESP3: Final = (
    b"_\r\n",
    b"#t\r\n",
    b",nan\r\n",
    b"(12345678901234567890123\r\n",
    b"%0\r\n",
    b"%1\r\n+a\r\n:1\r\n",
    b"~1\r\n+a\r\n",
    b"!5\r\nERR x\r\n",
    b"=5\r\ntxt:x\r\n",
)
#: After these the connection is of no use.
ENDS: Final = (
    b"",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"$5\r\nab",
    b"*3\r\n:1\r\n",
    b"$99999999999999\r\n",
    b"*-5\r\n",
    b"\xff" * 40,
)


class Liar:
    """Listens on a port of its own in front of ``target``. It is honest until ``rate`` says how often it lies."""

    def __init__(self, target: str, chance: random.Random) -> None:
        self.target = target
        self.chance = chance
        self.rate = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._listener.close()
        with self.lock:
            for one in self._open:
                one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = connect(self.target)
            with self.lock:
                self._open |= {client, server}
            Conversation(self, client, server).start()

    def forget(self, *ended: socket.socket) -> None:
        """These are over."""
        with self.lock:
            self._open -= set(ended)
        for one in ended:
            one.close()


class Conversation:
    """One connection of the proxy's, and the one behind it."""

    def __init__(self, liar: Liar, client: socket.socket, server: socket.socket) -> None:
        self.liar = liar
        self.client = client
        self.server = server
        self.silent = False
        self.resp3 = False

    def start(self) -> None:
        """A thread for each direction."""
        threading.Thread(target=self._ask, daemon=True).start()
        threading.Thread(target=self._answer, daemon=True).start()

    def _ask(self) -> None:
        try:
            while data := self.client.recv(1 << 16):
                self.resp3 = self.resp3 or b"HELLO\r\n$1\r\n3" in data
                self.server.sendall(data)
        except OSError:
            pass
        self._end()

    def _answer(self) -> None:
        reader = ReplyReader()
        try:
            while data := self.server.recv(1 << 16):
                reader.feed(data)
                while (raw := reader.next()) is not None:
                    if not self._say(raw):
                        return
        except OSError:
            pass
        finally:
            self._end()

    def _say(self, raw: bytes) -> bool:
        """Pass a reply on, or what stands for it; whether there will be more."""
        chance = self.liar.chance
        if self.silent:
            return True
        if chance.random() >= self.liar.rate:
            self.client.sendall(raw)
            return True
        mood = chance.random()
        if mood < 0.9:
            self.client.sendall(chance.choice(SHAPES + SHAPES_OF_RESP3 if self.resp3 else SHAPES))
            return True
        if mood < 0.93:
            self.silent = True
            return True
        self.client.sendall(chance.choice(ENDS))
        return False

    def _end(self) -> None:
        for one in (self.client, self.server):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.liar.forget(self.client, self.server)


class Trial:
    """A proxy over two nodes of which the second one lies, and what must hold all the same."""

    def __init__(self, proxy: RunningProxy, liar: Liar, ring: bool) -> None:
        self.proxy = proxy
        self.liar = liar
        self.ring = ring
        self.requests = 0

    def round(self, seed: int) -> None:
        """It lies to several clients in turn, is honest again, and all is as if nothing had been."""
        chance = random.Random(seed)
        with self.liar.lock:
            self.liar.chance = random.Random(seed)
        try:
            for _ in range(6):
                self.liar.rate = chance.choice((0.02, 0.2, 1.0))
                self.ask(chance)
                if self.ring:
                    self.neighbour(b"%d" % chance.randrange(1 << 40))
        except (Broken, TimeoutError) as broken:
            raise Broken(f"seed {seed}: {broken!r}") from broken
        finally:
            self.liar.rate = 0.0
        if self.ring:
            self.recovers()
        if not self.proxy.alive() or "Traceback" in self.proxy.log():
            raise Broken(f"seed {seed}:\n{self.proxy.log()[-4000:]}")

    def ask(self, chance: random.Random) -> None:
        """Each request has one reply, whatever the node says."""
        requests = [words for words in batch(chance, 30) if words[0].lower() not in (b"flushall", b"flushdb")]
        with self.proxy.raw(SECONDS) as connection:
            found = converse(connection, requests, chance)
            found += converse(connection, [[b"PING", b"end"]], chance)
        self.requests += len(found)
        if b"end" not in found[-1] and b"QUEUED" not in found[-1]:
            raise Broken(f"a reply too many or too few: {found[-1]!r}")

    def neighbour(self, value: bytes) -> None:
        """The node that is honest has never served better."""
        key = self.proxy.keys_on(0, 1)[0].encode()
        with self.proxy.raw(SECONDS) as connection:
            found = converse(connection, [[b"SET", key, value], [b"GET", key]], random.Random(0))
        if found != [b"+OK\r\n", bulk(value)]:
            raise Broken(f"the other node's keys: {found}")

    def recovers(self) -> None:
        """The node is honest: soon it is believed, and nobody hears what is another's."""
        keys = [key.encode() for key in self.proxy.keys_on(1, 20)]
        requests = [words for key in keys for words in ([b"SET", key, key], [b"GET", key])]
        right = [reply for key in keys for reply in (b"+OK\r\n", bulk(key))]

        def well() -> bool:
            with self.proxy.raw(SECONDS) as connection:
                return converse(connection, requests, random.Random(0)) == right

        eventually(well)


@contextmanager
def lying(start: Starter, mode: str) -> Iterator[Trial]:
    """A pool of two nodes, and the trial of the second one."""
    liars: list[Liar] = []

    def through(urls: list[str]) -> list[str]:
        liars.append(Liar(urls[1], random.Random(0)))
        return [urls[0], liars[0].url]

    proxy = start(mode, 2, through=through)
    with liars[0] as liar:
        yield Trial(proxy, liar, mode == "ring")
