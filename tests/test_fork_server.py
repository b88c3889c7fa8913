"""A forked program behaves as one that was started: output, exit status, signals, environment."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import fork_server
from tests.fork_server import ForkedProcess


def start(folder: Path, *args: str, **env: str) -> ForkedProcess:
    with (folder / "stderr").open("wb") as stderr:
        return fork_server.start(args, stderr.fileno(), {**os.environ, **env})


def test_output_and_exit_status(tmp_path: Path) -> None:
    """What it prints, and 0; what it complains about, and 2."""
    process = start(tmp_path, "--version")
    assert process.stdout.read().startswith("kidoproxy, version ")
    assert (process.wait(10), process.poll()) == (0, 0)
    process.stdout.close()
    process = start(tmp_path, "no-such-command")
    assert process.stdout.read() == ""
    assert process.wait(10) == 2
    assert "no-such-command" in (tmp_path / "stderr").read_text()
    process.stdout.close()


def test_environment_is_what_was_given(tmp_path: Path) -> None:
    """The file is named by it alone."""
    process = start(tmp_path, "check", KIDOPROXY_CONFIG=str(tmp_path / "absent.toml"))
    assert process.wait(10) == 2
    assert "absent.toml" in (tmp_path / "stderr").read_text()
    process.stdout.close()


def test_what_is_for_the_interpreter_reaches_one(tmp_path: Path) -> None:
    """A path is read when it starts, so there is a new one."""
    (tmp_path / "sitecustomize.py").write_text("print('customized', flush=True)")
    process = start(tmp_path, "version", PYTHONPATH=str(tmp_path))
    assert process.stdout.readline() == "customized\n"
    assert process.wait(10) == 0
    process.stdout.close()


def test_signals(tmp_path: Path) -> None:
    """One that is killed says so; after its end signals reach nobody."""
    process = start(tmp_path, "serve")
    assert "ready" in process.stdout.readline()
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.0)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)
    process.stdout.close()


def test_two_at_once(tmp_path: Path) -> None:
    """Each has its own status, whichever ends first."""
    first, second = start(tmp_path, "serve"), start(tmp_path, "version")
    assert second.wait(10) == 0
    assert "ready" in first.stdout.readline()
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    for process in (first, second):
        process.stdout.close()
