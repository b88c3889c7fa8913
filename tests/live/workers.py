"""A library's worker in a process of its own, as people run it: started by its own command, ended by a signal.

Its tasks are found by import (``tests.live.rq_tasks``), and the address of its server is in ``LIVE_SERVER``.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.live.proxies import environment

ROOT: Final = Path(__file__).resolve().parent.parent.parent
#: The address of the server, for modules of tasks.
SERVER: Final = "LIVE_SERVER"
END_SECONDS: Final = 30.0


class Worker:
    """``python -m <words>`` in a session of its own, so that what it forks ends with it."""

    def __init__(self, folder: Path, server: str, words: tuple[str, ...], more: Mapping[str, str]) -> None:
        self.path = folder / "worker.log"
        with self.path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env={**environment(), "PYTHONUNBUFFERED": "1", SERVER: server, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self) -> str:
        """What it has said."""
        return self.path.read_text("utf-8", "replace")

    def ended(self) -> int:
        """Wait for its end; the exit status."""
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker goes on: {self.log()}") from None

    def end(self, sign: int = signal.SIGTERM) -> int:
        """Ask it to end, as a supervisor does, and wait until it has; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.ended()

    def kill(self) -> None:
        """End it at once, with all that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def worker(folder: Path, server: str, *words: str, **more: str) -> Iterator[Worker]:
    """A worker for the time of the ``with``; what it said is in the report of a test that fails."""
    made = Worker(folder, server, words, more)
    try:
        yield made
    finally:
        made.kill()
        sys.stdout.write(made.log())
