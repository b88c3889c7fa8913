"""Real servers to ask, each on a unix socket in a directory of its own, gone when the test is over."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import redis

from kidoproxy.admin.embedded import find_server
from tests.needs import needs

#: The servers that are asked.
SERVERS: Final = ("redis", "valkey")


def program(server: str) -> str:
    """The path of a server's program."""
    return needs("redis-server") if server == "redis" else str(find_server("embedded"))


@contextmanager
def running(server: str) -> Iterator[Any]:
    """A client of a server that keeps nothing; replies are as the parser gives them."""
    with tempfile.TemporaryDirectory(prefix="kido-") as folder:
        socket = Path(folder) / "s"
        command = [program(server), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                # The server says when it listens; its output ends when it could not start.
                assert any("ready to accept connections" in line.lower() for line in process.stdout)
                client: Any = redis.Redis(unix_socket_path=str(socket), protocol=2)
                client.response_callbacks.clear()
                yield client
                client.close()
            finally:
                process.kill()
                process.stdout.close() if process.stdout else None


def ask(client: Any, argv: list[bytes]) -> Any:
    """The reply, an error as its text."""
    try:
        return client.execute_command(*argv)
    except redis.ResponseError as error:
        return f"error: {error}"
