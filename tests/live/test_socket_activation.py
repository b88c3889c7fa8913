"""Listening sockets that systemd holds: clients wait while there is no proxy, and none is refused."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from kidoproxy.admin.embedded import EmbeddedNodes
from tests.live.proxies import READY, environment

pytestmark = pytest.mark.live

SECONDS: Final = 20.0
#: As systemd starts a service: sockets from 3 on, and the process id that execv keeps.
EXECUTE: Final = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
for at, fd in enumerate(fds):
    os.dup2(fd, 3 + at)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join("a" for _ in fds))
os.execv(sys.executable, [sys.executable, "-P", "-m", "kidoproxy", "serve", "--config", sys.argv[2]])
"""


@contextmanager
def started(config: Path, sockets: Sequence[socket.socket]) -> Iterator["subprocess.Popen[str]"]:
    """The program with these sockets; it is ended at the end."""
    # Away from the numbers where they shall be.
    fds = [os.dup(sock.fileno()) for sock in sockets]
    high = [os.dup(fd) for fd in fds for _ in range(4)][3::4]
    command = [sys.executable, "-c", EXECUTE, ",".join(map(str, high)), str(config)]
    process = subprocess.Popen(
        command, pass_fds=high, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        for fd in {*fds, *high}:
            os.close(fd)


def ask(address: tuple[str, int] | str) -> socket.socket:
    """Connect, and send PING; the reply may come later."""
    connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    connection.settimeout(SECONDS)
    connection.connect(address)
    connection.sendall(b"PING\r\n")
    return connection


@pytest.mark.parametrize("workers", [1, 2])
def test_no_client_is_refused(tmp_path: Path, workers: int) -> None:
    """Before the start, between two runs, over TCP and a unix socket: who connects waits, and is served."""
    with ExitStack() as stack:
        nodes = stack.enter_context(EmbeddedNodes())
        (url,) = nodes.start(1, "auto")
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        path = tmp_path / "kido.sock"
        local.bind(str(path))
        local.listen()
        config = tmp_path / "kido.toml"
        listen = f'["127.0.0.1:{tcp.getsockname()[1]}", "unix://{path}"]'
        pool = f'[pool.pool]\nlisten = {listen}\nmode = "ring"\nnodes = ["{url}"]\n'
        config.write_text(f"[proxy]\nworkers = {workers}\n{pool}")
        for _ in range(2):
            waiting = [
                stack.enter_context(ask(address)) for address in (tcp.getsockname(), str(path)) for _ in range(4)
            ]
            with started(config, [tcp, local]) as process:
                assert [client.recv(100) for client in waiting] == [b"+PONG\r\n"] * 8
                process.terminate()
                assert process.wait(SECONDS) == 0
                assert process.stdout is not None
                assert READY in process.stdout.read()
            assert path.exists()


def test_a_socket_for_which_the_file_has_no_use(tmp_path: Path) -> None:
    """It does not start: whoever connects there would wait for ever."""
    config = tmp_path / "kido.toml"
    config.write_text('[pool.pool]\nlisten = "127.0.0.1:1"\nmode = "ring"\nnodes = ["redis://127.0.0.1:2"]\n')
    with socket.create_server(("127.0.0.1", 0)) as tcp, started(config, [tcp]) as process:
        told, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 1
        assert f"systemd has given 127.0.0.1:{tcp.getsockname()[1]} (a), and the file listens elsewhere" in told
        assert "Traceback" not in told
