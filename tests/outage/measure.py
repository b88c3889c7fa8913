"""One measurement: several clients work, their node is killed, comes back, and it is counted what became of it."""

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
from tests.outage.stage import Stage
from tests.outage.table import Client

WARM_SECONDS: Final = 60.0
DOWN_SECONDS: Final = 3.0
AFTER_SECONDS: Final = 8.0
#: Who has not done anything for so long will not.
QUIET_SECONDS: Final = 12.0
WARM_JOBS: Final = 3
#: After its last job a worker has something to write down.
IDLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one client. ``resumed``: seconds from the node's return to the next job that went well."""

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


class Running:
    """A client's processes."""

    def __init__(self, client: Client, stage: Stage, path: dict[str, str]) -> None:
        self.client = client
        self.notes = stage.folder / client.name.replace(" ", "-").replace(",", "")
        self.env = {**environment(), **path, SERVER: stage.url, NOTES: str(self.notes), "PYTHONUNBUFFERED": "1"}
        words = [client.worker, client.producer] if client.worker else [client.producer]
        self.processes = [self.start([word.replace("{url}", stage.url) for word in line]) for line in words]

    def start(self, words: list[str]) -> subprocess.Popen[bytes]:
        """In a session of its own, so that what it forks ends with it."""
        with Path(f"{self.notes}.log").open("ab") as log:
            return subprocess.Popen(
                words, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def noted(self) -> list[tuple[str, int, float, str]]:
        """All lines of the file."""
        if not self.notes.exists():
            return []
        found = []
        for line in self.notes.read_text("utf-8", "replace").splitlines():
            word, number, seconds, *text = line.split(" ", 3)
            found.append((word, int(number), float(seconds), "".join(text)))
        return found

    def well(self) -> list[tuple[int, float]]:
        """The jobs that went well, and when: those that were run, or without a worker sent."""
        wanted = "ran" if self.client.worker else "sent"
        return [(number, seconds) for word, number, seconds, _ in self.noted() if word == wanted]

    def tell(self, word: str) -> None:
        """Make its producer ``pause``, or ``stop``."""
        Path(f"{self.notes}.{word}").touch()

    def go_on(self) -> None:
        """End the pause."""
        Path(f"{self.notes}.pause").unlink(missing_ok=True)

    def is_busy(self) -> bool:
        """Whether something that was sent has not been run."""
        sent = {number for word, number, _, _ in self.noted() if word == "sent"}
        return bool(sent - {number for number, _ in self.well()})

    def is_going_on(self) -> bool:
        """The same, or its producer still runs."""
        return self.is_busy() or self.processes[-1].poll() is None

    def end(self) -> None:
        """Whatever still runs."""
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            finally:
                process.wait()

    def outcome(self, stage: Stage, back: float) -> Outcome:
        """What became of it."""
        noted = self.noted()
        sent = {number for word, number, _, _ in noted if word == "sent"}
        failed = [text for word, _, _, text in noted if word == "failed"]
        done = Counter(number for word, number, _, _ in noted if word == "ran")
        if self.client.pushes:
            done = Counter(stage.pushed(self.client.pushes))
        later = [seconds - back for _, seconds in self.well() if seconds > back]
        return Outcome(
            sent=len(sent),
            failed=len(failed),
            lost=len(sent - set(done)),
            twice=sum(count - 1 for count in done.values()),
            lives=self.processes[0].poll() is None if self.client.worker else self.processes[0].poll() == 0,
            resumed=min(later, default=None),
            error=failed[0] if failed else "",
        )


def measure(clients: list[Client], stage: Stage, paths: dict[str, dict[str, str]], busy: bool = False) -> list[Outcome]:
    """All of them at once. Unless they are to be ``busy`` their workers wait for jobs when the node is killed."""
    running = [Running(client, stage, paths.get(client.name, {})) for client in clients]
    try:
        deadline = time.monotonic() + WARM_SECONDS
        while any(len(one.well()) < WARM_JOBS for one in running):
            if time.monotonic() > deadline:
                cold = [one for one in running if len(one.well()) < WARM_JOBS]
                logs = "\n".join(Path(f"{one.notes}.log").read_text()[-2000:] for one in cold)
                raise AssertionError(f"did not begin: {[one.client.name for one in cold]}\n{logs}")
            time.sleep(0.1)
        if not busy:
            for one in running:
                one.tell("pause")
            settle(running, Running.is_busy)
            time.sleep(IDLE_SECONDS)
        stage.kill()
        for one in running:
            one.go_on()
        time.sleep(DOWN_SECONDS)
        stage.restart()
        back = time.monotonic()
        time.sleep(AFTER_SECONDS)
        for one in running:
            one.tell("stop")
        settle(running, Running.is_going_on)
        return [one.outcome(stage, back) for one in running]
    finally:
        for one in running:
            one.end()


def settle(running: list[Running], waits: Callable[[Running], bool]) -> None:
    """Wait until nobody has anything to do, or nothing happens any more."""
    seen, since = -1, time.monotonic()
    while any(waits(one) for one in running) and time.monotonic() - since < QUIET_SECONDS:
        count = sum(len(one.well()) for one in running)
        if count != seen:
            seen, since = count, time.monotonic()
        time.sleep(0.2)
