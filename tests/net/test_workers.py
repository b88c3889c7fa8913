"""Several processes: what each serves, and what the parent does when one ends. Each parent is a process of its own."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Final

import pytest

from kidoproxy.config import Address, Config
from kidoproxy.net import workers
from kidoproxy.net.worker_orders import Answer, Order, Step, receive_order
from kidoproxy.net.workers import EXIT_CRASHED, Workers, worker_config
from tests.config.files import read
from tests.wait import eventually

SECONDS: Final = 30

CONFIG: Final = """
[proxy]
workers = 3
admin = "127.0.0.1:9121"

[pool.cache]
listen = ["127.0.0.1:6380", "unix:///run/cache.sock"]
mode = "ring"
nodes = ["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"]

[pool.pair]
listen = "127.0.0.1:6381"
mode = "copy"
nodes = ["redis://10.0.0.3:6379", "redis://10.0.0.4:6379"]

[pool.above]
listen = "127.0.0.1:6382"
mode = "ring"
nodes = ["pool:pair"]
"""

#: A parent whose workers say who they are and wait for a signal, unless `work` says otherwise.
PROGRAM: Final = """
import logging, os, signal, sys, time
from pathlib import Path
from kidoproxy.config.read import load
from kidoproxy.net.workers import Workers
logging.basicConfig(format="%(message)s")
folder = Path(sys.argv[2])

def count(at):
    runs = folder / f"runs-{{at}}"
    with runs.open("a") as file:
        file.write("x")
    return len(runs.read_text())

def wait(at):
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    (folder / f"{{at}}.{{os.getpid()}}").touch()
    return signal.sigwait((signal.SIGTERM, signal.SIGINT))

def work(config, at):
    run = count(at)
{work}

def own(config, at, pipe):
    # In one piece, for all of them write to the same pipe.
    os.write(1, f"{{at}} {{sorted(pool.name for pool in config.listening_pools())}}\\n".encode())
    return work(config, at)

