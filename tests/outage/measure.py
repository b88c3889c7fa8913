"""One measurement: several clients send and run jobs, their node is killed and restarted, and their jobs are counted.

Order of events: every client has run a few jobs; its producer pauses until its worker waits for the next one (unless
it is to be busy); the node is killed, the producers go on; the node is restarted; the producers stop; when nothing
happens any more the jobs are counted.
"""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.live.proxies import environment
from tests.live.workers import ROOT
from tests.outage.notes import NOTES, SERVER
from tests.outage.servers import Servers
from tests.outage.table import Client

WARM_SECONDS: Final = 60.0
DOWN_SECONDS: Final = 3.0
AFTER_SECONDS: Final = 8.0
#: A client that has done nothing for so long will do nothing any more.
QUIET_SECONDS: Final = 12.0
WARM_JOBS: Final = 3
#: After its last job a worker has something to write down.
IDLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The jobs of one client, and whether it lives. ``resumed``: seconds from the restart to the next good job."""

    sent: int
    failed: int
    lost: int
    twice: int
    lives: bool
    resumed: float | None
    error: str

    def cell(self) -> str:
        """For the table."""
        if not self.lives:
            return f"**ends** ({self.failed} failed)"
        if self.resumed is None:
            return f"**stands still** ({self.failed} failed)"
        return f"{self.failed} / {self.lost} / {self.twice}, {self.resumed:.1f} s"


class ClientProcesses:
    """The worker and the producer of one client, and what they have noted."""

    def __init__(self, client: Client, servers: Servers, path: dict[str, str]) -> None:
        self.client = client
        self.notes = servers.folder / client.name.replace(" ", "-").replace(",", "")
        self.env = {**environment(), **path, SERVER: servers.url, NOTES: str(self.notes), "PYTHONUNBUFFERED": "1"}
        words = [client.worker, client.producer] if client.worker else [client.producer]
        self.processes = [self.start([word.replace("{url}", servers.url) for word in line]) for line in words]

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        """In a session of its own, so that what it forks ends with it."""
        with Path(f"{self.notes}.log").open("ab") as log:
            return subprocess.Popen(
                words, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def read_notes(self) -> list[tuple[str, int, float, str]]:
        """Each line as (word, number of the job, time, text)."""
        if not self.notes.exists():
            return []
        lines = []
        for line in self.notes.read_text("utf-8", "replace").splitlines():
            word, number, seconds, *text = line.split(" ", 3)
            lines.append((word, int(number), float(seconds), "".join(text)))
        return lines

    def done_jobs(self) -> list[tuple[int, float]]:
        """Number and time of the jobs that were run; without a worker, of those that were sent."""
        wanted = "ran" if self.client.worker else "sent"
        return [(number, seconds) for word, number, seconds, _ in self.read_notes() if word == wanted]

    def set_flag(self, flag: str) -> None:
        """Make its producer ``pause``, or ``stop``."""
        Path(f"{self.notes}.{flag}").touch()

    def resume(self) -> None:
        """End its pause."""
        Path(f"{self.notes}.pause").unlink(missing_ok=True)

    def is_busy(self) -> bool:
        """Whether a job that was sent has not been run."""
        sent = {number for word, number, _, _ in self.read_notes() if word == "sent"}
        return bool(sent - {number for number, _ in self.done_jobs()})

    def is_unfinished(self) -> bool:
        """Whether a job was not run, or the producer still runs."""
        return self.is_busy() or self.processes[-1].poll() is None

    def kill(self) -> None:
        """End the processes that still run, and what they have forked."""
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            finally:
                process.wait()

    def outcome(self, servers: Servers, restarted_at: float) -> Outcome:
        notes = self.read_notes()
        sent = {number for word, number, _, _ in notes if word == "sent"}
        failed = [text for word, _, _, text in notes if word == "failed"]
        done = Counter(number for word, number, _, _ in notes if word == "ran")
        if self.client.pushes:
            done = Counter(servers.pushed(self.client.pushes))
        later = [seconds - restarted_at for _, seconds in self.done_jobs() if seconds > restarted_at]
        return Outcome(
            sent=len(sent),
            failed=len(failed),
            lost=len(sent - set(done)),
            twice=sum(count - 1 for count in done.values()),
            lives=self.processes[0].poll() is None if self.client.worker else self.processes[0].poll() == 0,
            resumed=min(later, default=None),
            error=failed[0] if failed else "",
        )


def measure(
    clients: list[Client], servers: Servers, paths: dict[str, dict[str, str]], busy: bool = False
) -> list[Outcome]:
    """Measure them together; ``busy``: the node is killed while workers run jobs, not while they wait for processes."""
    running = [ClientProcesses(client, servers, paths.get(client.name, {})) for client in clients]
    try:
        deadline = time.monotonic() + WARM_SECONDS
        while any(len(processes.done_jobs()) < WARM_JOBS for processes in running):
            if time.monotonic() > deadline:
                cold = [processes for processes in running if len(processes.done_jobs()) < WARM_JOBS]
                logs = "\n".join(Path(f"{processes.notes}.log").read_text()[-2000:] for processes in cold)
                raise AssertionError(f"did not begin: {[processes.client.name for processes in cold]}\n{logs}")
            time.sleep(0.1)
        if not busy:
            for processes in running:
                processes.set_flag("pause")
            wait_while(running, ClientProcesses.is_busy)
            time.sleep(IDLE_SECONDS)
        servers.kill()
        for processes in running:
            processes.resume()
        time.sleep(DOWN_SECONDS)
        servers.restart()
        restarted_at = time.monotonic()
        time.sleep(AFTER_SECONDS)
        for processes in running:
            processes.set_flag("stop")
        wait_while(running, ClientProcesses.is_unfinished)
        return [processes.outcome(servers, restarted_at) for processes in running]
    finally:
        for processes in running:
            processes.kill()


def wait_while(running: list[ClientProcesses], condition: Callable[[ClientProcesses], bool]) -> None:
    """Wait while the condition holds for any of them, but not when no job was done for `QUIET_SECONDS`."""
    seen, since = -1, time.monotonic()
    while any(condition(processes) for processes in running) and time.monotonic() - since < QUIET_SECONDS:
        count = sum(len(processes.done_jobs()) for processes in running)
        if count != seen:
            seen, since = count, time.monotonic()
        time.sleep(0.2)
