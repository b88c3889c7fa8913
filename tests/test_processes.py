"""Processes that end while one looks at them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.bench.gauge import cost, family
from tests.processes import PROC, descendants, is_running, read, threads


def ended() -> int:
    """The id of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_descendants() -> None:
    """Children and theirs are found; a process without children has none."""
    # Fixtures of the whole session may have started servers.
    before = descendants(os.getpid())
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        found = [pid for pid in descendants(os.getpid()) if pid not in before]
        assert found[0] == process.pid
        assert len(found) == 2
        assert descendants(found[1]) == []
        assert family(process.pid) == found
        assert is_running(found[1])
        process.stdin.close()
    assert not is_running(process.pid)


def test_what_has_ended_has_nothing() -> None:
    """No thread, no descendant, no text, and it does not run."""
    pid = ended()
    assert threads(pid) == []
    assert descendants(pid) == []
    assert read(PROC / str(pid) / "status") == ""
    assert not is_running(pid)


def test_a_process_that_waits_to_be_reaped_does_not_run() -> None:
    """Its parent has not asked for its status yet, so it is still in /proc."""
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) is not None
        assert not is_running(process.pid)


def test_the_end_of_a_thread_in_the_middle_of_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread or a process that ends between two looks is left out, and the others are still counted."""
    alive = threads(os.getpid())
    before = descendants(os.getpid())
    gone = PROC / str(ended()) / "task" / "1"
    monkeypatch.setattr(processes, "threads", lambda pid: [gone, *alive] if pid == os.getpid() else [])
    monkeypatch.setattr("tests.bench.gauge.threads", lambda pid: [gone, *alive])
    assert descendants(os.getpid()) == before
    assert cost([os.getpid()]).cpu_ns > 0


def test_a_file_that_ends_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's other word for a process that has ended, which a read of an open file gets, means the same."""

    def fails(path: Path) -> str:
        raise ProcessLookupError(path)

    monkeypatch.setattr(Path, "read_text", fails)
    assert read(PROC / "self" / "status") == ""
