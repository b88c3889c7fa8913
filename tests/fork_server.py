"""Starts the program without starting Python: a process that has imported it forks one for each command line.

Most of what a proxy needs until it is ready is imports, and the live tests start hundreds of proxies. A fork runs the
same ``main`` as ``python -m kidoproxy``; what a new interpreter does before is proven by ``test___main__.py``.

`start` gives a `ForkedProcess`, which is used as a `subprocess.Popen`. The server is started with the first one and
ends with the process that uses it.
"""

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

ROOT: Final = Path(__file__).resolve().parent.parent
#: The environment of the server, whichever test starts it: as it was before any test has changed it.
ENVIRONMENT: Final = dict(os.environ)
#: What an interpreter reads when it starts.
PYTHON_VARIABLES: Final = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHASHSEED", "PYTHONDEVMODE")
#: Room for a command line and an environment.
MESSAGE_BYTES: Final = 256 * 1024
DESCRIPTORS: Final = 3


class ForkedProcess:
    """One process that the server has forked; exit status as of `subprocess.Popen`."""

    def __init__(self, pid: int, args: Sequence[str], status: socket.socket, stdout: int) -> None:
        self.pid = pid
        self.args = list(args)
        self.stdout = os.fdopen(stdout, encoding="utf-8", errors="replace")
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is not None:
            return self.returncode
        with selectors.DefaultSelector() as selector:
            selector.register(self._status, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.returncode = int(self._status.recv(100) or b"-9")
        self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Harmless when it has ended: until its status was read nobody else has its pid."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(args: Sequence[str], stderr: int, env: Mapping[str, str]) -> ForkedProcess:
    """Run ``kidoproxy ARGS`` with this environment; its standard output is a pipe, its input is empty.

    Where a variable is for the interpreter itself there is a new one.
    """
    server = _server()
    needs_interpreter = any(env.get(name) != ENVIRONMENT.get(name) for name in PYTHON_VARIABLES)
    status, theirs = socket.socketpair()
    readable, writable = os.pipe()
    with theirs:
        message = json.dumps([list(args), dict(env), needs_interpreter]).encode()
        socket.send_fds(server, [message], [theirs.fileno(), writable, stderr])
    os.close(writable)
    pid = int(server.recv(100))
    return ForkedProcess(pid, args, status, readable)


@cache
def _server() -> socket.socket:
    """The connection to this process's server; its end tells the server to end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        for size in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, size, MESSAGE_BYTES)
    with theirs:
        number = theirs.fileno()
        path = os.pathsep.join(path for path in sys.path if path)
        argv = [sys.executable, "-P", "-m", "tests.fork_server", str(number)]
        env = {**ENVIRONMENT, "PYTHONPATH": path}
        process = subprocess.Popen(argv, pass_fds=[number], env=env, stdin=subprocess.DEVNULL)
    atexit.register(_end, ours, process)
    return ours


def _end(control: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    control.close()
    process.wait()


# -- the server ------------------------------------------------------------------------------------


def serve(control: socket.socket) -> None:
    """Fork for each message, and pass on how each child has ended, until the other side ends."""
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                    reap(running)
                elif not _fork_one(control, running):
                    return


def reap(running: dict[int, socket.socket]) -> None:
    """Tell of each child that has ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as told:
            told.send(str(os.waitstatus_to_exitcode(status)).encode())


def _fork_one(control: socket.socket, running: dict[int, socket.socket]) -> bool:
    """Whether there was something to fork for."""
    message, numbers, _, _ = socket.recv_fds(control, MESSAGE_BYTES, DESCRIPTORS)
    if not message:
        return False
    status, stdout, stderr = numbers
    pid = os.fork()
    if pid == 0:
        args, env, needs_interpreter = json.loads(message)
        run(args, env, needs_interpreter, stdout, stderr)
    running[pid] = socket.socket(fileno=status)
    os.close(stdout)
    os.close(stderr)
    control.send(str(pid).encode())
    return True


def run(args: list[str], env: dict[str, str], needs_interpreter: bool, stdout: int, stderr: int) -> NoReturn:
    """In the child: become the program."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
    if needs_interpreter:
        os.execve(sys.executable, [sys.executable, "-m", "kidoproxy", *args], env)
    os.environ.clear()
    os.environ.update(env)
    from kidoproxy.admin.cli import main

    try:
        main(args, "kidoproxy")
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1 if end.code else 0)
    os._exit(1)


def _main() -> None:
    # What `serve` imports when it runs.
    import kidoproxy.admin.embedded
    import kidoproxy.config
    import kidoproxy.net.daemon
    import kidoproxy.net.serve  # noqa: F401

    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    _main()