print("begins", flush=True)
{before}
sys.exit(Workers(load(Path(sys.argv[1]), {{}}), own, 0.01).run())
"""


#: No worker is missed.
MISSED: Final = """
from kidoproxy.net.handover import Handover
Handover.is_worker_missed = lambda handover, worker: False
"""


class Parent:
    """A running parent, and the files by which its workers say that they wait."""

    def __init__(self, folder: Path, work: str, before: str = "") -> None:
        self.folder = folder
        config = folder / "kido.toml"
        config.write_text(CONFIG)
        body = "\n".join(f"    {line}" for line in work.splitlines())
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(work=body, before=before), str(config), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def waiting(self, at: int) -> list[int]:
        """The processes that have waited as worker ``at``, oldest first."""
        files = sorted(self.folder.glob(f"{at}.*"), key=lambda path: path.stat().st_mtime_ns)
        return [int(path.suffix[1:]) for path in files]

    def end(self) -> tuple[int, str, str]:
        """Exit status, standard output and errors of a parent that ends by itself, or was stopped."""
        out, problems = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, problems


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return read(tmp_path, CONFIG)


def test_the_first_worker_serves_everything(config: Config) -> None:
    """Copies, unix sockets and the admin pages are its alone."""
    assert worker_config(config, 0) is config


def test_the_others_serve_what_can_be_shared(config: Config) -> None:
    """Rings without copies below them, on TCP: one place must order the writes of copies."""
    shared = worker_config(config, 1)
    assert [(pool.name, [str(address) for address in pool.listen]) for pool in shared.listening_pools()] == [
        ("cache", ["127.0.0.1:6380"])
    ]
    assert shared.admin is None
    assert set(shared.pools) == set(config.pools)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on(tmp_path: Path, sign: signal.Signals) -> None:
    """All get the same signal; when all have ended well, so does the parent. Nothing is printed twice."""
    parent = Parent(tmp_path, f"return 0 if wait(at) == {int(sign)} else 9")
    eventually(lambda: all(parent.waiting(at) for at in range(3)), SECONDS)
    parent.process.send_signal(sign)
    status, out, problems = parent.end()
    assert status == 0
    lines = sorted(out.splitlines())
    assert lines == ["0 ['above', 'cache', 'pair']", "1 ['cache']", "2 ['cache']", "begins"]
    assert problems == ""


@pytest.fixture
def family(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator["Family"]:
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.3)
    made = Family(config)
    monkeypatch.setattr(os, "kill", lambda pid, signum: made.killed.append((pid, signum)))
    yield made
    for pair in made.pipes.values():
        for end in pair:
            end.close()


class Family:
    """A parent, and the other ends of its pipes."""

    def __init__(self, config: Config) -> None:
        self.killed: list[tuple[int, int]] = []
        self.file = config
        self.parent = Workers(config, lambda *_: 0, read=lambda: self.file)
        self.pipes = {number: Pipe() for number in range(4)}
        self.parent.worker_by_pid = {100 + number: number for number in self.pipes}
        self.parent.pipe_by_pid = {100 + number: pair[0] for number, pair in self.pipes.items()}
        self.orders: dict[int, list[Order]] = {number: [] for number in self.pipes}

    def answer(self, number: int, answers: list[tuple[str, ...]]) -> None:
        for problems in answers:
            order, _ = receive_order(self.pipes[number][1])
            self.orders[number].append(order)
            self.pipes[number][1].send(Answer(order.number, problems))

    def reload(self, answers: dict[int, list[tuple[str, ...]]]) -> None:
        """What each worker answers to its orders; one that answers less often is silent then."""
        threads = [threading.Thread(target=self.answer, args=case) for case in answers.items()]
        for thread in threads:
            thread.start()
        self.parent.on_hangup(signal.SIGHUP, None)
        for thread in threads:
            thread.join()

    def steps(self, number: int) -> list[Step]:
        """Of the orders that nobody has answered."""
        found = []
        while self.pipes[number][1].poll():
            found.append(receive_order(self.pipes[number][1])[0].step)
        return found


def test_what_workers_answer_to_a_reload(family: Family, config: Config, caplog: pytest.LogCaptureFixture) -> None:
    """Who could not take it over is ended, who is silent is named; who has died or answers too late holds nobody up."""
    family.pipes[0][1].send(Answer(-1, ("too late",)))
    family.pipes[3][1].close()
    family.reload({0: [(), ()], 1: [(), ("a bug",)], 2: [()]})
    for number in (0, 1):
        first, second = family.orders[number]
        assert (first.step, first.config) == (Step.PREPARE, worker_config(config, number))
        assert (second.step, second.config) == (Step.APPLY, None)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == ["reload failed: worker=1", "reload not answered: worker=2 seconds=0.3"]
    assert family.killed == [(101, signal.SIGTERM)]
    assert family.steps(2) == [Step.APPLY]
    family.parent.stopping = True
    family.parent.on_hangup(signal.SIGHUP, None)
    assert family.steps(2) == [Step.REJECT]


@pytest.mark.parametrize("answers", [{0: [()], 1: [("no such address",)], 2: [()], 3: [()]}, {0: [()], 2: [()]}])
def test_one_that_cannot_is_enough(
    family: Family, answers: dict[int, list[tuple[str, ...]]], caplog: pytest.LogCaptureFixture
) -> None:
    """Then none takes it over; one that is silent may be one that cannot."""
    family.parent.config = replace(family.parent.config, max_lanes=1)
    family.reload(answers)
    assert family.parent.config.max_lanes == 1
    assert [family.steps(number)[-1] for number in range(4)] == [Step.REJECT] * 4
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    silent = [f"reload rejected: cause=worker {number} does not answer within 0.3 s" for number in (1, 3)]
    assert lines == ([] if len(answers) == 4 else silent)


def test_other_workers(family: Family, config: Config, caplog: pytest.LogCaptureFixture) -> None:
    """One more process for what the file says now would have no sockets to speak with the others."""
    cache = config.pools["cache"]
    unix, tcp = cache.listen[1:], Address("127.0.0.1", 0)
    family.parent.config = replace(config, pools={"cache": replace(cache, listen=unix)}, admin=None)
    family.file = replace(config, pools={"cache": replace(cache, listen=(*unix, tcp))}, admin=None)
    family.reload({})
    assert [family.steps(number) for number in range(4)] == [[Step.REJECT]] * 4
    assert "that needs a restart" in caplog.records[-1].getMessage()


def test_a_reload_that_has_a_bug(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    """It ends neither the parent nor the next reload."""
    parent = Workers(config, lambda *_: 0, read=lambda: config)
    parent.worker_by_pid = {100: 0}
    for _ in range(2):
        parent.on_hangup(signal.SIGHUP, None)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "reload failed",
        "reload failed",
    ]


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """Killed, or ended for no reason: another one takes its number, and a line says what became of the first."""
    parent = Parent(tmp_path, "if at == 2 and run == 1: return 7\nwait(at)\nreturn 0")
    eventually(lambda: all(parent.waiting(at) for at in range(3)), SECONDS)
    killed = parent.waiting(1)[0]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(parent.waiting(1)) == 2, SECONDS)
    parent.process.send_signal(signal.SIGTERM)
    status, _, problems = parent.end()
    assert status == 0
    assert f"worker died: worker=1 pid={killed} status=-9" in problems
    assert "worker died: worker=2" in problems
    assert "status=7" in problems


def test_a_worker_whose_place_is_taken_already(tmp_path: Path) -> None:
    """It is not replaced: another proxy serves, and all end."""
    parent = Parent(tmp_path, "return 7 if at == 1 else wait(at) - signal.SIGTERM", MISSED)
    status, _, problems = parent.end()
    assert status == 0
    assert problems.count("worker died") == 1
    assert not (tmp_path / "runs-1").read_text().removeprefix("x")


@pytest.mark.parametrize(("lived", "waits"), [(0.2, 0.8), (5.0, 0.0)])
def test_how_soon_a_worker_is_replaced(
    config: Config, monkeypatch: pytest.MonkeyPatch, lived: float, waits: float
) -> None:
    """At once, so that nobody waits for it; one that dies again and again once a second."""
    parent = Workers(config, lambda *_: 0)
    slept: list[float] = []
    monkeypatch.setattr("kidoproxy.net.workers.time.sleep", slept.append)
    monkeypatch.setattr("kidoproxy.net.workers.time.monotonic", lambda: 100.0 + lived)
    monkeypatch.setattr(parent, "start", lambda worker: None)
    parent.started_at[1] = 100.0
    parent.on_exit(1, 7, 9)
    assert slept == [pytest.approx(waits)]
    assert parent.replacements == {1}


def test_a_worker_that_cannot_start_ends_all(tmp_path: Path) -> None:
    """A port that somebody has is not tried again and again: the others are stopped, and the status says so."""
    parent = Parent(tmp_path, "if at == 1: return 1\nwait(at)\nreturn 0")
    status, _, problems = parent.end()
    assert status == 1
    assert problems == ""


def test_a_worker_that_has_a_bug_never_runs_the_parents_code(tmp_path: Path) -> None:
    """Its exception is logged, its status is its own, and it is replaced."""
    parent = Parent(tmp_path, "if at == 1 and run == 1: raise ValueError('oh')\nwait(at)\nreturn 0")
    eventually(lambda: parent.waiting(1), SECONDS)
    eventually(lambda: parent.waiting(0) and parent.waiting(2), SECONDS)
    parent.process.send_signal(signal.SIGTERM)
    status, out, problems = parent.end()
    assert status == 0
    assert "worker failed: worker=1" in problems
    assert "ValueError: oh" in problems
    assert f"status={EXIT_CRASHED}" in problems
    assert out.count("begins") == 1


def test_the_worst_status_is_the_parents(tmp_path: Path) -> None:
    """One that does not end well is not hidden by those that do; our own signal is a good end."""
    deaf = "if at == 2:\n    (folder / f'2.{os.getpid()}').touch()\n    time.sleep(60)"
    parent = Parent(tmp_path, f"{deaf}\nwait(at)\nreturn 3 if at == 1 else 0")
    eventually(lambda: all(parent.waiting(at) for at in range(3)), SECONDS)
    parent.process.send_signal(signal.SIGTERM)
    assert parent.end()[0] == 3


def test_orphans_are_buried(tmp_path: Path) -> None:
    """A process that is not a worker, as the first process of a container is given, is no reason to start one."""
    parent = Parent(tmp_path, "wait(at)\nreturn 0", before="if os.fork() == 0: os._exit(5)")
    eventually(lambda: all(parent.waiting(at) for at in range(3)), SECONDS)
    parent.process.send_signal(signal.SIGTERM)
    status, _, problems = parent.end()
    assert status == 0
    assert problems == ""
