"""A server that is no Redis, or one that is in trouble: it says the same to whatever it is sent."""

import socket
import threading


class Fake:
    """A server that says the same to whatever it is sent; use it with ``with``."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def __enter__(self) -> str:
        return self.url

    def __exit__(self, *exc: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join()

    def accept(self) -> None:
        """Serve each connection in a thread of its own."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(20)
            self.threads.append(threading.Thread(target=self.serve, args=(connection,)))
            self.threads[-1].start()

    def serve(self, connection: socket.socket) -> None:
        """One answer for each request; the proxy's are arrays, so that their stars count them."""
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(self.replies(data))
            except OSError:
                return

    def replies(self, data: bytes) -> bytes:
        """The answer, as often as requests begin in the data."""
        begins = data.count(b"\n*") + data.startswith(b"*")
        return self.answer * begins
