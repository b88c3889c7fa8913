"""Which processes of this machine have ended, as far as the machine itself can tell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kidoproxy.net import owner_mark
from kidoproxy.net.owner_mark import exists, is_dead, machine_id, new_ownership, own_start, process_start
from kidoproxy.replication.owner_marks import parse_mark


def test_this_process() -> None:
    """It names itself so that another one on this machine knows whether it lives, and others do not guess."""
    mark = new_ownership("pool", "id", 5, False).mark
    seen = parse_mark(mark.encode())
    assert seen is not None
    assert (seen.pid, seen.machine) == (os.getpid(), machine_id())
    assert not is_dead(seen)
    seen.pid_started += 1
    assert is_dead(seen), "its process id is used by another process now"
    seen.machine = "elsewhere"
    assert not is_dead(seen)


def test_the_order_to_take_over() -> None:
    assert new_ownership("pool", "id", 5, True).take_over


def test_a_process_that_has_ended() -> None:
    """Also one that nobody has waited for: its sockets are closed."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_start(process.pid) > 0
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(process.pid) == 0
    mark = new_ownership("pool", "id", 5, False).mark
    mark.pid = process.pid
    assert is_dead(mark)
    process.communicate()
    assert is_dead(mark)


def test_a_machine_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without /proc nobody is known to be dead."""
    mark = new_ownership("pool", "id", 5, False).mark
    monkeypatch.setattr(owner_mark, "PROC", tmp_path)
    assert machine_id() == ""
    assert own_start() == 0
    assert not is_dead(mark)
    mark.machine = ""
    assert not is_dead(mark)


@pytest.mark.parametrize("pid", [0, 2**22 + 1, 2**40])
def test_no_process_has_such_an_id(pid: int) -> None:
    """Whatever stands in a mark, it is looked at without harm; 0 would be ourselves."""
    mark = new_ownership("pool", "id", 5, False).mark
    mark.pid = pid
    assert is_dead(mark) is (pid > 0)


def test_a_process_that_is_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where /proc shows only one's own processes another one is there all the same, and not taken for dead."""
    mark = new_ownership("pool", "id", 5, False).mark
    mark.pid, mark.pid_started = 1, 7
    machine = machine_id()
    monkeypatch.setattr(owner_mark, "machine_id", lambda: machine)
    monkeypatch.setattr(owner_mark, "PROC", tmp_path)
    assert exists(1)
    assert not is_dead(mark)

    def refuse(pid: int, signum: int) -> None:
        raise PermissionError(pid, signum)

    monkeypatch.setattr(os, "kill", refuse)
    assert exists(1)
    assert not is_dead(mark)
