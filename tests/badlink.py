"""A network in front of a node that can be bad: it stalls, cuts, trickles, refuses, or swallows what it is sent.

A real TCP connection in between, so that what the proxy sees is what it would see of a bad network. It
is bad from the moment the call returns, for the connections that are there and for new ones.
"""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

_PIECE: Final = 1 << 16


def connect(url: str) -> socket.socket:
    """A connection to ``redis://host:port`` or ``unix:///path``."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(parts.path)
        return connection
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)))


class BadLink:
    """Listens on a port of its own and passes on to ``target``. Use it with ``with``."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        #: What passes not: replies (True), requests (False); and from where nothing passes, though elsewhere it does.
        self._stalled: set[bool] = set()
        self._held: set[socket.socket] = set()
        self._swallows = False
        self._piece = _PIECE
        self._pause = 0.0
        #: How many bytes of replies (True), of requests (False), still pass before everything is cut; not there: all.
        self._left: dict[bool, int] = {}
        self.accepted = 0
        self._listener: socket.socket | None = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.refuse()
        self.heal()
        for thread in self._threads:
            thread.join()

    # -- what can be wrong with it ---------------------------------------------------------------------

    def stall(self, requests: bool = True, replies: bool = True) -> None:
        """Nothing passes, in both directions or in one, until `heal`."""
        with self._changed:
            self._stalled |= {way for way, stalled in ((False, requests), (True, replies)) if stalled}

    def hold(self) -> None:
        """Nothing passes on the connections that are there now, new ones are well; `heal` delivers what was held."""
        with self._changed:
            self._held |= self._open

    def swallow(self) -> None:
        """A black hole: connections are accepted, what is sent is read and forgotten."""
        with self._changed:
            self._swallows = True

    def trickle(self, size: int = 1, pause: float = 0.0) -> None:
        """Replies pass in pieces of this size, each a packet of its own, with so many seconds behind each."""
        with self._changed:
            self._piece, self._pause = size, pause

    def cut_after(self, count: int, replies: bool = True) -> None:
        """So many more bytes of replies (or of requests) pass, then every connection is cut; new ones are whole."""
        with self._changed:
            self._left[replies] = count

    def cut(self) -> None:
        """Every connection is cut now."""
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Every connection is cut, and new ones are refused until `accept`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Wakes the thread that accepts, which close() alone does not.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def accept(self) -> None:
        """New connections are accepted again, at the same port."""
        self._listener = self._listen(self.port)

    def heal(self) -> None:
        """All passes again."""
        with self._changed:
            self._swallows = False
            self._stalled.clear()
            self._held.clear()
            self._left.clear()
            self._piece, self._pause = _PIECE, 0.0
            self._changed.notify_all()

    # -- how it works ------------------------------------------------------------------------------------

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        self._run(self._accept, listener)
        return listener

    def _run(self, work: object, *args: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.accepted += 1
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        try:
            node = connect(self.target)
        except OSError:
            client.close()
            return
        with self._changed:
            self._open |= {client, node}
        ended = threading.Barrier(2)
        self._run(self._pump, client, node, False, ended)
        self._run(self._pump, node, client, True, ended)

    def _pump(self, source: socket.socket, sink: socket.socket, replies: bool, ended: threading.Barrier) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                self._pass(data, source, sink, replies)
        for connection in (source, sink):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        ended.wait()
        with self._changed:
            self._open.discard(source)
            self._held.discard(source)
        source.close()

    def _pass(self, data: bytes, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        with self._changed:
            while replies in self._stalled or source in self._held:
                self._changed.wait()
            if self._swallows:
                return
            size = self._piece if replies else _PIECE
            over = False
            left = self._left.pop(replies, None)
            if left is not None:
                over = len(data) >= left
                data = data[:left]
                if not over:
                    self._left[replies] = left - len(data)
        for at in range(0, len(data), size):
            sink.sendall(data[at : at + size])
            self._wait()
        if over:
            self.cut()

    def _wait(self) -> None:
        """Between two pieces; nobody waits longer than until it changes."""
        with self._changed:
            if self._pause:
                self._changed.wait(self._pause)
