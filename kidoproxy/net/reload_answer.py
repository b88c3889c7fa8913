"""How ``kidoproxy reload`` hears what came of it: it waits on a socket whose name has the proxy's process id.

The proxy gets a SIGHUP, as from anybody else. Before it reads the file it looks whether somebody waits, and says at the
end what came of it. The name is that of an abstract unix socket: only one can have it at a
time, it goes when its process does, and both sides see in the kernel's words who the other one is.
"""

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: How long the proxy waits until its answer is taken.
ANSWER_SECONDS: Final = 1.0
BUG: Final = "it failed by a bug; the log has the traceback"
MAX_BYTES: Final = 1 << 20
CREDENTIALS: Final = struct.Struct("3i")


def name_of(pid: int) -> str:
    return f"\0kidoproxy-reload {pid}"


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """The process id and the user id of the other side."""
    pid, uid, _ = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return pid, uid


@dataclass(frozen=True)
class ReloadAnswer:
    """What came of a reload: whether the file was taken over, else a line for each reason why not."""

    is_applied: bool
    lines: tuple[str, ...] = ()

    @classmethod
    def of(cls, is_applied: bool, problems: list[str]) -> "ReloadAnswer":
        """``problems`` may be empty where it was a bug that kept it from being applied."""
        return cls(is_applied, () if is_applied else tuple(problems) or (BUG,))


class PatientClient:
    """Somebody who waits for the outcome, or nobody."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        self.sock = sock

    def answer(self, answer: ReloadAnswer) -> None:
        """Say what came of it, once; whoever has gone does not hear it, and it is in the log as well."""
        sock, self.sock = self.sock, None
        if sock is not None:
            with sock, contextlib.suppress(OSError):
                sock.sendall(json.dumps({"applied": answer.is_applied, "lines": answer.lines}).encode())


def find_client() -> PatientClient:
    """Whoever waits for this process to reload, and is allowed to."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(ANSWER_SECONDS)
    try:
        sock.connect(name_of(os.getpid()))
        if peer_of(sock)[1] in (0, os.geteuid()):
            return PatientClient(sock)
    except OSError:
        # Nobody waits, or the number of those who do is too large.
        sock.close()
        return PatientClient()
    sock.close()
    return PatientClient()


class ReloadWait:
    """The side that waits for the answer of process ``pid``. OSError when somebody else waits for it already."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.bind(name_of(pid))
        except OSError:
            self.sock.close()
            raise
        self.sock.listen(8)

    def close(self) -> None:
        self.sock.close()

    def wait(self, seconds: float, is_alive: Callable[[], bool]) -> ReloadAnswer | None:
        """The answer; None if none comes in that time, or the process ends before."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and is_alive():
            self.sock.settimeout(0.1)
            try:
                found, _ = self.sock.accept()
            except TimeoutError:
                continue
            with found:
                if peer_of(found)[0] == self.pid:
                    return self.hear(found, max(until - time.monotonic(), 0.1))
        return None

    def hear(self, found: socket.socket, seconds: float) -> ReloadAnswer | None:
        found.settimeout(seconds)
        try:
            said = b""
            while (data := found.recv(MAX_BYTES)) and len(said) < MAX_BYTES:
                said += data
            answer = json.loads(said)
            return ReloadAnswer(answer["applied"] is True, tuple(map(str, answer["lines"])))
        except (OSError, ValueError, KeyError, TypeError):
            return None
