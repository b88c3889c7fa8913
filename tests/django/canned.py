"""A node that answers from a list and remembers what it was asked: a server as a test wants it.

Replies are written as RESP2 has them; who said HELLO 3 gets the null of RESP3.
"""

import socket
import threading
from typing import Final, Self

import hiredis

#: What redis-py says by itself when it connects.
_HANDSHAKE: Final = {
    b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n",
    b"CLIENT": b"+OK\r\n",
    b"SELECT": b"+OK\r\n",
}


def pool_info(mode: str, *addresses: str) -> bytes:
    """What a proxy says of a pool, as far as the backends look at it."""
    nodes = "".join(f"node{at}:name=n{at},address={address},state=up\r\n" for at, address in enumerate(addresses))
    return f"# Kidoproxy\r\nkidoproxy_version:0.1.0\r\npool:{mode}s\r\nmode:{mode}\r\n{nodes}".encode()


class CannedNode:
    """Listens on the loopback in a thread of its own; ``replies`` are taken in order, ``asked`` fills up.

    An empty reply ends the conversation.
    """

    def __init__(self) -> None:
        #: What INFO answers, as the proxy's; empty: as a Redis that knows no such section.
        self.info = pool_info("copy")
        self.replies: list[bytes] = []
        self.asked: list[list[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._resp3 = False
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for sock in [self._listener, *self._clients]:
            # Wakes the thread that waits on it; a close alone does not.
            if sock.fileno() >= 0:
                _shut(sock)
            sock.close()
        for thread in self._threads:
            thread.join()

    def _run(self, work: object, *args: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        reader = hiredis.Reader()
        while True:
            try:
                data = client.recv(65536)
            except OSError:
                return None
            if not data:
                return None
            reader.feed(data)
            while (argv := reader.gets()) is not False:
                answer = self._answer(argv)
                if not answer:
                    return _shut(client)
                client.sendall(answer)

    def _answer(self, argv: list[bytes]) -> bytes:
        handshake_reply = _HANDSHAKE.get(argv[0].upper())
        if handshake_reply is not None:
            self._resp3 |= argv[:2] == [b"HELLO", b"3"]
            return handshake_reply
        if argv[0] == b"INFO":
            return b"$%d\r\n%s\r\n" % (len(self.info), self.info)
        self.asked.append(argv)
        reply = self.replies.pop(0)
        return reply.replace(b"$-1\r\n", b"_\r\n") if self._resp3 else reply


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
