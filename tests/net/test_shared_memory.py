"""What the workers share in memory."""

import os
import signal
import subprocess
import sys

import pytest

from kidoproxy.net.shared_memory import PROCESS, ClientIds, StartedProcess, began_at


def test_the_last_id_of_a_process_that_is_gone() -> None:
    """Each worker has its own; the parent, and so whoever it forks next, sees it."""
    ids = ClientIds(3)
    pid = os.fork()
    if not pid:
        ids.note(1, 2**63)
        os._exit(0)
    os.waitpid(pid, 0)
    assert [ids.last(worker) for worker in range(3)] == [0, 2**63, 0]


@pytest.mark.parametrize(("code", "seconds"), [("", 20.0), ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", 0.05)])
def test_a_process_that_is_ended(code: str, seconds: float) -> None:
    """In good order, or at once when it does not go; then it is forgotten."""
    started = StartedProcess()
    with subprocess.Popen(
        [sys.executable, "-c", f"import signal\n{code}\nprint(flush=True)\nsignal.pause()"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started.note(process.pid)
        assert started.end(seconds) == process.pid
        assert process.wait(20) == (-signal.SIGKILL if code else -signal.SIGTERM)
    assert started.end(seconds) == 0


def test_a_process_that_is_no_longer_the_same() -> None:
    """Whoever has the id now is left alone; so is everybody when there was none."""
    started = StartedProcess()
    assert started.end(1.0) == 0
    PROCESS.pack_into(started.memory, 0, os.getpid(), began_at(os.getpid()) - 1)
    assert started.end(1.0) == 0
    started.note(os.getpid())
    started.forget()
    assert started.end(1.0) == 0
